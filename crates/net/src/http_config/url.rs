//! An address as it stands in a configuration: any URL that Go's `url.Parse` takes, printed without its password.
//!
//! Promise: what is stored is the text as written; Debug, Display and the configuration that is shown hide the password.
//! Not here: whether it can be called (`client` wants http and a host), which each use says in its own words.

use std::fmt;

use model::secret::Secret;
use yaml::schema::Shape;
use yaml::{Context, Decode, Encode, Node, Schema};

/// What stands in place of a password; Go's own choice, because `<secret>` would have to be escaped.
const HIDDEN: &str = "xxxxx";

/// A URL, relative or absolute.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Url(Secret);

/// Not a URL; the text is not shown, because it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("net/url: invalid control character in URL")]
    ControlCharacter,
    #[error("missing protocol scheme")]
    NoScheme,
    #[error("first path segment in URL cannot contain colon")]
    ColonInFirstSegment,
    #[error("invalid URL escape {0:?}")]
    Escape(String),
    #[error("invalid character {0:?} in host name")]
    Host(char),
    #[error("invalid port {0:?} after host")]
    Port(String),
}

impl Url {
    /// # Errors
    /// Go's `url.Parse` would refuse it.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.chars().any(|c| c < ' ' || c == '\u{7f}') {
            return Err(UrlError::ControlCharacter);
        }
        let (scheme, rest) = split_scheme(text)?;
        let rest = rest.split('#').next().unwrap_or_default();
        let (hierarchy, _query) = rest.split_once('?').unwrap_or((rest, ""));
        if let Some(after) = hierarchy.strip_prefix("//") {
            let (authority, path) = after.split_at(after.find('/').unwrap_or(after.len()));
            check_host(authority.rsplit_once('@').map_or(authority, |(_, host)| host))?;
            check_escapes(authority)?;
            check_escapes(path)?;
        } else if scheme.is_empty() && hierarchy.split('/').next().is_some_and(|first| first.contains(':')) {
            return Err(UrlError::ColonInFirstSegment);
        } else if scheme.is_empty() || hierarchy.starts_with('/') {
            check_escapes(hierarchy)?;
        }
        Ok(Self(Secret::new(text)))
    }

    /// The text with its password, for the one call that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In small letters; empty where there is none.
    #[must_use]
    pub fn scheme(&self) -> String {
        split_scheme(self.expose()).map_or_else(|_| String::new(), |(scheme, _)| scheme.to_ascii_lowercase())
    }

    /// Host and port as written; empty where there is none.
    #[must_use]
    pub fn host(&self) -> &str {
        let authority = self.authority();
        authority.rsplit_once('@').map_or(authority, |(_, host)| host)
    }

    /// User and password, percent-decoded, where the address has them.
    #[must_use]
    pub fn user(&self) -> Option<(String, Secret)> {
        let (user, _) = self.authority().rsplit_once('@')?;
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        Some((unescaped(name), Secret::new(unescaped(password))))
    }

    /// The address without user and password.
    #[must_use]
    pub fn without_user(&self) -> String {
        let text = self.expose();
        match self.authority().rsplit_once('@') {
            Some((user, _)) => text.replacen(&format!("{user}@"), "", 1),
            None => text.to_owned(),
        }
    }

    /// The address with its password hidden.
    #[must_use]
    pub fn redacted(&self) -> String {
        let text = self.expose();
        let user = self.authority().rsplit_once('@').and_then(|(user, _)| user.split_once(':'));
        match user {
            Some((name, password)) => text.replacen(&format!("{name}:{password}@"), &format!("{name}:{HIDDEN}@"), 1),
            None => text.to_owned(),
        }
    }

    /// What stands between `//` and the path: user, host and port.
    fn authority(&self) -> &str {
        let Ok((_, rest)) = split_scheme(self.expose()) else { return "" };
        let Some(after) = rest.strip_prefix("//") else { return "" };
        &after[..after.find(['/', '?', '#']).unwrap_or(after.len())]
    }
}

/// The scheme and what comes after its colon; no scheme where the text does not begin like one.
fn split_scheme(text: &str) -> Result<(&str, &str), UrlError> {
    for (at, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at == 0 => return Err(UrlError::NoScheme),
            ':' => return Ok((&text[..at], &text[at + 1..])),
            _ => break,
        }
    }
    Ok(("", text))
}

/// A port is a number, and a host has none of the characters that would end it elsewhere.
fn check_host(host: &str) -> Result<(), UrlError> {
    let after = match host.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((_, after)) => after,
        None => host.rfind(':').map_or("", |at| &host[at..]),
    };
    if !after.is_empty() && !after.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit())) {
        return Err(UrlError::Port(after.to_owned()));
    }
    match host.chars().find(|c| matches!(c, ' ' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')) {
        Some(wrong) => Err(UrlError::Host(wrong)),
        None => Ok(()),
    }
}

/// After each percent sign come two hexadecimal digits.
fn check_escapes(text: &str) -> Result<(), UrlError> {
    for (at, _) in text.match_indices('%') {
        let escape: String = text[at..].chars().take(3).collect();
        if escape.len() != 3 || !escape[1..].bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(UrlError::Escape(escape));
        }
    }
    Ok(())
}

/// Percent escapes decoded; what is not UTF-8 afterwards becomes the replacement character.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = (first == b'%').then(|| tail.get(..2)).flatten().and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl Decode for Url {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let text = cx.within_secret(|cx| cx.text(node, "a URL"))?;
        match Self::parse(&text) {
            Ok(url) => Some(url),
            Err(error) => {
                cx.problem(&node.place, error.to_string());
                None
            }
        }
    }

    fn from_null() -> Option<Self> {
        Some(Self::default())
    }
}

impl Encode for Url {
    fn encode(&self) -> Node {
        Node::text(self.redacted())
    }
}

impl Schema for Url {
    fn shape() -> Shape {
        Shape::one("a URL such as https://example.org/path")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_and_refused_as_go_does() {
        for text in [
            "http://foo",
            "http://foo:80/a?b=c%zz",
            "unix:///var/run/docker.sock",
            "kubernetes:443",
            "/metrics",
            "",
            "http://[::1]:80/",
            "http://user:p%40ss@foo",
            "ftp://example.com",
        ] {
            assert!(Url::parse(text).is_ok(), "{text}");
        }
        for (text, why) in [
            ("1.2.3.4:9090", "first path segment in URL cannot contain colon"),
            (":80", "missing protocol scheme"),
            ("http://foo bar", "invalid character ' ' in host name"),
            ("http://foo:bar", "invalid port \":bar\" after host"),
            ("http://foo/%zz", "invalid URL escape \"%zz\""),
            ("http://foo\n", "net/url: invalid control character in URL"),
        ] {
            assert_eq!(Url::parse(text).expect_err(text).to_string(), why);
        }
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        let url = Url::parse("http://ann:hunter%322@proxy:3128/x").expect("a url");
        assert_eq!(format!("{url} {url:?}"), "http://ann:xxxxx@proxy:3128/x http://ann:xxxxx@proxy:3128/x");
        assert_eq!((url.scheme().as_str(), url.host()), ("http", "proxy:3128"));
        assert_eq!(url.without_user(), "http://proxy:3128/x");
        let (name, password) = url.user().expect("a user");
        assert_eq!((name.as_str(), password.expose()), ("ann", "hunter22"));
        let read: Url = yaml::from_str("a.yml", "http://ann:hunter2@a").expect("a url");
        assert!(!yaml::to_string(&read).contains("hunter2"));
        let wrong = yaml::from_str::<Url>("a.yml", "http://ann:hunter2@a:x").expect_err("no url").to_string();
        assert!(!wrong.contains("hunter2"), "{wrong}");
    }
}
