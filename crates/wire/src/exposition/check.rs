//! What OpenMetrics 1.0 forbids although a scrape accepts it: for somebody who wants to know whether an exporter is
//! right, not for scraping.
//!
//! All problems are collected; only what cannot be parsed ends the reading. Texts 0.0.4 and protobuf have no such
//! rules.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use model::labels::METRIC_NAME;

use super::number::parse_float;
use super::openmetrics::OpenMetricsParser;
use super::series::{Pair, duplicate_name, read_label_pairs, read_pairs};
use super::{Entry, MetricKind, ParseError, Place, Series};

/// The names and values of an exemplar's labels hold so many characters together.
const EXEMPLAR_CHARS_MAX: usize = 128;

/// Everything in an OpenMetrics text that the specification forbids; empty: it is as it should be.
#[must_use]
pub fn openmetrics(bytes: &[u8]) -> Vec<ParseError> {
    let mut checker = Checker::default();
    let mut parser = OpenMetricsParser::new(bytes);
    loop {
        let at = parser.offset();
        let found = match parser.next() {
            Ok(Some(Entry::Series(series))) => checker.series(&series),
            Ok(Some(Entry::Type { family, kind })) => checker.said(&family, Said::Type(kind)),
            Ok(Some(Entry::Help { family, .. })) => checker.said(&family, Said::Help),
            Ok(Some(Entry::Unit { family, unit })) => checker.said(&family, Said::Unit(!unit.is_empty())),
            Ok(Some(Entry::Comment(_) | Entry::Histogram(_))) => Vec::new(),
            Ok(None) => checker.end_family(),
            Err(error) => {
                checker.problems.push(error);
                return checker.problems;
            }
        };
        let ended = parser.is_ended();
        let place = Place::of(bytes, at);
        checker.problems.extend(found.into_iter().map(|what| ParseError::Invalid { place, what }));
        if ended {
            let last = checker.end_family();
            checker.problems.extend(last.into_iter().map(|what| ParseError::Invalid { place, what }));
            return checker.problems;
        }
    }
}

#[derive(Default)]
struct Checker {
    problems: Vec<ParseError>,
    family: Family,
    /// Families that are over, and every name that one of them claims.
    done: HashSet<String>,
    claimed: HashMap<String, String>,
}

/// What is said about a family before its samples.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Type(MetricKind),
    Help,
    Unit(bool),
}

#[derive(Default)]
struct Family {
    name: String,
    kind: MetricKind,
    help: bool,
    typed: bool,
    unit: bool,
    samples: bool,
    groups: HashSet<String>,
    group: Option<Group>,
}

/// The samples that have all labels in common but the one that tells buckets, quantiles or states apart.
#[derive(Default)]
struct Group {
    labels: String,
    time: Option<i64>,
    /// Every sample without a time, to find one that comes twice.
    untimed: HashSet<Vec<u8>>,
    bound: Option<f64>,
    infinity: Option<f64>,
    negative: bool,
    sum: Option<f64>,
    count: Option<f64>,
}

impl MetricKind {
    /// What a sample's name may have behind its family's.
    const fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Counter => &["_total", "_created"],
            Self::Summary => &["", "_count", "_sum", "_created"],
            Self::Histogram => &["_bucket", "_count", "_sum", "_created"],
            Self::GaugeHistogram => &["_bucket", "_gcount", "_gsum"],
            Self::Info => &["_info"],
            Self::Gauge | Self::StateSet | Self::Unknown => &[""],
        }
    }

    /// The label by which the samples of one group differ.
    fn distinguishing(self, family: &str) -> Option<&str> {
        match self {
            Self::Histogram | Self::GaugeHistogram => Some("le"),
            Self::Summary => Some("quantile"),
            Self::StateSet => Some(family),
            _ => None,
        }
    }
}

impl Checker {
    fn said(&mut self, family: &str, said: Said) -> Vec<String> {
        let mut found = Vec::new();
        if self.family.name != family {
            found.extend(self.begin(family));
        }
        if self.family.samples {
            found.push(format!("what is said about {family:?} must stand before its samples"));
        }
        let twice = match said {
            Said::Type(kind) => {
                self.family.kind = kind;
                std::mem::replace(&mut self.family.typed, true)
            }
            Said::Help => std::mem::replace(&mut self.family.help, true),
            Said::Unit(_) => std::mem::replace(&mut self.family.unit, said == Said::Unit(true)),
        };
        if twice {
            found.push(format!("the same is said twice about {family:?}"));
        }
        if self.family.unit && matches!(self.family.kind, MetricKind::Info | MetricKind::StateSet) {
            found.push(format!("{family:?} is a {}, which has no unit", self.family.kind.name()));
        }
        found
    }

    fn begin(&mut self, name: &str) -> Vec<String> {
        let mut found = self.end_family();
        if self.done.contains(name) {
            found.push(format!("the samples of {name:?} must stand together"));
        }
        self.family = Family { name: name.to_owned(), ..Family::default() };
        found
    }

    fn end_family(&mut self) -> Vec<String> {
        let family = std::mem::take(&mut self.family);
        let mut found = Vec::new();
        if family.name.is_empty() {
            return found;
        }
        if let Some(group) = &family.group {
            found.extend(group.end(family.kind));
        }
        let suffixes = family.kind.suffixes().iter().chain([&""]).collect::<HashSet<_>>();
        for suffix in suffixes {
            let claimed = format!("{}{suffix}", family.name);
            if let Some(other) = self.claimed.insert(claimed.clone(), family.name.clone())
                && other != family.name
            {
                found.push(format!("the name {claimed:?} belongs to {other:?} and to {:?}", family.name));
            }
        }
        self.done.insert(family.name);
        found
    }

    fn series(&mut self, series: &Series<'_>) -> Vec<String> {
        let mut pairs = Vec::new();
        if let Err(error) = read_pairs(series.key, MetricKind::Unknown, &mut pairs) {
            return vec![error.to_string()];
        }
        let name = pairs.iter().find(|(name, _)| name == METRIC_NAME).map_or(Cow::Borrowed(""), |(_, v)| v.clone());
        let mut found = Vec::new();
        let suffix = name.strip_prefix(self.family.name.as_str()).filter(|_| !self.family.name.is_empty());
        let suffix = match suffix.filter(|suffix| self.family.kind.suffixes().contains(suffix)) {
            Some(suffix) => suffix,
            None => {
                if name == self.family.name {
                    let kind = self.family.kind.name();
                    found.push(format!("a sample of the {kind} {name:?} must have one of {:?} behind its name", {
                        self.family.kind.suffixes()
                    }));
                    return found;
                }
                found.extend(self.begin(&name));
                ""
            }
        };
        self.family.samples = true;
        let exemplar = series.exemplar.map_or(&b""[..], |exemplar| exemplar.labels);
        if [series.key, exemplar].iter().any(|labels| labels.ends_with(b",}")) {
            found.push("no comma may follow the last label".to_owned());
        }
        if let Some(twice) = duplicate_name(&pairs) {
            found.push(format!("the label {twice:?} stands twice"));
        }
        found.extend(self.family.sample(suffix, series, &pairs));
        found
    }
}

impl Family {
    fn sample(&mut self, suffix: &str, series: &Series<'_>, pairs: &[Pair<'_>]) -> Vec<String> {
        let mut found = self.enter_group(pairs);
        let kind = self.kind;
        let label = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| &**value);
        let value = series.value;
        let counts = matches!(
            (kind, suffix),
            (MetricKind::Counter, "_total")
                | (MetricKind::Histogram, "_bucket" | "_count" | "_sum")
                | (MetricKind::GaugeHistogram, "_bucket" | "_gcount")
                | (MetricKind::Summary, "_count" | "_sum")
        );
        if counts && (value.is_nan() || value < 0.0) {
            found.push(format!("{value} is no value that counts something"));
        }
        match kind {
            MetricKind::Info if value != 1.0 => found.push("the value of an info must be 1".to_owned()),
            MetricKind::StateSet if label(&self.name).is_none() => {
                found.push(format!("a state set needs the label {:?}", self.name));
            }
            MetricKind::StateSet if value != 0.0 && value != 1.0 => {
                found.push("the value of a state must be 0 or 1".to_owned());
            }
            MetricKind::Summary if suffix.is_empty() => {
                let quantile = label("quantile").and_then(|text| parse_float(text.as_bytes()));
                if !quantile.is_some_and(|quantile| (0.0..=1.0).contains(&quantile)) {
                    found.push("a summary needs the label \"quantile\" from 0 to 1".to_owned());
                }
            }
            _ => {}
        }
        let exemplars = matches!((kind, suffix), (MetricKind::Counter, "_total") | (_, "_bucket"));
        if let Some(exemplar) = series.exemplar {
            if !exemplars {
                found.push("only counters and buckets have exemplars".to_owned());
            }
            let pairs = read_label_pairs(exemplar.labels).unwrap_or_default();
            let chars: usize = pairs.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
            if chars > EXEMPLAR_CHARS_MAX {
                found.push(format!("an exemplar's labels hold {chars} of at most {EXEMPLAR_CHARS_MAX} characters"));
            }
        }
        if let Some(group) = &mut self.group {
            found.extend(group.sample(suffix, series, label("le")));
        }
        found
    }

    fn enter_group(&mut self, pairs: &[Pair<'_>]) -> Vec<String> {
        let own = self.kind.distinguishing(&self.name);
        let mut rest: Vec<&Pair<'_>> =
            pairs.iter().filter(|(name, _)| name != METRIC_NAME && Some(&**name) != own).collect();
        rest.sort();
        let labels = format!("{rest:?}");
        if self.group.as_ref().is_some_and(|group| group.labels == labels) {
            return Vec::new();
        }
        let mut found = self.group.take().map(|group| group.end(self.kind)).unwrap_or_default();
        if !self.groups.insert(labels.clone()) {
            found.push("the samples with the same labels must stand together".to_owned());
        }
        self.group = Some(Group { labels, ..Group::default() });
        found
    }
}

impl Group {
    fn sample(&mut self, suffix: &str, series: &Series<'_>, le: Option<&str>) -> Vec<String> {
        let mut found = Vec::new();
        match (self.time, series.time) {
            (Some(before), Some(time)) if time < before => found.push("timestamps go backwards".to_owned()),
            (Some(_), None) => found.push("a sample without a timestamp follows one that has one".to_owned()),
            (None, Some(_)) if !self.untimed.is_empty() => {
                found.push("a sample with a timestamp follows one that has none".to_owned());
            }
            _ => {}
        }
        self.time = series.time;
        if series.time.is_none() && !self.untimed.insert(series.key.to_vec()) {
            found.push("the same sample stands twice".to_owned());
        }
        match suffix {
            "_bucket" => found.extend(self.bucket(series.value, le)),
            "_sum" | "_gsum" => self.sum = Some(series.value),
            "_count" | "_gcount" => self.count = Some(series.value),
            _ => {}
        }
        found
    }

    fn bucket(&mut self, value: f64, le: Option<&str>) -> Option<String> {
        let Some(bound) = le.and_then(|text| parse_float(text.as_bytes())) else {
            return Some("a bucket needs the label \"le\" with a number".to_owned());
        };
        let rises = self.bound.is_none_or(|before| before < bound);
        self.bound = Some(bound);
        self.negative |= bound < 0.0;
        // Of the ways to write infinity only this one is right.
        if le == Some("+Inf") {
            self.infinity = Some(value);
        }
        (!rises).then(|| "buckets must stand in the order of their bounds".to_owned())
    }

    fn end(&self, kind: MetricKind) -> Vec<String> {
        let mut found = Vec::new();
        if !matches!(kind, MetricKind::Histogram | MetricKind::GaugeHistogram) {
            return found;
        }
        match (self.infinity, self.count) {
            (None, _) => found.push("a histogram needs the bucket le=\"+Inf\"".to_owned()),
            (Some(all), Some(count)) if all != count => {
                found.push(format!("the count is {count}, but the bucket for everything holds {all}"));
            }
            _ => {}
        }
        let counter = kind == MetricKind::Histogram;
        if counter && self.negative && self.sum.is_some() {
            found.push("with negative buckets there must be no sum".to_owned());
        }
        if !counter && !self.negative && self.sum.is_some_and(|sum| sum < 0.0) {
            found.push("the sum is negative, but no bucket is".to_owned());
        }
        if !self.negative && self.sum.is_some() != self.count.is_some() {
            found.push("sum and count come together or not at all".to_owned());
        }
        found
    }
}
