//! What happened at the doors, counted. Plain atomics: whoever owns the metrics registry publishes them.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! door_stats {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counters of all doors together; `open` and `in_flight` are gauges.
        #[derive(Debug, Default)]
        pub struct DoorStats {
            $($(#[$doc])* pub $name: Count,)*
        }

        impl DoorStats {
            /// Every number with its name, in the order of declaration.
            #[must_use]
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get()),)*]
            }
        }
    };
}

door_stats! {
    /// Connections taken from the kernel, refused ones included.
    accepted,
    /// Gauge: connections now.
    open,
    /// Closed at once because all doors together were full.
    refused_full,
    /// Closed at once because their address held its share.
    refused_address,
    /// `accept` failed (out of file descriptors, most likely).
    accept_errors,
    /// TLS handshakes that failed.
    handshake_failed,
    /// Peers that did not finish the handshake in time.
    handshake_timeout,
    /// Requests handed to the service.
    requests,
    /// Gauge: requests whose answer is not complete.
    in_flight,
    /// Connections closed for a header that did not end.
    header_timeout,
    /// Connections closed after the idle time.
    idle_closed,
    /// Request bodies that stopped coming.
    body_timeout,
    /// Connections closed because the peer did not take its answer.
    stalled,
    /// Requests answered by the door itself: header or address too long, method not offered.
    refused_requests,
    /// Plain requests on the TLS port sent to https.
    plain_redirected,
    /// Plain requests on the TLS port told where to go.
    plain_refused,
    /// Connections that ended by an error of the protocol, reset floods among them.
    protocol_errors,
    /// Connections that ended in a panic.
    panics,
    /// Connections cut because they outlived the drain.
    cut,
}

/// One number.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    #[must_use]
    pub fn get(&self) -> u64 {
        // Relaxed: each number stands alone, nothing is ordered by it.
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_many(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_listed_under_its_own_name() {
        let stats = DoorStats::default();
        stats.stalled.add();
        stats.cut.add_many(3);
        stats.open.add();
        stats.open.sub();
        let all = stats.all();
        assert_eq!(all.iter().filter(|(_, value)| *value > 0).collect::<Vec<_>>(), [&("stalled", 1), &("cut", 3)]);
        assert_eq!(all[0].0, "accepted");
    }
}
