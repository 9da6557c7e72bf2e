//! A tree as text, on one line, in the form Prometheus prints.
//!
//! Promise: the text reads back as the same tree. Where Prometheus's own form would not (label names that are
//! keywords or need quotes in `on (…)`, a duration behind `offset` that would end early), ours differs.

use std::fmt::{self, Display, Formatter};

use super::ast::{
    Aggregate, At, Binary, Borders, Call, Cardinality, DurationExpr, Expr, Length, MatrixSelector, NumberLiteral,
    StringLiteral, Subquery, VectorMatching, VectorSelector,
};
use super::number::{format_float, format_millis, millis_of};
use super::quote::{quoted, quoted_bytes};
use super::token::{TokenKind, keyword};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(node) => node.fmt(f),
            Self::String(node) => node.fmt(f),
            Self::Vector(node) => node.fmt(f),
            Self::Matrix(node) => node.fmt(f),
            Self::Subquery(node) => write!(f, "{}{}", node.expr, SubquerySuffix(node)),
            Self::Call(node) => node.fmt(f),
            Self::Aggregate(node) => node.fmt(f),
            Self::Binary(node) => write!(f, "{} {} {}", node.lhs, Operator(node), node.rhs),
            Self::Unary(node) => write!(f, "{}{}", sign(node.negative), node.expr),
            Self::Paren(node) => write!(f, "({})", node.expr),
        }
    }
}

impl Display for NumberLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_duration {
            // The sign by itself, so that it stays on a zero.
            let sign = if self.value.is_sign_negative() { "-" } else { "" };
            write!(f, "{sign}{}", format_millis(millis_of(self.value.abs())))
        } else {
            f.write_str(&format_float(self.value))
        }
    }
}

impl Display for StringLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.invalid_utf8 {
            Some(bytes) => f.write_str(&quoted_bytes(bytes)),
            None => f.write_str(&quoted(&self.value)),
        }
    }
}

impl Display for VectorSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Conditions(self))?;
        write_at(f, self.at)?;
        write_borders(f, self.borders)?;
        write_offset(f, &self.offset)
    }
}

impl Display for MatrixSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", Conditions(&self.selector), self.range)?;
        write_borders(f, self.selector.borders)?;
        write_at(f, self.selector.at)?;
        write_offset(f, &self.selector.offset)
    }
}

/// The name and the conditions of a selector, sorted.
struct Conditions<'a>(&'a VectorSelector);

impl Display for Conditions<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let selector = self.0;
        f.write_str(&selector.name)?;
        let mut conditions: Vec<String> = selector
            .matchers
            .iter()
            // The condition that stands in front of the braces. It is the last one, and there is only one of it.
            .filter(|matcher| {
                selector.name.is_empty() || &*matcher.name != "__name__" || *matcher.value != *selector.name
            })
            .map(|matcher| {
                let (name, op) = (MatcherLabel(&matcher.name), matcher.op.as_str());
                format!("{name}{op}{}", quoted(&matcher.value))
            })
            .collect();
        if conditions.is_empty() {
            // A selector of nothing at all: only info() takes one.
            return if selector.name.is_empty() { f.write_str("{}") } else { Ok(()) };
        }
        conditions.sort_unstable();
        write!(f, "{{{}}}", conditions.join(","))
    }
}

/// A label in braces: every word is one there.
struct MatcherLabel<'a>(&'a str);

impl Display for MatcherLabel<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if model::labels::is_classic_label_name(self.0) { f.write_str(self.0) } else { f.write_str(&quoted(self.0)) }
    }
}

/// Labels in parentheses: words that are not labels there need quotes, colons do not.
struct LabelList<'a>(&'a [String]);

impl Display for LabelList<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, label) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            let bare = is_metric_name(label) && keyword(label).is_none_or(TokenKind::is_label_name);
            if bare { f.write_str(label)? } else { f.write_str(&quoted(label))? }
        }
        Ok(())
    }
}

fn is_metric_name(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':');
    starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

fn write_at(f: &mut Formatter<'_>, at: Option<At>) -> fmt::Result {
    match at {
        None => Ok(()),
        Some(At::Time(millis)) => write!(f, " @ {:.3}", millis as f64 / 1000.0),
        Some(At::Start) => f.write_str(" @ start()"),
        Some(At::End) => f.write_str(" @ end()"),
    }
}

fn write_borders(f: &mut Formatter<'_>, borders: Borders) -> fmt::Result {
    match borders {
        Borders::Plain => Ok(()),
        Borders::Anchored => f.write_str(" anchored"),
        Borders::Smoothed => f.write_str(" smoothed"),
    }
}

fn write_offset(f: &mut Formatter<'_>, offset: &Length) -> fmt::Result {
    match offset {
        Length::Fixed(0) => Ok(()),
        Length::Fixed(millis) => write!(f, " offset {}", format_millis(*millis)),
        Length::Computed(expr) if ends_early(expr) => write!(f, " offset ({expr})"),
        Length::Computed(expr) => write!(f, " offset {expr}"),
    }
}

/// Whether a duration behind `offset` would be read only up to its first operator.
fn ends_early(expr: &DurationExpr) -> bool {
    let mut leftmost = expr;
    while let DurationExpr::Binary { lhs, .. } = leftmost {
        leftmost = lhs;
    }
    let is_chain = matches!(expr, DurationExpr::Binary { .. });
    let under_sign =
        matches!(expr, DurationExpr::Unary { operand, .. } if matches!(**operand, DurationExpr::Binary { .. }));
    under_sign || (is_chain && !matches!(leftmost, DurationExpr::Paren { .. }))
}

impl Display for Length {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(millis) => f.write_str(&format_millis(*millis)),
            Self::Computed(expr) => expr.fmt(f),
        }
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(literal) => literal.fmt(f),
            Self::Step(_) => f.write_str("step()"),
            Self::Range(_) => f.write_str("range()"),
            Self::Unary { negative: true, operand, .. } => write!(f, "-{operand}"),
            Self::Unary { operand, .. } => operand.fmt(f),
            Self::Binary { op, lhs, rhs } => write!(f, "{lhs} {} {rhs}", op.as_str()),
            Self::MinOf { lhs, rhs, .. } => write!(f, "min_of({lhs}, {rhs})"),
            Self::MaxOf { lhs, rhs, .. } => write!(f, "max_of({lhs}, {rhs})"),
            Self::Paren { inner, .. } => write!(f, "({inner})"),
        }
    }
}

/// `[1h:5m] @ 10.000 offset 1m`
pub(super) struct SubquerySuffix<'a>(pub(super) &'a Subquery);

impl Display for SubquerySuffix<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "[{}:", self.0.range)?;
        if let Some(step) = &self.0.step {
            step.fmt(f)?;
        }
        f.write_str("]")?;
        write_at(f, self.0.at)?;
        write_offset(f, &self.0.offset)
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.function.name)?;
        for (index, arg) in self.args.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            arg.fmt(f)?;
        }
        f.write_str(")")
    }
}

impl Display for Aggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", Grouping(self))?;
        if let Some(param) = &self.param {
            write!(f, "{param}, ")?;
        }
        write!(f, "{})", self.expr)
    }
}

/// `sum by (job) `, or only `sum`.
pub(super) struct Grouping<'a>(pub(super) &'a Aggregate);

impl Display for Grouping<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Aggregate { op, grouping, without, .. } = self.0;
        f.write_str(op.as_str())?;
        match (without, grouping.is_empty()) {
            (true, _) => write!(f, " without ({}) ", LabelList(grouping)),
            (false, false) => write!(f, " by ({}) ", LabelList(grouping)),
            (false, true) => Ok(()),
        }
    }
}

/// An operator with its modifiers.
pub(super) struct Operator<'a>(pub(super) &'a Binary);

impl Display for Operator<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.op.as_str())?;
        if self.0.return_bool {
            f.write_str(" bool")?;
        }
        self.0.matching.as_ref().map_or(Ok(()), |matching| write_matching(f, matching))
    }
}

fn write_matching(f: &mut Formatter<'_>, matching: &VectorMatching) -> fmt::Result {
    let group = match matching.cardinality {
        Cardinality::ManyToOne => Some("group_left"),
        Cardinality::OneToMany => Some("group_right"),
        Cardinality::OneToOne | Cardinality::ManyToMany => None,
    };
    if matching.on || !matching.labels.is_empty() || group.is_some() {
        let word = if matching.on { "on" } else { "ignoring" };
        write!(f, " {word} ({})", LabelList(&matching.labels))?;
    }
    if let Some(group) = group {
        write!(f, " {group} ({})", LabelList(&matching.include))?;
    }
    match (matching.fill_left, matching.fill_right) {
        (Some(left), Some(right)) if left.to_bits() == right.to_bits() || (left.is_nan() && right.is_nan()) => {
            write!(f, " fill ({})", format_float(left))
        }
        (left, right) => {
            if let Some(left) = left {
                write!(f, " fill_left ({})", format_float(left))?;
            }
            right.map_or(Ok(()), |right| write!(f, " fill_right ({})", format_float(right)))
        }
    }
}

pub(super) const fn sign(negative: bool) -> &'static str {
    if negative { "-" } else { "+" }
}
