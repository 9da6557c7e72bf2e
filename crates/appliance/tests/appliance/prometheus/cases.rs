//! Our own cases: texts with the verdict of Prometheus, in `testdata/prometheus/verdicts.yml`; and mutated ones, which
//! must be answered, whatever the answer.

use appliance::prometheus::load;
use tests::{depth, folder::Folder};
use yaml::Node;

const CASES: &str = include_str!("../../../testdata/prometheus/verdicts.yml");

/// The text of each case, and the words of its refusal; none where it loads.
fn cases() -> Vec<(String, Option<String>)> {
    let node = yaml::parse("verdicts.yml", CASES).expect("the cases are YAML");
    let text = |node: &Node, key: &str| node.get(key).and_then(Node::as_scalar).map(|scalar| scalar.text.clone());
    let items = node.as_list().expect("a list of cases");
    items.iter().map(|item| (text(item, "text").expect("a text"), text(item, "refused"))).collect()
}

#[test]
fn every_case_has_its_verdict_and_a_place() {
    let mut wrong = Vec::new();
    for (text, refused) in cases() {
        match (super::read(&text), refused) {
            (Ok(_), None) => {}
            (Ok(_), Some(expected)) => wrong.push(format!("{text}\n  loads, expected {expected:?}")),
            (Err(problems), None) => wrong.push(format!("{text}\n  is refused: {problems}")),
            (Err(problems), Some(expected)) if !problems.contains(&expected) => {
                wrong.push(format!("{text}\n  expected {expected:?} in {problems}"));
            }
            (Err(problems), Some(_)) if !problems.starts_with("prometheus.yml:") => {
                wrong.push(format!("{text}\n  has no place: {problems}"));
            }
            (Err(_), Some(_)) => {}
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// A small generator of our own: the same numbers on every machine.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound.max(1) as u64).unwrap_or_default()
    }
}

fn mutated(numbers: &mut Numbers, cases: &[(String, Option<String>)]) -> Option<String> {
    let mut text = cases[numbers.below(cases.len())].0.clone().into_bytes();
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(text.len());
        match numbers.below(4) {
            0 if !text.is_empty() => drop(text.remove(at)),
            1 => text.insert(at, b"{}[]:,'\"$\n -&*!0a"[numbers.below(17)]),
            2 if !text.is_empty() => text.truncate(at),
            _ => {
                let other = cases[numbers.below(cases.len())].0.as_bytes();
                let piece: Vec<u8> = other.iter().copied().take(numbers.below(40)).collect();
                text.splice(at..at, piece);
            }
        }
    }
    String::from_utf8(text).ok()
}

#[test]
fn mutated_files_are_answered_and_what_is_shown_of_them_means_the_same() {
    let cases = cases();
    let folder = Folder::new("prometheus");
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for _ in 0..depth::pick(2_000, 200_000) {
        let Some(text) = mutated(&mut numbers, &cases) else { continue };
        let file = folder.write("prometheus.yml", &text);
        if let Ok(prometheus) = load::load(&file, &super::no_variable) {
            let again = folder.write("shown.yml", &prometheus.shown);
            let again = load::load(&again, &super::no_variable)
                .unwrap_or_else(|problems| panic!("{text}\nis shown as\n{}\n{problems}", prometheus.shown));
            assert_eq!(again.shown, prometheus.shown, "{text}");
        }
    }
}
