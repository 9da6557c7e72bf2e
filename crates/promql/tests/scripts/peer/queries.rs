//! What is asked of both engines: the guides' queries, the benchmark's, tables of functions and operators over plain
//! and odd data, and generated ones.

use crate::properties::{Dice, Generator};
use crate::syntax_tables::{files, guide_queries};

/// Differences, by a part of the query, with the reason.
pub(super) const EXPLAINED: [(&str, &str); 13] = [
    ("increase(latency[4m])", NOT_BELOW_ZERO),
    ("rate(latency[10m:1m])", NOT_BELOW_ZERO),
    ("day_of_month(load)", NO_DATE),
    ("day_of_week(load)", NO_DATE),
    ("day_of_year(load)", NO_DATE),
    ("days_in_month(load)", NO_DATE),
    ("hour(load)", NO_DATE),
    ("minute(load)", NO_DATE),
    ("month(load)", NO_DATE),
    ("year(load)", NO_DATE),
    ("mad_over_time(temperature", "since 3.14 a NaN in the range makes the deviation NaN; 3.5 sorts it to the front"),
    ("topk by (job) (2, floor(", TIES),
    ("bottomk  (1, clamp_max(temperature, NaN))", TIES),
];

const NOT_BELOW_ZERO: &str = "3.14 does not extrapolate native histograms below zero, as it never did floats; 3.5 does";

const NO_DATE: &str = "NaN and infinities have no date: what Go makes of them as integers depends on the processor";

const TIES: &str = "of equal values any may be picked; there the order of a hash map or of a heap decides";

/// How many queries are generated.
const GENERATED: u64 = 120;

const WRITTEN: &str = include_str!("../../../testdata/peer/queries.promql");

/// Functions of one instant vector.
const INSTANT: [&str; 40] = [
    "abs",
    "absent",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "ceil",
    "cos",
    "cosh",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "deg",
    "exp",
    "floor",
    "hour",
    "ln",
    "log10",
    "log2",
    "minute",
    "month",
    "rad",
    "round",
    "scalar",
    "sgn",
    "sin",
    "sinh",
    "sort",
    "sort_desc",
    "sqrt",
    "tan",
    "tanh",
    "timestamp",
    "year",
    "histogram_count",
    "histogram_sum",
    "histogram_avg",
];

/// Functions of one range vector.
const RANGE: [&str; 24] = [
    "absent_over_time",
    "avg_over_time",
    "changes",
    "count_over_time",
    "delta",
    "deriv",
    "idelta",
    "increase",
    "irate",
    "last_over_time",
    "mad_over_time",
    "max_over_time",
    "min_over_time",
    "present_over_time",
    "rate",
    "resets",
    "stddev_over_time",
    "stdvar_over_time",
    "sum_over_time",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
    "quantile_over_time",
    "predict_linear",
];

const AGGREGATIONS: [&str; 8] = ["sum", "avg", "count", "min", "max", "group", "stddev", "stdvar"];

const OPERATORS: [&str; 14] = ["+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", "<=", ">", ">=", "> bool"];

fn written() -> Vec<String> {
    guide_queries(WRITTEN)
}

fn of_functions(out: &mut Vec<String>) {
    for function in INSTANT {
        for selector in ["node_load1", "load", "latency"] {
            out.push(format!("{function}({selector})"));
        }
    }
    for function in RANGE {
        for selector in ["http_requests_total", "temperature", "requests_total", "latency"] {
            for range in ["5m", "61s"] {
                out.push(match function {
                    "quantile_over_time" => format!("{function}(0.9, {selector}[{range}])"),
                    "predict_linear" => format!("{function}({selector}[{range}], 600)"),
                    _ => format!("{function}({selector}[{range}])"),
                });
            }
        }
    }
}

fn of_operators(out: &mut Vec<String>) {
    for aggregation in AGGREGATIONS {
        for selector in ["http_requests_total", "load", "rate(requests_total[5m])", "latency"] {
            for grouping in ["", "by (job)", "without (instance, endpoint)"] {
                out.push(format!("{aggregation} {grouping} ({selector})"));
            }
        }
    }
    for operator in OPERATORS {
        out.push(format!("load {operator} 2.5"));
        out.push(format!("7 {operator} temperature"));
        out.push(format!("load {operator} on (job, instance) temperature"));
        out.push(format!("latency {operator} latency"));
    }
}

/// Everything, without repetitions.
pub(crate) fn all() -> Vec<String> {
    let mut out = written();
    if let Some(root) = std::env::var_os("WATCHPOST_CONFORMANCE") {
        let guides = std::fs::read_dir(std::path::Path::new(&root).join("seeds"));
        let mut folders: Vec<_> = guides.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        folders.sort();
        for text in folders.iter().flat_map(|folder| files(folder, "promql")) {
            out.extend(guide_queries(&text));
        }
    }
    of_functions(&mut out);
    of_operators(&mut out);
    for seed in 0..GENERATED {
        let mut generator = Generator { dice: Dice::new(77_000_003 + seed) };
        let depth = 1 + generator.dice.below(3) as u32;
        let query = generator.instant(depth);
        // Newer than the program we compare with, or fixed at times at which the data here has nothing.
        if !query.contains("first_over_time") && !query.contains("@ 1800") && !query.contains("@ 900") {
            out.push(query);
        }
    }
    let mut seen = std::collections::HashSet::new();
    out.retain(|query| seen.insert(query.clone()));
    out
}
