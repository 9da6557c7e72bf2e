//! Operators between vectors: pairs are found by their matching labels, once for all steps.
//!
//! What may meet what is decided step by step, because series come and go: two series of the "one" side with the
//! same matching labels are only an error at a step at which both have a value.

use std::collections::{HashMap, HashSet};

use model::labels::{Labels, METRIC_NAME};
use model::query::QueryError;

use super::super::column::{Cell, Column, OwnedCell, is_absent};
use super::super::notes::NoteSet;
use super::super::plan::{BinaryNode, Grid, Node};
use super::frame::{Frame, FrameSeries, Head, Stream};
use super::map::{self, Operation, WithScalar};
use super::{METADATA_LABELS, Run, element, misplaced, same_labelset, set};
use crate::syntax::ast::{BinaryOp, Cardinality, Span, ValueType, VectorMatching};

/// An operation with at least one vector.
pub(crate) fn vector<'r>(
    run: &'r Run<'r>,
    node: &'r Node,
    binary: &'r BinaryNode,
    grid: Grid,
) -> Result<Stream<'r>, QueryError> {
    let scalar_side = |side: &Node| side.kind_of_value == ValueType::Scalar;
    let (scalar, vector, scalar_is_left) = match (scalar_side(&binary.lhs), scalar_side(&binary.rhs)) {
        (false, false) => {
            let default = VectorMatching::default();
            let matching = binary.matching.as_ref().unwrap_or(&default);
            if binary.op.is_set() {
                return set::set(run, binary, matching, grid);
            }
            return Join { run, binary, matching, grid, span: node.span }.evaluate().map(Stream::Frame);
        }
        (true, false) => (&binary.lhs, &binary.rhs, true),
        (false, true) => (&binary.rhs, &binary.lhs, false),
        (true, true) => return Err(misplaced(node)),
    };
    let with = WithScalar {
        op: binary.op,
        scalar: run.scalar(scalar, grid)?,
        scalar_is_left,
        return_bool: binary.return_bool,
        span: node.span,
    };
    map::apply(run, run.stream(vector, grid)?, Operation::WithScalar(with), grid)
}

/// The labels by which a series finds its partners.
pub(crate) fn signature(run: &Run<'_>, head: &Head, matching: &VectorMatching) -> Labels {
    matching_labels(&run.visible(head), matching)
}

fn matching_labels(labels: &Labels, matching: &VectorMatching) -> Labels {
    let mut names: Vec<&str> = matching.labels.iter().map(String::as_str).collect();
    if matching.on {
        return labels.only(&names);
    }
    names.push(METRIC_NAME);
    labels.without(&names)
}

/// `lhs op rhs` of two vectors.
struct Join<'j> {
    run: &'j Run<'j>,
    binary: &'j BinaryNode,
    matching: &'j VectorMatching,
    grid: Grid,
    span: Span,
}

/// The series of both sides with the same matching labels. "Many" is the left side, but with `group_right`.
#[derive(Default)]
struct Group {
    many: Vec<usize>,
    one: Vec<usize>,
}

/// The result so far: a column for each label set.
#[derive(Default)]
struct Output {
    by_labels: HashMap<Labels, usize>,
    series: Vec<FrameSeries>,
}

impl Output {
    fn column(&mut self, head: Head, steps: usize) -> usize {
        let series = &mut self.series;
        *self.by_labels.entry(head.labels.clone()).or_insert_with(|| {
            series.push(FrameSeries { head, column: Column::absent(steps) });
            series.len() - 1
        })
    }

    /// Whether columns of these names are all new and all different.
    fn has_room_for(&self, heads: &[Head]) -> bool {
        let mut seen = HashSet::with_capacity(heads.len());
        heads.iter().all(|head| !self.by_labels.contains_key(&head.labels) && seen.insert(&head.labels))
    }
}

impl Join<'_> {
    fn evaluate(&self) -> Result<Frame, QueryError> {
        let left = self.run.frame(&self.binary.lhs, self.grid)?;
        let right = self.run.frame(&self.binary.rhs, self.grid)?;
        let fills = self.matching.fill_left.is_some() || self.matching.fill_right.is_some();
        if !fills && (left.series.is_empty() || right.series.is_empty()) {
            return Ok(Frame::default());
        }
        let swapped = self.matching.cardinality == Cardinality::OneToMany;
        let (many, one) = if swapped { (&right, &left) } else { (&left, &right) };

        let mut groups: Vec<(Labels, Group)> = Vec::new();
        let mut known: HashMap<Labels, usize> = HashMap::new();
        for (frame, is_many) in [(many, true), (one, false)] {
            for (index, series) in frame.series.iter().enumerate() {
                let signature = signature(self.run, &series.head, self.matching);
                let at = *known.entry(signature.clone()).or_insert_with(|| {
                    groups.push((signature, Group::default()));
                    groups.len() - 1
                });
                let group = &mut groups[at].1;
                if is_many { group.many.push(index) } else { group.one.push(index) }
            }
        }
        let mut output = Output::default();
        let mut notes = NoteSet::default();
        let mut active = None;
        for (signature, group) in &groups {
            self.run.budget.go_on()?;
            let sides = Sides { many, one, swapped, signature };
            if !fills && self.pairs_for_good(&sides, group, &mut output, &mut notes) {
                continue;
            }
            let active = active.get_or_insert_with(|| self.active_steps(&left, &right, fills));
            self.group(&sides, group, active, &mut output, &mut notes)?;
        }
        self.run.note(|all| all.merge(notes));
        let mut frame = Frame::default();
        for series in output.series {
            frame.push(series.head, series.column, &self.run.budget)?;
        }
        Ok(frame)
    }

    /// The steps at which anything is looked at: without fills not those at which one side has nothing at all.
    fn active_steps(&self, left: &Frame, right: &Frame, fills: bool) -> Vec<bool> {
        if fills {
            return vec![true; self.grid.count];
        }
        let (left, right) = (left.presence(self.grid.count), right.presence(self.grid.count));
        left.into_iter().zip(right).map(|(left, right)| left && right).collect()
    }

    /// The usual group: one series of the "one" side, so that who meets whom is the same at every step. False: not
    /// such a group, nothing was done.
    fn pairs_for_good(&self, sides: &Sides<'_>, group: &Group, output: &mut Output, notes: &mut NoteSet) -> bool {
        let one_to_one = self.matching.cardinality == Cardinality::OneToOne;
        let [one] = group.one.as_slice() else { return group.one.is_empty() };
        if one_to_one && group.many.len() > 1 {
            return false;
        }
        let heads: Vec<Head> = group.many.iter().map(|many| self.head(sides, Some(*many), Some(*one))).collect();
        if !output.has_room_for(&heads) {
            return false;
        }
        for (many, head) in group.many.iter().zip(heads) {
            let (a, b) = (&sides.many.series[*many].column, &sides.one.series[*one].column);
            let (left, right) = if sides.swapped { (b, a) } else { (a, b) };
            let at = output.column(head, self.grid.count);
            self.columns(left, right, &mut output.series[at].column, notes);
        }
        true
    }

    /// All steps of a pair.
    fn columns(&self, left: &Column, right: &Column, out: &mut Column, notes: &mut NoteSet) {
        let op = self.binary.op;
        let trims = matches!(op, BinaryOp::TrimUpper | BinaryOp::TrimLower);
        if left.has_histograms() || right.has_histograms() || trims {
            for step in 0..out.len() {
                let cell = self.cell(left.get(step), right.get(step), notes);
                out.set(step, cell);
            }
            return;
        }
        for ((out, a), b) in out.floats.iter_mut().zip(&left.floats).zip(&right.floats) {
            if is_absent(*a) || is_absent(*b) {
                continue;
            }
            let (value, keep) = element::floats(op, *a, *b);
            if self.binary.return_bool {
                *out = f64::from(u8::from(keep));
            } else if keep {
                *out = value;
            }
        }
    }

    /// One pair of values.
    fn cell(&self, left: Cell<'_>, right: Cell<'_>, notes: &mut NoteSet) -> OwnedCell {
        match element::cells(self.binary.op, left, right, self.span, notes) {
            None => OwnedCell::Absent,
            Some((_, keep)) if self.binary.return_bool => OwnedCell::Float(f64::from(u8::from(keep))),
            Some((_, false)) => OwnedCell::Absent,
            Some((value, true)) => value,
        }
    }

    /// All steps of one match group.
    fn group(
        &self,
        sides: &Sides<'_>,
        group: &Group,
        active: &[bool],
        output: &mut Output,
        notes: &mut NoteSet,
    ) -> Result<(), QueryError> {
        let mut heads: HashMap<(Option<usize>, Option<usize>), usize> = HashMap::new();
        for (step, active) in active.iter().enumerate() {
            if !active {
                continue;
            }
            let one = self.the_one(sides, group, step)?;
            let mut matched = Vec::new();
            for many in group.many.iter().copied().filter(|many| sides.many.series[*many].column.is_present(step)) {
                if one.is_none() && self.matching.fill_right.is_none() {
                    continue;
                }
                matched.push(Some(many));
            }
            if matched.is_empty() && one.is_some() && self.matching.fill_left.is_some() {
                matched.push(None);
            }
            if matched.len() > 1 && self.matching.cardinality == Cardinality::OneToOne {
                let text =
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";
                return Err(QueryError::Execution(text.to_owned()));
            }
            let mut used = Vec::new();
            for many in matched {
                let at = *heads
                    .entry((many, one))
                    .or_insert_with(|| output.column(self.head(sides, many, one), self.grid.count));
                if used.contains(&at) {
                    let text = "multiple matches for labels: grouping labels must ensure unique matches";
                    return Err(QueryError::Execution(text.to_owned()));
                }
                used.push(at);
                self.pair(sides, (many, one), (step, &mut output.series[at].column), notes)?;
            }
        }
        Ok(())
    }

    /// The series of the "one" side with a value at a step. Two of them are an error, even without a partner.
    fn the_one(&self, sides: &Sides<'_>, group: &Group, step: usize) -> Result<Option<usize>, QueryError> {
        let mut there = group.one.iter().copied().filter(|one| sides.one.series[*one].column.is_present(step));
        let Some(first) = there.next() else { return Ok(None) };
        let Some(second) = there.next() else { return Ok(Some(first)) };
        let side = if sides.swapped { "left" } else { "right" };
        let labels = |one: usize| self.run.visible(&sides.one.series[one].head);
        Err(QueryError::Execution(format!(
            "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];\
             many-to-many matching not allowed: matching labels must be unique on one side",
            sides.signature,
            labels(second),
            labels(first)
        )))
    }

    /// Computes one pair at one step. What is missing on one side is filled.
    fn pair(
        &self,
        sides: &Sides<'_>,
        (many, one): (Option<usize>, Option<usize>),
        (step, column): (usize, &mut Column),
        notes: &mut NoteSet,
    ) -> Result<(), QueryError> {
        let fill = |value: Option<f64>| value.map_or(Cell::Absent, Cell::Float);
        // The fills belong to the sides of the matching, not to those of the text: with `group_right` the "many"
        // side is filled by `fill_left`.
        let a = many.map_or_else(|| fill(self.matching.fill_left), |i| sides.many.series[i].column.get(step));
        let b = one.map_or_else(|| fill(self.matching.fill_right), |i| sides.one.series[i].column.get(step));
        let (left, right) = if sides.swapped { (b, a) } else { (a, b) };
        let out = self.cell(left, right, notes);
        if matches!(out, OwnedCell::Absent) {
            return Ok(());
        }
        if column.is_present(step) {
            return Err(same_labelset());
        }
        column.set(step, out);
        Ok(())
    }

    /// What the result of a pair is called.
    fn head(&self, sides: &Sides<'_>, many: Option<usize>, one: Option<usize>) -> Head {
        let labels_of = |frame: &Frame, index: Option<usize>, other: &Frame, other_index: Option<usize>| {
            let own = index.map(|i| self.run.visible(&frame.series[i].head));
            own.unwrap_or_else(|| {
                let other = other_index.map_or_else(Labels::empty, |i| self.run.visible(&other.series[i].head));
                matching_labels(&other, self.matching)
            })
        };
        let many_labels = labels_of(sides.many, many, sides.one, one);
        let one_labels = labels_of(sides.one, one, sides.many, many);
        let mut dropped = many.is_some_and(|i| sides.many.series[i].head.dropped);
        let mut labels = many_labels;
        if element::changes_metric(self.binary.op) {
            labels = labels.without(&METADATA_LABELS);
            dropped = false;
        }
        if self.matching.cardinality == Cardinality::OneToOne {
            let names: Vec<&str> = self.matching.labels.iter().map(String::as_str).collect();
            labels = if self.matching.on { labels.only(&names) } else { labels.without(&names) };
        }
        if !self.matching.include.is_empty() {
            let mut builder = labels.to_builder();
            for name in &self.matching.include {
                builder.set(name, one_labels.get(name).unwrap_or(""));
            }
            labels = builder.build();
        }
        if self.binary.return_bool {
            dropped = true;
            if !self.run.settings.features.delayed_name_removal {
                labels = labels.without(&METADATA_LABELS);
            }
        }
        Head { labels, dropped }
    }
}

/// Both sides of a join, in the order of the matching.
struct Sides<'s> {
    many: &'s Frame,
    one: &'s Frame,
    /// The left side of the text is the "one" side.
    swapped: bool,
    signature: &'s Labels,
}
