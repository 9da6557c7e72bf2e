//! What can go wrong with the store, named after what the caller can do about it.
//!
//! Promise: no variant carries a password: locations are shown without, and of a database's error only its message is
//! kept. Not here: problems that [`crate::Store::check`] finds, which are its answer.

use appliance::ports::PortError;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Mend the configuration.
    #[error("metadata store: {reason}")]
    Location { reason: String },
    /// Mend the login, the rights or the database's name: it answers, and says no.
    #[error("{database}: refused: {reason}")]
    Refused { database: String, reason: String },
    /// Try again later: it is away, full, or locked by somebody else.
    #[error("{database}: not available: {reason}")]
    Unavailable { database: String, reason: String },
    /// Run the newer version, or restore a backup of this one.
    #[error(
        "{database}: written by watchpost {written_by} (schema {newest}), newer than this version, \
         which knows the schema up to {known}: run watchpost {written_by} or later, or restore an older backup"
    )]
    NewerSchema { database: String, newest: String, written_by: String, known: String },
    /// Point the configuration elsewhere: these tables are not ours.
    #[error("{database}: not a watchpost database: {reason}")]
    Foreign { database: String, reason: String },
    /// Check and restore: what is stored cannot be read.
    #[error("{database}: damaged: {reason}")]
    Corrupt { database: String, reason: String },
    /// The call contradicts what is stored (a name taken, an owner gone); nothing was changed.
    #[error("{database}: conflict: {reason}")]
    Conflict { database: String, reason: String },
    /// A step of the schema does not apply; it left nothing behind.
    #[error("{database}: migration {migration} failed: {reason}")]
    Migration { database: String, migration: String, reason: String },
    /// A bug of ours.
    #[error("{database}: unexpected: {reason}")]
    Internal { database: String, reason: String },
}

impl Error {
    pub(crate) fn of(database: &str, error: &sqlx::Error) -> Self {
        let (database, reason) = (database.to_owned(), reason(error));
        match kind(error) {
            Kind::Refused => Self::Refused { database, reason },
            Kind::Unavailable => Self::Unavailable { database, reason },
            Kind::Corrupt => Self::Corrupt { database, reason },
            Kind::Conflict => Self::Conflict { database, reason },
            Kind::Internal => Self::Internal { database, reason },
        }
    }
}

impl From<Error> for PortError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Unavailable { .. } => Self::Unavailable(text),
            Error::Conflict { .. } => Self::Conflict(text),
            Error::Corrupt { .. } => Self::Corrupt(text),
            Error::Location { .. }
            | Error::Refused { .. }
            | Error::NewerSchema { .. }
            | Error::Foreign { .. }
            | Error::Migration { .. }
            | Error::Internal { .. } => Self::Internal(text),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Refused,
    Unavailable,
    Corrupt,
    Conflict,
    Internal,
}

/// The database's own words, without the Rust wrapping.
fn reason(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => match error.constraint() {
            Some(constraint) => format!("{} ({constraint})", error.message()),
            None => error.message().to_owned(),
        },
        sqlx::Error::PoolTimedOut => "no free connection in time".to_owned(),
        sqlx::Error::PoolClosed => "the store is closed".to_owned(),
        other => other.to_string(),
    }
}

fn kind(error: &sqlx::Error) -> Kind {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            // SQLite has numbers; PostgreSQL has five characters, some of them digits only.
            match code.parse::<i32>() {
                Ok(number) if code.len() != 5 => sqlite_kind(number),
                _ => postgres_kind(&code),
            }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Kind::Unavailable,
        // The table holds something that its column cannot: STRICT tables and types keep us from writing that.
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Kind::Corrupt,
        _ => Kind::Internal,
    }
}

/// By SQLite's primary result code (the low byte of the extended one).
fn sqlite_kind(code: i32) -> Kind {
    match code & 0xff {
        // PERM, READONLY, AUTH
        3 | 8 | 23 => Kind::Refused,
        // BUSY, LOCKED, NOMEM, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL (a race on the write-ahead log)
        5 | 6 | 7 | 9 | 10 | 13 | 14 | 15 => Kind::Unavailable,
        // CORRUPT, NOTADB
        11 | 26 => Kind::Corrupt,
        // CONSTRAINT
        19 => Kind::Conflict,
        _ => Kind::Internal,
    }
}

/// By SQLSTATE class, and by code where a class mixes things.
fn postgres_kind(code: &str) -> Kind {
    match code {
        // A lock not had in time, a statement cut off by its timeout, a server that stops or starts.
        "55P03" | "57014" | "57P01" | "57P02" | "57P03" | "57P05" => Kind::Unavailable,
        // No such database, no right to the table, a server that only reads (a standby).
        "3D000" | "42501" | "25006" => Kind::Refused,
        _ => match code.get(..2) {
            // Connection; resources (disk full, too many connections); system error.
            Some("08" | "53" | "58") => Kind::Unavailable,
            // Constraints; serialisation and deadlock: the other one won.
            Some("23" | "40") => Kind::Conflict,
            Some("28") => Kind::Refused,
            Some("XX") => Kind::Corrupt,
            _ => Kind::Internal,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_says_what_to_do() {
        for (code, kind) in [(5, Kind::Unavailable), (517, Kind::Unavailable), (13, Kind::Unavailable)] {
            assert_eq!(sqlite_kind(code), kind, "{code}");
        }
        for (code, kind) in [(8, Kind::Refused), (11, Kind::Corrupt), (267, Kind::Corrupt), (2067, Kind::Conflict)] {
            assert_eq!(sqlite_kind(code), kind, "{code}");
        }
        for (code, kind) in [
            ("23505", Kind::Conflict),
            ("40001", Kind::Conflict),
            ("28P01", Kind::Refused),
            ("3D000", Kind::Refused),
            ("53300", Kind::Unavailable),
            ("57P01", Kind::Unavailable),
            ("XX001", Kind::Corrupt),
            ("42601", Kind::Internal),
            ("", Kind::Internal),
        ] {
            assert_eq!(postgres_kind(code), kind, "{code}");
        }
    }

    #[test]
    fn what_the_network_and_the_pool_say_is_worth_another_try() {
        for error in [sqlx::Error::PoolTimedOut, sqlx::Error::PoolClosed, std::io::Error::other("reset").into()] {
            let error = Error::of("sqlite:a.db", &error);
            assert!(matches!(error, Error::Unavailable { .. }), "{error}");
            assert!(matches!(PortError::from(error), PortError::Unavailable(_)));
        }
        let missing = Error::of("sqlite:a.db", &sqlx::Error::RowNotFound);
        assert!(matches!(missing, Error::Internal { .. }), "{missing}");
    }
}
