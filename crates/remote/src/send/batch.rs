//! Rows that wait, and the requests they become.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use model::labels::Labels;
use model::storage::{Exemplar, Metadata, SampleValue};
use model::time::Timestamp;
use tokio::time::Instant;
use wire::remote_write::Version;
use wire::remote_write::write::RequestWriter;

/// What waits to be sent.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// As they are sent: with external labels, relabelled.
    pub(super) labels: Labels,
    pub(super) what: What,
    /// With which read of the log it came.
    pub(super) chunk: u64,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Sample { time: Timestamp, value: SampleValue, start_time: i64 },
    Exemplar(Box<Exemplar>),
}

impl Row {
    pub(super) fn time(&self) -> Timestamp {
        match &self.what {
            What::Sample { time, .. } => *time,
            What::Exemplar(exemplar) => exemplar.time,
        }
    }
}

/// How many of each kind some rows are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) samples: u64,
    pub(super) histograms: u64,
    pub(super) exemplars: u64,
}

impl Counts {
    pub(super) fn of<'r>(rows: impl IntoIterator<Item = &'r Row>) -> Self {
        let mut counts = Self::default();
        for row in rows {
            match &row.what {
                What::Sample { value: SampleValue::Float(_), .. } => counts.samples += 1,
                What::Sample { .. } => counts.histograms += 1,
                What::Exemplar(_) => counts.exemplars += 1,
            }
        }
        counts
    }
}

/// Rows that are sent together, and the request they are.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) rows: Vec<Row>,
    pub(super) body: Bytes,
    pub(super) version: Version,
    pub(super) attempt: u32,
    pub(super) backoff: Duration,
}

/// Where a shard is.
#[derive(Debug, Default)]
pub(super) enum Sending {
    #[default]
    Idle,
    /// The batch is with the request that is under way.
    UnderWay,
    /// It failed and is tried again.
    Waiting { until: Instant, batch: Batch },
}

/// Rows of some series, in order, sent one request after the other.
#[derive(Debug, Default)]
pub(super) struct Shard {
    pub(super) queue: VecDeque<Row>,
    /// When the first of the rows that wait came.
    pub(super) since: Option<Instant>,
    pub(super) sending: Sending,
}

impl Shard {
    pub(super) fn push(&mut self, row: Row, now: Instant) {
        self.since.get_or_insert(now);
        self.queue.push_back(row);
    }

    /// When this shard wants to send next; `None` while it waits for rows or an answer.
    pub(super) fn due(&self, batch_rows: usize, deadline: Duration, now: Instant) -> Option<Instant> {
        match &self.sending {
            Sending::UnderWay => None,
            Sending::Waiting { until, .. } => Some(*until),
            Sending::Idle if self.queue.len() >= batch_rows => Some(now),
            Sending::Idle => self.since.map(|since| since + deadline),
        }
    }

    /// Takes the rows of the next request.
    pub(super) fn take(&mut self, batch_rows: usize, now: Instant) -> Vec<Row> {
        let rows = self.queue.drain(..self.queue.len().min(batch_rows)).collect();
        // The rest has waited too, but the deadline is for requests that are not full.
        self.since = (!self.queue.is_empty()).then_some(now);
        rows
    }

    /// Everything that waits, in order; the shard is empty then.
    pub(super) fn drain(&mut self) -> Vec<Row> {
        let mut rows = match std::mem::take(&mut self.sending) {
            Sending::Waiting { batch, .. } => batch.rows,
            Sending::Idle | Sending::UnderWay => Vec::new(),
        };
        rows.extend(self.queue.drain(..));
        self.since = None;
        rows
    }

    pub(super) fn waiting(&self) -> usize {
        let batch = match &self.sending {
            Sending::Waiting { batch, .. } => batch.rows.len(),
            Sending::Idle | Sending::UnderWay => 0,
        };
        self.queue.len() + batch
    }
}

/// What is known about families, for version 2.0, which says it with each series.
#[derive(Debug, Default)]
pub(super) struct FamilyTexts(HashMap<String, Metadata>);

/// Families that are remembered; further ones are sent without help and unit.
const FAMILIES_MAX: usize = 50_000;

impl FamilyTexts {
    pub(super) fn learn(&mut self, metadata: &Metadata) {
        if self.0.len() < FAMILIES_MAX || self.0.contains_key(&metadata.family) {
            self.0.insert(metadata.family.clone(), metadata.clone());
        }
    }

    /// What belongs to a metric: what its name says, or its name without the suffix of a histogram or summary.
    fn of(&self, metric: &str) -> Option<&Metadata> {
        self.0.get(metric).or_else(|| {
            let base = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| metric.strip_suffix(suffix))?;
            self.0.get(base).filter(|metadata| metadata.kind == "histogram" || metadata.kind == "summary")
        })
    }
}

/// Compresses a message.
pub(super) fn squeeze(message: &[u8]) -> Bytes {
    let mut body = Vec::new();
    wire::snappy::encode(message, &mut body);
    body.into()
}

/// The request of some rows. What follows each other of one series becomes one series.
pub(super) fn encode(version: Version, rows: &[Row], families: &FamilyTexts) -> Bytes {
    let mut writer = RequestWriter::new(version);
    for group in rows.chunk_by(|a, b| a.labels == b.labels) {
        let Some(first) = group.first() else { continue };
        writer.series(&first.labels, |series| {
            for row in group {
                match &row.what {
                    What::Sample { time, value, start_time } => series.value(time.millis(), value, *start_time),
                    What::Exemplar(exemplar) => series.exemplar(exemplar),
                }
            }
            if version == Version::V2
                && let Some(metadata) = families.of(first.labels.metric_name())
            {
                series.metadata(metadata);
            }
        });
    }
    squeeze(&writer.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(series: &str, time: i64) -> Row {
        let what = What::Sample { time: Timestamp(time), value: SampleValue::Float(1.0), start_time: 0 };
        Row { labels: Labels::from_pairs([("__name__", series)]), what, chunk: 0 }
    }

    #[tokio::test(start_paused = true)]
    async fn a_shard_is_due_when_a_request_is_full_or_the_first_row_waited_long_enough() {
        let (mut shard, now, deadline) = (Shard::default(), Instant::now(), Duration::from_secs(5));
        assert_eq!(shard.due(2, deadline, now), None);
        shard.push(row("a", 1), now);
        shard.push(row("a", 2), now + Duration::from_secs(1));
        assert_eq!(shard.due(3, deadline, now), Some(now + deadline));
        assert_eq!(shard.due(2, deadline, now), Some(now));
        assert_eq!(shard.take(1, now).len(), 1);
        assert_eq!((shard.waiting(), shard.due(2, deadline, now)), (1, Some(now + deadline)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_drained_begins_with_the_batch_that_failed() {
        let mut shard = Shard::default();
        shard.push(row("b", 2), Instant::now());
        let batch = Batch {
            rows: vec![row("a", 1)],
            body: Bytes::new(),
            version: Version::V1,
            attempt: 1,
            backoff: Duration::ZERO,
        };
        shard.sending = Sending::Waiting { until: Instant::now(), batch };
        let times: Vec<i64> = shard.drain().iter().map(|row| row.time().millis()).collect();
        assert_eq!((times, shard.waiting()), (vec![1, 2], 0));
    }

    #[test]
    fn lines_of_a_histogram_find_their_family() {
        let mut families = FamilyTexts::default();
        let family =
            |name: &str, kind: &str| Metadata { family: name.into(), kind: kind.into(), ..Metadata::default() };
        families.learn(&family("a", "histogram"));
        families.learn(&family("b", "gauge"));
        let found = |metric: &str| families.of(metric).map(|metadata| metadata.family.as_str());
        assert_eq!((found("a_bucket"), found("b"), found("b_count")), (Some("a"), Some("b"), None));
    }
}
