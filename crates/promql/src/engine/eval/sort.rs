//! `sort`, `sort_desc`, `sort_by_label`, `sort_by_label_desc`: the order of an instant vector.

use std::cmp::Ordering;

use model::query::QueryError;

use super::super::column::Cell;
use super::super::plan::Grid;
use super::Run;
use super::frame::{Frame, FrameSeries, Stream};
use crate::syntax::ast::Span;

/// What to sort by.
pub(crate) enum By {
    Value,
    /// Label values, as people count: `node2` before `node10`.
    Labels(Vec<String>),
}

/// Sorts an instant vector. In a range query results are ordered by labels, so it only tells that it is useless.
pub(crate) fn sort<'r>(
    run: &Run<'_>,
    input: Stream<'_>,
    (by, descending): (&By, bool),
    grid: Grid,
    span: Span,
) -> Result<Stream<'r>, QueryError> {
    let mut frame: Frame = input.into_frame(run, grid)?;
    if matches!(by, By::Value) {
        for series in &mut frame.series {
            series.column.drop_histograms();
        }
        frame.series.retain(|series| !series.column.is_empty());
    }
    if run.times.start != run.times.end {
        run.note(|notes| notes.sort_in_range_query(span));
    }
    if grid.is_instant() {
        frame.series.sort_by(|a, b| match by {
            By::Value => by_value(first(a), first(b), descending),
            By::Labels(names) => {
                let order = by_labels(a, b, names);
                if descending { order.reverse() } else { order }
            }
        });
    }
    Ok(Stream::Frame(frame))
}

fn first(series: &FrameSeries) -> f64 {
    match series.column.get(0) {
        Cell::Float(value) => value,
        Cell::Histogram(_) | Cell::Absent => f64::NAN,
    }
}

/// NaN goes last in either direction.
pub(crate) fn by_value(a: f64, b: f64, descending: bool) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => {
            let order = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
            if descending { order.reverse() } else { order }
        }
    }
}

fn by_labels(a: &FrameSeries, b: &FrameSeries, names: &[String]) -> Ordering {
    let value = |series: &FrameSeries, name: &str| series.head.labels.get(name).unwrap_or("").to_owned();
    names
        .iter()
        .map(|name| natural(&value(a, name), &value(b, name)))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| a.head.labels.cmp(&b.head.labels))
}

/// Compares texts with the numbers in them as numbers.
pub(crate) fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        if a.is_empty() || b.is_empty() {
            return a.len().cmp(&b.len());
        }
        let ((part_a, rest_a), (part_b, rest_b)) = (chunk(a), chunk(b));
        let digits = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
        let order = if digits(part_a) && digits(part_b) {
            let (x, y) = (part_a.trim_start_matches('0'), part_b.trim_start_matches('0'));
            x.len().cmp(&y.len()).then_with(|| x.cmp(y)).then_with(|| part_a.len().cmp(&part_b.len()))
        } else {
            part_a.cmp(part_b)
        };
        if order.is_ne() {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
}

/// The longest run of digits, or of anything else, at the start.
fn chunk(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_last_in_either_direction() {
        let mut values = [f64::NAN, 1.0, 2.0];
        values.sort_by(|a, b| by_value(*a, *b, false));
        assert_eq!(values[..2], [1.0, 2.0]);
        values.sort_by(|a, b| by_value(*a, *b, true));
        assert_eq!(values[..2], [2.0, 1.0]);
    }

    #[test]
    fn numbers_in_texts_count_as_numbers() {
        let mut texts = ["node10", "node2", "node1", "node", "4m1000", "4m600"];
        texts.sort_by(|a, b| natural(a, b));
        assert_eq!(texts, ["4m600", "4m1000", "node", "node1", "node2", "node10"]);
    }
}
