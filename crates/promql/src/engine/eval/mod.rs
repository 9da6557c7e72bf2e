//! The evaluation of a plan.
//!
//! A vector is a [`Stream`] of series: either columns that are there already (a [`Frame`]) or a [`Source`] that
//! makes them one series at a time. Selectors, range functions and everything that treats each series by itself
//! are sources, stacked on each other; an aggregation drains a source into its groups, so that
//! `sum(rate(x[5m]))` never holds more than a few columns of `x`.

pub(crate) mod aggregate;
pub(crate) mod aggregate_k;
pub(crate) mod binary;
pub(crate) mod call;
pub(crate) mod cells;
pub(crate) mod classic;
pub(crate) mod drive;
pub(crate) mod element;
pub(crate) mod frame;
pub(crate) mod info;
pub(crate) mod labels;
pub(crate) mod map;
pub(crate) mod range;
pub(crate) mod samples;
pub(crate) mod select;
pub(crate) mod set;
pub(crate) mod sort;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::labels::Labels;
use model::query::QueryError;
use model::storage::{SelectHints, Selection, Snapshot, StorageError, TimeRange};
use model::time::Timestamp;

use super::limits::Budget;
use super::notes::NoteSet;
use super::plan::{Grid, Kind, Node, QueryTimes, Selector};
use super::settings::Settings;
use crate::syntax::ast::ValueType;
use drive::Threads;
use frame::{Frame, Head, Kept, Stream};

/// Labels that belong to the metric rather than to the series: they go when a value becomes another one.
pub(crate) const METADATA_LABELS: [&str; 3] = ["__name__", "__type__", "__unit__"];

/// A part written more than once is evaluated again rather than kept if it is larger than this: then holding it would
/// cost more than it saves.
const KEPT_BYTES_MAX: u64 = 32 << 20;

/// One evaluation.
pub(crate) struct Run<'q> {
    pub(crate) settings: &'q Settings,
    pub(crate) lookback: i64,
    pub(crate) snapshot: Arc<dyn Snapshot>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) times: QueryTimes,
    pub(crate) threads: &'q Threads,
    pub(crate) notes: Mutex<NoteSet>,
    /// Results of what the query writes more than once.
    pub(crate) kept: Mutex<HashMap<(u32, Grid), Arc<Frame>>>,
}

impl Run<'_> {
    /// Adds annotations.
    pub(crate) fn note(&self, add: impl FnOnce(&mut NoteSet)) {
        add(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A vector, lazily.
    pub(crate) fn stream<'r>(&'r self, node: &'r Node, grid: Grid) -> Result<Stream<'r>, QueryError> {
        self.budget.go_on()?;
        if grid.count == 0 {
            // A short subquery may lie between two of its steps.
            return Ok(Stream::Frame(Frame::default()));
        }
        if node.constant && grid.count > 1 {
            let once = self.frame(node, grid.first())?;
            return Ok(Stream::Frame(once.repeated(grid.count, &self.budget)?));
        }
        if node.kind_of_value == ValueType::Scalar {
            return self.scalar_as_stream(node, grid);
        }
        match node.shared {
            Some(number) => self.shared(node, number, grid),
            None => self.evaluated(node, grid),
        }
    }

    fn evaluated<'r>(&'r self, node: &'r Node, grid: Grid) -> Result<Stream<'r>, QueryError> {
        match &node.kind {
            Kind::Selector(selector) => select::instant(self, selector, grid, select::Reading::Value),
            Kind::Call(call) => call::vector(self, call, grid),
            Kind::Aggregate(aggregate) => aggregate::aggregate(self, node, aggregate, grid).map(Stream::Frame),
            Kind::Binary(binary) => binary::vector(self, node, binary, grid),
            Kind::Negate(inner) => {
                let operation = map::Operation::Negate;
                map::apply(self, self.stream(inner, grid)?, operation, grid)
            }
            Kind::Number(_) | Kind::String(_) | Kind::Subquery(_) => Err(misplaced(node)),
        }
    }

    /// What the query writes more than once: evaluated once and kept, where it is small enough.
    fn shared<'r>(&'r self, node: &'r Node, number: u32, grid: Grid) -> Result<Stream<'r>, QueryError> {
        let known = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&(number, grid)).cloned();
        if let Some(known) = known {
            return Ok(Kept::stream(known));
        }
        let stream = self.evaluated(node, grid)?;
        let bytes = (stream.len() as u64).saturating_mul(8 * grid.count as u64);
        if bytes > KEPT_BYTES_MAX {
            return Ok(stream);
        }
        let frame = Arc::new(stream.into_frame(self, grid)?);
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert((number, grid), Arc::clone(&frame));
        Ok(Kept::stream(frame))
    }

    /// A vector, all of it.
    pub(crate) fn frame(&self, node: &Node, grid: Grid) -> Result<Frame, QueryError> {
        self.stream(node, grid)?.into_frame(self, grid)
    }

    fn scalar_as_stream<'r>(&'r self, node: &Node, grid: Grid) -> Result<Stream<'r>, QueryError> {
        let values = self.scalar(node, grid)?;
        let mut frame = Frame::default();
        let head = Head { labels: Labels::empty(), dropped: false };
        frame.push(head, super::column::Column::of_floats(values), &self.budget)?;
        Ok(Stream::Frame(frame))
    }

    /// A scalar at each step.
    pub(crate) fn scalar(&self, node: &Node, grid: Grid) -> Result<Vec<f64>, QueryError> {
        if grid.count == 0 {
            return Ok(Vec::new());
        }
        if node.constant && grid.count > 1 {
            let once = self.scalar(node, grid.first())?;
            return Ok(vec![once[0]; grid.count]);
        }
        match &node.kind {
            Kind::Number(number) => Ok(vec![*number; grid.count]),
            Kind::Negate(inner) => Ok(self.scalar(inner, grid)?.into_iter().map(|value| -value).collect()),
            Kind::Binary(binary) => {
                let left = self.scalar(&binary.lhs, grid)?;
                let right = self.scalar(&binary.rhs, grid)?;
                Ok(left.into_iter().zip(right).map(|(a, b)| element::scalars(binary.op, a, b)).collect())
            }
            Kind::Call(call) => call::scalar(self, call, grid),
            _ => Err(misplaced(node)),
        }
    }

    /// Fails where one column alone would be too much. Nothing may be allocated for a grid before this was asked.
    pub(crate) fn check_steps(&self, grid: Grid) -> Result<(), QueryError> {
        self.budget.charge(grid.count as u64, 8 * grid.count as u64).map(drop)
    }

    /// Names the series of a selector.
    pub(crate) fn select(&self, selector: &Selector, range: TimeRange, grid: Grid) -> Result<Selection, QueryError> {
        let hints = SelectHints {
            step_ms: if grid.count > 1 { grid.step } else { 0 },
            window_ms: selector.range,
            function: selector.function.to_owned(),
            projection: None,
            start_times: self.settings.features.start_timestamps,
            limit: 0,
        };
        let selection = self.snapshot.select(&selector.matchers, range, &hints).map_err(storage_error)?;
        for warning in &selection.warnings {
            self.note(|notes| notes.storage(warning, selector.span));
        }
        Ok(selection)
    }

    /// The labels as they are seen now: without the metric's name where it was dropped at once.
    pub(crate) fn visible(&self, head: &Head) -> Labels {
        if head.dropped && !self.settings.features.delayed_name_removal {
            head.labels.without(&METADATA_LABELS)
        } else {
            head.labels.clone()
        }
    }

    /// The metric's name as it is seen now.
    pub(crate) fn visible_name<'h>(&self, head: &'h Head) -> &'h str {
        if head.dropped && !self.settings.features.delayed_name_removal { "" } else { head.labels.metric_name() }
    }
}

/// The parser lets no such tree through.
pub(crate) fn misplaced(node: &Node) -> QueryError {
    QueryError::Execution(format!("a {} is not possible here", node.kind_of_value.documented()))
}

pub(crate) fn same_labelset() -> QueryError {
    QueryError::Execution("vector cannot contain metrics with the same labelset".to_owned())
}

pub(crate) fn storage_error(error: StorageError) -> QueryError {
    match error {
        StorageError::OverBudget(text) => QueryError::Execution(text),
        StorageError::Cancelled => QueryError::Cancelled("query was canceled in expression evaluation".to_owned()),
        StorageError::NotReady(text) => QueryError::Unavailable(text),
        StorageError::Io(_) | StorageError::Remote(_) => QueryError::Internal(error.to_string()),
        // A writer's errors: reading does not meet them.
        StorageError::NoSpace(_) | StorageError::NotSynced(_) | StorageError::TooLarge(_) => {
            QueryError::Internal(error.to_string())
        }
    }
}

/// From `start` to `end`, both included.
pub(crate) const fn time_range(start: i64, end: i64) -> TimeRange {
    TimeRange { start: Timestamp(start), end: Timestamp(end) }
}
