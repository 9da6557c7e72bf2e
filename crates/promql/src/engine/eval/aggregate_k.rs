//! Aggregations that pick series of a group: `topk`, `bottomk`, `limitk`, `limit_ratio`.
//!
//! They choose at each step. An instant query keeps the order of choice, group by group; a range query's result is
//! ordered by labels anyway.

use std::collections::HashMap;
use std::sync::Arc;

use model::query::QueryError;

use super::super::column::{Cell, Column, OwnedCell};
use super::super::notes::NoteSet;
use super::super::number;
use super::super::plan::{AggregateNode, Grid, Node};
use super::aggregate::Groups;
use super::drive::drive;
use super::frame::{Frame, Head};
use super::sort::by_value;
use super::{Run, misplaced};
use crate::syntax::ast::{AggregateOp, Span};

/// Picks series.
pub(crate) fn select(run: &Run<'_>, node: &Node, aggregate: &AggregateNode, grid: Grid) -> Result<Frame, QueryError> {
    let param = aggregate.param.as_ref().ok_or_else(|| misplaced(node))?;
    let params = run.scalar(param, grid)?;
    let rule = Rule::of(run, aggregate.op, params, param.outer)?;
    if rule.never_picks() {
        return Ok(Frame::default());
    }
    let stream = run.stream(&aggregate.expr, grid)?;
    let groups = Groups::of(run, &stream, &aggregate.grouping, aggregate.without);
    let heads: Vec<Head> = stream.heads().cloned().collect();
    let mut picked =
        Picked { rule, steps: vec![Vec::new(); groups.labels.len() * grid.count], groups: groups.labels.len() };
    let mut notes = NoteSet::default();
    drive(run, stream, grid, &mut |series, column| {
        let offset = picked.offset_of(run, &heads[series]);
        let member = Member { series: series as u32, group: groups.of_series[series] as usize, offset };
        picked.offer(member, column, (node.span, &mut notes));
        Ok(())
    })?;
    run.note(|all| all.merge(notes));
    picked.into_frame(run, &heads, grid)
}

/// How is picked.
enum Rule {
    /// The `k` at each step with the highest or lowest value.
    Extreme { k: Vec<usize>, highest: bool },
    /// The first `k` at each step.
    First { k: Vec<usize> },
    /// By the hash of the labels, so that the same series are picked everywhere.
    Ratio { ratio: Vec<f64> },
}

impl Rule {
    fn of(run: &Run<'_>, op: AggregateOp, params: Vec<f64>, span: Span) -> Result<Self, QueryError> {
        let fail = |text: String| Err(QueryError::Execution(text));
        let max = params.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let min = params.iter().copied().fold(f64::INFINITY, f64::min);
        let any_nan = params.iter().any(|param| param.is_nan());
        if op == AggregateOp::LimitRatio {
            if any_nan {
                return fail("Ratio value is NaN".to_owned());
            }
            if max > 1.0 {
                run.note(|notes| notes.invalid_ratio(max, 1.0, span));
            }
            if min < -1.0 {
                run.note(|notes| notes.invalid_ratio(min, -1.0, span));
            }
            return Ok(Self::Ratio { ratio: params.into_iter().map(|ratio| ratio.clamp(-1.0, 1.0)).collect() });
        }
        if min <= i64::MIN as f64 {
            return fail(format!("Scalar value {} underflows int64", number::general(min)));
        }
        if max >= i64::MAX as f64 {
            return fail(format!("Scalar value {} overflows int64", number::general(max)));
        }
        if any_nan {
            return fail("Parameter value is NaN".to_owned());
        }
        // A cast of a float stops at 0 and at the largest integer.
        let k = params.into_iter().map(|k| k as usize).collect();
        Ok(match op {
            AggregateOp::Limitk => Self::First { k },
            _ => Self::Extreme { k, highest: op == AggregateOp::Topk },
        })
    }

    fn never_picks(&self) -> bool {
        match self {
            Self::Extreme { k, .. } | Self::First { k } => k.iter().all(|k| *k == 0),
            Self::Ratio { ratio } => ratio.iter().all(|ratio| *ratio == 0.0),
        }
    }
}

/// A series that may be picked.
#[derive(Clone, Copy)]
struct Member {
    series: u32,
    group: usize,
    /// Where the hash of its labels stands between 0 and 1.
    offset: f64,
}

/// What was picked: for each step and group the series with their values.
struct Picked {
    rule: Rule,
    steps: Vec<Vec<(u32, OwnedCell)>>,
    groups: usize,
}

impl Picked {
    fn offset_of(&self, run: &Run<'_>, head: &Head) -> f64 {
        match self.rule {
            Rule::Ratio { .. } => run.visible(head).stable_hash() as f64 / u64::MAX as f64,
            Rule::Extreme { .. } | Rule::First { .. } => 0.0,
        }
    }

    fn offer(&mut self, member: Member, column: &Column, (span, notes): (Span, &mut NoteSet)) {
        for step in 0..column.len() {
            let place = &mut self.steps[step * self.groups + member.group];
            let cell = match column.get(step) {
                Cell::Absent => continue,
                Cell::Float(value) => OwnedCell::Float(value),
                Cell::Histogram(histogram) => OwnedCell::Histogram(Arc::clone(histogram)),
            };
            match &self.rule {
                Rule::First { k } => {
                    if place.len() < k[step] {
                        place.push((member.series, cell));
                    }
                }
                Rule::Ratio { ratio } => {
                    let ratio = ratio[step];
                    let inside =
                        (ratio >= 0.0 && member.offset < ratio) || (ratio < 0.0 && member.offset >= 1.0 + ratio);
                    // The hash of some series is the very largest; a ratio of 1 means all of them.
                    if inside || ratio >= 1.0 {
                        place.push((member.series, cell));
                    }
                }
                Rule::Extreme { k, highest } => match cell {
                    OwnedCell::Float(value) => offer_extreme(place, (member.series, value), k[step], *highest),
                    _ => {
                        let name = if *highest { "topk" } else { "bottomk" };
                        notes.histogram_ignored_in_aggregation(name, span);
                    }
                },
            }
        }
    }

    fn into_frame(self, run: &Run<'_>, heads: &[Head], grid: Grid) -> Result<Frame, QueryError> {
        let mut frame = Frame::default();
        if grid.is_instant() {
            for (series, cell) in self.steps.into_iter().flatten() {
                let mut column = Column::absent(1);
                column.set(0, cell);
                frame.push(heads[series as usize].clone(), column, &run.budget)?;
            }
            return Ok(frame);
        }
        let mut columns: HashMap<u32, Column> = HashMap::new();
        for (at, place) in self.steps.into_iter().enumerate() {
            for (series, cell) in place {
                let column = columns.entry(series).or_insert_with(|| Column::absent(grid.count));
                column.set(at / self.groups, cell);
            }
        }
        let mut series: Vec<u32> = columns.keys().copied().collect();
        series.sort_unstable();
        for id in series {
            let column = columns.remove(&id).unwrap_or_default();
            frame.push(heads[id as usize].clone(), column, &run.budget)?;
        }
        Ok(frame)
    }
}

/// Keeps the `k` most extreme, most extreme first; of equal ones the earlier.
fn offer_extreme(place: &mut Vec<(u32, OwnedCell)>, (series, value): (u32, f64), k: usize, highest: bool) {
    let value_of = |cell: &OwnedCell| match cell {
        OwnedCell::Float(value) => *value,
        OwnedCell::Absent | OwnedCell::Histogram(_) => f64::NAN,
    };
    if place.len() >= k {
        let worst = place.last().map(|(_, cell)| value_of(cell));
        if worst.is_none_or(|worst| by_value(value, worst, highest).is_ge()) {
            return;
        }
        place.pop();
    }
    let at = place.partition_point(|(_, cell)| by_value(value_of(cell), value, highest).is_le());
    place.insert(at, (series, OwnedCell::Float(value)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top(values: &[f64], k: usize, highest: bool) -> Vec<u32> {
        let mut place = Vec::new();
        for (series, value) in values.iter().enumerate() {
            offer_extreme(&mut place, (series as u32, *value), k, highest);
        }
        place.into_iter().map(|(series, _)| series).collect()
    }

    #[test]
    fn the_most_extreme_come_first_and_nan_last() {
        assert_eq!(top(&[f64::NAN, 1.0, 3.0, 2.0], 2, true), [2, 3]);
        assert_eq!(top(&[f64::NAN, 1.0, 3.0, 2.0], 2, false), [1, 3]);
        assert_eq!(top(&[f64::NAN, 1.0], 3, true), [1, 0]);
    }

    #[test]
    fn of_equal_values_the_earlier_series_stays() {
        assert_eq!(top(&[1.0, 1.0, 1.0], 2, true), [0, 1]);
    }
}
