//! The labels a sample is stored under: those exposed and those of its target, after the rules and within limits.
//!
//! Runs once for each new series, never for one that was there last time.

use std::borrow::Cow;

use model::labels::{Labels, METRIC_NAME};
use model::names::NameScheme;
use model::relabel::{Outcome, Rules, Scratch};
use wire::exposition::series::{Pair, duplicate_name};

use crate::config::{Job, Limits};

/// What a label of the target that an exposed one stands against is given in front of its name.
const EXPORTED: &str = "exported_";
/// So much of a name or value is repeated in an error.
const SHOWN_CHARS_MAX: usize = 50;

/// How exposed labels become those of a series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LabelRules<'a> {
    pub(crate) target: &'a Labels,
    pub(crate) honor: bool,
    pub(crate) rules: &'a Rules,
    pub(crate) limits: &'a Limits,
    pub(crate) scheme: NameScheme,
}

/// Why a sample's labels fail its scrape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    #[error("missing metric name (__name__ label)")]
    NoName,
    #[error("invalid metric name or label names: {0}")]
    Name(String),
    #[error("label name {0:?} is not unique: invalid sample")]
    Twice(String),
    #[error("label_limit exceeded (metric: {metric}, number of labels: {found}, limit: {limit})")]
    Count { metric: String, found: usize, limit: u64 },
    #[error("label_name_length_limit exceeded (metric: {metric}, label name: {name}, length: {found}, limit: {limit})")]
    NameLength { metric: String, name: String, found: usize, limit: u64 },
    #[error(
        "label_value_length_limit exceeded (metric: {metric}, label name: {name}, value: {value:?}, length: {found}, \
         limit: {limit})"
    )]
    ValueLength { metric: String, name: String, value: String, found: usize, limit: u64 },
}

impl<'a> LabelRules<'a> {
    pub(crate) fn new(job: &'a Job, target: &'a Labels) -> Self {
        let (honor, rules) = (job.honor_labels, &job.metric_relabel);
        Self { target, honor, rules, limits: &job.limits, scheme: job.scheme }
    }

    /// The labels of a series; `None` where a rule drops it. `pairs` are those exposed, empty values included, and
    /// are used up.
    pub(crate) fn apply<'p>(
        &'p self,
        pairs: &mut Vec<Pair<'p>>,
        scratch: &mut Scratch,
    ) -> Result<Option<Labels>, LabelError> {
        if let Some(name) = duplicate_name(pairs) {
            return Err(LabelError::Twice(name.to_owned()));
        }
        if self.honor {
            self.attach_missing(pairs)
        } else {
            self.attach_over(pairs)
        }
        pairs.retain(|(_, value)| !value.is_empty());
        let labels = match self.rules.apply(pairs.as_slice(), scratch) {
            Outcome::Dropped => return Ok(None),
            Outcome::Unchanged => {
                pairs.sort_unstable();
                Labels::from_sorted(pairs.iter().map(|(name, value)| (&**name, &**value)))
            }
            Outcome::Changed => scratch.labels(pairs.as_slice()),
        };
        if labels.is_empty() {
            return Ok(None);
        }
        self.check(&labels)?;
        Ok(Some(labels))
    }

    /// The target's labels where the sample has none of that name. An exposed empty one counts: it says "none".
    fn attach_missing<'p>(&'p self, pairs: &mut Vec<Pair<'p>>) {
        for (name, value) in self.target {
            if !pairs.iter().any(|(known, _)| known == name) {
                pairs.push((Cow::Borrowed(name), Cow::Borrowed(value)));
            }
        }
    }

    /// The target's labels; what was exposed under one of their names moves to another name.
    fn attach_over<'p>(&'p self, pairs: &mut Vec<Pair<'p>>) {
        let mut moved: Vec<Pair<'p>> = Vec::new();
        for (name, value) in self.target {
            match pairs.iter_mut().find(|(known, _)| known == name) {
                None => pairs.push((Cow::Borrowed(name), Cow::Borrowed(value))),
                Some((_, exposed)) => {
                    let exposed = std::mem::replace(exposed, Cow::Borrowed(value));
                    if !exposed.is_empty() {
                        moved.push((Cow::Borrowed(name), exposed));
                    }
                }
            }
        }
        // The shortest name first, so that one which is exported already moves behind the one it stands against.
        moved.sort_by_key(|(name, _)| name.len());
        for (name, value) in moved {
            let mut free = format!("{EXPORTED}{name}");
            while pairs.iter().any(|(known, value)| *known == free && !value.is_empty()) {
                free.insert_str(0, EXPORTED);
            }
            pairs.retain(|(known, _)| *known != free);
            pairs.push((Cow::Owned(free), value));
        }
    }

    fn check(&self, labels: &Labels) -> Result<(), LabelError> {
        let metric = labels.metric_name();
        if metric.is_empty() {
            return Err(LabelError::NoName);
        }
        let valid = |(name, value): (&str, &str)| {
            if name == METRIC_NAME { self.scheme.is_metric_name(value) } else { self.scheme.is_label_name(name) }
        };
        if !labels.iter().all(valid) {
            return Err(LabelError::Name(labels.to_string()));
        }
        let Limits { labels: count, label_name_bytes, label_value_bytes, .. } = *self.limits;
        let exceeds = |found: usize, limit: u64| limit > 0 && found as u64 > limit;
        if exceeds(labels.len(), count) {
            return Err(LabelError::Count { metric: shown(metric), found: labels.len(), limit: count });
        }
        if label_name_bytes == 0 && label_value_bytes == 0 {
            return Ok(());
        }
        for (name, value) in labels {
            let metric = || shown(metric);
            if exceeds(name.len(), label_name_bytes) {
                let (found, limit) = (name.len(), label_name_bytes);
                return Err(LabelError::NameLength { metric: metric(), name: shown(name), found, limit });
            }
            if exceeds(value.len(), label_value_bytes) {
                let (found, limit, value) = (value.len(), label_value_bytes, shown(value));
                return Err(LabelError::ValueLength { metric: metric(), name: shown(name), value, found, limit });
            }
        }
        Ok(())
    }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use wire::exposition::MetricKind;
    use wire::exposition::series::read_pairs;

    use super::*;

    fn apply(key: &str, target: &Labels, honor: bool, limits: Limits) -> Result<Option<String>, LabelError> {
        let rules = Rules::default();
        let label_rules = LabelRules { target, honor, rules: &rules, limits: &limits, scheme: NameScheme::Legacy };
        let mut pairs = Vec::new();
        read_pairs(key.as_bytes(), MetricKind::Unknown, &mut pairs).unwrap();
        let labels = label_rules.apply(&mut pairs, &mut Scratch::default())?;
        Ok(labels.map(|labels| labels.to_string()))
    }

    #[track_caller]
    fn check(key: &str, honor: bool, expected: &str) {
        let target = Labels::from_pairs([("instance", "t"), ("job", "j")]);
        assert_eq!(apply(key, &target, honor, Limits::default()), Ok(Some(expected.to_owned())));
    }

    #[test]
    fn a_label_that_stands_against_one_of_the_target_is_exported() {
        check("a{x=\"1\"}", false, r#"{__name__="a", instance="t", job="j", x="1"}"#);
        check("a{job=\"own\"}", false, r#"{__name__="a", exported_job="own", instance="t", job="j"}"#);
        check("a{job=\"\"}", false, r#"{__name__="a", instance="t", job="j"}"#);
        check(
            "a{job=\"own\",exported_job=\"old\"}",
            false,
            r#"{__name__="a", exported_exported_job="own", exported_job="old", instance="t", job="j"}"#,
        );
        check(
            "a{job=\"own\",exported_job=\"\"}",
            false,
            r#"{__name__="a", exported_job="own", instance="t", job="j"}"#,
        );
    }

    #[test]
    fn honoured_labels_win_and_an_empty_one_says_none() {
        check("a{job=\"own\"}", true, r#"{__name__="a", instance="t", job="own"}"#);
        check("a{instance=\"\",job=\"own\"}", true, r#"{__name__="a", job="own"}"#);
    }

    #[test]
    fn limits_and_names_fail_with_what_exceeds_them() {
        let target = Labels::from_pairs([("job", "j")]);
        let fails = |key: &str, limits| apply(key, &target, false, limits).unwrap_err().to_string();
        let limits = |labels, label_name_bytes, label_value_bytes| Limits {
            labels,
            label_name_bytes,
            label_value_bytes,
            ..Limits::default()
        };
        assert_eq!(
            fails("a{b=\"1\"}", limits(2, 0, 0)),
            "label_limit exceeded (metric: a, number of labels: 3, limit: 2)"
        );
        assert!(apply("a{b=\"1\"}", &target, false, limits(3, 8, 1)).is_ok());
        assert_eq!(
            fails("a{long_name=\"1\"}", limits(0, 8, 0)),
            "label_name_length_limit exceeded (metric: a, label name: long_name, length: 9, limit: 8)"
        );
        assert_eq!(
            fails("a{b=\"12\"}", limits(0, 0, 1)),
            "label_value_length_limit exceeded (metric: a, label name: b, value: \"12\", length: 2, limit: 1)"
        );
        assert_eq!(fails("{\"a.b\"}", Limits::default()), {
            "invalid metric name or label names: {__name__=\"a.b\", job=\"j\"}"
        });
        assert_eq!(fails("a{b=\"1\",b=\"1\"}", Limits::default()), "label name \"b\" is not unique: invalid sample");
    }
}
