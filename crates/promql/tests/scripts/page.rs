//! The page for users says what the engine knows: no function and no switch is missing there, none too many.

use std::collections::BTreeSet;

use promql::engine::Features;
use promql::syntax::functions::FUNCTIONS;
use promql::syntax::{ParseOptions, parse};

const PAGE: &str = include_str!("../../../../docs/compatibility/promql.md");

fn section(title: &str) -> &'static str {
    let from = PAGE.split_once(&format!("## {title}\n")).expect("the section").1;
    from.split("\n## ").next().expect("its text")
}

fn in_backticks(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_page_lists_every_function_on_its_side_of_the_switch() {
    let (stable, experimental) = section("Functions").split_once("Experimental:").expect("two lists");
    let known = |of: bool| FUNCTIONS.iter().filter(|f| f.experimental == of).map(|f| f.name).collect::<BTreeSet<_>>();
    assert_eq!(in_backticks(stable), known(false));
    assert_eq!(in_backticks(experimental), known(true));
}

#[test]
fn the_page_lists_every_switch_with_its_default() {
    let rows: Vec<Vec<&str>> = section("Switches")
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(|cell| cell.trim().trim_matches('`')).collect())
        .collect();
    assert_eq!(rows.len(), 7);
    for row in rows {
        let mut features = Features::default();
        assert!(features.enable(row[1]), "{} is no switch", row[1]);
        let is_on = features == Features::default();
        assert_eq!(row[2], if is_on { "on" } else { "off" }, "{}", row[1]);
    }
}

#[test]
fn what_the_page_says_is_not_supported_is_refused() {
    for query in [
        r#"{a="b" or c="d"}"#,
        "rate(a[5m]) keep_metric_names",
        "a default 0",
        "WITH (x = 5) x",
        "range_median(a)",
        "holt_winters(a[5m], 0.5, 0.5)",
    ] {
        assert!(parse(query, ParseOptions::ALL).is_err(), "{query}");
    }
}
