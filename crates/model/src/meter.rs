//! Our own metrics: counters, gauges and histograms, handed around as cheap handles.
//!
//! Promises: no global; a handle is an `Arc` to an atomic, so counting takes no lock; what a scrape sees is sorted and
//! deterministic; a wrong name, a reserved label or two meanings for one name is an error at registration, never a
//! broken line at scrape time.
//! Not here: who serves the text (`api`), who measures the process (`watchpost`). The lines themselves are written by
//! [`exposition`], the numbers are kept by [`instrument`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub mod exposition;
pub mod instrument;

use exposition::{Format, Writer};
use instrument::{Cell, Counter, Gauge, Histogram, Instrument};

/// Series one metric may have unless it says otherwise. Our own metrics have labels we choose, so a thousand means a
/// label that should not be one. At the bound every new combination shares one series whose labels are
/// [`OVERFLOW_VALUE`]: sums stay right, memory stays flat.
pub const SERIES_MAX_DEFAULT: usize = 1_000;

/// The label value of everything that came after a metric was full.
pub const OVERFLOW_VALUE: &str = "other";

/// Counts samples that a scrape-time callback offered and that were not taken, so that a full metric is visible.
const REJECTED: &str = "watchpost_meter_rejected_samples_total";

/// What a number means, which decides how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Observations counted in classic buckets.
    Histogram,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

/// Why a metric was not registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeterError {
    #[error("metric name {0:?} is not one: expected [a-zA-Z_:][a-zA-Z0-9_:]*")]
    Name(String),
    #[error("metric {metric}: label name {label:?} is not one: expected [a-zA-Z_][a-zA-Z0-9_]*, not le, not __*")]
    Label { metric: String, label: String },
    #[error("metric {metric}: label {label:?} is named twice")]
    LabelTwice { metric: String, label: String },
    #[error("metric {0}: the name of a counter ends in _total, and no other's does")]
    Suffix(String),
    #[error("metric {metric}: the name must end in its unit {unit:?} (before _total)")]
    Unit { metric: String, unit: String },
    #[error("metric {0}: histogram bounds must be finite and rise")]
    Bounds(String),
    #[error("metric {0}: a histogram counts what it observes; it is not computed at scrape time")]
    Computed(String),
    #[error("metric {metric} is registered already with another {what}")]
    Conflict { metric: String, what: &'static str },
    #[error("metric {metric} would write lines named {line}, which {owner} writes")]
    Clash { metric: String, line: String, owner: String },
}

/// A metric's name, sentence and fixed labels.
#[derive(Clone, Debug)]
pub struct Desc {
    name: String,
    help: String,
    unit: Option<&'static str>,
    fixed: Vec<(String, String)>,
    series_max: usize,
}

impl Desc {
    #[must_use]
    pub fn new(name: impl Into<String>, help: impl Into<String>) -> Self {
        Self { name: name.into(), help: help.into(), unit: None, fixed: Vec::new(), series_max: SERIES_MAX_DEFAULT }
    }

    /// The unit `OpenMetrics` announces; the name must end in it.
    #[must_use]
    pub fn unit(mut self, unit: &'static str) -> Self {
        self.unit = Some(unit);
        self
    }

    /// A label that every series of this registration carries.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fixed.push((name.into(), value.into()));
        self
    }

    /// Series beyond which new label values share one series.
    #[must_use]
    pub fn series_max(mut self, series_max: usize) -> Self {
        self.series_max = series_max;
        self
    }
}

/// All metrics of one process (or of one test). Clones share.
#[derive(Clone, Debug)]
pub struct Registry {
    metrics: Arc<Mutex<BTreeMap<String, Arc<Metric>>>>,
    rejected: Counter,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    #[must_use]
    pub fn new() -> Self {
        let fresh = Self { metrics: Arc::default(), rejected: Counter::default() };
        let desc = Desc::new(REJECTED, "Samples of scrape-time callbacks that were dropped: wrong labels or too many.");
        let shape = Shape { kind: Kind::Counter, labels: Vec::new(), bounds: Vec::new() };
        let metric = Metric::new(&desc, shape);
        lock(&metric.cells).insert(Vec::new(), Cell::Counter(fresh.rejected.clone()));
        lock(&fresh.metrics).insert(REJECTED.to_owned(), Arc::new(metric));
        fresh
    }

    /// A counter without labels that vary. Asking again for the same one gives the same one.
    pub fn counter(&self, desc: Desc) -> Result<Counter, MeterError> {
        Ok(self.family(desc, [], ())?.with([]))
    }

    /// A gauge without labels that vary. Asking again for the same one gives the same one.
    pub fn gauge(&self, desc: Desc) -> Result<Gauge, MeterError> {
        Ok(self.family(desc, [], ())?.with([]))
    }

    /// A histogram with these upper bounds (`+Inf` is added) and no labels that vary.
    pub fn histogram(&self, desc: Desc, bounds: &[f64]) -> Result<Histogram, MeterError> {
        Ok(self.family(desc, [], bounds.to_vec())?.with([]))
    }

    /// A counter per combination of `labels`.
    pub fn counter_family<const N: usize>(
        &self,
        desc: Desc,
        labels: [&str; N],
    ) -> Result<Family<Counter, N>, MeterError> {
        self.family(desc, labels, ())
    }

    /// A gauge per combination of `labels`.
    pub fn gauge_family<const N: usize>(&self, desc: Desc, labels: [&str; N]) -> Result<Family<Gauge, N>, MeterError> {
        self.family(desc, labels, ())
    }

    /// A histogram per combination of `labels`, all with the same bounds.
    pub fn histogram_family<const N: usize>(
        &self,
        desc: Desc,
        labels: [&str; N],
        bounds: &[f64],
    ) -> Result<Family<Histogram, N>, MeterError> {
        self.family(desc, labels, bounds.to_vec())
    }

    /// A counter that somebody else keeps; asked for at scrape time.
    pub fn counter_fn(&self, desc: Desc, read: impl Fn() -> f64 + Send + Sync + 'static) -> Result<(), MeterError> {
        self.collect(Kind::Counter, desc, [], move |out| out.push([], read()))
    }

    /// A gauge that is computed at scrape time.
    pub fn gauge_fn(&self, desc: Desc, read: impl Fn() -> f64 + Send + Sync + 'static) -> Result<(), MeterError> {
        self.collect(Kind::Gauge, desc, [], move |out| out.push([], read()))
    }

    /// Counters or gauges computed at scrape time, any number of series; none is fine (the metric is then not shown).
    ///
    /// Registering the same metric and fixed labels again replaces the callback, *because* a loop that was restarted
    /// registers anew and the old one must not answer for it. The callback may use the registry: no lock is held.
    pub fn collect<const N: usize>(
        &self,
        kind: Kind,
        desc: Desc,
        labels: [&str; N],
        read: impl Fn(&mut Collected<'_, N>) + Send + Sync + 'static,
    ) -> Result<(), MeterError> {
        if kind == Kind::Histogram {
            return Err(MeterError::Computed(desc.name));
        }
        let (metric, slots) = self.register(&desc, &labels, kind, Vec::new())?;
        if !lock(&metric.cells).is_empty() {
            return Err(MeterError::Conflict { metric: desc.name, what: "owner, which counts it directly" });
        }
        let template = slots.template.clone();
        let call = move |batch: &mut Batch| read(&mut Collected { slots: &slots, batch });
        lock(&metric.callbacks).insert(template, Arc::new(call));
        Ok(())
    }

    /// Everything, as one scrape answers it.
    #[must_use]
    pub fn render(&self, format: Format) -> String {
        let metrics: Vec<Arc<Metric>> = lock(&self.metrics).values().cloned().collect();
        let mut writer = Writer::new(format);
        let (own, others): (Vec<_>, Vec<_>) = metrics.into_iter().partition(|metric| metric.name == REJECTED);
        // The callbacks run first, so that the count of what they lost is of this scrape, not of the one before.
        let read: Vec<_> = others.iter().map(|metric| (metric, metric.read(&self.rejected))).collect();
        let own: Vec<_> = own.iter().map(|metric| (metric, metric.read(&self.rejected))).collect();
        let mut all: Vec<_> = read.into_iter().chain(own).collect();
        all.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        for (metric, series) in all {
            writer.metric(metric, &series);
        }
        writer.finish()
    }

    /// The value of a counter or gauge without labels, for a page that shows it. `None` where there is none.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<f64> {
        let metric = lock(&self.metrics).get(name).cloned()?;
        let mut writer = Writer::new(Format::Text);
        writer.metric(&metric, &metric.read(&self.rejected));
        let text = writer.finish();
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    fn family<I: Instrument, const N: usize>(
        &self,
        desc: Desc,
        labels: [&str; N],
        bounds: I::Bounds,
    ) -> Result<Family<I, N>, MeterError> {
        let (metric, slots) = self.register(&desc, &labels, I::KIND, I::bounds(&bounds))?;
        if !lock(&metric.callbacks).is_empty() {
            return Err(MeterError::Conflict { metric: desc.name, what: "owner, which computes it at scrape time" });
        }
        Ok(Family { metric, slots, bounds })
    }

    /// Finds or makes the metric, or says why there cannot be one.
    fn register(
        &self,
        desc: &Desc,
        labels: &[&str],
        kind: Kind,
        bounds: Vec<f64>,
    ) -> Result<(Arc<Metric>, Slots), MeterError> {
        check_names(desc, labels, kind, &bounds)?;
        let mut names: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        names.extend(desc.fixed.iter().map(|(label, _)| label.clone()));
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(MeterError::LabelTwice { metric: desc.name.clone(), label: pair[0].clone() });
        }

        let slots = Slots::new(&names, labels, &desc.fixed);
        let shape = Shape { kind, labels: names, bounds };
        let mut metrics = lock(&self.metrics);
        if let Some(there) = metrics.get(&desc.name) {
            there.same_as(desc, &shape)?;
            return Ok((Arc::clone(there), slots));
        }
        let metric = Metric::new(desc, shape);
        check_clash(&metric, &metrics)?;
        let metric = Arc::new(metric);
        metrics.insert(desc.name.clone(), Arc::clone(&metric));
        Ok((metric, slots))
    }
}

/// One instrument per combination of `N` label values.
#[derive(Debug)]
pub struct Family<I: Instrument, const N: usize> {
    metric: Arc<Metric>,
    slots: Slots,
    bounds: I::Bounds,
}

impl<I: Instrument, const N: usize> Clone for Family<I, N> {
    fn clone(&self) -> Self {
        Self { metric: Arc::clone(&self.metric), slots: self.slots.clone(), bounds: self.bounds.clone() }
    }
}

impl<I: Instrument, const N: usize> Family<I, N> {
    /// The instrument of these values, made when it is new. Takes a lock: keep the handle where it is hot.
    #[must_use]
    pub fn with(&self, values: [&str; N]) -> I {
        let mut cells = lock(&self.metric.cells);
        let mut key = self.slots.key(values);
        if !cells.contains_key(&key) && cells.len() >= self.metric.series_max && N > 0 {
            key = self.slots.key([OVERFLOW_VALUE; N]);
        }
        let cell = cells.entry(key).or_insert_with(|| I::new(&self.bounds).into_cell());
        I::from_cell(cell).expect("invariant: register() refuses a second kind for one name")
    }

    /// Forgets these values, as when a target is gone. Handles that are still held count on, unseen.
    pub fn remove(&self, values: [&str; N]) {
        lock(&self.metric.cells).remove(&self.slots.key(values));
    }
}

/// Where a callback puts what it computed.
pub struct Collected<'a, const N: usize> {
    slots: &'a Slots,
    batch: &'a mut Batch,
}

impl<const N: usize> Collected<'_, N> {
    /// One series. The last value wins where the same labels come twice. Beyond the metric's bound a sample is
    /// dropped and counted: an "other" cannot be made of values that may be averages.
    pub fn push(&mut self, values: [&str; N], value: f64) {
        let key = self.slots.key(values);
        if !self.batch.values.contains_key(&key) && self.batch.values.len() >= self.batch.series_max {
            self.batch.rejected += 1;
        } else {
            self.batch.values.insert(key, value);
        }
    }
}

/// What the callbacks of one metric gave in one scrape.
struct Batch {
    values: BTreeMap<Vec<String>, f64>,
    series_max: usize,
    rejected: u64,
}

/// Asked at scrape time.
type Callback = Arc<dyn Fn(&mut Batch) + Send + Sync>;

/// Where each label value stands among the metric's sorted label names.
#[derive(Clone, Debug)]
struct Slots {
    /// Fixed values in place, the others empty.
    template: Vec<String>,
    /// Position of each label that varies.
    at: Vec<usize>,
}

impl Slots {
    fn new(names: &[String], labels: &[&str], fixed: &[(String, String)]) -> Self {
        let value = |name: &String| fixed.iter().find(|(label, _)| label == name).map(|(_, value)| value.clone());
        Self {
            template: names.iter().map(|name| value(name).unwrap_or_default()).collect(),
            at: labels.iter().filter_map(|label| names.iter().position(|name| name == label)).collect(),
        }
    }

    fn key<const N: usize>(&self, values: [&str; N]) -> Vec<String> {
        let mut key = self.template.clone();
        for (&at, value) in self.at.iter().zip(values) {
            value.clone_into(&mut key[at]);
        }
        key
    }
}

/// What two registrations of one name must agree on.
#[derive(Debug)]
struct Shape {
    kind: Kind,
    /// Sorted, fixed and varying alike.
    labels: Vec<String>,
    bounds: Vec<f64>,
}

/// One name with everything counted under it.
struct Metric {
    name: String,
    help: String,
    unit: Option<&'static str>,
    series_max: usize,
    shape: Shape,
    cells: Mutex<BTreeMap<Vec<String>, Cell>>,
    /// By their fixed label values.
    callbacks: Mutex<BTreeMap<Vec<String>, Callback>>,
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metric").field("name", &self.name).field("shape", &self.shape).finish_non_exhaustive()
    }
}

impl Metric {
    fn new(desc: &Desc, shape: Shape) -> Self {
        Self {
            name: desc.name.clone(),
            help: desc.help.clone(),
            unit: desc.unit,
            series_max: desc.series_max.max(1),
            shape,
            cells: Mutex::default(),
            callbacks: Mutex::default(),
        }
    }

    fn same_as(&self, desc: &Desc, shape: &Shape) -> Result<(), MeterError> {
        let what = if self.shape.kind != shape.kind {
            "kind"
        } else if self.help != desc.help {
            "help"
        } else if self.unit != desc.unit {
            "unit"
        } else if self.shape.labels != shape.labels {
            "set of labels"
        } else if self.shape.bounds != shape.bounds {
            "set of bounds"
        } else {
            return Ok(());
        };
        Err(MeterError::Conflict { metric: desc.name.clone(), what })
    }

    /// The series as they are now, sorted by label values.
    fn read(&self, rejected: &Counter) -> Vec<(Vec<String>, Cell)> {
        let callbacks: Vec<Callback> = lock(&self.callbacks).values().cloned().collect();
        if callbacks.is_empty() {
            return lock(&self.cells).iter().map(|(key, cell)| (key.clone(), cell.clone())).collect();
        }
        let mut batch = Batch { values: BTreeMap::new(), series_max: self.series_max, rejected: 0 };
        for callback in callbacks {
            callback(&mut batch);
        }
        rejected.add(batch.rejected);
        batch.values.into_iter().map(|(key, value)| (key, Cell::Read(value))).collect()
    }

    /// The family's name in `OpenMetrics`: a counter's without `_total`.
    fn family_name(&self) -> &str {
        self.name.strip_suffix("_total").unwrap_or(&self.name)
    }

    /// Every name its lines and its metadata can carry, in either format.
    fn line_names(&self) -> Vec<String> {
        let mut names = vec![self.name.clone(), self.family_name().to_owned()];
        if self.shape.kind == Kind::Histogram {
            names.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{}{suffix}", self.name)));
        }
        names
    }
}

fn check_names(desc: &Desc, labels: &[&str], kind: Kind, bounds: &[f64]) -> Result<(), MeterError> {
    let metric = || desc.name.clone();
    if !is_metric_name(&desc.name) {
        return Err(MeterError::Name(metric()));
    }
    if desc.name.ends_with("_total") != (kind == Kind::Counter) || desc.name == "_total" {
        return Err(MeterError::Suffix(metric()));
    }
    let base = desc.name.strip_suffix("_total").unwrap_or(&desc.name);
    if let Some(unit) = desc.unit.filter(|unit| base.strip_suffix(unit).is_none_or(|rest| !rest.ends_with('_'))) {
        return Err(MeterError::Unit { metric: metric(), unit: unit.to_owned() });
    }
    let fixed = desc.fixed.iter().map(|(label, _)| label.as_str());
    if let Some(label) = labels.iter().copied().chain(fixed).find(|label| !is_label_name(label)) {
        return Err(MeterError::Label { metric: metric(), label: label.to_owned() });
    }
    if bounds.iter().any(|bound| !bound.is_finite()) || bounds.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(MeterError::Bounds(metric()));
    }
    Ok(())
}

/// Two metrics may not write lines of one name: a histogram `x` and a counter `x_count` would.
fn check_clash(new: &Metric, there: &BTreeMap<String, Arc<Metric>>) -> Result<(), MeterError> {
    let names: BTreeSet<String> = new.line_names().into_iter().collect();
    for other in there.values() {
        if let Some(line) = other.line_names().into_iter().find(|name| names.contains(name)) {
            return Err(MeterError::Clash { metric: new.name.clone(), line, owner: other.name.clone() });
        }
    }
    Ok(())
}

fn is_metric_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_' || first == b':')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')
}

/// Names beginning with `__` are Prometheus's own, and `le` is a histogram's.
fn is_label_name(name: &str) -> bool {
    is_metric_name(name) && !name.contains(':') && !name.starts_with("__") && name != "le"
}

/// A panic elsewhere does not make numbers wrong: every write behind these locks is one insert or one remove.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
