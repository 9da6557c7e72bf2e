//! Rules against what Prometheus makes of the same labels: cases of our own here, recorded ones in `tests/`.

use super::config::RuleConfig;
use super::*;

fn rules(text: &str) -> Rules {
    let configs: Vec<RuleConfig> = yaml::from_str("rules.yml", text).unwrap_or_else(|bad| panic!("{bad}"));
    for config in &configs {
        assert_eq!(config.fault(NameScheme::Utf8), None, "{text}");
    }
    Rules::prepare(&configs, NameScheme::Utf8).unwrap_or_else(|bad| panic!("{bad}"))
}

/// `text` is a list of rules in YAML; labels are `name=value`, separated by blanks.
#[track_caller]
fn check(text: &str, before: &str, after: Option<&str>) {
    let labels = |text: &str| Labels::from_pairs(text.split_whitespace().filter_map(|pair| pair.split_once('=')));
    let rules = rules(text);
    let got = rules.labels(&labels(before));
    assert_eq!(got, after.map(labels), "{text} on {before}");
    let last = rules.steps(&labels(before)).pop().and_then(|step| step.labels);
    assert_eq!(last, got, "step by step: {text} on {before}");
}

#[test]
fn a_label_is_replaced_added_or_removed() {
    check("[{source_labels: [a], target_label: b}]", "a=1", Some("a=1 b=1"));
    check("[{target_label: b, replacement: x}]", "a=1", Some("a=1 b=x"));
    check("[{target_label: a, replacement: ''}]", "a=1 c=2", Some("c=2"));
    check("[{source_labels: [a], regex: 2, target_label: b}]", "a=1", Some("a=1"));
    check("[{source_labels: [missing], target_label: a}]", "a=1 c=2", Some("c=2"));
    check(
        "[{source_labels: [a], regex: '(.+)-(.*)', target_label: '$2', replacement: '${1}'}]",
        "a=v-n",
        Some("a=v-n n=v"),
    );
    check("[{source_labels: [a], regex: '(.+)-(.*)', target_label: '$2', replacement: '${1}'}]", "a=v-", Some("a=v-"));
}

#[test]
fn later_rules_see_what_earlier_ones_did() {
    let chain = "[{source_labels: [a, b], separator: ':', target_label: a}, {source_labels: [a], target_label: c}, \
                 {target_label: a, replacement: ''}, {source_labels: [a, c], target_label: d}]";
    check(chain, "a=1 b=2", Some("b=2 c=1:2 d=;1:2"));
}

#[test]
fn targets_are_kept_and_dropped() {
    check("[{action: keep, source_labels: [a], regex: 1|2}]", "a=2", Some("a=2"));
    check("[{action: keep, source_labels: [a], regex: 1|2}]", "a=12", None);
    check("[{action: drop, source_labels: [a, b], regex: '1;2'}]", "a=1 b=2", None);
    check("[{action: drop, source_labels: [a]}]", "b=2", None);
    check("[{action: keepequal, source_labels: [a], target_label: b}]", "a=1 b=1", Some("a=1 b=1"));
    check("[{action: keepequal, source_labels: [a], target_label: b}]", "a=1 b=2", None);
    check("[{action: dropequal, source_labels: [a], target_label: b}]", "a=1 b=1", None);
    check("[{action: dropequal, source_labels: [a], target_label: b}, {action: drop}]", "a=1 b=2", None);
}

#[test]
fn names_are_mapped_dropped_and_kept_as_they_were_before_the_rule() {
    check("[{action: labelmap, regex: x_(.+)}]", "x_a=1 x_b=2 b=3", Some("a=1 b=2 x_a=1 x_b=2"));
    check("[{action: labelmap, regex: '(.)(.)', replacement: $2$1}]", "ab=1 ba=2", Some("ab=2 ba=1"));
    check("[{target_label: x_a, replacement: 9}, {action: labelmap, regex: x_(.+)}]", "x_a=1", Some("a=9 x_a=9"));
    check("[{action: labeldrop, regex: x_.*}]", "x_a=1 b=2", Some("b=2"));
    check("[{target_label: b, replacement: 1}, {action: labelkeep, regex: b}]", "a=1", Some("b=1"));
}

#[test]
fn case_and_hash_are_gos() {
    check("[{action: uppercase, source_labels: [a], target_label: a}]", "a=straße", Some("a=STRAßE"));
    check("[{action: uppercase, source_labels: [a], target_label: a}]", "a=ᾀᾳé", Some("a=ᾈᾼÉ"));
    check("[{action: lowercase, source_labels: [a], target_label: a}]", "a=İΣ", Some("a=iσ"));
    check("[{action: hashmod, source_labels: [a], target_label: b, modulus: 1000}]", "a=foo", Some("a=foo b=696"));
}

#[test]
fn what_changes_nothing_is_reported_as_unchanged() {
    let labels = Labels::from_pairs([("a", "1"), ("b", "2")]);
    let mut scratch = Scratch::default();
    for (text, outcome) in [
        ("[{source_labels: [a], target_label: a}]", Outcome::Unchanged),
        ("[{target_label: a, replacement: 2}, {target_label: a, replacement: 1}]", Outcome::Unchanged),
        ("[{target_label: z, replacement: ''}]", Outcome::Unchanged),
        ("[{target_label: a, replacement: 2}]", Outcome::Changed),
        ("[{action: drop}]", Outcome::Dropped),
        ("[]", Outcome::Unchanged),
    ] {
        assert_eq!(rules(text).apply(&labels, &mut scratch), outcome, "{text}");
    }
}

#[test]
fn pairs_that_were_just_parsed_are_relabelled_without_a_set() {
    let pairs = [("z", "1"), ("a", "2")];
    let mut scratch = Scratch::default();
    let outcome = rules("[{source_labels: [z, a], target_label: m}]").apply(pairs.as_slice(), &mut scratch);
    assert_eq!(outcome, Outcome::Changed);
    assert_eq!(scratch.pairs(pairs.as_slice()).collect::<Vec<_>>(), [("z", "1"), ("a", "2"), ("m", "1;2")]);
    assert_eq!(scratch.labels(pairs.as_slice()).to_string(), r#"{a="2", m="1;2", z="1"}"#);
}

#[test]
fn steps_say_what_each_rule_did() {
    let rules = rules("[{target_label: b, replacement: x}, {action: keep}, {action: drop, source_labels: [a]}]");
    let steps = rules.steps(&Labels::from_pairs([("a", "1")]));
    assert_eq!(steps.len(), 3);
    assert_eq!(steps[0].changes, [("b".to_owned(), String::new(), "x".to_owned())]);
    assert!(steps[1].changes.is_empty());
    assert_eq!(steps[2].labels, None);
}
