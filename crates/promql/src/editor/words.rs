//! One line of help for each word and sign that is not a function.

use crate::syntax::ast::AggregateOp;

/// Aggregations in the order in which they are offered, with how they are called and what they do.
pub(super) const fn aggregation(op: AggregateOp) -> (&'static str, &'static str) {
    match op {
        AggregateOp::Sum => ("sum(v instant-vector)", "The sum over each group."),
        AggregateOp::Avg => ("avg(v instant-vector)", "The mean over each group."),
        AggregateOp::Count => ("count(v instant-vector)", "The number of elements in each group."),
        AggregateOp::Min => ("min(v instant-vector)", "The smallest value of each group."),
        AggregateOp::Max => ("max(v instant-vector)", "The largest value of each group."),
        AggregateOp::Group => ("group(v instant-vector)", "1 for each group."),
        AggregateOp::Stddev => ("stddev(v instant-vector)", "The population standard deviation over each group."),
        AggregateOp::Stdvar => ("stdvar(v instant-vector)", "The population variance over each group."),
        AggregateOp::Topk => ("topk(k scalar, v instant-vector)", "The `k` largest elements of each group."),
        AggregateOp::Bottomk => ("bottomk(k scalar, v instant-vector)", "The `k` smallest elements of each group."),
        AggregateOp::CountValues => (
            "count_values(label string, v instant-vector)",
            "How many elements have each value; the value is put into `label`.",
        ),
        AggregateOp::Quantile => ("quantile(φ scalar, v instant-vector)", "The φ-quantile (0 to 1) over each group."),
        AggregateOp::Limitk => ("limitk(k scalar, v instant-vector)", "Any `k` elements of each group."),
        AggregateOp::LimitRatio => (
            "limit_ratio(r scalar, v instant-vector)",
            "About the share `r` of the elements; a negative `r` gives the others.",
        ),
    }
}

/// Words and signs with what they do.
const HELP: [(&str, &str); 39] = [
    ("!=", "Not equal: keeps the elements that differ, or 0 and 1 with `bool`."),
    ("!~", "The label does not match the regular expression."),
    ("%", "The remainder of a division, with the sign of the dividend."),
    ("*", "Product."),
    ("+", "Sum."),
    ("-", "Difference."),
    ("/", "Quotient."),
    ("<", "Less: keeps the smaller elements, or 0 and 1 with `bool`."),
    ("</", "Of a native histogram, only the observations below the bound."),
    ("<=", "Less or equal: keeps those elements, or 0 and 1 with `bool`."),
    ("=", "The label has exactly this value; an empty value also matches where the label is missing."),
    ("==", "Equal: keeps the elements that are equal, or 0 and 1 with `bool`."),
    ("=~", "The label matches the regular expression from start to end."),
    (">", "Greater: keeps the larger elements, or 0 and 1 with `bool`."),
    (">/", "Of a native histogram, only the observations above the bound."),
    (">=", "Greater or equal: keeps those elements, or 0 and 1 with `bool`."),
    ("@", "At this time instead of the time of evaluation: seconds since 1970, `start()` or `end()`."),
    ("^", "Power; groups from the right."),
    ("anchored", "The sample before the range counts as standing at its start."),
    ("and", "The elements of the left side that have a partner on the right."),
    ("atan2", "The arc tangent of left over right, in radians."),
    ("bool", "0 or 1 instead of filtering."),
    ("by", "Groups by these labels; all others are dropped."),
    ("fill", "Stands in for elements missing on either side."),
    ("fill_left", "Stands in for elements missing on the left side."),
    ("fill_right", "Stands in for elements missing on the right side."),
    ("group_left", "Several elements on the left may match one on the right, whose named labels are added."),
    ("group_right", "Several elements on the right may match one on the left, whose named labels are added."),
    ("ignoring", "Elements match where all labels but these are equal."),
    ("inf", "Infinity."),
    ("nan", "Not a number."),
    ("offset", "Looks this far back (or ahead, if negative)."),
    ("on", "Elements match where these labels are equal."),
    ("or", "The left side, and of the right side what has no partner on the left."),
    ("smoothed", "Values at the borders of the range are interpolated."),
    ("unless", "The elements of the left side that have no partner on the right."),
    ("without", "Groups by all labels but these."),
    ("start", "The start of the query range."),
    ("end", "The end of the query range."),
];

/// What a word or sign does; case does not matter.
pub(super) fn help(word: &str) -> Option<&'static str> {
    HELP.iter().find(|(text, _)| text.eq_ignore_ascii_case(word)).map(|(_, help)| *help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_help() {
        assert!(help("OFFSET").is_some_and(|text| text.starts_with("Looks")));
        assert_eq!(help("rate"), None);
        for op in AggregateOp::ALL {
            let (signature, doc) = aggregation(op);
            assert!(signature.starts_with(op.as_str()) && doc.ends_with('.'), "{signature}");
        }
    }
}
