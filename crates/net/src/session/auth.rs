//! The `Authorization` header of a session: fixed, from files that may change, or a token fetched for it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use model::secret::Secret;

use super::file_text::FileText;
use super::oauth2::Tokens;
use crate::client::ClientError;
use crate::http_config::{Given as _, HttpConfig};

/// Where a secret text comes from.
#[derive(Debug)]
pub(super) enum Source {
    Text(Secret),
    File(FileText),
}

impl Source {
    /// The text or the file; nothing given is the empty text.
    pub(super) fn new(text: Option<&Secret>, file: Option<&yaml::Spanned<std::path::PathBuf>>) -> Self {
        let file = file.filter(|file| !file.value.as_os_str().is_empty());
        match file {
            Some(file) => Self::File(FileText::new(file)),
            None => Self::Text(text.cloned().unwrap_or_default()),
        }
    }

    /// The text as it is now. `what` says in an error what could not be read.
    pub(super) fn get(&self, what: &'static str) -> Result<Secret, ClientError> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(file) => {
                file.get().map_err(|source| ClientError::Credentials { what, path: file.path().to_owned(), source })
            }
        }
    }
}

/// Who we say we are. The configuration allows one way only (`http_config`), so the order of asking does not matter.
#[derive(Debug)]
pub(super) enum Auth {
    Nobody,
    Basic { user: Source, password: Source },
    Scheme { kind: String, credentials: Source },
    OAuth2(Box<Tokens>),
}

impl Auth {
    /// `tokens`: made by the caller where the configuration asks for OAuth 2.
    pub(super) fn new(config: &HttpConfig, tokens: Option<Tokens>) -> Self {
        if let Some(tokens) = tokens {
            return Self::OAuth2(Box::new(tokens));
        }
        if let Some(basic) = &config.basic_auth {
            let name = basic.username.as_ref().map(Secret::new);
            let user = Source::new(name.as_ref(), basic.username_file.as_ref());
            return Self::Basic { user, password: Source::new(basic.password.as_ref(), basic.password_file.as_ref()) };
        }
        if let Some(authorization) = &config.authorization {
            let kind = authorization.kind.as_deref().map(str::trim).filter(|kind| !kind.is_empty()).unwrap_or("Bearer");
            let credentials = Source::new(authorization.credentials.as_ref(), authorization.credentials_file.as_ref());
            return Self::Scheme { kind: kind.to_owned(), credentials };
        }
        if config.bearer_token.given() || config.bearer_token_file.given() {
            let credentials = Source::new(config.bearer_token.as_ref(), config.bearer_token_file.as_ref());
            return Self::Scheme { kind: "Bearer".to_owned(), credentials };
        }
        Self::Nobody
    }

    /// The header to send now.
    pub(super) async fn header(&self) -> Result<Option<HeaderValue>, ClientError> {
        match self {
            Self::Nobody => Ok(None),
            Self::Basic { user, password } => {
                let (user, password) = (user.get("the user name")?, password.get("the password")?);
                basic(&user, &password).map(Some)
            }
            Self::Scheme { kind, credentials } => {
                let credentials = credentials.get("the credentials")?;
                header_value("authorization", &Secret::new(format!("{kind} {}", credentials.expose()))).map(Some)
            }
            Self::OAuth2(tokens) => tokens.header().await.map(Some),
        }
    }

    /// The server did not accept the last header: what was cached is not used again.
    pub(super) fn refused(&self) {
        if let Self::OAuth2(tokens) = self {
            tokens.forget();
        }
    }
}

/// `Basic` with user and password.
pub(super) fn basic(user: &Secret, password: &Secret) -> Result<HeaderValue, ClientError> {
    let pair = Secret::new(format!("{}:{}", user.expose(), password.expose()));
    let encoded = Secret::new(format!("Basic {}", STANDARD.encode(pair.expose())));
    header_value("basic_auth", &encoded)
}

/// A header that is not shown and does not follow a redirect to somebody else.
pub(super) fn header_value(key: &'static str, text: &Secret) -> Result<HeaderValue, ClientError> {
    let value = HeaderValue::from_str(text.expose());
    let mut value = value.map_err(|_| ClientError::Setting {
        key,
        why: "has a character that cannot stand in a header, expected visible characters".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}
