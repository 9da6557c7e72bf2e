//! Buckets of a classic histogram lean on each other: in the final form a bucket is stored as what it adds to the one
//! next to it, and `_count` as what it is, the bucket of `+Inf`.
//!
//! Cumulative counts of neighbouring buckets move together, so their difference is nearly constant: on the fleet of
//! the benchmark this halves histograms. Used only where adding gives every value back bit for bit and saves bytes.
//! Not here: adding up again (`reader`).

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use model::labels::{Labels, METRIC_NAME};

use crate::codec::float::FloatState;
use crate::codec::{CHAIN_ROWS_MAX, chain, float};
use crate::part::series::{BASES_MAX, Base};

/// Values kept of buckets that others may lean on. At the bound the oldest histogram is let go.
const VALUES_MAX: usize = 8 << 20;
/// Bytes kept of `+Inf` buckets, for their `_count`, which comes much later in the order of labels.
const COUNT_BYTES_MAX: usize = 32 << 20;
/// Leaning on another series costs the reader: it must be worth so many bytes.
const GAIN_MIN: usize = 8;

/// A bucket to be written.
struct Bucket<'v> {
    bound: f64,
    id: u32,
    values: &'v [f64],
}

/// A bucket that was written.
struct Sibling {
    bound: f64,
    id: u32,
    /// How many series it leans on itself.
    depth: usize,
    values: Arc<[f64]>,
}

/// The histograms of the part being written.
pub(super) struct BaseBook {
    hasher: RandomState,
    histograms: HashMap<u64, Vec<Sibling>>,
    order: VecDeque<u64>,
    values: usize,
    /// The plain encoding of `+Inf`.
    counts: HashMap<u64, (u32, Vec<u8>)>,
    count_bytes: usize,
}

/// A column ready to be written.
pub(super) struct Column {
    pub(super) base: Base,
    pub(super) blocks: Vec<u8>,
}

impl BaseBook {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            histograms: HashMap::new(),
            order: VecDeque::new(),
            values: 0,
            counts: HashMap::new(),
            count_bytes: 0,
        }
    }

    /// The smallest form of a column of floats.
    pub(super) fn encode(&mut self, labels: &Labels, id: u32, values: &[f64]) -> Column {
        let plain = encode_plain(values);
        let name = labels.metric_name();
        if let Some(family) = name.strip_suffix("_count") {
            let known = self.counts.get(&self.histogram(family, labels));
            return match known {
                Some((base, blocks)) if *blocks == plain => {
                    Column { base: Base::Alias(distance(*base, id)), blocks: Vec::new() }
                }
                _ => Column { base: Base::None, blocks: plain },
            };
        }
        let bound = labels.get("le").and_then(parse_bound);
        match (name.strip_suffix("_bucket"), bound) {
            (Some(family), Some(bound)) => {
                let histogram = self.histogram(family, labels);
                self.encode_bucket(histogram, &Bucket { bound, id, values }, plain)
            }
            _ => Column { base: Base::None, blocks: plain },
        }
    }

    /// The number of a histogram: family and all labels but the bound.
    fn histogram(&self, family: &str, labels: &Labels) -> u64 {
        let others: Vec<(&str, &str)> =
            labels.iter().filter(|(name, _)| *name != METRIC_NAME && *name != "le").collect();
        self.hasher.hash_one((family, others))
    }

    fn encode_bucket(&mut self, histogram: u64, bucket: &Bucket<'_>, plain: Vec<u8>) -> Column {
        let Bucket { bound, id, values } = *bucket;
        if bound == f64::INFINITY && self.count_bytes + plain.len() <= COUNT_BYTES_MAX {
            self.count_bytes += plain.len();
            self.counts.insert(histogram, (id, plain.clone()));
        }
        let siblings = self.histograms.entry(histogram).or_default();
        if siblings.is_empty() {
            self.order.push_back(histogram);
        }
        let usable = |sibling: &&Sibling| sibling.values.len() == values.len() && sibling.depth + 1 < BASES_MAX;
        let below =
            siblings.iter().filter(usable).filter(|s| s.bound < bound).max_by(|a, b| a.bound.total_cmp(&b.bound));
        let above =
            siblings.iter().filter(usable).filter(|s| s.bound > bound).min_by(|a, b| a.bound.total_cmp(&b.bound));
        let mut best = (Column { base: Base::None, blocks: plain }, 0);
        for sibling in [below, above].into_iter().flatten() {
            let Some(blocks) = added_to(&sibling.values, values) else { continue };
            if blocks.len() + GAIN_MIN <= best.0.blocks.len() {
                best = (Column { base: Base::Added(distance(sibling.id, id)), blocks }, sibling.depth + 1);
            }
        }
        siblings.push(Sibling { bound, id, depth: best.1, values: values.into() });
        self.values += values.len();
        while self.values > VALUES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            let gone = self.histograms.remove(&oldest).unwrap_or_default();
            self.values -= gone.iter().map(|sibling| sibling.values.len()).sum::<usize>();
        }
        best.0
    }
}

/// A bucket's upper bound as it stands in the label.
fn parse_bound(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|bound| !bound.is_nan())
}

fn distance(base: u32, id: u32) -> i32 {
    // Parts of 2^31 series would not fit in memory while being written.
    (i64::from(base) - i64::from(id)) as i32
}

/// What has to be added to `base`; `None` where that does not give every bit back.
fn added_to(base: &[f64], values: &[f64]) -> Option<Vec<u8>> {
    let added: Vec<f64> = values.iter().zip(base).map(|(value, base)| value - base).collect();
    let exact =
        added.iter().zip(base).zip(values).all(|((added, base), value)| (base + added).to_bits() == value.to_bits());
    exact.then(|| encode_plain(&added))
}

/// Chains, where the column is decimal; else blocks.
fn encode_plain(values: &[f64]) -> Vec<u8> {
    let mut out = Vec::new();
    for rows in values.chunks(CHAIN_ROWS_MAX) {
        if !chain::encode(rows, &mut out) {
            float::encode_column(rows, &mut FloatState::default(), &mut out);
        }
    }
    out
}
