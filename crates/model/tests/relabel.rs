//! The relabelling cases of Prometheus, if `WATCHPOST_CONFORMANCE` names the folder they are in. `CONFORMANCE_EXTRA`
//! may name another one laid out alike, whose outcome is printed as `N passed, N failed`.

#![allow(clippy::panic, reason = "a test fails where it is")]

use std::path::{Path, PathBuf};

use model::labels::Labels;
use model::names::NameScheme;
use model::relabel::Rules;
use model::relabel::config::{Pattern, RuleConfig};
use yaml::{Decode as _, Node};

/// Keys that are absent in a case were zero in the program that made it, not the defaults of a file.
fn rule(node: &Node) -> RuleConfig {
    let mut cx = yaml::Context::default();
    let read = RuleConfig::decode(node, &mut cx);
    let mut rule = read.unwrap_or_else(|| panic!("{}", cx.problems()));
    let or_empty = |key: &str, value: &mut String| {
        if node.get(key).is_none() {
            value.clear();
        }
    };
    or_empty("separator", &mut rule.separator);
    or_empty("replacement", &mut rule.replacement);
    if node.get("regex").is_none() {
        rule.regex = Pattern::default();
    }
    rule
}

fn labels(node: &Node) -> Labels {
    let entries = node.as_map().expect("labels are a map");
    Labels::from_pairs(
        entries.iter().map(|entry| (entry.key.as_str(), entry.value.as_scalar().map_or("", |s| &s.text))),
    )
}

fn case(node: &Node) -> Result<(), String> {
    let rules: Vec<RuleConfig> =
        node.get("relabel_configs").and_then(Node::as_list).expect("rules are a list").iter().map(rule).collect();
    let rules = Rules::prepare(&rules, NameScheme::Utf8).map_err(|bad| bad.to_string())?;
    let input = labels(node.get("input").expect("labels to start with"));
    let dropped = node.get("drop").is_some_and(|node| node.unquoted() == Some("true"));
    let expected = (!dropped).then(|| labels(node.get("output").expect("labels to end with")));
    let got = rules.labels(&input);
    let stepwise = rules.steps(&input).pop().and_then(|step| step.labels);
    if got == expected && stepwise == expected {
        return Ok(());
    }
    Err(format!("{}: {input} became {got:?}, expected {expected:?}", node.place))
}

/// The number of cases, and what went wrong.
fn run(root: &Path) -> (usize, Vec<String>) {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root.join("relabel"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let mut cases = 0;
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("readable");
        let node = yaml::parse(&file.display().to_string(), &text).expect("JSON is YAML");
        let list = node.get("cases").and_then(Node::as_list).expect("a list of cases");
        cases += list.len();
        wrong.extend(list.iter().filter_map(|node| case(node).err()));
    }
    (cases, wrong)
}

#[test]
fn labels_become_what_prometheus_makes_of_them() {
    let Some(root) = std::env::var_os("WATCHPOST_CONFORMANCE").map(PathBuf::from) else {
        println!("skipped: WATCHPOST_CONFORMANCE is not set");
        return;
    };
    let (cases, wrong) = run(&root);
    assert!(cases >= 15, "found only {cases} cases");
    assert!(wrong.is_empty(), "{} of {cases}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_further_folder_passes_too() {
    let Some(extra) = std::env::var_os("CONFORMANCE_EXTRA").map(PathBuf::from) else { return };
    let (cases, wrong) = run(&extra);
    println!("{} passed, {} failed", cases - wrong.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
