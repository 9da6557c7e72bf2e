//! `and`, `or`, `unless`: which series are there at a step, by their matching labels.

use std::collections::HashMap;

use model::query::QueryError;

use super::super::plan::{BinaryNode, Grid};
use super::Run;
use super::binary::signature;
use super::frame::{Frame, Stream};
use crate::syntax::ast::{BinaryOp, VectorMatching};

/// A set operation.
pub(crate) fn set<'r>(
    run: &'r Run<'r>,
    binary: &BinaryNode,
    matching: &VectorMatching,
    grid: Grid,
) -> Result<Stream<'r>, QueryError> {
    let mut left = run.frame(&binary.lhs, grid)?;
    let mut right = run.frame(&binary.rhs, grid)?;
    match binary.op {
        BinaryOp::And => {
            let there = presence(run, &right, matching, grid);
            keep(run, &mut left, matching, |signature, step| there.get(signature).is_some_and(|there| there[step]));
        }
        BinaryOp::Unless => {
            let there = presence(run, &right, matching, grid);
            keep(run, &mut left, matching, |signature, step| there.get(signature).is_none_or(|there| !there[step]));
        }
        _ => {
            let there = presence(run, &left, matching, grid);
            keep(run, &mut right, matching, |signature, step| there.get(signature).is_none_or(|there| !there[step]));
            let mut union = left;
            for series in right.series {
                union.push(series.head, series.column, &run.budget)?;
            }
            union.merge_same()?;
            return Ok(Stream::Frame(union));
        }
    }
    Ok(Stream::Frame(left))
}

/// At which steps any series of a signature has a value.
fn presence(
    run: &Run<'_>,
    frame: &Frame,
    matching: &VectorMatching,
    grid: Grid,
) -> HashMap<model::labels::Labels, Vec<bool>> {
    let mut there: HashMap<_, Vec<bool>> = HashMap::new();
    for series in &frame.series {
        let steps = there.entry(signature(run, &series.head, matching)).or_insert_with(|| vec![false; grid.count]);
        for (step, present) in steps.iter_mut().enumerate() {
            *present = *present || series.column.is_present(step);
        }
    }
    there
}

/// Leaves out the values for which `wanted` is false.
fn keep(
    run: &Run<'_>,
    frame: &mut Frame,
    matching: &VectorMatching,
    wanted: impl Fn(&model::labels::Labels, usize) -> bool,
) {
    for series in &mut frame.series {
        let signature = signature(run, &series.head, matching);
        for step in 0..series.column.len() {
            if !wanted(&signature, step) {
                series.column.clear(step);
            }
        }
    }
    frame.series.retain(|series| !series.column.is_empty());
}
