//! Whether a call goes through a proxy, through which, and the tunnel of `CONNECT`.
//!
//! The rules are Go's: `no_proxy` has names (with their subdomains), `.names` (only those), addresses and networks, each
//! with or without a port; with a `no_proxy` or the environment, this machine itself is always reached directly; a
//! `proxy_url` alone takes everything.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{HeaderName, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::auth::{basic, header_value};
use super::wire::Stream;
use crate::address::Network;
use crate::client::{ClientError, Target};
use crate::http_config::{Given as _, ProxyConfig, Url};

/// Of a proxy's answer to `CONNECT`; a page of explanation is not part of it.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// One proxy.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) target: Target,
    /// Without its password.
    pub(super) shown: String,
    pub(super) authorization: Option<HeaderValue>,
    connect_headers: HeaderMap,
}

/// Which calls go through which proxy.
#[derive(Debug, Default)]
pub(super) struct Route {
    http: Option<Arc<Proxy>>,
    https: Option<Arc<Proxy>>,
    direct: Vec<Direct>,
    /// This machine is reached directly.
    spare_loopback: bool,
}

/// One item of `no_proxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Direct {
    what: Hosts,
    port: Option<u16>,
}

/// Which hosts an item means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    Network(Network),
    /// In small letters, without a leading dot. `own`: the name itself too, not only what ends in it.
    Domain {
        name: String,
        own: bool,
    },
}

impl Route {
    /// # Errors
    /// The proxy speaks a protocol that is not supported, or a header cannot be sent.
    pub(super) fn new(config: &ProxyConfig) -> Result<Self, ClientError> {
        let headers = connect_headers(config)?;
        if config.proxy_from_environment {
            return Self::from_environment(&headers, |name| std::env::var(name).ok());
        }
        let Some(url) = config.proxy_url.as_ref().filter(|url| !url.is_empty()) else { return Ok(Self::default()) };
        let proxy = Some(Arc::new(Proxy::new(url, headers)?));
        let direct = config.no_proxy.as_deref().map(read_no_proxy).unwrap_or_default();
        Ok(Self { http: proxy.clone(), https: proxy, direct, spare_loopback: config.no_proxy.given() })
    }

    /// The variables of curl and Go, in capitals first; an address without a scheme is one of http.
    fn from_environment(headers: &HeaderMap, read: impl Fn(&str) -> Option<String>) -> Result<Self, ClientError> {
        let given = |names: [&str; 2]| names.into_iter().filter_map(&read).find(|text| !text.is_empty());
        let proxy = |names: [&str; 2]| {
            let Some(text) = given(names) else { return Ok(None) };
            let text = if text.contains("://") { text } else { format!("http://{text}") };
            let url = Url::parse(&text);
            let url =
                url.map_err(|error| ClientError::Setting { key: "proxy_from_environment", why: error.to_string() })?;
            Proxy::new(&url, headers.clone()).map(|proxy| Some(Arc::new(proxy)))
        };
        Ok(Self {
            http: proxy(["HTTP_PROXY", "http_proxy"])?,
            https: proxy(["HTTPS_PROXY", "https_proxy"])?,
            direct: given(["NO_PROXY", "no_proxy"]).as_deref().map(read_no_proxy).unwrap_or_default(),
            spare_loopback: true,
        })
    }

    /// The proxy for a call; `None`: directly.
    pub(super) fn through(&self, target: &Target) -> Option<&Arc<Proxy>> {
        let proxy = if target.https { self.https.as_ref() } else { self.http.as_ref() }?;
        let host = target.host.trim_end_matches('.').to_ascii_lowercase();
        let ip = host.parse::<IpAddr>().ok();
        if self.spare_loopback && (host == "localhost" || ip.is_some_and(|ip| ip.is_loopback())) {
            return None;
        }
        let spared = self.direct.iter().any(|direct| {
            direct.port.is_none_or(|port| port == target.port)
                && match &direct.what {
                    Hosts::All => true,
                    Hosts::Network(network) => ip.is_some_and(|ip| network.contains(ip)),
                    Hosts::Domain { name, own } => {
                        host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.') || (rest.is_empty() && *own))
                    }
                }
        });
        (!spared).then_some(proxy)
    }
}

/// The headers for `CONNECT`; all of them are secrets.
fn connect_headers(config: &ProxyConfig) -> Result<HeaderMap, ClientError> {
    let mut headers = HeaderMap::new();
    for (name, values) in config.proxy_connect_header.iter() {
        let key = "proxy_connect_header";
        let header = HeaderName::from_bytes(name.as_bytes());
        let header = header.map_err(|_| ClientError::Setting { key, why: format!("{name:?} is no header name") })?;
        for value in values {
            headers.append(header.clone(), header_value(key, value)?);
        }
    }
    Ok(headers)
}

fn read_no_proxy(list: &str) -> Vec<Direct> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty()).map(read_direct).collect()
}

/// An item is tried as a network first: `10.0.0.0/8` would otherwise be a strange name.
fn read_direct(item: &str) -> Direct {
    let item = item.to_ascii_lowercase();
    if item == "*" {
        return Direct { what: Hosts::All, port: None };
    }
    if let Ok(network) = item.parse::<Network>() {
        return Direct { what: Hosts::Network(network), port: None };
    }
    let (host, port) = match item.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>())) {
        Some((host, Ok(port))) => (host, Some(port)),
        _ => (item.as_str(), None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = host.parse::<IpAddr>()
        && let Ok(network) = ip.to_string().parse()
    {
        return Direct { what: Hosts::Network(network), port };
    }
    let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
    let (name, own) = host.strip_prefix('.').map_or((host, true), |rest| (rest, false));
    Direct { what: Hosts::Domain { name: name.to_owned(), own }, port }
}

impl Proxy {
    fn new(url: &Url, connect_headers: HeaderMap) -> Result<Self, ClientError> {
        let shown = url.redacted();
        let key = "proxy_url";
        if !["http", "https"].contains(&url.scheme().as_str()) {
            return Err(ClientError::Setting {
                key,
                why: format!("{shown} is not supported, expected http:// or https://"),
            });
        }
        let target = Target::parse(&url.without_user()).map_err(|error| match error {
            ClientError::Url { expected, .. } => ClientError::Setting { key, why: format!("{shown}: {expected}") },
            other => other,
        })?;
        let authorization = match url.user() {
            Some((name, password)) => Some(basic(&model::secret::Secret::new(name), &password)?),
            None => None,
        };
        Ok(Self { target, shown, authorization, connect_headers })
    }

    /// Asks for a tunnel to the target; afterwards the stream is the target's.
    pub(super) async fn tunnel(&self, mut stream: Stream, target: &Target) -> Result<Stream, ClientError> {
        let host = if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.clone() };
        let to = format!("{host}:{}", target.port);
        let mut request = format!("CONNECT {to} HTTP/1.1\r\nhost: {to}\r\n").into_bytes();
        let authorization = self.authorization.iter().map(|value| (&PROXY_AUTHORIZATION, value));
        for (name, value) in authorization.chain(&self.connect_headers) {
            request.extend_from_slice(name.as_str().as_bytes());
            request.extend_from_slice(b": ");
            request.extend_from_slice(value.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        let wrong = |why: String| ClientError::Proxy { proxy: self.shown.clone(), why };
        stream.write_all(&request).await.map_err(|error| wrong(format!("does not listen: {error}")))?;
        let mut answer = Vec::new();
        // Byte by byte: what comes after the empty line is the target's, and there is no way to give it back.
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() == ANSWER_BYTES_MAX {
                return Err(wrong(format!("answers with more than {ANSWER_BYTES_MAX} bytes of header")));
            }
            let byte = stream.read_u8().await.map_err(|error| wrong(format!("does not answer: {error}")))?;
            answer.push(byte);
        }
        let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        match line.split(' ').nth(1) {
            Some(status) if line.starts_with("HTTP/1.") && status.len() == 3 && status.starts_with('2') => Ok(stream),
            _ => Err(wrong(format!("refuses a tunnel to {to}: {line:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(no_proxy: &str) -> Route {
        let environment =
            [("HTTP_PROXY", "proxy:3128"), ("https_proxy", "http://u:p@tls:3129"), ("NO_PROXY", no_proxy)];
        let read = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Route::from_environment(&HeaderMap::new(), read).expect("a route")
    }

    #[test]
    fn who_is_reached_directly_is_decided_as_go_does() {
        let list = "foo.com, .bar.com,*.baz.com,10.0.0.0/8,192.168.1.1:81,[::2],spaced.org:99";
        for (url, proxied) in [
            ("http://other/", true),
            ("http://foo.com/", false),
            ("https://a.foo.com/", false),
            ("http://barfoo.com/", true),
            ("http://bar.com/", true),
            ("http://a.bar.com/", false),
            ("http://baz.com/", true),
            ("http://a.baz.com/", false),
            ("http://10.1.2.3/", false),
            ("http://192.168.1.1:81/", false),
            ("http://192.168.1.1/", true),
            ("http://[::2]/", false),
            ("http://spaced.org/", true),
            ("http://spaced.org:99/", false),
            ("http://localhost:9090/", false),
            ("http://127.0.0.1/", false),
        ] {
            let target = Target::parse(url).expect(url);
            assert_eq!(route(list).through(&target).is_some(), proxied, "{url}");
        }
        let target = Target::parse("http://other/").expect("a url");
        assert!(route("*").through(&target).is_none());
    }

    #[test]
    fn the_environment_names_one_proxy_for_each_scheme() {
        let route = route("");
        let shown = |url| route.through(&Target::parse(url).expect("a url")).map(|proxy| proxy.shown.clone());
        assert_eq!(shown("http://a/").as_deref(), Some("http://proxy:3128"));
        assert_eq!(shown("https://a/").as_deref(), Some("http://u:xxxxx@tls:3129"));
    }

    #[test]
    fn a_proxy_url_alone_takes_everything_and_another_scheme_is_refused() {
        let config: ProxyConfig = yaml::from_str("a.yml", "proxy_url: http://proxy:3128").expect("fits");
        let local = Target::parse("http://127.0.0.1:9090/").expect("a url");
        assert!(Route::new(&config).expect("a route").through(&local).is_some());
        let config: ProxyConfig = yaml::from_str("a.yml", "proxy_url: socks5://proxy:1080").expect("fits");
        let error = Route::new(&config).expect_err("not supported").to_string();
        assert_eq!(error, "proxy_url: socks5://proxy:1080 is not supported, expected http:// or https://");
    }
}
