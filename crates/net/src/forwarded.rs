//! Who is really asking: the client behind proxies we trust, and nobody's word otherwise.
//!
//! Promise: `X-Forwarded-*` and `Forwarded` change nothing unless the peer is a trusted proxy, and a request that
//! carries them from anybody else is not from this machine, whatever its peer address says: somebody relays it.
//! Where the two headers disagree neither is believed, because a proxy that writes one of them passes the other
//! through as its client sent it.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::HeaderName;

use crate::address::Network;

const FORWARDED: HeaderName = http::header::FORWARDED;
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// Longest chain of proxies looked at; further hops to the left are not: 32 is more than any deployment has.
const HOPS_MAX: usize = 32;
/// Longest host or prefix taken from a proxy: the longest DNS name. A longer one is ignored.
const NAME_BYTES_MAX: usize = 255;

/// The proxies whose word counts.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    #[must_use]
    pub fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(ip))
    }
}

/// The client of a request, after proxies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    pub ip: IpAddr,
    /// The request comes from this machine, and nobody relays it.
    pub loopback: bool,
    /// What a trusted proxy said about the address the client used; `None`: not said, or nobody to believe.
    pub https: Option<bool>,
    pub host: Option<String>,
    pub prefix: Option<String>,
}

/// Finds the client of a request: the right-most address that is not a trusted proxy.
#[must_use]
pub fn client_address(peer: SocketAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> ClientAddress {
    let peer = peer.ip().to_canonical();
    let relayed = headers.contains_key(FORWARDED) || headers.contains_key(X_FORWARDED_FOR);
    let direct = ClientAddress { ip: peer, loopback: peer.is_loopback(), https: None, host: None, prefix: None };
    if !trusted.contains(peer) {
        return ClientAddress { loopback: direct.loopback && !relayed, ..direct };
    }
    let extended = headers.contains_key(X_FORWARDED_FOR).then(|| walk(&x_forwarded_hops(headers), trusted));
    let standard = headers.contains_key(FORWARDED).then(|| forwarded_hops(headers));
    let standard_walk = standard.as_ref().map(|hops| walk(hops, trusted));
    let found = match (&extended, &standard_walk) {
        (None, None) => return with_proxy_words(direct, headers, None),
        (Some(one), Some(other)) if one.ip != other.ip => Walk { ip: None, hop: None },
        (Some(one), _) => *one,
        (None, Some(other)) => *other,
    };
    let hop = standard.as_ref().and_then(|hops| hops.get(standard_walk?.hop?));
    match found.ip {
        Some(ip) => with_proxy_words(ClientAddress { ip, loopback: ip.is_loopback(), ..direct }, headers, hop),
        // The proxy does not say who it was: it is the client as far as we know, and not this machine.
        None => ClientAddress { loopback: false, ..with_proxy_words(direct, headers, hop) },
    }
}

/// Scheme, host and prefix as the proxy next to us reports them.
fn with_proxy_words(mut client: ClientAddress, headers: &HeaderMap, hop: Option<&Hop>) -> ClientAddress {
    let last = |name: HeaderName| -> Option<String> {
        let text = headers.get_all(name).iter().next_back()?.to_str().ok()?;
        Some(text.rsplit(',').next()?.trim().to_owned())
    };
    client.https = last(X_FORWARDED_PROTO).or_else(|| hop?.proto.clone()).and_then(|proto| scheme(&proto));
    client.host = last(X_FORWARDED_HOST).or_else(|| hop?.host.clone()).filter(|host| is_host(host));
    let prefix = last(X_FORWARDED_PREFIX).map(|prefix| prefix.trim_end_matches('/').to_owned());
    client.prefix = prefix.filter(|prefix| is_prefix(prefix));
    client
}

fn scheme(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("https") {
        Some(true)
    } else if text.eq_ignore_ascii_case("http") {
        Some(false)
    } else {
        None
    }
}

/// One element of the chain.
#[derive(Debug, Default)]
struct Hop {
    /// `None` where the proxy hides the address (`unknown`, `_name`) or it cannot be read.
    ip: Option<IpAddr>,
    proto: Option<String>,
    host: Option<String>,
}

/// Where the walk from the right ended.
#[derive(Clone, Copy, Debug)]
struct Walk {
    ip: Option<IpAddr>,
    hop: Option<usize>,
}

fn walk(hops: &[Hop], trusted: &TrustedProxies) -> Walk {
    for (at, hop) in hops.iter().enumerate().rev() {
        match hop.ip {
            Some(ip) if trusted.contains(ip) && at > 0 => {}
            ip => return Walk { ip, hop: Some(at) },
        }
    }
    Walk { ip: None, hop: None }
}

fn x_forwarded_hops(headers: &HeaderMap) -> Vec<Hop> {
    elements(headers, X_FORWARDED_FOR).map(|text| Hop { ip: node(&text), ..Hop::default() }).collect()
}

fn forwarded_hops(headers: &HeaderMap) -> Vec<Hop> {
    elements(headers, FORWARDED)
        .map(|element| {
            let mut hop = Hop::default();
            for pair in element.split(';') {
                let Some((name, value)) = pair.split_once('=') else { continue };
                let value = value.trim().trim_matches('"');
                match name.trim().to_ascii_lowercase().as_str() {
                    "for" => hop.ip = node(value),
                    "proto" => hop.proto = Some(value.to_owned()),
                    "host" => hop.host = Some(value.to_owned()),
                    _ => {}
                }
            }
            hop
        })
        .collect()
}

/// The last [`HOPS_MAX`] elements of a list header, over all its lines, left to right. A line that is not text
/// stands for one unreadable element, so it ends the walk instead of vanishing from the chain.
fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = String> {
    let all: Vec<String> = headers
        .get_all(name)
        .iter()
        .flat_map(|line| line.to_str().unwrap_or("unknown").split(','))
        .map(|element| element.trim().to_owned())
        .collect();
    let skip = all.len().saturating_sub(HOPS_MAX);
    all.into_iter().skip(skip)
}

/// An address as proxies write it: bare, with a port, in brackets, in quotes.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches('"');
    let ip = if let Ok(ip) = text.parse::<IpAddr>() {
        ip
    } else if let Ok(socket) = text.parse::<SocketAddr>() {
        socket.ip()
    } else {
        text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?
    };
    Some(ip.to_canonical())
}

/// Nothing but the characters of a host and a port: it goes into links and redirects.
pub(crate) fn is_host(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(allowed)
}

/// A path that cannot be read as another host, nor climb.
fn is_prefix(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'-' | b'_' | b'~');
    text.starts_with('/')
        && !text.contains("//")
        && text.len() <= NAME_BYTES_MAX
        && text.bytes().all(allowed)
        && !text.split('/').any(|part| part == "..")
}

/// The host a request names: of the address in HTTP/2 and absolute form, else of the `Host` header.
#[must_use]
pub fn request_host<'a>(uri: &'a http::Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let of_header = || headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    uri.authority().map(http::uri::Authority::as_str).or_else(of_header)
}

/// Whether a `Host` value (with or without a port) is a name that can only mean this machine. A page from elsewhere
/// that makes its own name resolve to 127.0.0.1 (DNS rebinding) sends that name here and is found out.
#[must_use]
pub fn host_is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => {
            let Some((name, port)) = rest.split_once(']') else { return false };
            if !(port.is_empty() || port.strip_prefix(':').is_some_and(is_port)) {
                return false;
            }
            name
        }
        None => match host.rsplit_once(':') {
            Some((name, port)) if is_port(port) => name,
            Some(_) => return false,
            None => host,
        },
    };
    if let Ok(ip) = name.parse::<IpAddr>() {
        return ip.to_canonical().is_loopback();
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    // RFC 6761: everything below localhost is this machine too, in every browser and resolver.
    name == "localhost" || name.ends_with(".localhost")
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
#[path = "forwarded_tests.rs"]
mod tests;
