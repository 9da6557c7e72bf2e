//! What stands in a column, read the same way from both databases.
//!
//! The house's types: times are milliseconds UTC in BIGINT (INTEGER in SQLite's STRICT tables), counts likewise, JSON is
//! TEXT, flags are BOOLEAN in PostgreSQL and INTEGER 0 or 1 (with a CHECK) in SQLite; both take a bound `bool`.
//! A value that its column should not hold is an error, never a default.

use model::time::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

pub(crate) trait Columns {
    fn text(&self, column: &'static str) -> Result<String, sqlx::Error>;
    fn text_or_null(&self, column: &'static str) -> Result<Option<String>, sqlx::Error>;
    fn count(&self, column: &'static str) -> Result<u64, sqlx::Error>;
    fn time(&self, column: &'static str) -> Result<Timestamp, sqlx::Error>;
    fn time_or_null(&self, column: &'static str) -> Result<Option<Timestamp>, sqlx::Error>;
    fn flag(&self, column: &'static str) -> Result<bool, sqlx::Error>;
    /// A number that may be below zero, or that only we count with.
    fn number(&self, column: &'static str) -> Result<i64, sqlx::Error>;
    fn number_or_null(&self, column: &'static str) -> Result<Option<i64>, sqlx::Error>;
    fn bytes_or_null(&self, column: &'static str) -> Result<Option<Vec<u8>>, sqlx::Error>;
    /// Bytes of one length: a hash.
    fn digest<const N: usize>(&self, column: &'static str) -> Result<[u8; N], sqlx::Error>;
}

/// A column holds what its type allows and we never write.
pub(crate) fn unreadable(column: &'static str, held: impl std::fmt::Display) -> sqlx::Error {
    let source = std::io::Error::other(format!("unexpected value {held}"));
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(source) }
}

/// What a column holds, by a function that reads such texts.
pub(crate) fn word<T>(
    row: &impl Columns,
    column: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<T, sqlx::Error> {
    let text = row.text(column)?;
    read(&text).ok_or_else(|| unreadable(column, text))
}

macro_rules! columns_of {
    ($row:ty) => {
        impl Columns for $row {
            fn text(&self, column: &'static str) -> Result<String, sqlx::Error> {
                self.try_get(column)
            }

            fn text_or_null(&self, column: &'static str) -> Result<Option<String>, sqlx::Error> {
                self.try_get(column)
            }

            fn count(&self, column: &'static str) -> Result<u64, sqlx::Error> {
                let count: i64 = self.try_get(column)?;
                u64::try_from(count)
                    .map_err(|e| sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(e) })
            }

            fn time(&self, column: &'static str) -> Result<Timestamp, sqlx::Error> {
                self.try_get(column).map(Timestamp)
            }

            fn time_or_null(&self, column: &'static str) -> Result<Option<Timestamp>, sqlx::Error> {
                let millis: Option<i64> = self.try_get(column)?;
                Ok(millis.map(Timestamp))
            }

            fn flag(&self, column: &'static str) -> Result<bool, sqlx::Error> {
                self.try_get(column)
            }

            fn number(&self, column: &'static str) -> Result<i64, sqlx::Error> {
                self.try_get(column)
            }

            fn number_or_null(&self, column: &'static str) -> Result<Option<i64>, sqlx::Error> {
                self.try_get(column)
            }

            fn bytes_or_null(&self, column: &'static str) -> Result<Option<Vec<u8>>, sqlx::Error> {
                self.try_get(column)
            }

            fn digest<const N: usize>(&self, column: &'static str) -> Result<[u8; N], sqlx::Error> {
                let bytes: Vec<u8> = self.try_get(column)?;
                bytes.try_into().map_err(|bytes: Vec<u8>| unreadable(column, format!("of {} bytes", bytes.len())))
            }
        }
    };
}

columns_of!(SqliteRow);
columns_of!(PgRow);
