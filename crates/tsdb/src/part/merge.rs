//! Several parts become one: series by series in the order of labels, copying what need not be touched.
//!
//! A series that lies in one input only, or in several one after the other, is copied block by block. It is decoded
//! where rows interleave, where some are dropped, and where the final form is asked for.
//! Where two inputs have a row of the same time, the later input's counts.
//! Not here: which parts are merged, and when the inputs are removed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;
use std::sync::Arc;

use model::labels::Labels;
use model::storage::{Exemplar, TimeRange};

use crate::codec::histogram::HistogramSample;
use crate::error::TsdbError;
use crate::io::Disk;
use crate::part::cache_clock::Scratch;
use crate::part::writer::{PartOptions, PartWriter};
use crate::part::{Columns, Gap, PartInfo, PartRead, RawSeries, SeriesInput, Values};

/// What to do besides merging.
pub struct MergeOptions<'o> {
    pub part: PartOptions,
    /// Rows outside are dropped.
    pub keep: TimeRange,
    /// Ranges of a series (input, id) whose rows are deleted.
    pub drop: &'o dyn Fn(usize, u32) -> Vec<TimeRange>,
}

/// What became of a merge.
#[derive(Clone, Debug)]
pub struct Merged {
    /// `None` where no row was left.
    pub part: Option<PartInfo>,
    /// What could not be read of the inputs and is therefore missing.
    pub gaps: Vec<Gap>,
}

/// Writes the union of the inputs to `path`.
pub fn merge_parts(
    disk: Arc<dyn Disk>,
    path: &Path,
    inputs: &[Arc<dyn PartRead>],
    options: &MergeOptions<'_>,
) -> Result<Merged, TsdbError> {
    let mut merge = Merge {
        inputs,
        options,
        writer: PartWriter::create(disk, path, options.part)?,
        scratch: Scratch::new(),
        gaps: Vec::new(),
        raw: Vec::new(),
        columns: Columns::default(),
    };
    let mut heads: BinaryHeap<Reverse<(Labels, usize, u32)>> = BinaryHeap::new();
    for input in 0..inputs.len() {
        heads.extend(merge.next_series(input, 0)?.map(Reverse));
    }
    let mut sources: Vec<(usize, u32)> = Vec::new();
    while let Some(Reverse((labels, input, id))) = heads.pop() {
        sources.clear();
        sources.push((input, id));
        heads.extend(merge.next_series(input, id + 1)?.map(Reverse));
        while let Some(Reverse((same, ..))) = heads.peek()
            && *same == labels
            && let Some(Reverse((_, input, id))) = heads.pop()
        {
            sources.push((input, id));
            heads.extend(merge.next_series(input, id + 1)?.map(Reverse));
        }
        merge.add(&labels, &sources)?;
    }
    for input in inputs {
        for entry in input.metadata()? {
            merge.writer.add_metadata(entry);
        }
    }
    let Merge { writer, gaps, .. } = merge;
    let part = if writer.series() == 0 { None } else { Some(writer.finish()?) };
    Ok(Merged { part, gaps })
}

struct Merge<'m> {
    inputs: &'m [Arc<dyn PartRead>],
    options: &'m MergeOptions<'m>,
    writer: PartWriter,
    scratch: Scratch,
    gaps: Vec<Gap>,
    raw: Vec<RawSeries>,
    columns: Columns,
}

impl Merge<'_> {
    /// The next series of an input whose labels can be read.
    fn next_series(&mut self, input: usize, from: u32) -> Result<Option<(Labels, usize, u32)>, TsdbError> {
        let part = &self.inputs[input];
        for id in from..part.info().series {
            match part.labels(id) {
                Ok(labels) => return Ok(Some((labels, input, id))),
                Err(error) if error.is_damage() => {
                    self.gaps.push(Gap { range: part.info().range, reason: error.to_string() });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Adds one series of the result.
    fn add(&mut self, labels: &Labels, sources: &[(usize, u32)]) -> Result<(), TsdbError> {
        let exemplars = self.exemplars(sources)?;
        if self.copy(labels, sources, &exemplars)? {
            return Ok(());
        }
        let mut rows = Rows::default();
        for (input, id) in sources {
            self.columns.clear();
            let read = self.inputs[*input].read(*id, self.options.keep, &mut self.scratch, &mut self.columns);
            match read {
                Ok(gaps) => self.gaps.extend(gaps),
                Err(error) if error.is_damage() => {
                    let range = self.inputs[*input].info().range;
                    self.gaps.push(Gap { range, reason: error.to_string() });
                    continue;
                }
                Err(error) => return Err(error),
            }
            rows.merge(&self.columns, &(self.options.drop)(*input, *id));
        }
        rows.write(labels, &exemplars, &mut self.writer)
    }

    /// Copies the series' blocks, if all of it is kept and the inputs follow each other.
    fn copy(&mut self, labels: &Labels, sources: &[(usize, u32)], exemplars: &[Exemplar]) -> Result<bool, TsdbError> {
        if self.options.part.final_form {
            return Ok(false);
        }
        let mut ranges = Vec::with_capacity(sources.len());
        for (place, (input, id)) in sources.iter().enumerate() {
            let Ok(extent) = self.inputs[*input].extent(*id) else { return Ok(false) };
            let keep = self.options.keep;
            let all_kept = keep.start <= extent.range.start && extent.range.end <= keep.end;
            if !all_kept || (self.options.drop)(*input, *id).iter().any(|dropped| dropped.overlaps(&extent.range)) {
                return Ok(false);
            }
            ranges.push((extent.range, place));
        }
        ranges.sort_unstable_by_key(|(range, _)| range.start);
        if ranges.windows(2).any(|pair| pair[0].0.end >= pair[1].0.start) {
            return Ok(false);
        }
        self.raw.resize_with(sources.len().max(self.raw.len()), RawSeries::default);
        for (at, (_, place)) in ranges.iter().enumerate() {
            let (input, id) = sources[*place];
            if self.inputs[input].raw(id, &mut self.scratch, &mut self.raw[at])?.is_none() {
                return Ok(false);
            }
        }
        let raw = &self.raw[..sources.len()];
        let times: Vec<i64> = raw.iter().flat_map(|raw| raw.times.iter().copied()).collect();
        let starts: Vec<i64> = if raw.iter().all(|raw| raw.start_times.is_empty()) {
            Vec::new()
        } else {
            let or_unknown = |raw: &RawSeries| match raw.start_times.is_empty() {
                true => vec![0; raw.times.len()],
                false => raw.start_times.clone(),
            };
            raw.iter().flat_map(or_unknown).collect()
        };
        let values: Vec<Values<'_>> = raw.iter().map(|raw| Values::Blocks(&raw.blocks)).collect();
        self.writer.add(&SeriesInput {
            labels,
            clock_key: 0,
            times: &times,
            values: &values,
            start_times: (!starts.is_empty()).then_some(&starts),
            exemplars,
        })?;
        Ok(true)
    }

    fn exemplars(&mut self, sources: &[(usize, u32)]) -> Result<Vec<Exemplar>, TsdbError> {
        let mut exemplars = Vec::new();
        for (input, id) in sources {
            let dropped = (self.options.drop)(*input, *id);
            match self.inputs[*input].exemplars(*id) {
                Ok(found) => exemplars.extend(found.into_iter().filter(|exemplar| {
                    self.options.keep.contains(exemplar.time)
                        && !dropped.iter().any(|range| range.contains(exemplar.time))
                })),
                Err(error) if error.is_damage() => {
                    let range = self.inputs[*input].info().range;
                    self.gaps.push(Gap { range, reason: error.to_string() });
                }
                Err(error) => return Err(error),
            }
        }
        exemplars.sort_by_key(|exemplar| exemplar.time);
        exemplars.dedup();
        Ok(exemplars)
    }
}

/// The value of a row.
#[derive(Clone, Debug)]
enum Value {
    Float(f64),
    Histogram(HistogramSample),
}

/// Rows of a series, ascending.
#[derive(Debug, Default)]
struct Rows {
    rows: Vec<(i64, i64, Value)>,
}

impl Rows {
    /// Adds the rows of one more input; at equal times they replace those there are.
    fn merge(&mut self, columns: &Columns, dropped: &[TimeRange]) {
        let mut histograms = columns.histograms.iter().peekable();
        let mut added = Vec::with_capacity(columns.times.len());
        for (row, time) in columns.times.iter().enumerate() {
            let histogram = histograms.next_if(|(at, _)| *at as usize == row);
            if dropped.iter().any(|range| range.start.millis() <= *time && *time <= range.end.millis()) {
                continue;
            }
            let value =
                histogram.map_or(Value::Float(columns.values[row]), |(_, sample)| Value::Histogram(sample.clone()));
            added.push((*time, columns.start_times.get(row).copied().unwrap_or(0), value));
        }
        let follows = match (self.rows.last(), added.first()) {
            (Some(last), Some(first)) => last.0 < first.0,
            _ => true,
        };
        self.rows.append(&mut added);
        if !follows {
            // Stable: of equal times the later input's row comes last, and stays.
            self.rows.sort_by_key(|row| row.0);
            self.rows.reverse();
            self.rows.dedup_by_key(|row| row.0);
            self.rows.reverse();
        }
    }

    fn write(&self, labels: &Labels, exemplars: &[Exemplar], writer: &mut PartWriter) -> Result<(), TsdbError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let times: Vec<i64> = self.rows.iter().map(|row| row.0).collect();
        let starts: Vec<i64> = self.rows.iter().map(|row| row.1).collect();
        let (mut floats, mut histograms) = (Vec::new(), Vec::new());
        for (_, _, value) in &self.rows {
            match value {
                Value::Float(value) => floats.push(*value),
                Value::Histogram(sample) => histograms.push(sample.clone()),
            }
        }
        // Runs of one kind, in order.
        let (mut float_at, mut histogram_at) = (0, 0);
        let mut values = Vec::new();
        for run in self.rows.chunk_by(|a, b| matches!(a.2, Value::Float(_)) == matches!(b.2, Value::Float(_))) {
            if matches!(run[0].2, Value::Float(_)) {
                values.push(Values::Floats(&floats[float_at..float_at + run.len()]));
                float_at += run.len();
            } else {
                values.push(Values::Histograms(&histograms[histogram_at..histogram_at + run.len()]));
                histogram_at += run.len();
            }
        }
        let known = starts.iter().any(|start| *start != 0);
        writer.add(&SeriesInput {
            labels,
            clock_key: 0,
            times: &times,
            values: &values,
            start_times: known.then_some(&starts),
            exemplars,
        })
    }
}
