//! The loop of every mechanism that asks anew from time to time: at once, then once an interval.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{DiscoveryError, Group, Out};

/// A mechanism that can be asked what there is now.
pub(crate) trait Refresh: Send {
    /// The groups that changed. What went wrong with some of them is told to `out`; an error is about all of them.
    fn refresh(&mut self, out: &Out) -> impl Future<Output = Result<Vec<Group>, DiscoveryError>> + Send;
}

pub(crate) async fn run(mut mechanism: impl Refresh, interval: Duration, out: Out, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let refreshed = tokio::select! {
            () = stop.cancelled() => return,
            refreshed = mechanism.refresh(&out) => refreshed,
        };
        match refreshed {
            Ok(groups) => out.send(groups).await,
            Err(error) => out.failed(&error),
        }
    }
}
