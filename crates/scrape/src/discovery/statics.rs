//! Targets that stand in the configuration itself.

pub mod config;

use model::labels::Labels;
use tokio_util::sync::CancellationToken;

pub use self::config::StaticConfig;
use super::{ADDRESS, Group, Out};

/// Sends its groups once.
#[derive(Debug)]
pub struct StaticDiscovery(Vec<Group>);

impl StaticDiscovery {
    #[must_use]
    pub fn new(blocks: &[StaticConfig]) -> Self {
        let group = |(index, block): (usize, &StaticConfig)| Group {
            source: index.to_string().into(),
            labels: Labels::from_pairs(block.labels.iter()),
            targets: block.targets.iter().map(|target| Labels::from_pairs([(ADDRESS, &target.value)])).collect(),
        };
        Self(blocks.iter().enumerate().map(group).collect())
    }

    pub async fn run(self, out: Out, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = out.send(self.0) => {}
        }
    }
}
