//! Someone else's engine, both ways: remote write taken in ([`receive`]), sent out ([`send`]), and `/federate`.
//!
//! Promises: nothing is acknowledged before storage has it on disk; nothing is forgotten that was not acknowledged;
//! every buffer has a bound; no loop is started here, whoever owns the process runs them.
//! Not here: the bytes of the messages (`wire`), HTTP servers (`api`) and connections (`net`), reading other engines.

pub mod config;
pub mod federate;
pub mod receive;
pub mod send;
