//! `info()`: adds the labels of info metrics such as `target_info` to series of the same instance and job.

use std::collections::{BTreeMap, HashMap, HashSet};

use model::labels::{Labels, METRIC_NAME};
use model::matcher::{MatchOp, Matcher};
use model::query::QueryError;

use super::super::column::{Cell, Column};
use super::super::plan::{Grid, Kind, Node, Selector};
use super::Run;
use super::frame::{Frame, Head, Stream};
use super::select::{self, Reading};
use crate::syntax::ast::{Borders, Span};

/// The labels that say which series an info metric belongs to. Upstream has no way to choose others either.
const IDENTIFYING: [&str; 2] = ["instance", "job"];
const DEFAULT_INFO_METRIC: &str = "target_info";
/// Where only names are excluded, this is what is left to choose from.
const ANY_INFO_METRIC: &str = ".+_info";

/// `info(v, {…})`
pub(crate) fn info<'r>(
    run: &'r Run<'r>,
    argument: &Node,
    selector: Option<&Node>,
    grid: Grid,
) -> Result<Stream<'r>, QueryError> {
    let base = run.frame(argument, grid)?;
    let wanted = Wanted::of(selector);
    let enriched: Vec<bool> = base.series.iter().map(|series| !wanted.is_source(&run.visible(&series.head))).collect();
    let sources = sources(run, &base, &enriched, &wanted, grid)?;
    let joined = Join { run, wanted: &wanted, sources: &sources, grid };
    let mut frame = Frame::default();
    for (series, enriched) in base.series.into_iter().zip(enriched) {
        if !enriched {
            frame.push(series.head, series.column, &run.budget)?;
            continue;
        }
        for (head, column) in joined.series(&series.head, &series.column)? {
            frame.push(head, column, &run.budget)?;
        }
    }
    frame.merge_same()?;
    Ok(Stream::Frame(frame))
}

/// Which info metrics and which of their labels.
struct Wanted {
    names: Vec<Matcher>,
    data: Vec<Matcher>,
}

impl Wanted {
    fn of(selector: Option<&Node>) -> Self {
        let matchers = match selector.map(|node| &node.kind) {
            Some(Kind::Selector(selector)) => selector.matchers.as_slice(),
            _ => &[],
        };
        let (mut names, data): (Vec<Matcher>, Vec<Matcher>) =
            matchers.iter().cloned().partition(|m| &*m.name == METRIC_NAME);
        let positive = |m: &Matcher| matches!(m.op, MatchOp::Equal | MatchOp::Regex);
        if names.is_empty() {
            names.push(Matcher::equal(METRIC_NAME, DEFAULT_INFO_METRIC));
        } else if !names.iter().any(positive) {
            names.extend(Matcher::new(METRIC_NAME, MatchOp::Regex, ANY_INFO_METRIC));
        }
        Self { names, data }
    }

    /// Info metrics are not enriched themselves.
    fn is_source(&self, labels: &Labels) -> bool {
        self.names.iter().all(|matcher| matcher.matches(labels.metric_name()))
    }

    fn takes(&self, label: &str) -> bool {
        self.data.is_empty() || self.data.iter().any(|matcher| &*matcher.name == label)
    }
}

/// An info series with the times of its samples.
struct Source {
    labels: Labels,
    times: Column,
}

type Key = (String, Vec<(String, String)>);

fn key(name: &str, labels: &Labels) -> Key {
    let pairs = labels.iter().filter(|(n, _)| IDENTIFYING.contains(n));
    (name.to_owned(), pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).collect())
}

/// The info series of the same instances and jobs, by metric.
fn sources(
    run: &Run<'_>,
    base: &Frame,
    enriched: &[bool],
    wanted: &Wanted,
    grid: Grid,
) -> Result<BTreeMap<String, HashMap<Key, Vec<Source>>>, QueryError> {
    let mut known: HashMap<&str, HashSet<&str>> = HashMap::new();
    for (series, _) in base.series.iter().zip(enriched).filter(|(_, enriched)| **enriched) {
        for (name, value) in &series.head.labels {
            if IDENTIFYING.contains(&name) {
                known.entry(name).or_default().insert(value);
            }
        }
    }
    let mut found: BTreeMap<String, HashMap<Key, Vec<Source>>> = BTreeMap::new();
    if known.is_empty() {
        return Ok(found);
    }
    let selector = Selector {
        matchers: wanted.names.iter().chain(&wanted.data).cloned().collect(),
        range: 0,
        offset: 0,
        at: None,
        borders: Borders::Plain,
        span: Span::default(),
        function: "info",
        histogram_stats: false,
    };
    let belongs = |labels: &Labels| {
        known.iter().all(|(name, values)| labels.get(name).is_some_and(|value| values.contains(value)))
    };
    let values = select::instant(run, &selector, grid, Reading::Value)?.into_frame(run, grid)?;
    let histogram = |column: &Column| column.has_histograms();
    if values.series.iter().any(|series| belongs(&series.head.labels) && histogram(&series.column)) {
        return Err(QueryError::Execution("info sample should be float".to_owned()));
    }
    drop(values);
    let times = select::instant(run, &selector, grid, Reading::Time)?.into_frame(run, grid)?;
    for series in times.series.into_iter().filter(|series| belongs(&series.head.labels)) {
        let labels = series.head.labels;
        let name = labels.metric_name().to_owned();
        let key = key(&name, &labels);
        found.entry(name).or_default().entry(key).or_default().push(Source { labels, times: series.column });
    }
    Ok(found)
}

struct Join<'j> {
    run: &'j Run<'j>,
    wanted: &'j Wanted,
    sources: &'j BTreeMap<String, HashMap<Key, Vec<Source>>>,
    grid: Grid,
}

impl Join<'_> {
    /// A series with the labels it has at each step: as many series as there are label sets.
    fn series(&self, head: &Head, column: &Column) -> Result<Vec<(Head, Column)>, QueryError> {
        let labels = self.run.visible(head);
        let candidates: Vec<&Vec<Source>> =
            self.sources.iter().filter_map(|(name, by_key)| by_key.get(&key(name, &labels))).collect();
        let mut out: Vec<(Head, Column)> = Vec::new();
        let mut known: HashMap<Vec<Option<usize>>, Option<usize>> = HashMap::new();
        for step in 0..self.grid.count {
            let value = match column.get(step) {
                Cell::Absent => continue,
                Cell::Float(value) => super::super::column::OwnedCell::Float(value),
                Cell::Histogram(histogram) => super::super::column::OwnedCell::Histogram(histogram.clone()),
            };
            let newest = candidates.iter().map(|sources| newest(sources, step)).collect::<Result<Vec<_>, _>>()?;
            let at = match known.get(&newest) {
                Some(at) => *at,
                None => {
                    let at = self.with_labels(&labels, &candidates, &newest)?.map(|labels| {
                        out.push((Head { labels, dropped: head.dropped }, Column::absent(self.grid.count)));
                        out.len() - 1
                    });
                    known.insert(newest, at);
                    at
                }
            };
            if let Some(at) = at {
                out[at].1.set(step, value);
            }
        }
        Ok(out)
    }

    /// The labels with those of the chosen info series. `None`: a condition on the data is not met.
    fn with_labels(
        &self,
        base: &Labels,
        candidates: &[&Vec<Source>],
        newest: &[Option<usize>],
    ) -> Result<Option<Labels>, QueryError> {
        if newest.iter().all(Option::is_none) {
            let nothing_fits = self.wanted.data.iter().all(Matcher::matches_empty);
            return Ok(nothing_fits.then(|| base.clone()));
        }
        let mut added: BTreeMap<&str, &str> = BTreeMap::new();
        for (sources, at) in candidates.iter().zip(newest) {
            let Some(at) = at else { continue };
            for (name, value) in &sources[*at].labels {
                if name == METRIC_NAME || !self.wanted.takes(name) {
                    continue;
                }
                if added.get(name).is_some_and(|other| *other != value) {
                    return Err(QueryError::Execution(format!("conflicting label: {name}")));
                }
                if base.get(name).is_none() {
                    added.insert(name, value);
                }
            }
        }
        let mut builder = base.to_builder();
        for (name, value) in added {
            builder.set(name, value);
        }
        Ok(Some(builder.build()))
    }
}

/// Of the info series of the same key the one with the newest sample; two equally new ones contradict each other.
fn newest(sources: &[Source], step: usize) -> Result<Option<usize>, QueryError> {
    let mut best: Option<(usize, f64)> = None;
    for (index, source) in sources.iter().enumerate() {
        let Cell::Float(time) = source.times.get(step) else { continue };
        match best {
            Some((_, newest)) if newest > time => {}
            Some((other, newest)) if newest == time => {
                let millis = (time * 1000.0).round() as i64;
                return Err(QueryError::Execution(format!(
                    "found duplicate series for info metric: existing {} @ {millis}, new {} @ {millis}",
                    sources[other].labels, source.labels
                )));
            }
            _ => best = Some((index, time)),
        }
    }
    Ok(best.map(|(index, _)| index))
}
