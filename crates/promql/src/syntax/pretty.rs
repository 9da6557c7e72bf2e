//! A tree as text over several lines: what does not fit into the width is broken, its parts are indented.
//!
//! The rules are those of Prometheus's `format_query`; widths are counted in bytes, as it does.

use super::ast::{Aggregate, Binary, Expr};
use super::print::{Grouping, Operator, SubquerySuffix, sign};

/// The width `format_query` uses.
pub const PRETTY_WIDTH: usize = 100;

const INDENT: &str = "  ";

/// The query over as many lines as it needs at this width.
#[must_use]
pub fn pretty(expr: &Expr, width: usize) -> String {
    Printer { width }.expr(expr, 0)
}

struct Printer {
    width: usize,
}

impl Printer {
    fn expr(&self, expr: &Expr, level: usize) -> String {
        let line = expr.to_string();
        let fits = line.len() <= self.width;
        match expr {
            // The sign stands in front of the broken operand, which may not need breaking itself.
            Expr::Unary(node) => {
                let operand = self.expr(&node.expr, level);
                format!("{}{}{}", INDENT.repeat(level), sign(node.negative), operand.trim())
            }
            // As Prometheus does it: without indentation where it fits.
            Expr::Subquery(_) if fits => line,
            Expr::Subquery(node) => format!("{}{}", self.expr(&node.expr, level), SubquerySuffix(node)),
            _ if fits => format!("{}{line}", INDENT.repeat(level)),
            Expr::Aggregate(node) => self.aggregate(node, level),
            Expr::Binary(node) => self.binary(node, level),
            Expr::Call(node) => self.list(node.function.name, node.args.iter(), level),
            Expr::Paren(node) => self.list("", std::iter::once(&node.expr), level),
            Expr::Number(_) | Expr::String(_) | Expr::Vector(_) | Expr::Matrix(_) => {
                format!("{}{line}", INDENT.repeat(level))
            }
        }
    }

    fn aggregate(&self, node: &Aggregate, level: usize) -> String {
        let args = node.param.iter().chain(std::iter::once(&node.expr));
        self.list(&Grouping(node).to_string(), args, level)
    }

    fn binary(&self, node: &Binary, level: usize) -> String {
        let (lhs, rhs) = (self.expr(&node.lhs, level + 1), self.expr(&node.rhs, level + 1));
        format!("{lhs}\n{}{}\n{rhs}", INDENT.repeat(level), Operator(node))
    }

    /// `head(`, the parts one level deeper on lines of their own, `)`.
    fn list<'a>(&self, head: &str, parts: impl Iterator<Item = &'a Expr>, level: usize) -> String {
        let indent = INDENT.repeat(level);
        let parts: Vec<String> = parts.map(|part| self.expr(part, level + 1)).collect();
        format!("{indent}{head}(\n{}\n{indent})", parts.join(",\n"))
    }
}
