//! What other programs' files say about an HTTP client: Prometheus's `HTTPClientConfig`, as it stands in scrape
//! configurations, discovery blocks, remote write, Alertmanager receivers and blackbox modules.
//!
//! Promises: what Prometheus refuses is refused, in its words and with a place; secrets are [`Secret`]; a relative
//! path is relative to the file it stands in ([`Spanned`] knows it). `flatten` a [`HttpConfig`] into the block.
//! Not here: acting on it (`session`), reading the files it names (`credentials`).

mod check;
mod url;

use std::path::PathBuf;

use model::secret::Secret;
use yaml::{Map, Place, Spanned};

pub use self::url::{Url, UrlError};

yaml::record! {
    /// How to talk to an HTTP server.
    #[yaml(check = HttpConfig::check)]
    pub struct HttpConfig {
        /// User name and password, sent as `Authorization: Basic`.
        pub basic_auth: Option<BasicAuth>,
        /// Any other `Authorization` header.
        pub authorization: Option<Authorization>,
        /// A token fetched with client credentials.
        pub oauth2: Option<OAuth2>,
        /// Older spelling of `authorization.credentials`.
        pub bearer_token: Option<Secret>,
        /// Older spelling of `authorization.credentials_file`.
        pub bearer_token_file: Option<Spanned<PathBuf>>,
        pub tls_config: TlsConfig,
        /// Whether redirects are followed (at most ten).
        pub follow_redirects: bool = true,
        /// Whether HTTP/2 is offered over TLS.
        pub enable_http2: bool = true,
        #[yaml(flatten)]
        pub proxy: ProxyConfig,
        /// Headers sent with every request.
        pub http_headers: Map<Header>,
    }
}

yaml::record! {
    /// User name and password.
    #[yaml(check = BasicAuth::check)]
    pub struct BasicAuth {
        pub username: Option<String>,
        pub username_file: Option<Spanned<PathBuf>>,
        /// Known, not supported: there is no secret manager.
        pub username_ref: Option<String>,
        pub password: Option<Secret>,
        pub password_file: Option<Spanned<PathBuf>>,
        /// Known, not supported: there is no secret manager.
        pub password_ref: Option<String>,
    }
}

yaml::record! {
    /// The `Authorization` header: `<type> <credentials>`.
    #[yaml(check = Authorization::check)]
    pub struct Authorization {
        /// Empty: `Bearer`.
        #[yaml(name = "type")]
        pub kind: Option<String>,
        pub credentials: Option<Secret>,
        pub credentials_file: Option<Spanned<PathBuf>>,
        /// Known, not supported: there is no secret manager.
        pub credentials_ref: Option<String>,
    }
}

yaml::record! {
    /// OAuth 2.0: a token for client credentials.
    #[yaml(check = OAuth2::check)]
    pub struct OAuth2 {
        pub client_id: String,
        pub client_secret: Option<Secret>,
        pub client_secret_file: Option<Spanned<PathBuf>>,
        /// Known, not supported: there is no secret manager.
        pub client_secret_ref: Option<String>,
        /// The id of the key of a JWT assertion; known, not supported.
        pub client_certificate_key_id: Option<String>,
        /// The key of a JWT assertion; known, not supported.
        pub client_certificate_key: Option<Secret>,
        /// The key of a JWT assertion; known, not supported.
        pub client_certificate_key_file: Option<Spanned<PathBuf>>,
        /// Known, not supported: there is no secret manager.
        pub client_certificate_key_ref: Option<String>,
        /// `client_credentials` is supported; the JWT bearer grant is known, not supported.
        pub grant_type: Option<String>,
        /// Of a JWT assertion; known, not supported.
        pub signature_algorithm: Option<String>,
        /// Of a JWT assertion; known, not supported.
        pub iss: Option<String>,
        /// Of a JWT assertion; known, not supported.
        pub audience: Option<String>,
        /// Of a JWT assertion; known, not supported.
        pub claims: Map<yaml::Node>,
        pub scopes: Vec<String>,
        pub token_url: String,
        pub endpoint_params: Map<String>,
        pub tls_config: TlsConfig,
        #[yaml(flatten)]
        pub proxy: ProxyConfig,
    }
}

yaml::choice! {
    /// A version of TLS.
    pub enum TlsVersion {
        Tls13 = "TLS13",
        Tls12 = "TLS12",
        /// Known, not supported: broken.
        Tls11 = "TLS11",
        /// Known, not supported: broken.
        Tls10 = "TLS10",
    }
}

yaml::record! {
    /// TLS towards the server. Each of CA, certificate and key is a file or the PEM text itself.
    #[yaml(check = TlsConfig::check)]
    pub struct TlsConfig {
        /// Authorities believed instead of the built-in ones.
        pub ca: Option<String>,
        pub cert: Option<String>,
        pub key: Option<Secret>,
        pub ca_file: Option<Spanned<PathBuf>>,
        pub cert_file: Option<Spanned<PathBuf>>,
        pub key_file: Option<Spanned<PathBuf>>,
        /// Known, not supported: there is no secret manager.
        pub ca_ref: Option<String>,
        /// Known, not supported: there is no secret manager.
        pub cert_ref: Option<String>,
        /// Known, not supported: there is no secret manager.
        pub key_ref: Option<String>,
        /// The name the certificate must be for, instead of the host of the address.
        pub server_name: Option<String>,
        /// Believes any certificate.
        pub insecure_skip_verify: bool = false,
        pub min_version: Option<Spanned<TlsVersion>>,
        pub max_version: Option<Spanned<TlsVersion>>,
    }
}

yaml::record! {
    /// Through which proxy.
    #[yaml(check = ProxyConfig::check)]
    pub struct ProxyConfig {
        pub proxy_url: Option<Url>,
        /// Hosts that are reached directly: names, `.domain`, addresses, networks, each with or without a port.
        pub no_proxy: Option<String>,
        /// Takes `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` from the environment.
        pub proxy_from_environment: bool = false,
        /// Headers for the proxy's `CONNECT`.
        pub proxy_connect_header: Map<Vec<Secret>>,
    }
}

yaml::record! {
    /// Values of one header, from all three places.
    pub struct Header {
        pub values: Vec<String>,
        pub secrets: Vec<Secret>,
        pub files: Vec<Spanned<PathBuf>>,
    }
}

impl HttpConfig {
    /// Everything as Prometheus has it when nothing is said; "was anything said?" is `*self != HttpConfig::default()`.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What is read and cannot be acted on, each with its place: for the log and the page of the configuration.
    /// What is in force instead is part of the sentence.
    #[must_use]
    pub fn warnings(&self) -> Vec<(Place, String)> {
        let mut warnings = self.tls_config.warnings();
        warnings.extend(self.oauth2.iter().flat_map(|oauth2| oauth2.tls_config.warnings()));
        warnings
    }
}

impl TlsConfig {
    fn warnings(&self) -> Vec<(Place, String)> {
        let old = self.min_version.iter().filter(|version| is_old(version.value));
        old.map(|version| {
            let sentence = format!("min_version {} is not supported, TLS12 is used", version.value);
            (version.place.clone(), sentence)
        })
        .collect()
    }
}

/// TLS 1.0 and 1.1: in nobody's library any more.
pub(crate) fn is_old(version: TlsVersion) -> bool {
    matches!(version, TlsVersion::Tls10 | TlsVersion::Tls11)
}

/// An empty text or path is the same as none, as it is in Go.
pub(crate) trait Given {
    fn given(&self) -> bool;
}

impl Given for Option<String> {
    fn given(&self) -> bool {
        self.as_ref().is_some_and(|text| !text.is_empty())
    }
}

impl Given for Option<Secret> {
    fn given(&self) -> bool {
        self.as_ref().is_some_and(|secret| !secret.is_empty())
    }
}

impl Given for Option<Spanned<PathBuf>> {
    fn given(&self) -> bool {
        self.as_ref().is_some_and(|path| !path.value.as_os_str().is_empty())
    }
}

#[cfg(test)]
mod tests;
