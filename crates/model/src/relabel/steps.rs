//! What each rule made of a set of labels, for people who wonder where a label or a target went.

use super::{Rules, Scratch};
use crate::labels::Labels;

/// What one rule did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The rule's number in its list, from 0.
    pub rule: usize,
    /// The labels afterwards; `None` where the rule dropped them, and then it is the last step.
    pub labels: Option<Labels>,
    /// Labels that are new, gone or have another value: name, before, after; an absent label is empty.
    pub changes: Vec<(String, String, String)>,
}

impl Rules {
    /// Applies rule after rule and notes what each did.
    #[must_use]
    pub fn steps(&self, labels: &Labels) -> Vec<Step> {
        let mut steps = Vec::with_capacity(self.len());
        let mut current = labels.clone();
        for (rule, prepared) in self.0.iter().enumerate() {
            let mut scratch = Scratch::default();
            if !prepared.apply(&current, &mut scratch) {
                steps.push(Step { rule, labels: None, changes: Vec::new() });
                break;
            }
            let changes = scratch
                .changes()
                .map(|(name, after)| (name.to_owned(), current.get(name).unwrap_or("").to_owned(), after.to_owned()));
            let changes: Vec<_> = changes.filter(|(_, before, after)| before != after).collect();
            if !changes.is_empty() {
                current = scratch.labels(&current);
            }
            steps.push(Step { rule, labels: Some(current.clone()), changes });
        }
        steps
    }
}
