//! What Prometheus refuses in an HTTP client's configuration, in its words.
//!
//! The sentences are what people search for and what the recorded verdicts pin, so they stand here as Prometheus says
//! them. Each is noted at the key that is one too many, or at the block.

use yaml::{At, Context};

use super::{Authorization, BasicAuth, Given as _, HttpConfig, OAuth2, ProxyConfig, TlsConfig, TlsVersion, Url};

/// Headers that the client itself is responsible for.
const RESERVED: [&str; 18] = [
    "Authorization",
    "Host",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "User-Agent",
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Www-Authenticate",
    "Accept-Encoding",
    "X-Prometheus-Remote-Write-Version",
    "X-Prometheus-Remote-Read-Version",
    "X-Prometheus-Scrape-Timeout-Seconds",
    "X-Amz-Date",
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
];

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// More than one of them is given.
fn several<const N: usize>(given: [bool; N]) -> bool {
    given.iter().filter(|given| **given).count() > 1
}

impl HttpConfig {
    pub(super) fn check(&self, at: &At<'_>, cx: &mut Context) {
        let bearer = self.bearer_token.given() || self.bearer_token_file.given();
        let basic_or_oauth2 = self.basic_auth.is_some() || self.oauth2.is_some();
        if self.bearer_token.given() && self.bearer_token_file.given() {
            let sentence = "at most one of bearer_token & bearer_token_file must be configured";
            cx.problem(at.key("bearer_token_file"), sentence);
        } else if basic_or_oauth2 && bearer {
            let sentence = "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured";
            cx.problem(at.map(), sentence);
        } else if self.authorization.is_some() && bearer {
            let sentence = "authorization is not compatible with bearer_token & bearer_token_file";
            cx.problem(at.key("authorization"), sentence);
        }
        if several([self.basic_auth.is_some(), self.oauth2.is_some(), self.authorization.is_some()]) {
            cx.problem(at.map(), "at most one of basic_auth, oauth2 & authorization must be configured");
        }
        for (name, _) in self.http_headers.iter() {
            if let Some(reserved) = RESERVED.iter().find(|reserved| reserved.eq_ignore_ascii_case(name)) {
                cx.problem(at.value("http_headers"), format!("setting header {reserved:?} is not allowed"));
            } else if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
                cx.problem(at.value("http_headers"), format!("{name:?} is not a valid header name"));
            }
        }
    }
}

/// Name and password each come from one place.
impl BasicAuth {
    pub(super) fn check(&self, at: &At<'_>, cx: &mut Context) {
        if several([self.username.given(), self.username_file.given(), self.username_ref.given()]) {
            let sentence = "at most one of basic_auth username, username_file & username_ref must be configured";
            cx.problem(at.map(), sentence);
        }
        if several([self.password.given(), self.password_file.given(), self.password_ref.given()]) {
            let sentence = "at most one of basic_auth password, password_file & password_ref must be configured";
            cx.problem(at.map(), sentence);
        }
    }
}

/// `Basic` has its own block, in which the encoding is ours.
impl Authorization {
    pub(super) fn check(&self, at: &At<'_>, cx: &mut Context) {
        if several([self.credentials.given(), self.credentials_file.given(), self.credentials_ref.given()]) {
            cx.problem(at.map(), "at most one of authorization credentials & credentials_file must be configured");
        }
        if self.kind.as_ref().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("basic")) {
            let sentence = "authorization type cannot be set to \"basic\", use \"basic_auth\" instead";
            cx.problem(at.value("type"), sentence);
        }
    }
}

/// A grant needs to know who asks, where, and with one secret; which one depends on the grant.
impl OAuth2 {
    pub(super) fn check(&self, at: &At<'_>, cx: &mut Context) {
        if self.client_id.is_empty() {
            cx.problem(at.value("client_id"), "oauth2 client_id must be configured");
        }
        if self.token_url.is_empty() {
            cx.problem(at.value("token_url"), "oauth2 token_url must be configured");
        } else if let Err(error) = Url::parse(&self.token_url) {
            cx.problem(at.value("token_url"), error.to_string());
        }
        if self.is_jwt_bearer() {
            let key = [
                self.client_certificate_key.given(),
                self.client_certificate_key_file.given(),
                self.client_certificate_key_ref.given(),
            ];
            if several(key) {
                let sentence = "at most one of oauth2 client_certificate_key, client_certificate_key_file & \
                                client_certificate_key_ref must be configured using grant-type=";
                cx.problem(at.map(), format!("{sentence}{JWT_BEARER}"));
            }
            let algorithm = self.signature_algorithm.as_deref().unwrap_or_default();
            if !["", "RS256", "RS384", "RS512"].contains(&algorithm) {
                cx.problem(at.value("signature_algorithm"), "valid signature algorithms are RS256, RS384 and RS512");
            }
        } else if several([self.client_secret.given(), self.client_secret_file.given(), self.client_secret_ref.given()])
        {
            let sentence = "at most one of oauth2 client_secret, client_secret_file & client_secret_ref must be configured \
                            using grant-type=client_credentials";
            cx.problem(at.map(), sentence);
        }
    }

    /// The grant that signs an assertion instead of sending a secret.
    pub(crate) fn is_jwt_bearer(&self) -> bool {
        self.grant_type.as_deref() == Some(JWT_BEARER)
    }
}

/// Each of the three PEMs has one source, and a certificate is nothing without its key.
impl TlsConfig {
    pub(super) fn check(&self, at: &At<'_>, cx: &mut Context) {
        let cert = [self.cert.given(), self.cert_file.given(), self.cert_ref.given()];
        let key = [self.key.given(), self.key_file.given(), self.key_ref.given()];
        if several([self.ca.given(), self.ca_file.given(), self.ca_ref.given()]) {
            cx.problem(at.map(), "at most one of ca, ca_file & ca_ref must be configured");
        }
        if several(cert) {
            cx.problem(at.map(), "at most one of cert, cert_file & cert_ref must be configured");
        }
        if several(key) {
            cx.problem(at.map(), "at most one of key, key_file & key_ref must be configured");
        }
        match (cert.contains(&true), key.contains(&true)) {
            (true, false) => cx.problem(
                at.map(),
                "exactly one of key or key_file must be configured when a client certificate is configured",
            ),
            (false, true) => cx.problem(
                at.map(),
                "exactly one of cert or cert_file must be configured when a client key is configured",
            ),
            (true, true) | (false, false) => {}
        }
        // Prometheus says this when the first connection is made; nothing could ever be connected to.
        if let (Some(least), Some(most)) = (&self.min_version, &self.max_version)
            && rank(least.value) > rank(most.value)
        {
            cx.problem(&most.place, format!("max_version is below min_version {}", least.value));
        }
    }
}

/// Older is smaller.
fn rank(version: TlsVersion) -> u8 {
    match version {
        TlsVersion::Tls10 => 0,
        TlsVersion::Tls11 => 1,
        TlsVersion::Tls12 => 2,
        TlsVersion::Tls13 => 3,
    }
}

/// Settings that would have no effect are refused, because whoever wrote them thinks they have one.
impl ProxyConfig {
    pub(super) fn check(&self, at: &At<'_>, cx: &mut Context) {
        let url = self.proxy_url.as_ref().is_some_and(|url| !url.is_empty());
        if !self.proxy_connect_header.is_empty() && !self.proxy_from_environment && !url {
            let sentence =
                "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured";
            cx.problem(at.key("proxy_connect_header"), sentence);
        }
        if self.proxy_from_environment && url {
            let sentence = "if proxy_from_environment is configured, proxy_url must not be configured";
            cx.problem(at.key("proxy_url"), sentence);
        }
        if self.proxy_from_environment && self.no_proxy.given() {
            let sentence = "if proxy_from_environment is configured, no_proxy must not be configured";
            cx.problem(at.key("no_proxy"), sentence);
        }
        if !url && !self.proxy_from_environment && self.no_proxy.given() {
            cx.problem(at.key("no_proxy"), "if no_proxy is configured, proxy_url must also be configured");
        }
    }
}
