//! What a part of a query does, in words.

use model::time::format_duration;
use promql::syntax::Expr;
use promql::syntax::ast::{Aggregate, Binary, Length};

/// One line about a part; empty where its text says it all.
pub(super) fn does(expr: &Expr) -> String {
    match expr {
        Expr::Number(_) | Expr::String(_) => "a constant".to_owned(),
        Expr::Vector(_) => "the newest sample of each series".to_owned(),
        Expr::Matrix(node) => format!("all samples of {}", length(&node.range)),
        Expr::Subquery(node) => format!("evaluated again and again over {}", length(&node.range)),
        Expr::Call(node) => call(node.function.name),
        Expr::Aggregate(node) => aggregate(node),
        Expr::Binary(node) => binary(node),
        Expr::Unary(_) => "the other sign".to_owned(),
        Expr::Paren(node) => does(&node.expr),
    }
}

/// `5m`, or words where it is computed for each query.
pub(super) fn length(length: &Length) -> String {
    match length {
        Length::Fixed(millis) => {
            format_duration(std::time::Duration::from_millis(u64::try_from(*millis).unwrap_or_default()))
        }
        Length::Computed(_) => "a computed time".to_owned(),
    }
}

fn call(name: &str) -> String {
    let text = match name {
        "rate" => "growth per second, averaged over the range",
        "irate" => "growth per second between the last two samples",
        "increase" => "growth over the range",
        "delta" | "idelta" => "difference over the range",
        "deriv" => "slope over the range",
        "histogram_quantile" => "a quantile estimated from buckets",
        "absent" | "absent_over_time" => "1 where there is nothing",
        "label_replace" | "label_join" => "the same series with a label set",
        "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => "the same series in order",
        "vector" => "a number as a series without labels",
        "scalar" => "the one series as a number",
        "time" => "the time of the evaluation",
        _ => return format!("{name} of each series"),
    };
    text.to_owned()
}

fn aggregate(node: &Aggregate) -> String {
    let labels = node.grouping.join(", ");
    match (node.without, node.grouping.is_empty()) {
        (false, true) => format!("{} of everything", node.op.as_str()),
        (false, false) => format!("{} for each {labels}", node.op.as_str()),
        (true, true) => format!("{} for each set of labels", node.op.as_str()),
        (true, false) => format!("{} over {labels}", node.op.as_str()),
    }
}

fn binary(node: &Binary) -> String {
    let pairs = match &node.matching {
        Some(matching) if matching.on => format!(", pairs by {}", or_nothing(&matching.labels)),
        Some(matching) if !matching.labels.is_empty() => format!(", pairs without {}", matching.labels.join(", ")),
        Some(_) => ", pairs with the same labels".to_owned(),
        None => String::new(),
    };
    let what = if node.op.is_set() {
        match node.op.as_str() {
            "and" => "what is on both sides",
            "or" => "what is on either side",
            _ => "what is on the left side only",
        }
    } else if node.op.is_comparison() && !node.return_bool {
        "only what the comparison lets through"
    } else if node.op.is_comparison() {
        "1 where it is so, else 0"
    } else {
        "computed value by value"
    };
    format!("{what}{pairs}")
}

fn or_nothing(labels: &[String]) -> String {
    if labels.is_empty() { "no label".to_owned() } else { labels.join(", ") }
}

#[cfg(test)]
mod tests {
    use promql::syntax::{ParseOptions, parse};

    use super::*;

    #[test]
    fn a_part_is_said_in_a_line() {
        for (query, expected) in [
            ("up", "the newest sample of each series"),
            ("up[90m]", "all samples of 1h30m"),
            ("max_over_time(up[1h:5m])", "max_over_time of each series"),
            ("sum(up)", "sum of everything"),
            ("sum by (job, zone) (up)", "sum for each job, zone"),
            ("topk without (instance) (3, up)", "topk over instance"),
            ("up > 0", "only what the comparison lets through"),
            ("up > bool 0", "1 where it is so, else 0"),
            ("up / on (job) group_left () up", "computed value by value, pairs by job"),
            ("up and up", "what is on both sides, pairs with the same labels"),
            ("up unless ignoring (zone) up", "what is on the left side only, pairs without zone"),
            ("-(1)", "the other sign"),
        ] {
            assert_eq!(does(&parse(query, ParseOptions::ALL).unwrap()), expected, "{query}");
        }
    }
}
