//! Where the store is: a file, or a PostgreSQL server.
//!
//! Promise: neither Debug nor Display nor any refusal shows a password, also where the address is written wrongly.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use model::secret::Secret;
use sqlx::postgres::PgConnectOptions;

use crate::error::Error;

/// Where the store is. Prints without its password.
#[derive(Clone)]
pub enum Location {
    Sqlite(PathBuf),
    Postgres(PostgresAddress),
}

/// A checked `postgres://` address.
#[derive(Clone)]
pub struct PostgresAddress {
    url: Secret,
    shown: String,
}

/// The parameters sqlx understands. It ignores any other after logging it with its value, which may be a password.
const PARAMETERS: [&str; 16] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "application_name",
    "options",
    "password",
];

impl Location {
    /// Reads `postgres://user@host/db`, `sqlite:path` or a plain path.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = |reason: &str| Error::Location { reason: reason.to_owned() };
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return PostgresAddress::parse(text).map(Self::Postgres);
        }
        let path = text.strip_prefix("sqlite:").unwrap_or(text);
        let path = path.strip_prefix("//").filter(|_| text.starts_with("sqlite:")).unwrap_or(path);
        if path.contains("://") {
            // The text is not repeated: it may hold a password.
            return Err(bad("unknown kind of database, expected a path, sqlite:PATH or postgres://USER@HOST/DATABASE"));
        }
        if path.is_empty() || path.contains('\0') {
            return Err(bad("expected the path of a file"));
        }
        Ok(Self::Sqlite(PathBuf::from(path)))
    }
}

impl PostgresAddress {
    fn parse(text: &str) -> Result<Self, Error> {
        let bad = |reason: String| Error::Location { reason };
        let query = text.split_once('?').map_or("", |(_, query)| query);
        for key in query.split('&').filter_map(|pair| pair.split('=').next()).filter(|key| !key.is_empty()) {
            if !PARAMETERS.contains(&key) {
                // A password with a bare `?` in it would be taken for parameters, so the key is not repeated.
                return Err(bad(format!("unknown parameter after \"?\", known: {}", PARAMETERS.join(", "))));
            }
        }
        let options = PgConnectOptions::from_str(text).map_err(|_| {
            bad("expected postgres://USER:PASSWORD@HOST:PORT/DATABASE with \"/?#@:\" in the password percent-encoded"
                .to_owned())
        })?;
        let database = options.get_database().unwrap_or_default();
        if database.is_empty() || database.contains(['@', '/', ':']) {
            return Err(bad("expected postgres://USER@HOST/DATABASE with the name of a database".to_owned()));
        }
        let host = options.get_socket().map_or(options.get_host().to_owned(), |path| path.display().to_string());
        let shown = format!("postgres://{}@{host}:{}/{database}", options.get_username(), options.get_port());
        Ok(Self { url: Secret::new(text), shown })
    }

    pub(crate) fn options(&self) -> Result<PgConnectOptions, Error> {
        PgConnectOptions::from_str(self.url.expose())
            .map_err(|_| Error::Location { reason: format!("{} is no address any more", self.shown) })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(address) => f.write_str(&address.shown),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_path_or_a_postgres_address() {
        for (text, shown) in [
            ("data/watchpost.db", "sqlite:data/watchpost.db"),
            ("sqlite:data/watchpost.db", "sqlite:data/watchpost.db"),
            ("sqlite:///var/lib/watchpost.db", "sqlite:/var/lib/watchpost.db"),
            ("postgres://ann@db.example/metadata", "postgres://ann@db.example:5432/metadata"),
            ("postgresql://ann:geheim@db:6000/m?sslmode=require", "postgres://ann@db:6000/m"),
            ("postgres://ann:geheim@%2Frun%2Fpg/m", "postgres://ann@/run/pg:5432/m"),
        ] {
            let location = Location::parse(text).expect(text);
            assert_eq!(location.to_string(), shown);
            assert_eq!(format!("{location:?}"), format!("Location({shown})"));
        }
    }

    #[test]
    fn a_bad_location_is_refused_without_repeating_it() {
        for text in [
            "",
            "mysql://ann:geheim@db/m",
            "postgres://ann:geheim@db",
            "postgres://ann:geheim@db/",
            "postgres://ann:geh/eim@db/m",
            "postgres://ann:12/geheim@db/m",
            "postgres://ann:geheim@db:port/m",
            "postgres://ann:geheim@db/m?sslpassword=geheim",
            "postgres://ann:x?geheim=1@db/m",
            "postgres://ann:geheim@db/m?sslmode=geheim",
        ] {
            let error = Location::parse(text).expect_err(text);
            assert!(matches!(error, Error::Location { .. }), "{text}");
            assert!(!format!("{error} {error:?}").contains("eim"), "{text}: {error:?}");
        }
    }
}
