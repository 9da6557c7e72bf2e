//! The numbers behind the handles: atomics, and nothing that can block.
//!
//! Invariant: a counter never falls, and a histogram's `+Inf` bucket is its count in every reading.
//! Ordering is relaxed throughout: a metric says how much, not in which order things happened.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Kind;

/// Something that only grows.
#[derive(Clone, Default)]
pub struct Counter(Arc<CounterCell>);

/// Whole numbers and fractions apart: counting events is one `fetch_add`, only seconds pay for compare-and-swap.
#[derive(Default)]
struct CounterCell {
    whole: AtomicU64,
    fraction: AtomicU64,
}

impl Counter {
    pub fn inc(&self) {
        self.add(1);
    }

    pub fn add(&self, by: u64) {
        self.0.whole.fetch_add(by, Relaxed);
    }

    /// For seconds and the like. What would make the counter fall, or not a number, is ignored.
    pub fn add_f64(&self, by: f64) {
        if by > 0.0 && by.is_finite() {
            update(&self.0.fraction, |now| now + by);
        }
    }

    #[must_use]
    pub fn get(&self) -> f64 {
        self.0.whole.load(Relaxed) as f64 + f64::from_bits(self.0.fraction.load(Relaxed))
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Counter({})", self.get())
    }
}

/// Something that goes up and down.
#[derive(Clone, Default)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }

    pub fn inc(&self) {
        self.add(1.0);
    }

    pub fn dec(&self) {
        self.add(-1.0);
    }

    pub fn add(&self, by: f64) {
        update(&self.0, |now| now + by);
    }

    /// One more until the guard is dropped, also when a future is dropped half-way.
    #[must_use]
    pub fn hold(&self) -> Held {
        self.inc();
        Held(self.clone())
    }

    #[must_use]
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gauge({})", self.get())
    }
}

/// Takes one off its gauge when dropped.
#[derive(Debug)]
pub struct Held(Gauge);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// How often values fell below each bound.
#[derive(Clone)]
pub struct Histogram(Arc<HistogramCell>);

struct HistogramCell {
    bounds: Vec<f64>,
    /// One more than bounds: the last is everything above. Not cumulative; the reader adds them up.
    buckets: Vec<AtomicU64>,
    sum: AtomicU64,
}

impl Histogram {
    fn with_bounds(bounds: &[f64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(HistogramCell { bounds: bounds.to_vec(), buckets, sum: AtomicU64::new(0) }))
    }

    /// Counts one value. Not a number is ignored: it would spoil the sum for good.
    pub fn observe(&self, value: f64) {
        if value.is_nan() {
            return;
        }
        let bucket = self.0.bounds.partition_point(|bound| *bound < value);
        self.0.buckets[bucket].fetch_add(1, Relaxed);
        update(&self.0.sum, |now| now + value);
    }

    /// One reading. The sum may be one observation ahead of or behind the counts; the counts agree among themselves.
    #[must_use]
    pub fn read(&self) -> HistogramReading {
        let mut count = 0;
        let mut cumulative = Vec::with_capacity(self.0.buckets.len());
        for bucket in &self.0.buckets {
            count += bucket.load(Relaxed);
            cumulative.push(count);
        }
        HistogramReading {
            bounds: self.0.bounds.clone(),
            cumulative,
            count,
            sum: f64::from_bits(self.0.sum.load(Relaxed)),
        }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Histogram({:?})", self.read())
    }
}

/// A histogram at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramReading {
    pub bounds: Vec<f64>,
    /// Values at or below each bound, then all of them.
    pub cumulative: Vec<u64>,
    pub count: u64,
    pub sum: f64,
}

/// A series' number, whatever its kind.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
    /// Computed at scrape time.
    Read(f64),
}

/// What a family can hold: [`Counter`], [`Gauge`], [`Histogram`].
#[allow(private_interfaces, reason = "sealed: only the three kinds of this module are instruments")]
pub trait Instrument: Clone + fmt::Debug {
    const KIND: Kind;
    /// What a new one needs to know.
    type Bounds: Clone + fmt::Debug;

    fn bounds(bounds: &Self::Bounds) -> Vec<f64>;
    fn new(bounds: &Self::Bounds) -> Self;
    #[doc(hidden)]
    fn into_cell(self) -> Cell;
    #[doc(hidden)]
    fn from_cell(cell: &Cell) -> Option<Self>;
}

macro_rules! plain_instrument {
    ($kind:ident) => {
        #[allow(private_interfaces, reason = "sealed: only the three kinds of this module are instruments")]
        impl Instrument for $kind {
            const KIND: Kind = Kind::$kind;
            type Bounds = ();

            fn bounds((): &()) -> Vec<f64> {
                Vec::new()
            }

            fn new((): &()) -> Self {
                Self::default()
            }

            fn into_cell(self) -> Cell {
                Cell::$kind(self)
            }

            fn from_cell(cell: &Cell) -> Option<Self> {
                if let Cell::$kind(there) = cell { Some(there.clone()) } else { None }
            }
        }
    };
}

plain_instrument!(Counter);
plain_instrument!(Gauge);

#[allow(private_interfaces, reason = "sealed: only the three kinds of this module are instruments")]
impl Instrument for Histogram {
    const KIND: Kind = Kind::Histogram;
    type Bounds = Vec<f64>;

    fn bounds(bounds: &Vec<f64>) -> Vec<f64> {
        bounds.clone()
    }

    fn new(bounds: &Vec<f64>) -> Self {
        Self::with_bounds(bounds)
    }

    fn into_cell(self) -> Cell {
        Cell::Histogram(self)
    }

    fn from_cell(cell: &Cell) -> Option<Self> {
        if let Cell::Histogram(there) = cell { Some(there.clone()) } else { None }
    }
}

/// Bounds that start at `first` and grow by `factor`, `count` of them.
#[must_use]
pub fn exponential_bounds(first: f64, factor: f64, count: usize) -> Vec<f64> {
    std::iter::successors(Some(first), |bound| Some(bound * factor)).take(count).collect()
}

fn update(bits: &AtomicU64, change: impl Fn(f64) -> f64) {
    let mut now = bits.load(Relaxed);
    while let Err(seen) = bits.compare_exchange_weak(now, change(f64::from_bits(now)).to_bits(), Relaxed, Relaxed) {
        now = seen;
    }
}
