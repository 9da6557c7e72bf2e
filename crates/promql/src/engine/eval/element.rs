//! One binary operation on one pair of values.

use std::sync::Arc;

use model::histogram::{Histogram, ResetHint};

use super::super::column::{Cell, OwnedCell};
use super::super::histogram::arithmetic::{self, IncompatibleSchema};
use super::super::histogram::buckets;
use super::super::histogram::trim::{Keep, trim};
use super::super::notes::{HistogramOperation, NoteSet};
use crate::syntax::ast::{BinaryOp, Span};

/// Whether the result is another quantity, so that the metric's name no longer fits.
pub(crate) const fn changes_metric(op: BinaryOp) -> bool {
    use BinaryOp as O;
    matches!(op, O::Add | O::Sub | O::Mul | O::Div | O::Mod | O::Pow | O::Atan2)
}

/// Of two scalars; a comparison gives 0 or 1.
pub(crate) fn scalars(op: BinaryOp, a: f64, b: f64) -> f64 {
    let (value, keep) = floats(op, a, b);
    if op.is_comparison() { f64::from(u8::from(keep)) } else { value }
}

/// Of two floats: the value, and whether a comparison holds. A filter keeps the left value.
#[inline]
pub(crate) fn floats(op: BinaryOp, a: f64, b: f64) -> (f64, bool) {
    use BinaryOp as O;
    match op {
        O::Add => (a + b, true),
        O::Sub => (a - b, true),
        O::Mul => (a * b, true),
        O::Div => (a / b, true),
        O::Mod => (a % b, true),
        O::Pow => (power(a, b), true),
        O::Atan2 => (a.atan2(b), true),
        O::Eq => (a, a == b),
        O::Ne => (a, a != b),
        O::Lt => (a, a < b),
        O::Le => (a, a <= b),
        O::Gt => (a, a > b),
        O::Ge => (a, a >= b),
        O::And | O::Or | O::Unless | O::TrimUpper | O::TrimLower => (a, false),
    }
}

fn power(a: f64, b: f64) -> f64 {
    a.powf(b)
}

/// Of any two values: what comes out, and whether a comparison holds. `None`: the operation makes no sense for
/// these kinds; it has been told.
pub(crate) fn cells(
    op: BinaryOp,
    a: Cell<'_>,
    b: Cell<'_>,
    span: Span,
    notes: &mut NoteSet,
) -> Option<(OwnedCell, bool)> {
    use BinaryOp as O;
    match (a, b) {
        (Cell::Absent, _) | (_, Cell::Absent) => None,
        (Cell::Float(a), Cell::Float(b)) => {
            if matches!(op, O::TrimUpper | O::TrimLower) {
                notes.incompatible_types("float", op.as_str(), "float", span);
                return None;
            }
            let (value, keep) = floats(op, a, b);
            Some((OwnedCell::Float(value), keep))
        }
        (Cell::Float(a), Cell::Histogram(b)) => {
            if op == O::Mul {
                return Some((scaled(b, a), true));
            }
            notes.incompatible_types("float", op.as_str(), "histogram", span);
            None
        }
        (Cell::Histogram(a), Cell::Float(b)) => match op {
            O::Mul => Some((scaled(a, b), true)),
            O::Div => {
                let mut quotient = (**a).clone();
                arithmetic::divide(&mut quotient, b);
                buckets::compact(&mut quotient);
                Some((OwnedCell::Histogram(Arc::new(quotient)), true))
            }
            O::TrimUpper => Some((OwnedCell::Histogram(Arc::new(trim(a, b, Keep::Below))), true)),
            O::TrimLower => Some((OwnedCell::Histogram(Arc::new(trim(a, b, Keep::Above))), true)),
            _ => {
                notes.incompatible_types("histogram", op.as_str(), "float", span);
                None
            }
        },
        (Cell::Histogram(a), Cell::Histogram(b)) => histograms(op, a, b, span, notes),
    }
}

fn scaled(histogram: &Histogram, factor: f64) -> OwnedCell {
    let mut product = histogram.clone();
    arithmetic::scale(&mut product, factor);
    buckets::compact(&mut product);
    OwnedCell::Histogram(Arc::new(product))
}

fn histograms(
    op: BinaryOp,
    a: &Arc<Histogram>,
    b: &Arc<Histogram>,
    span: Span,
    notes: &mut NoteSet,
) -> Option<(OwnedCell, bool)> {
    let operation = match op {
        BinaryOp::Add => HistogramOperation::Addition,
        BinaryOp::Sub => HistogramOperation::Subtraction,
        BinaryOp::Eq => return Some((OwnedCell::Histogram(Arc::clone(a)), arithmetic::equal(a, b))),
        BinaryOp::Ne => return Some((OwnedCell::Histogram(Arc::clone(a)), !arithmetic::equal(a, b))),
        _ => {
            notes.incompatible_types("histogram", op.as_str(), "histogram", span);
            return None;
        }
    };
    let mut result = (**a).clone();
    let outcome =
        if op == BinaryOp::Add { arithmetic::add(&mut result, b) } else { arithmetic::subtract(&mut result, b) };
    match outcome {
        Ok(outcome) => {
            if outcome.hint_collision {
                notes.counter_reset_collision(operation, span);
            }
            if outcome.bounds_reconciled {
                notes.custom_buckets_reconciled(operation, span);
            }
        }
        Err(IncompatibleSchema) => {
            notes.incompatible_bucket_layout(op.as_str(), span);
            return None;
        }
    }
    if op == BinaryOp::Sub {
        result.hint = ResetHint::Gauge;
    }
    buckets::compact(&mut result);
    Some((OwnedCell::Histogram(Arc::new(result)), true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_equals_nothing_and_differs_from_everything() {
        assert!(!floats(BinaryOp::Eq, f64::NAN, f64::NAN).1);
        assert!(floats(BinaryOp::Ne, f64::NAN, f64::NAN).1);
        assert_eq!(scalars(BinaryOp::Lt, 1.0, 2.0), 1.0);
    }

    #[test]
    fn the_remainder_has_the_sign_of_the_dividend() {
        assert_eq!(scalars(BinaryOp::Mod, -1.0, 3.0), -1.0);
        assert!(scalars(BinaryOp::Mod, 1.0, 0.0).is_nan());
    }

    #[test]
    fn kinds_that_do_not_fit_are_told() {
        let mut notes = NoteSet::default();
        let histogram = Arc::new(Histogram::default());
        let out = cells(BinaryOp::Add, Cell::Float(1.0), Cell::Histogram(&histogram), Span::default(), &mut notes);
        assert!(out.is_none());
        assert_eq!(notes.render("").infos.len(), 1);
    }
}
