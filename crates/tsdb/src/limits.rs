//! Bounds on what series may exist: only the new series is refused, and the offender is named.

use std::collections::HashMap;

use model::labels::{Labels, METRIC_NAME};
use model::storage::Refusal;

use crate::head::Head;
use crate::options::Limits;

/// A value is shown in an error up to so many bytes.
const SHOWN_BYTES_MAX: usize = 200;

/// How many series of the head each metric and each sender brought: counted as they come, so that asking is cheap.
#[derive(Debug, Default)]
pub(crate) struct Census {
    metrics: HashMap<Box<str>, u32>,
    senders: HashMap<u64, u32>,
    /// Series that were new since the start.
    pub(crate) created: u64,
}

impl Census {
    pub(crate) fn add(&mut self, metric: &str, sender: u64) {
        self.created += 1;
        *self.senders.entry(sender).or_default() += 1;
        match self.metrics.get_mut(metric) {
            Some(count) => *count += 1,
            None => {
                self.metrics.insert(metric.into(), 1);
            }
        }
    }

    fn of_metric(&self, metric: &str) -> usize {
        self.metrics.get(metric).map_or(0, |count| *count as usize)
    }

    fn of_sender(&self, sender: u64) -> usize {
        self.senders.get(&sender).map_or(0, |count| *count as usize)
    }

    /// Counts anew the series that remain. Who sent them is not kept with them, so senders begin at nothing.
    pub(crate) fn recount<'a>(&mut self, metrics: impl Iterator<Item = &'a str>) {
        let created = self.created;
        self.metrics.clear();
        self.senders.clear();
        for metric in metrics {
            match self.metrics.get_mut(metric) {
                Some(count) => *count += 1,
                None => {
                    self.metrics.insert(metric.into(), 1);
                }
            }
        }
        self.created = created;
    }
}

fn shown(text: &str) -> String {
    let end = (0..=SHOWN_BYTES_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    if end < text.len() { format!("{}…", &text[..end]) } else { text.to_owned() }
}

fn exceeded(limit: &'static str, offender: String, max: usize, found: usize) -> Refusal {
    Refusal::Limit { limit, offender, max: max as u64, found: found as u64 }
}

/// The bounds that a series meets or not whatever else exists.
pub(crate) fn check_labels(labels: &Labels, limits: &Limits) -> Result<(), Refusal> {
    if labels.is_empty() {
        return Err(Refusal::Invalid("a series without labels".to_owned()));
    }
    let metric = || shown(labels.metric_name());
    let count = labels.len();
    if count > limits.labels_max {
        return Err(exceeded("labels of a series", metric(), limits.labels_max, count));
    }
    for (name, value) in labels {
        if name.len() > limits.name_bytes_max {
            return Err(exceeded("bytes of a label name", shown(name), limits.name_bytes_max, name.len()));
        }
        if value.len() > limits.value_bytes_max {
            let offender = format!("label {} of {}", shown(name), metric());
            return Err(exceeded("bytes of a label value", offender, limits.value_bytes_max, value.len()));
        }
    }
    Ok(())
}

/// The bounds on how many series there are.
pub(crate) fn check_room(head: &Head, labels: &Labels, sender: u64, limits: &Limits) -> Result<(), Refusal> {
    let beyond = |max: usize, found: usize| max > 0 && found >= max;
    let metric = labels.get(METRIC_NAME).unwrap_or("");
    let all = head.index.len();
    if beyond(limits.series_max, all) {
        return Err(exceeded("series", shown(metric), limits.series_max, all + 1));
    }
    let of_metric = head.census.of_metric(metric);
    if beyond(limits.series_per_metric_max, of_metric) {
        return Err(exceeded("series of a metric", shown(metric), limits.series_per_metric_max, of_metric + 1));
    }
    let of_sender = head.census.of_sender(sender);
    if beyond(limits.series_per_sender_max, of_sender) {
        let offender = match (labels.get("job"), labels.get("instance")) {
            (Some(job), Some(instance)) => format!("job {}, instance {}", shown(job), shown(instance)),
            _ => shown(metric),
        };
        return Err(exceeded("series of a sender", offender, limits.series_per_sender_max, of_sender + 1));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { labels_max: 2, name_bytes_max: 8, value_bytes_max: 4, ..Limits::default() }
    }

    #[track_caller]
    fn check(pairs: &[(&str, &str)], expected: &str) {
        let found = check_labels(&Labels::from_pairs(pairs.iter().copied()), &limits());
        assert_eq!(found.map_or_else(|refusal| refusal.to_string(), |()| "ok".to_owned()), expected);
    }

    #[test]
    fn the_offender_is_named() {
        check(&[("__name__", "up"), ("a", "b")], "ok");
        check(&[], "a series without labels");
        check(&[("__name__", "up"), ("a", "b"), ("c", "d")], "labels of a series exceeded: 3 of at most 2 (up)");
        check(&[("too_long_a_name", "b")], "bytes of a label name exceeded: 15 of at most 8 (too_long_a_name)");
        check(&[("__name__", "up"), ("a", "12345")], "bytes of a label value exceeded: 5 of at most 4 (label a of up)");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let shown = shown(&"é".repeat(500));
        assert!(shown.len() <= SHOWN_BYTES_MAX + 4 && shown.ends_with('…'));
    }
}
