//! Why nothing came back, as a page says it, with queries that would bring something.

use appliance::explain::empty::Reason;
use appliance::metrics::MetricsError;
use model::time::Timestamp;

use super::of;
use crate::handlers::{numbers, refusal, times};
use crate::pages::query::{Jump, Why};

/// Every reason in words; `retention` says how long samples are kept.
pub(super) fn words(found: Result<Vec<Reason>, MetricsError>, now: Timestamp, retention: &str) -> Vec<Why> {
    match found {
        Ok(reasons) if reasons.is_empty() => vec![why(
            "Every part of the query has samples at this time.",
            "Explain shows what each part returns by itself.",
        )],
        Ok(reasons) => reasons.iter().map(|reason| word(reason, now, retention)).collect(),
        Err(error) => vec![why("The reason could not be found out.", &refusal::sentence(&error.to_string()))],
    }
}

fn why(fact: &str, cause: &str) -> Why {
    Why { fact: fact.to_owned(), cause: cause.to_owned(), instead: Vec::new() }
}

fn jump(label: &str, query: &str) -> Jump {
    Jump { label: label.to_owned(), href: of(query), current: false }
}

/// "20 Nov 2026, 10:31 UTC, 3 hours ago"
fn at(time: Timestamp, now: Timestamp) -> String {
    format!("{}, {}", times::full(time), times::ago(time, now))
}

fn word(reason: &Reason, now: Timestamp, retention: &str) -> Why {
    match reason {
        Reason::NothingStored => why(
            "Nothing is stored yet.",
            "Name a prometheus.yml in the configuration, or send samples by remote write.",
        ),
        Reason::NoSuchMetric { metric, alike } => {
            let cause = match alike.is_empty() {
                true => "No metric has a name like it.",
                false => "These have names like it:",
            };
            let instead = alike.iter().map(|name| jump(name, &numbers::selector(name))).collect();
            Why { instead, ..why(&format!("There is no metric {metric}."), cause) }
        }
        Reason::NoSuchLabel { metric, label, labels } => {
            let fact = match metric.is_empty() {
                true => format!("No series has a label {label}."),
                false => format!("No series of {metric} has a label {label}."),
            };
            let cause = if labels.is_empty() { "They have none at all." } else { "Labels there are:" };
            let selector = if metric.is_empty() { "{__name__!=\"\"}".to_owned() } else { numbers::selector(metric) };
            let instead = labels
                .iter()
                .map(|label| jump(label, &format!("count by ({}) ({selector})", numbers::grouping(label))))
                .collect();
            Why { instead, ..why(&fact, cause) }
        }
        Reason::NoSuchValue { metric, matcher, label, values, more } => {
            let of_metric = if metric.is_empty() { String::new() } else { format!(" of {metric}") };
            let fact = format!("No series{of_metric} has {matcher}.");
            let cause = if *more { "Some of the values there are:" } else { "Values there are:" };
            let query = |value: &str| {
                let matcher = numbers::matcher(label, value);
                match metric.is_empty() {
                    true => format!("{{{matcher}}}"),
                    false => format!("{{{},{matcher}}}", numbers::matcher("__name__", metric)),
                }
            };
            Why { instead: values.iter().map(|value| jump(value, &query(value))).collect(), ..why(&fact, cause) }
        }
        Reason::NotTogether { selector } => {
            why(&format!("No series fits all conditions of {selector}."), "Each of them fits some series by itself.")
        }
        Reason::OutsideRetention { oldest } => why(
            "Nothing that old is kept.",
            &format!("The oldest samples are of {}. Samples are kept for {retention}.", at(*oldest, now)),
        ),
        other => ended(other, now),
    }
}

/// The reasons of series that are known, and have nothing at the time asked about.
fn ended(reason: &Reason, now: Timestamp) -> Why {
    match reason {
        Reason::NotYet { selector, first } => {
            why(&format!("{selector} has no samples that old."), &format!("Its first one is of {}.", at(*first, now)))
        }
        Reason::Ended { selector, last } => why(
            &format!("{selector} ended."),
            &format!("Its last sample is of {}. Its target does not send it any more.", at(*last, now)),
        ),
        Reason::TargetDown { selector, job, instance, since, last } => {
            let since = match since {
                Some(since) => format!("since {}", at(*since, now)),
                None => "for as long as it is known".to_owned(),
            };
            Why {
                instead: vec![jump("up of this target", &up(job, instance))],
                ..why(
                    &format!("The target {instance} of {job} is down {since}."),
                    &format!("{selector} comes from it; its last sample is of {}.", at(*last, now)),
                )
            }
        }
        Reason::TargetGone { selector, job, instance, last } => Why {
            instead: vec![jump("targets of this job", &format!("up{{{}}}", numbers::matcher("job", job)))],
            ..why(
                &format!("The target {instance} of {job} is not scraped any more."),
                &format!("{selector} came from it; its last sample is of {}.", at(*last, now)),
            )
        },
        Reason::Filtered { part, does } => why(
            &format!("{part} returns nothing."),
            &format!(
                "Everything it works on has samples, and it keeps none of them ({does}). Explain shows each part."
            ),
        ),
        // The others are said by `word`.
        _ => why("", ""),
    }
}

fn up(job: &str, instance: &str) -> String {
    format!("up{{{},{}}}", numbers::matcher("job", job), numbers::matcher("instance", instance))
}

#[cfg(test)]
mod tests {
    use promql::syntax::{ParseOptions, parse};

    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn every() -> Vec<Reason> {
        let text = |text: &str| text.to_owned();
        let earlier = Timestamp(NOW.0 - 3 * 3_600_000);
        vec![
            Reason::NothingStored,
            Reason::NoSuchMetric { metric: text("htp"), alike: vec![text("http"), text("a \"b\"")] },
            Reason::NoSuchMetric { metric: text("htp"), alike: Vec::new() },
            Reason::NoSuchLabel { metric: text("up"), label: text("x"), labels: vec![text("job"), text("a.b")] },
            Reason::NoSuchLabel { metric: String::new(), label: text("x"), labels: Vec::new() },
            Reason::NoSuchValue {
                metric: text("up"),
                matcher: text("job=\"x\""),
                label: text("job"),
                values: vec![text("\"api\"\n")],
                more: true,
            },
            Reason::NotTogether { selector: text("up{a=\"b\"}") },
            Reason::OutsideRetention { oldest: earlier },
            Reason::NotYet { selector: text("up"), first: earlier },
            Reason::Ended { selector: text("up"), last: earlier },
            Reason::TargetDown {
                selector: text("x"),
                job: text("a\"pi"),
                instance: text("i"),
                since: Some(earlier),
                last: earlier,
            },
            Reason::TargetGone { selector: text("x"), job: text("api"), instance: text("i"), last: earlier },
            Reason::Filtered { part: text("up > 5"), does: text("only what the comparison lets through") },
        ]
    }

    #[test]
    fn every_reason_is_a_sentence_and_what_it_offers_can_be_asked() {
        for reason in every() {
            let found = words(Ok(vec![reason]), NOW, "30d").remove(0);
            assert!(found.fact.ends_with('.') && found.cause.len() > 8, "{found:?}");
            for jump in found.instead {
                let query = jump.href.split_once("expr=").unwrap().1;
                let query: String = form_urlencoded::parse(format!("q={query}").as_bytes())
                    .map(|(_, value)| value.into_owned())
                    .collect();
                assert!(parse(&query, ParseOptions::ALL).is_ok(), "{query}");
            }
        }
    }

    #[test]
    fn a_target_that_is_down_is_named_with_the_time() {
        let since = Some(Timestamp(NOW.0 - 2_400_000));
        let (job, instance, selector) = ("api".to_owned(), "a:80".to_owned(), "x".to_owned());
        let reason = Reason::TargetDown { selector, job, instance, since, last: NOW };
        let found = words(Ok(vec![reason]), NOW, "").remove(0);
        assert_eq!(found.fact, "The target a:80 of api is down since 14 Nov 2023, 21:33 UTC, 40 minutes ago.");
    }
}
