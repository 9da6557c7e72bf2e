//! Series with their columns, there or to come.

use model::labels::Labels;
use model::query::QueryError;

use super::super::column::Column;
use super::super::limits::{Budget, Charge};
use super::super::notes::NoteSet;
use super::super::plan::Grid;
use super::{METADATA_LABELS, Run, same_labelset};
use std::collections::HashMap;
use std::sync::Arc;

/// What a series is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) labels: Labels,
    /// The metric's name no longer fits. It is taken away at once or at the end, as the engine is set.
    pub(crate) dropped: bool,
}

/// A series that is there.
#[derive(Debug)]
pub(crate) struct FrameSeries {
    pub(crate) head: Head,
    pub(crate) column: Column,
}

/// Series that are there, paid for. None of them is empty.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    pub(crate) series: Vec<FrameSeries>,
    charge: Option<Charge>,
}

impl Frame {
    /// Adds a series; an empty one is left out.
    pub(crate) fn push(&mut self, head: Head, column: Column, budget: &Arc<Budget>) -> Result<(), QueryError> {
        if column.is_empty() {
            return Ok(());
        }
        let (samples, bytes) = (column.samples(), column.bytes());
        match &mut self.charge {
            Some(charge) => charge.more(samples, bytes)?,
            None => self.charge = Some(budget.charge(samples, bytes)?),
        }
        self.series.push(FrameSeries { head, column });
        Ok(())
    }

    /// The same once more, paid for on its own.
    pub(crate) fn copied(&self, budget: &Arc<Budget>) -> Result<Self, QueryError> {
        let mut frame = Self::default();
        for series in &self.series {
            frame.push(series.head.clone(), series.column.clone(), budget)?;
        }
        Ok(frame)
    }

    /// The values of the only step at every step.
    pub(crate) fn repeated(self, steps: usize, budget: &Arc<Budget>) -> Result<Self, QueryError> {
        let mut frame = Self::default();
        for series in self.series {
            frame.push(series.head, series.column.repeated(steps), budget)?;
        }
        Ok(frame)
    }

    /// Makes series with the same labels one. Fails where both have a value at the same step.
    pub(crate) fn merge_same(&mut self) -> Result<(), QueryError> {
        let mut seen: HashMap<Labels, usize> = HashMap::with_capacity(self.series.len());
        let mut kept: Vec<FrameSeries> = Vec::with_capacity(self.series.len());
        for series in self.series.drain(..) {
            match seen.get(&series.head.labels) {
                Some(at) => {
                    if !kept[*at].column.merge(&series.column) {
                        return Err(same_labelset());
                    }
                }
                None => {
                    seen.insert(series.head.labels.clone(), kept.len());
                    kept.push(series);
                }
            }
        }
        self.series = kept;
        Ok(())
    }

    /// Takes the names away that were only marked, and makes series that are the same then one.
    pub(crate) fn drop_names(&mut self) -> Result<(), QueryError> {
        for series in &mut self.series {
            if series.head.dropped {
                series.head.labels = series.head.labels.without(&METADATA_LABELS);
                series.head.dropped = false;
            }
        }
        self.merge_same()
    }

    /// Whether at least one series has a value at each step.
    pub(crate) fn presence(&self, steps: usize) -> Vec<bool> {
        let mut present = vec![false; steps];
        for series in &self.series {
            for (step, present) in present.iter_mut().enumerate() {
                *present = *present || series.column.is_present(step);
            }
        }
        present
    }
}

/// Makes columns, one series at a time.
pub(crate) trait Source: Sync {
    fn heads(&self) -> &[Head];
    /// How many samples it will look at, roughly: decides whether threads are worth it.
    fn work(&self) -> u64;
    /// Someone who makes columns; each thread has its own.
    fn worker(&self) -> Box<dyn Worker + '_>;
}

/// Makes columns for one thread.
pub(crate) trait Worker {
    /// Fills the column of a series, which comes empty and with a place for each step.
    fn fill(&mut self, series: usize, column: &mut Column, notes: &mut NoteSet) -> Result<(), QueryError>;
}

/// Series that are there or that come one at a time.
pub(crate) enum Stream<'r> {
    Frame(Frame),
    Source(Box<dyn Source + 'r>),
}

impl<'r> Stream<'r> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Frame(frame) => frame.series.len(),
            Self::Source(source) => source.heads().len(),
        }
    }

    pub(crate) fn head(&self, series: usize) -> &Head {
        match self {
            Self::Frame(frame) => &frame.series[series].head,
            Self::Source(source) => &source.heads()[series],
        }
    }

    pub(crate) fn heads(&self) -> impl Iterator<Item = &Head> {
        (0..self.len()).map(|series| self.head(series))
    }

    /// All series that have a value, in order.
    pub(crate) fn into_frame(self, run: &Run<'_>, grid: Grid) -> Result<Frame, QueryError> {
        let source = match self {
            Self::Frame(frame) => return Ok(frame),
            Self::Source(source) => source,
        };
        let mut frame = Frame::default();
        super::drive::drive_source(run, &*source, grid, &mut |series, column| {
            if column.is_empty() {
                return Ok(());
            }
            let taken = std::mem::take(column);
            frame.push(source.heads()[series].clone(), taken, &run.budget)
        })?;
        Ok(frame)
    }

    /// Marks the names as dropped. Where they go at once, series of different names may become the same: then
    /// they are merged, or it is an error.
    pub(crate) fn check_same(self, run: &Run<'_>, grid: Grid) -> Result<Self, QueryError> {
        if run.settings.features.delayed_name_removal {
            return Ok(self);
        }
        let one_name = {
            let mut names = self.heads().map(|head| head.labels.metric_name());
            let first = names.next().unwrap_or("");
            names.all(|name| name == first)
        };
        if one_name {
            return Ok(self);
        }
        let mut frame = self.into_frame(run, grid)?;
        frame.drop_names()?;
        Ok(Stream::Frame(frame))
    }
}

impl From<Frame> for Stream<'_> {
    fn from(frame: Frame) -> Self {
        Self::Frame(frame)
    }
}
