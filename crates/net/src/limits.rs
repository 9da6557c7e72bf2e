//! What a peer may make us hold: bytes, time and connections.
//!
//! Promise: each bound has a number with a reason and an answer to what happens there; all can be set for tests,
//! and those in the configuration by operators.

use std::time::Duration;

/// The bounds of a door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections, all doors together. At the bound a new one is accepted and closed at once, so that the
    /// kernel's queue does not fill with peers who wait for nothing.
    pub connections_max: usize,
    /// Open connections of one address (of one /64 for IPv6); trusted proxies are exempt. At the bound: as above.
    pub connections_per_address_max: usize,
    /// From the first byte to the end of the TLS handshake. Then closed.
    pub handshake_timeout: Duration,
    /// From the first byte of a request's header to its last. Then closed.
    pub header_timeout: Duration,
    /// A header of a request in bytes, request line included. Then 431.
    pub header_bytes_max: usize,
    /// Fields in a header. Then 431.
    pub headers_max: usize,
    /// Path and query in bytes. Then 414.
    pub uri_bytes_max: usize,
    /// Between two pieces of a request's body. Then the reader of the body gets an error.
    pub body_idle_timeout: Duration,
    /// How long a peer may leave a response lying that is ready to be sent. Then closed.
    pub stall_timeout: Duration,
    /// Between requests of a connection. Then closed.
    pub keep_alive_idle: Duration,
    /// HTTP/2: requests at once on one connection. More are refused by the protocol.
    pub h2_streams_max: u32,
    /// HTTP/2: streams reset by the peer before we looked at them (rapid reset, CVE-2023-44487). Then GOAWAY.
    pub h2_pending_resets_max: usize,
    /// HTTP/2: streams that the peer made us reset by breaking the protocol ("MadeYouReset"). Then GOAWAY.
    pub h2_local_resets_max: usize,
    /// From "stop" to cutting what is still open.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            connections_per_address_max: 256,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            header_bytes_max: 16 * 1024,
            headers_max: 100,
            // Long enough for a PromQL query in a link; longer ones are posted.
            uri_bytes_max: 8 * 1024,
            body_idle_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(30),
            keep_alive_idle: Duration::from_secs(60),
            h2_streams_max: 100,
            h2_pending_resets_max: 20,
            h2_local_resets_max: 1024,
            // Leaves two of the ten seconds in which SIGTERM must end for what comes after the door.
            drain_timeout: Duration::from_secs(8),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_leave_time_to_stop_within_ten_seconds() {
        let limits = Limits::default();
        assert!(limits.drain_timeout < Duration::from_secs(10));
        assert!(limits.connections_per_address_max < limits.connections_max);
        assert!(limits.uri_bytes_max < limits.header_bytes_max, "a long address is told so, not that the header is");
    }
}
