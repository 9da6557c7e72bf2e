//! What is said about a scrape: the series `up` and its companions, and the state that the pages and the API show.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::labels::Labels;
use model::storage::{Appender, SeriesRef, stale_nan};
use model::time::Timestamp;

use crate::fetch::FetchError;
use crate::ingest::{Counts, Row};
use crate::target::{Target, report_labels};

/// The series of each scrape; those from [`EXTRA_FROM`] on only with `extra_scrape_metrics`.
const NAMES: [&str; 8] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
    "scrape_timeout_seconds",
    "scrape_sample_limit",
    "scrape_body_size_bytes",
];
const EXTRA_FROM: usize = 5;
/// So much of a body is looked at to say what it is instead of metrics.
const HINT_BYTES_MAX: usize = 512;

/// One scrape in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    pub up: bool,
    pub duration: Duration,
    pub counts: Counts,
    pub timeout: Duration,
    pub sample_limit: u64,
    /// −1: the limit was exceeded; 0: there was no body.
    pub body_bytes: i64,
}

impl Report {
    fn values(&self) -> [f64; NAMES.len()] {
        [
            f64::from(u8::from(self.up)),
            self.duration.as_secs_f64(),
            self.counts.scraped as f64,
            self.counts.kept as f64,
            self.counts.added as f64,
            self.timeout.as_secs_f64(),
            self.sample_limit as f64,
            self.body_bytes as f64,
        ]
    }
}

/// The references of the report's series, once they are known.
#[derive(Debug, Default)]
pub(crate) struct ReportSeries {
    refs: [Option<SeriesRef>; NAMES.len()],
}

impl ReportSeries {
    /// Adds the report to the row. A series that the storage refuses is left out: the scrape itself goes on.
    pub(crate) fn add(
        &mut self,
        report: &Report,
        extra: bool,
        target: &Labels,
        appender: &mut dyn Appender,
        row: &mut Row,
    ) {
        for (index, value) in report.values().into_iter().enumerate().take(if extra { NAMES.len() } else { EXTRA_FROM })
        {
            let known = self.refs[index].or_else(|| appender.resolve(&report_labels(target, NAMES[index])).ok());
            self.refs[index] = known;
            if let Some(series) = known {
                row.push(series, value);
            }
        }
    }

    /// Says of every series of the report that it ended.
    pub(crate) fn end(&mut self, row: &mut Row) {
        for series in std::mem::take(&mut self.refs).into_iter().flatten() {
            row.push(series, stale_nan());
        }
    }

    /// The storage no longer knows what it called them.
    pub(crate) fn forget(&mut self) {
        self.refs = Default::default();
    }
}

/// Whether a target answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Not yet scraped.
    #[default]
    Unknown,
    Up,
    Down,
}

impl Health {
    /// As the API says it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// What the last scrape of a target was like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LastScrape {
    pub health: Health,
    /// When it began.
    pub at: Option<Timestamp>,
    pub report: Report,
    /// Why it failed; empty where it did not.
    pub error: String,
    /// What to do about it, or what is odd although it went well.
    pub hint: String,
    /// Samples that the storage did not take.
    pub refused: Refused,
    /// Bytes held for the target's series between scrapes.
    pub cache_bytes: usize,
}

/// Samples that were not stored, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    pub out_of_order: u64,
    pub duplicate: u64,
    pub out_of_bounds: u64,
    pub other: u64,
}

impl Refused {
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.out_of_order + self.duplicate + self.out_of_bounds + self.other == 0
    }
}

/// A target as others see it.
#[derive(Debug)]
pub struct TargetState {
    inner: Mutex<(std::sync::Arc<Target>, LastScrape)>,
}

impl TargetState {
    pub(crate) fn new(target: std::sync::Arc<Target>) -> Self {
        Self { inner: Mutex::new((target, LastScrape::default())) }
    }

    #[must_use]
    pub fn target(&self) -> std::sync::Arc<Target> {
        std::sync::Arc::clone(&self.lock().0)
    }

    #[must_use]
    pub fn last(&self) -> LastScrape {
        self.lock().1.clone()
    }

    pub(crate) fn set_target(&self, target: std::sync::Arc<Target>) {
        self.lock().0 = target;
    }

    pub(crate) fn set_last(&self, last: LastScrape) {
        self.lock().1 = last;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (std::sync::Arc<Target>, LastScrape)> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What somebody who sees this failure may want to try.
#[must_use]
pub(crate) fn hint(error: &FetchError, url: &str) -> &'static str {
    match error {
        FetchError::Status(status) => match status.as_bytes() {
            [b'4', b'0', b'1' | b'3', ..] => "the target wants credentials: see basic_auth, authorization, oauth2",
            [b'4', b'0', b'4', ..] if url.ends_with("/metrics") => {
                "nothing is at /metrics; are the metrics elsewhere (metrics_path), for example at /prometheus or \
                 /actuator/prometheus?"
            }
            [b'4', b'0', b'4', ..] => "nothing is at this path: see metrics_path",
            [b'4', b'0', b'6', ..] => "the target offers none of the formats asked for: see scrape_protocols",
            [b'3', ..] => "the target redirects and follow_redirects is off",
            [b'5', ..] => "the target itself failed; its own log may say why",
            _ => "",
        },
        FetchError::TooLarge { .. } => "raise body_size_limit if the target really has so much to say",
        FetchError::Timeout(_) => "the target is slow or not there: see scrape_timeout",
        FetchError::Failed(text) => transport_hint(text, url),
    }
}

fn transport_hint(text: &str, url: &str) -> &'static str {
    let text = text.to_ascii_lowercase();
    let says = |part: &str| text.contains(part);
    if says("refused") {
        "nothing listens at this address and port"
    } else if says("resolve") || says("dns") || says("no such host") {
        "the name is not known here; inside containers `localhost` is the container itself"
    } else if says("certificate") || says("unknownissuer") || says("tls") {
        if url.starts_with("https") {
            "the target's certificate is not trusted: see tls_config"
        } else {
            "the target may expect https: see scheme"
        }
    } else if says("parse") || says("invalid http") {
        "what answers there does not speak HTTP; is it https (see scheme)?"
    } else {
        ""
    }
}

/// What a body looks like that is no exposition.
#[must_use]
pub(crate) fn body_hint(body: &[u8], content_type: &str) -> &'static str {
    let start = body[..body.len().min(HINT_BYTES_MAX)].trim_ascii_start();
    let starts = |text: &[u8]| start.len() >= text.len() && start[..text.len()].eq_ignore_ascii_case(text);
    if start.is_empty() {
        "the body is empty"
    } else if starts(b"<!doctype") || starts(b"<html") || (starts(b"<") && content_type.contains("html")) {
        "this is an HTML page; are the metrics at /metrics or /prometheus?"
    } else if matches!(start[0], b'{' | b'[') && (content_type.contains("json") || looks_like_json(start)) {
        "this is JSON; are the metrics at /prometheus?"
    } else if starts(b"<?xml") {
        "this is XML; are the metrics at /metrics or /prometheus?"
    } else if start.starts_with(&[0x1f, 0x8b]) {
        "the body is compressed, but its header does not say so"
    } else {
        ""
    }
}

/// An exposition may begin with a brace too, but then a name or `}` follows, and later no colon right behind a quote.
fn looks_like_json(start: &[u8]) -> bool {
    let inner = start[1..].trim_ascii_start();
    start[0] == b'[' || inner.starts_with(b"}") || start.windows(2).any(|pair| pair == b"\":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_no_exposition_is_called_what_it_is() {
        for (body, content_type, part) in [
            ("<!DOCTYPE html><html>", "text/html", "HTML"),
            ("\n<html>", "", "HTML"),
            ("{\"status\": \"ok\"}", "application/json", "JSON"),
            ("{\"status\": \"ok\"}", "text/plain", "JSON"),
            ("[]", "text/plain", "JSON"),
            ("<?xml version=\"1.0\"?>", "", "XML"),
            ("\u{1f}", "", ""),
            ("", "text/plain", "empty"),
            ("{\"a.b\",x=\"1\"} 1\n", "text/plain", ""),
            ("foo 1 x\n", "text/plain", ""),
        ] {
            let found = body_hint(body.as_bytes(), content_type);
            assert!(found.contains(part) && found.is_empty() == part.is_empty(), "{body:?}: {found:?}");
        }
    }

    #[test]
    fn a_failure_says_what_to_try() {
        let status = |text: &str| FetchError::Status(text.to_owned());
        assert!(hint(&status("404 Not Found"), "http://a/metrics").contains("/prometheus"));
        assert!(hint(&status("401 Unauthorized"), "").contains("basic_auth"));
        assert!(
            hint(&FetchError::Failed("Connection refused (os error 111)".to_owned()), "").contains("nothing listens")
        );
        assert!(hint(&FetchError::Failed("invalid peer certificate".to_owned()), "https://a").contains("tls_config"));
        assert_eq!(hint(&FetchError::Failed("odd".to_owned()), ""), "");
    }
}
