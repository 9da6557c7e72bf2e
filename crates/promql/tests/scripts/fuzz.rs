//! Mutated queries: nothing panics, and what parses prints to a text that reads back as the same tree.
//!
//! The seed is fixed, so that a failure is found again.

use promql::editor::{Catalogue, MetricType, complete, diagnose, highlight, hover};
use promql::syntax::json::to_json;
use promql::syntax::{Expr, ParseOptions, parse, pretty};
use serde_json::Value;

use crate::syntax_tables::{conformance, files, script_queries};

/// How many mutants are tried. A few seconds in an optimised build.
const MUTANTS: usize = 30_000;

/// Queries of every shape, so that the fuzzers have something to chew on without the shared data, too.
const SEEDS: [&str; 24] = [
    "sum by (job, \"a.b\") (rate(http_requests_total{code=~\"5..\", method!=\"GET\"}[5m] offset -1h @ start()))",
    "histogram_quantile(0.99, sum without (instance) (rate(x_bucket[1h:5m])))",
    "a + on (x, y) group_left (z) b * ignoring () c ^ -d % 2 atan2 e",
    "a and b or c unless on () d",
    "a == bool 1 </ 2 >/ 3 != 4 >= 5",
    "foo[5m + step() * -min_of(1h, range() / 2) ^ 2:max_of(1m, (30s))] offset (1h - 5m) @ 1.5",
    "foo offset -(5) anchored + bar[1m] smoothed @ end()",
    "a + fill_left (1) fill_right (-2) b - fill (NaN) c",
    "count_values(\"v\\n\\xff\\u00e9\", {\"utf8 name\", 'l'=`r\\aw`})",
    "topk(5, -sum(x)) by (without_, by, on, bool)",
    "info(x, {data=~\".*\"})",
    "label_replace(a, 'b', \"$1\", `c`, \"(.*)\") # comment\n + 1_000e-3",
    "-1 ^ 2 + +3 - -Inf / 0x1F % NaN * 5m",
    "offset offset 5m + by - start + end() + step * range()",
    "limitk(2, a) + limit_ratio(-0.5, b)",
    "absent_over_time({__name__=~\"a|b\", x!~\"y\"}[1d])",
    "min_of(1, 2) + max_of(time(), 3)",
    "quantile without (a) (0.5, b)",
    "(((a)))",
    "\"string\"",
    "{a=\"b\"}[1h1m1s1ms]",
    "foo[0.0005] offset 1.5",
    "days_in_month() + hour(vector(1))",
    "a:b:c{d=\"\", e=\"f\"} offset 1y2w3d",
];

/// Pieces that are put into queries.
const PIECES: [&str; 40] = [
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "+",
    "-",
    "*",
    "/",
    "^",
    "@",
    "=",
    "=~",
    "!=",
    "\"",
    "'",
    "`",
    "#",
    "\n",
    "offset ",
    "by (x) ",
    "on (",
    "group_left ",
    "fill (1) ",
    "bool ",
    "sum ",
    "rate(",
    "start() ",
    "step()",
    "5m",
    "1e",
    "0x",
    "_",
    "é",
    "\\",
    "anchored ",
    "without ",
];

/// A small generator of numbers (xorshift).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).expect("it fits") % bound.max(1)
    }
}

pub(crate) fn corpus() -> Vec<String> {
    let mut corpus: Vec<String> = SEEDS.iter().map(ToString::to_string).collect();
    if let Some(folder) = conformance() {
        for script in files(&folder.join("promql"), "test") {
            corpus.extend(script_queries(&script).into_iter().map(|(query, _)| query));
        }
    }
    corpus
}

/// A place between two characters.
fn place(random: &mut Random, text: &str) -> usize {
    let mut at = random.below(text.len() + 1);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// At most a few bytes behind `from`, and not behind `to`.
fn near(text: &str, from: usize, to: usize) -> usize {
    (from..=to.min(from + 8)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(from)
}

pub(crate) fn mutate(random: &mut Random, corpus: &[String]) -> String {
    let mut text = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        let (a, b) = (place(random, &text), place(random, &text));
        let (from, to) = (a.min(b), a.max(b));
        match random.below(5) {
            0 => text.replace_range(from..near(&text, from, to), ""),
            1 => text.insert_str(from, PIECES[random.below(PIECES.len())]),
            2 => {
                let piece = text[from..to].to_owned();
                text.insert_str(to, &piece);
            }
            3 => {
                let other = &corpus[random.below(corpus.len())];
                let (c, d) = (place(random, other), place(random, other));
                text.insert_str(from, &other[c.min(d)..c.max(d)]);
            }
            _ => text.truncate(to),
        }
        while text.len() > 400 {
            text.pop();
        }
    }
    text
}

/// The tree without positions. Conditions are printed sorted, so their order is no part of it.
fn tree(expr: &Expr) -> Value {
    fn sort_matchers(value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(sort_matchers),
            Value::Object(fields) => {
                if let Some(Value::Array(matchers)) = fields.get_mut("matchers") {
                    matchers.sort_by_key(ToString::to_string);
                }
                fields.values_mut().for_each(sort_matchers);
            }
            _ => {}
        }
    }
    let mut value = serde_json::from_str(&to_json(expr)).expect("valid JSON");
    sort_matchers(&mut value);
    value
}

/// What is printed reads back as the same tree and prints the same again.
fn assert_prints_back(text: &str) {
    let Ok(expr) = parse(text, ParseOptions::ALL) else { return };
    let printed = expr.to_string();
    for (form, again) in [("canonical", printed.clone()), ("wide", pretty(&expr, 100)), ("narrow", pretty(&expr, 10))] {
        let reread = parse(&again, ParseOptions::ALL);
        let reread =
            reread.unwrap_or_else(|error| panic!("{form} form of {text:?} does not parse: {again:?}: {error}"));
        assert_eq!(reread.to_string(), printed, "{form} form of {text:?}");
        assert_eq!(tree(&reread), tree(&expr), "{form} form of {text:?}");
    }
}

#[test]
fn mutated_queries_neither_panic_nor_change_by_printing() {
    let corpus = corpus();
    for text in &corpus {
        assert_prints_back(text);
    }
    let mut random = Random(0x5eed_0001);
    let mut parsed = 0;
    for _ in 0..MUTANTS {
        let text = mutate(&mut random, &corpus);
        assert_prints_back(&text);
        parsed += usize::from(parse(&text, ParseOptions::ALL).is_ok());
    }
    assert!(parsed > MUTANTS / 50, "the mutants are too broken to prove anything: {parsed} parsed");
}

#[test]
fn errors_point_into_the_text_and_trees_are_valid_json() {
    let corpus = corpus();
    let mut random = Random(0x5eed_0002);
    for _ in 0..MUTANTS / 3 {
        let text = mutate(&mut random, &corpus);
        match parse(&text, ParseOptions::ALL) {
            Ok(expr) => {
                serde_json::from_str::<serde_json::Value>(&to_json(&expr)).expect("valid JSON");
            }
            Err(errors) => {
                assert!(!errors.0.is_empty());
                for error in &errors.0 {
                    assert!(error.span.start as usize <= text.len(), "{text:?}: {error:?}");
                    assert!(!error.message.is_empty());
                }
            }
        }
    }
}

/// Knows a metric and a label that need quotes.
struct Odd;

impl Catalogue for Odd {
    fn metric_type(&self, metric: &str) -> Option<MetricType> {
        (metric == "foo").then_some(MetricType::Gauge)
    }

    fn metric_help(&self, _metric: &str) -> Option<String> {
        Some("\"help\"\n".to_owned())
    }

    fn metric_names(&self, _prefix: &str, limit: usize) -> Vec<String> {
        (0..limit).map(|number| format!("metric_{number}")).collect()
    }

    fn label_names(&self, _metric: Option<&str>, _prefix: &str, limit: usize) -> Vec<String> {
        (0..limit).map(|number| format!("odd label {number}")).collect()
    }

    fn label_values(&self, _metric: Option<&str>, _label: &str, _prefix: &str, limit: usize) -> Vec<String> {
        (0..limit).map(|number| format!("\"{number}\" é")).collect()
    }
}

#[test]
fn an_editor_may_ask_anything_anywhere() {
    let corpus = corpus();
    let mut random = Random(0x5eed_0003);
    for _ in 0..MUTANTS / 3 {
        let text = mutate(&mut random, &corpus);
        // Also within characters and behind the end.
        let cursor = random.below(text.len() + 3);
        let mut end = 0;
        for part in highlight(&text) {
            assert!(part.span.start >= end && part.span.end as usize <= text.len(), "{text:?}: {part:?}");
            assert!(text[end as usize..part.span.start as usize].trim().is_empty(), "{text:?} has a gap");
            end = part.span.end;
        }
        assert!(text[end as usize..].trim().is_empty(), "{text:?} is not coloured to its end");
        let found = complete(&text, cursor, ParseOptions::ALL, &Odd);
        let (start, end) = (found.replace.start as usize, found.replace.end as usize);
        assert!(start <= end && end <= text.len() && text.is_char_boundary(start) && text.is_char_boundary(end));
        assert!(start <= cursor && found.items.len() <= 200, "{text:?}");
        if let Some(found) = hover(&text, cursor, &Odd) {
            assert!((found.span.start as usize..found.span.end as usize).contains(&cursor));
        }
        assert!(diagnose(&text, ParseOptions::ALL, &Odd).len() <= 50);
    }
}
