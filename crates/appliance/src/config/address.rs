//! Addresses as people write them: where to listen, and what users see.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// `host:port`, `:port` (every address of the machine) or `[v6]:port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListenAddr {
    /// Empty for every address.
    pub host: std::borrow::Cow<'static, str>,
    pub port: u16,
}

impl ListenAddr {
    /// Without any configuration.
    pub const DEFAULT: Self = Self { host: std::borrow::Cow::Borrowed("0.0.0.0"), port: 8443 };
    /// The same where there is no login.
    pub const DEFAULT_WITHOUT_LOGIN: Self = Self { host: std::borrow::Cow::Borrowed("127.0.0.1"), port: 8443 };

    /// Whether only this machine can reach it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host == "localhost",
        }
    }
}

/// Not an address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address to listen on")]
pub struct BadAddress;

impl FromStr for ListenAddr {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let (host, port) = text.rsplit_once(':').ok_or(BadAddress)?;
        let port = port.parse().map_err(|_| BadAddress)?;
        let host = match host.strip_prefix('[') {
            Some(v6) => {
                let v6 = v6.strip_suffix(']').ok_or(BadAddress)?;
                v6.parse::<std::net::Ipv6Addr>().map_err(|_| BadAddress)?;
                v6
            }
            None => host,
        };
        let plausible = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        let is_v6 = host.parse::<std::net::Ipv6Addr>().is_ok() && text.starts_with('[');
        if !is_v6 && !host.bytes().all(plausible) {
            return Err(BadAddress);
        }
        Ok(Self { host: host.to_owned().into(), port })
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

yaml::text_type!(ListenAddr, "an address such as 127.0.0.1:8443, :8080 or [::1]:8443");

/// The address users see: scheme, host and a path prefix without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExternalUrl {
    pub https: bool,
    /// Host and port as written.
    pub authority: String,
    /// Empty, or `/prefix`.
    pub prefix: String,
}

impl FromStr for ExternalUrl {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let (https, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(BadAddress),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
        let walks = path.split('/').any(|segment| segment == "." || segment == "..");
        let host_legal = authority.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
        if authority.is_empty()
            || !host_legal
            || !path.bytes().all(legal)
            || path.starts_with('/')
            || path.contains("//")
            || walks
        {
            return Err(BadAddress);
        }
        let path = path.trim_end_matches('/');
        let prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
        Ok(Self { https, authority: authority.to_ascii_lowercase(), prefix })
    }
}

impl fmt::Display for ExternalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.prefix)
    }
}

yaml::text_type!(ExternalUrl, "an address such as https://watch.example.org or https://example.org/watch");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_to_listen_on_read_back_and_know_whether_they_are_loopback() {
        for (text, loopback) in [
            ("127.0.0.1:8443", true),
            ("127.9.9.9:1", true),
            ("localhost:80", true),
            ("[::1]:8443", true),
            (":8080", false),
            ("0.0.0.0:8443", false),
            ("[::]:80", false),
            ("example.org:80", false),
        ] {
            let address: ListenAddr = text.parse().expect(text);
            assert_eq!((address.to_string().as_str(), address.is_loopback()), (text, loopback));
        }
        for text in ["", "8443", "localhost", "a b:1", "[::1:80", "::1:80", "[x]:80", "h:99999", "h:-1", "h/p:1"] {
            assert_eq!(text.parse::<ListenAddr>(), Err(BadAddress), "{text}");
        }
    }

    #[test]
    fn an_external_url_has_a_host_and_perhaps_a_prefix() {
        for (text, printed, prefix) in [
            ("https://Watch.example.org", "https://watch.example.org", ""),
            ("https://example.org/", "https://example.org", ""),
            ("http://example.org:8080/a/b/", "http://example.org:8080/a/b", "/a/b"),
        ] {
            let url: ExternalUrl = text.parse().expect(text);
            assert_eq!((url.to_string().as_str(), url.prefix.as_str()), (printed, prefix));
        }
        for text in [
            "",
            "example.org",
            "ftp://x",
            "https://",
            "https:///x",
            "https://x/a b",
            "https://x//a",
            "https://x/../a",
            "https://u@x",
            "https://x/?q",
        ] {
            assert_eq!(text.parse::<ExternalUrl>(), Err(BadAddress), "{text}");
        }
    }
}
