//! How a database says no, in words that every service and every adapter share.
//!
//! Not here: what is asked of a database (each service's own `ports`), which one answers (`store`, each `memory`).

/// Why a database did not do what it was asked, in terms of what the caller can do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Try again later; the call may or may not have happened.
    #[error("{0}")]
    Unavailable(String),
    /// The call contradicts what is stored; nothing was changed.
    #[error("{0}")]
    Conflict(String),
    /// What is stored cannot be read: an operator has to look (check, restore).
    #[error("{0}")]
    Corrupt(String),
    /// A bug of ours, or a database set up in a way we do not know.
    #[error("{0}")]
    Internal(String),
}
