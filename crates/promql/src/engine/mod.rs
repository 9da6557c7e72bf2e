//! The engine: text in, vectors out.
//!
//! Parse, plan, evaluate series by series on columns (`eval`), name the result. Synchronous: whoever calls brings
//! the thread; the engine may borrow a few more for large queries. A query stops within a batch of series when it
//! is cancelled or its time is over.

mod cache;
mod column;
mod date;
mod eval;
mod histogram;
mod kahan;
mod limits;
pub mod notes;
pub mod number;
mod plan;
mod quantile;
mod range;
mod settings;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::histogram::Histogram;
use model::labels::Labels;
use model::query::{
    Answer, Evaluator, PointValue, QueryError, QueryOptions, QueryStats, Series, Steps, Value, VectorSample,
};
use model::storage::{Limited, Queryable, Snapshot, StorageError, TimeRange};
use model::time::{Clock, Timestamp};

use self::cache::ResultCache;
use self::column::Cell;
use self::eval::Run;
use self::eval::drive::Threads;
use self::eval::frame::Frame;
pub use self::histogram::buckets::{Bucket, all as buckets};
use self::limits::{Bounds, Budget, ProcessBudget, Queue};
use self::notes::NoteSet;
use self::plan::{Grid, Kind, Node, QueryTimes};
pub use self::settings::{Features, Settings};
use crate::syntax::ast::{Expr, ValueType};
use crate::syntax::series::Progression;
use crate::syntax::{ParseOptions, parse, parse_selector};

/// What a cut-off answer says.
const TRUNCATED: &str = "results truncated due to limit";

/// Queries that nest no deeper are evaluated on the caller's stack. People write queries of ten levels.
const HEIGHT_ON_ANY_STACK: usize = 64;

/// What a level of a query may take of the stack, several times over.
const STACK_BYTES_PER_LEVEL: usize = 32 << 10;

/// Evaluates PromQL over a storage.
pub struct Engine {
    storage: Arc<dyn Queryable>,
    settings: Settings,
    clock: Arc<dyn Clock>,
    threads: Threads,
    process: Arc<ProcessBudget>,
    queue: Queue,
    cache: ResultCache,
}

/// A query that was read and checked once and may be evaluated often.
#[derive(Clone, Debug)]
pub struct Prepared {
    text: Arc<str>,
    expr: Arc<Expr>,
}

impl Prepared {
    /// A tree that was read elsewhere, with the text its spans point into.
    #[must_use]
    pub fn of(text: &str, expr: Expr) -> Self {
        Self { text: text.into(), expr: Arc::new(expr) }
    }

    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn expr(&self) -> &Expr {
        &self.expr
    }
}

/// For when a query is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    At(Timestamp),
    Over(Steps),
}

/// An answer with its annotations not yet rendered.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub value: Value,
    pub notes: NoteSet,
    pub stats: QueryStats,
    /// Some series were left out because of the limit asked for.
    pub truncated: bool,
}

impl Outcome {
    fn nothing(stats: QueryStats) -> Self {
        Self { value: Value::Matrix(Vec::new()), notes: NoteSet::default(), stats, truncated: false }
    }

    /// The series of a range query.
    fn series(self) -> Vec<Series> {
        match self.value {
            Value::Matrix(series) => series,
            Value::Vector(_) | Value::Scalar(..) | Value::String(..) => Vec::new(),
        }
    }
}

impl Engine {
    #[must_use]
    pub fn new(storage: Arc<dyn Queryable>, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self {
            storage,
            settings,
            clock,
            threads: Threads::new(settings.extra_threads),
            process: Arc::new(ProcessBudget::new(settings.process_bytes_max)),
            queue: Queue::new(settings.concurrency),
            cache: ResultCache::new(settings.cache_bytes_max),
        }
    }

    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Reads and checks a query.
    pub fn prepare(&self, query: &str) -> Result<Prepared, QueryError> {
        let features = &self.settings.features;
        let options = ParseOptions {
            experimental_functions: features.experimental_functions,
            extended_range_selectors: features.extended_range_selectors,
            binop_fill: features.fill_modifiers,
            duration_expr: features.duration_expressions,
        };
        let expr = parse(query, options).map_err(|errors| QueryError::BadData(errors.to_string()))?;
        Ok(Prepared { text: query.into(), expr: Arc::new(expr) })
    }

    /// Evaluates a prepared query.
    pub fn evaluate(&self, prepared: &Prepared, when: When, options: &QueryOptions) -> Result<Outcome, QueryError> {
        let settings = &self.settings;
        let bounds = Bounds {
            samples_max: settings.samples_max,
            bytes_max: options.bytes_max.unwrap_or(u64::MAX).min(settings.query_bytes_max),
            timeout: options.timeout.unwrap_or(Duration::MAX).min(settings.timeout),
        };
        let (process, clock) = (Arc::clone(&self.process), Arc::clone(&self.clock));
        let budget = Arc::new(Budget::new(bounds, process, clock, options.cancel.clone()));
        let _place = self.queue.enter(&budget)?;

        self.on_a_stack(prepared, when, options, &budget)
    }

    /// Evaluates where the stack is large enough.
    fn on_a_stack(
        &self,
        prepared: &Prepared,
        when: When,
        options: &QueryOptions,
        budget: &Arc<Budget>,
    ) -> Result<Outcome, QueryError> {
        let height = height(&prepared.expr);
        if height <= HEIGHT_ON_ANY_STACK {
            return self.evaluate_cached(prepared, when, options, budget);
        }
        // Evaluation is as deep as the query; a deep one gets a stack of its own, for the caller's may be small.
        let stack = height * STACK_BYTES_PER_LEVEL;
        std::thread::scope(|scope| {
            let builder = std::thread::Builder::new().stack_size(stack);
            let started = builder.spawn_scoped(scope, || self.evaluate_cached(prepared, when, options, budget));
            let failed = |text: String| QueryError::Internal(text);
            let joined = started.map_err(|error| failed(format!("no thread for a deep query: {error}")))?.join();
            joined.unwrap_or_else(|_| Err(failed("the evaluation panicked".to_owned())))
        })
    }

    /// Evaluates the steps that are not known yet.
    fn evaluate_cached(
        &self,
        prepared: &Prepared,
        when: When,
        options: &QueryOptions,
        budget: &Arc<Budget>,
    ) -> Result<Outcome, QueryError> {
        let lookback = millis(options.lookback.unwrap_or(self.settings.lookback));
        let (When::Over(steps), Some(generation), 0, false) =
            (when, self.storage.history_generation(), options.limit, options.nocache)
        else {
            return self.evaluate_here(prepared, when, options, budget);
        };
        if steps.step_ms <= 0 || self.settings.cache_bytes_max == 0 || !cache::is_cacheable(&prepared.expr) {
            return self.evaluate_here(prepared, when, options, budget);
        }
        let (start, step) = (steps.start.0, steps.step_ms);
        let end = start + (steps.end.0 - start).div_euclid(step) * step;
        let key = cache::Key { text: prepared.expr.to_string(), step, phase: start.rem_euclid(step), lookback };
        let part = |start: i64, end: i64| {
            let steps = Steps { start: Timestamp(start), end: Timestamp(end), step_ms: step };
            self.evaluate_here(prepared, When::Over(steps), options, budget)
        };
        let mut outcome = match self.cache.get(&key, generation, start, end) {
            None => part(start, end)?,
            Some(known) => {
                let mut none = Outcome::nothing(budget.stats());
                let before = if start < known.start { part(start, known.start - step)? } else { none.clone() };
                let behind = if known.end < end { part(known.end + step, end)? } else { none.clone() };
                none.notes.merge(before.notes.clone());
                none.notes.merge(behind.notes.clone());
                none.value = Value::Matrix(known.joined(before.series(), behind.series()));
                none
            }
        };
        outcome.stats = budget.stats();
        // Annotations would have to be kept with the steps they belong to; such queries are simply computed.
        if let (Value::Matrix(series), true) = (&outcome.value, outcome.notes.is_empty()) {
            let settled = cache::last_settled(start, end, step, self.clock.now());
            self.cache.put(key, generation, (start, settled), series);
        }
        Ok(outcome)
    }

    fn evaluate_here(
        &self,
        prepared: &Prepared,
        when: When,
        options: &QueryOptions,
        budget: &Arc<Budget>,
    ) -> Result<Outcome, QueryError> {
        let settings = &self.settings;
        let subquery_step = millis(settings.subquery_step);
        let (times, grid) = match when {
            When::At(Timestamp(at)) => {
                let times = QueryTimes { start: at, end: at, step: 0, subquery_step };
                (times, Grid { start: at, step: 1, count: 1 })
            }
            When::Over(steps) => {
                check_range_type(&prepared.expr)?;
                let (start, end, step) = (steps.start.0, steps.end.0, steps.step_ms);
                (QueryTimes { start, end, step, subquery_step }, Grid::new(start, end, step))
            }
        };
        let plan = plan::plan(&prepared.expr, times)?;
        let run = Run {
            settings,
            lookback: millis(options.lookback.unwrap_or(settings.lookback)),
            snapshot: self.storage.snapshot().map_err(eval::storage_error)?,
            budget: Arc::clone(budget),
            times,
            threads: &self.threads,
            notes: Mutex::default(),
            kept: Mutex::default(),
        };
        run.check_steps(grid)?;
        let mut value = result(&run, &plan, grid, matches!(when, When::At(_)))?;
        let truncated = truncate(&mut value, options.limit);
        let notes = run.notes.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Outcome { value, notes, stats: budget.stats(), truncated })
    }

    fn answer(&self, query: &str, when: When, options: &QueryOptions) -> Result<Answer, QueryError> {
        let prepared = self.prepare(query)?;
        let outcome = self.evaluate(&prepared, when, options)?;
        let mut notes = outcome.notes.render(query);
        if outcome.truncated {
            notes.warnings.push(TRUNCATED.to_owned());
        }
        Ok(Answer { value: outcome.value, notes, stats: outcome.stats })
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, QueryError> {
        self.storage.snapshot().map_err(eval::storage_error)
    }
}

/// The next histogram of a progression as tests write them: `{{…}}+{{…}}x3`. The increment's resolution must be at
/// least the base's. An explicit hint of the base stays.
pub fn combine_histograms(current: &Histogram, increment: &Histogram, by: Progression) -> Result<Histogram, String> {
    if current.schema > increment.schema {
        return Err(format!(
            "error combining histograms: cannot merge from schema {} to {}",
            increment.schema, current.schema
        ));
    }
    let mut next = current.clone();
    let combined = match by {
        Progression::Plus => histogram::arithmetic::add(&mut next, increment),
        Progression::Minus => histogram::arithmetic::subtract(&mut next, increment),
    };
    combined.map_err(|_| "error combining histograms: exponential and custom buckets do not mix".to_owned())?;
    next.hint = current.hint;
    Ok(next)
}

/// Whether a native histogram of a counter began counting anew after the one before it.
#[must_use]
pub fn is_counter_reset(current: &Histogram, previous: &Histogram) -> bool {
    histogram::reset::is_reset(current, previous)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// How deep a query nests.
fn height(expr: &Expr) -> usize {
    1 + expr.children().into_iter().map(height).max().unwrap_or(0)
}

fn check_range_type(expr: &Expr) -> Result<(), QueryError> {
    match expr.value_type() {
        ValueType::Scalar | ValueType::Vector => Ok(()),
        other => Err(QueryError::BadData(format!(
            "invalid expression type {:?} for range query, must be Scalar or instant Vector",
            other.documented()
        ))),
    }
}

/// Evaluates the plan and names the result.
fn result(run: &Run<'_>, plan: &Node, grid: Grid, instant: bool) -> Result<Value, QueryError> {
    let at = Timestamp(grid.start);
    match plan.kind_of_value {
        ValueType::String => match &plan.kind {
            Kind::String(text) => Ok(Value::String(at, text.clone())),
            _ => Err(eval::misplaced(plan)),
        },
        ValueType::Matrix => {
            let mut series = eval::range::matrix(run, plan, grid)?;
            series.sort_by(|a, b| a.labels.cmp(&b.labels));
            Ok(Value::Matrix(series))
        }
        ValueType::Scalar if instant => Ok(Value::Scalar(at, run.scalar(plan, grid)?[0])),
        ValueType::Scalar => {
            let values = run.scalar(plan, grid)?;
            let floats = values.into_iter().enumerate().map(|(step, v)| (Timestamp(grid.time(step)), v)).collect();
            Ok(Value::Matrix(vec![Series { labels: Labels::empty(), floats, histograms: Vec::new() }]))
        }
        ValueType::Vector | ValueType::None => {
            let mut frame = run.frame(plan, grid)?;
            frame.drop_names()?;
            Ok(if instant { Value::Vector(vector(frame, at)) } else { Value::Matrix(matrix(frame, grid)) })
        }
    }
}

fn vector(frame: Frame, time: Timestamp) -> Vec<VectorSample> {
    let sample = |series: eval::frame::FrameSeries| {
        let value = match series.column.get(0) {
            Cell::Absent => return None,
            Cell::Float(value) => PointValue::Float(value),
            Cell::Histogram(histogram) => PointValue::Histogram(Arc::clone(histogram)),
        };
        Some(VectorSample { labels: series.head.labels, time, value, drop_name: false })
    };
    frame.series.into_iter().filter_map(sample).collect()
}

fn matrix(frame: Frame, grid: Grid) -> Vec<Series> {
    let mut out: Vec<Series> = Vec::with_capacity(frame.series.len());
    for series in frame.series {
        let mut points = Series { labels: series.head.labels, ..Series::default() };
        for step in 0..grid.count {
            let time = Timestamp(grid.time(step));
            match series.column.get(step) {
                Cell::Absent => {}
                Cell::Float(value) => points.floats.push((time, value)),
                Cell::Histogram(histogram) => points.histograms.push((time, Arc::clone(histogram))),
            }
        }
        out.push(points);
    }
    out.sort_by(|a, b| a.labels.cmp(&b.labels));
    out
}

/// Cuts the result at so many series; 0 is all. True: something was cut off.
fn truncate(value: &mut Value, limit: usize) -> bool {
    let count = match value {
        Value::Vector(samples) => samples.len(),
        Value::Matrix(series) => series.len(),
        Value::Scalar(..) | Value::String(..) => 0,
    };
    if limit == 0 || count <= limit {
        return false;
    }
    match value {
        Value::Vector(samples) => samples.truncate(limit),
        Value::Matrix(series) => series.truncate(limit),
        Value::Scalar(..) | Value::String(..) => {}
    }
    true
}

impl Evaluator for Engine {
    fn instant(&self, query: &str, at: Timestamp, options: &QueryOptions) -> Result<Answer, QueryError> {
        self.answer(query, When::At(at), options)
    }

    fn range(&self, query: &str, steps: Steps, options: &QueryOptions) -> Result<Answer, QueryError> {
        self.answer(query, When::Over(steps), options)
    }

    fn series(
        &self,
        selectors: &[String],
        range: TimeRange,
        options: &QueryOptions,
    ) -> Result<Limited<Labels>, QueryError> {
        let selectors = matchers(selectors)?;
        self.snapshot()?.series(&selectors, range, options.limit).map_err(eval::storage_error)
    }

    fn labels(
        &self,
        label: Option<&str>,
        selectors: &[String],
        range: TimeRange,
        options: &QueryOptions,
    ) -> Result<Limited<String>, QueryError> {
        let selectors = matchers(selectors)?;
        let snapshot = self.snapshot()?;
        let found: Result<_, StorageError> = match label {
            Some(label) => snapshot.label_values(label, &selectors, range, options.limit),
            None => snapshot.label_names(&selectors, range, options.limit),
        };
        found.map_err(eval::storage_error)
    }
}

fn matchers(selectors: &[String]) -> Result<Vec<Vec<model::matcher::Matcher>>, QueryError> {
    selectors
        .iter()
        .map(|text| parse_selector(text).map_err(|errors| QueryError::BadData(errors.to_string())))
        .collect()
}
