//! Connections, both ways: the doors requests come in by, TLS in front of them, and the HTTP client that goes out.
//!
//! The only crate that names rustls or an HTTP client, and the only one below the services that names tokio.
//! Promise: everything a peer can make us hold (bytes, time, connections) has a bound in [`limits::Limits`] or in
//! the budget of a call. Not here: what is served (any `tower::Service`), who may ask (`appliance`).

pub mod address;
pub mod body;
pub mod client;
pub mod door;
pub mod forwarded;
pub mod http_config;
pub mod limits;
pub mod plain;
pub mod session;
pub mod stats;
pub mod tls;

mod activity;
mod connection;
mod dial;
mod location;
mod tasks;
