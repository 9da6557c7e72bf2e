//! Why a query brought nothing: no such metric, no such value, not kept any more, the target is down, filtered away.
//!
//! Each selector of the query is followed from its name over its labels to its samples, and the first thing that is
//! missing is said. Only where all have samples is it the operators between them, which the parts tell ([`filtered`]).
//! Promise: a bounded number of series is read for each selector.

use std::cmp::Reverse;
use std::time::Duration;

use model::labels::Labels;
use model::matcher::{MatchOp, Matcher};
use model::storage::{Queryable, SelectHints, SelectedId, Snapshot, StorageError, TimeRange, is_stale};
use model::time::Timestamp;
use promql::syntax::Expr;
use promql::syntax::ast::{At, Length, VectorSelector};

use super::{Part, When};

/// Selectors that are followed; a query with more has its reason among the first.
const SELECTORS_MAX: usize = 8;
/// Series of a selector whose samples are looked at.
const SERIES_MAX: usize = 20;
/// Values and names that are offered instead.
const OFFERED: usize = 8;
/// Metric names that are compared with one that does not exist.
const NAMES_MAX: usize = 20_000;
/// How far back is looked for the last sample, nearest first; then everything.
const BACK: [Duration; 5] = [hours(1), hours(6), hours(24), hours(7 * 24), hours(30 * 24)];

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3_600)
}

/// Why there is nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing is stored at all.
    NothingStored,
    /// There are metrics, and this is none of them.
    NoSuchMetric { metric: String, alike: Vec<String> },
    /// The metric is there, and none of its series has the label.
    NoSuchLabel { metric: String, label: String, labels: Vec<String> },
    /// The metric has the label, and never with such a value.
    NoSuchValue { metric: String, matcher: String, label: String, values: Vec<String>, more: bool },
    /// Each condition fits some series, and no series fits all.
    NotTogether { selector: String },
    /// The time asked about lies before what is kept.
    OutsideRetention { oldest: Timestamp },
    /// The first sample is younger than the time asked about.
    NotYet { selector: String, first: Timestamp },
    /// There were samples; they ended, though their target is up or unknown.
    Ended { selector: String, last: Timestamp },
    /// The target that sent them is down: since when, where that is still kept.
    TargetDown { selector: String, job: String, instance: String, since: Option<Timestamp>, last: Timestamp },
    /// The target that sent them is not scraped any more.
    TargetGone { selector: String, job: String, instance: String, last: Timestamp },
    /// Everything has samples; this part lets none of them through.
    Filtered { part: String, does: String },
}

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub when: When,
    /// How old a sample may be and still count.
    pub lookback: Duration,
    /// The oldest time there are samples of; `None` where nobody knows.
    pub oldest: Option<Timestamp>,
}

/// A selector with the time it looks at.
struct Looked<'e> {
    selector: &'e VectorSelector,
    range: TimeRange,
    /// Only the newest sample counts, so a mark that the series ended counts, too.
    newest_only: bool,
}

/// The reasons the selectors of a query give; none where all of them have samples.
pub fn reasons(store: &dyn Queryable, expr: &Expr, asked: Asked) -> Result<Vec<Reason>, StorageError> {
    let snapshot = store.snapshot()?;
    let mut looked = Vec::new();
    collect(expr, asked, &mut looked);
    let mut found: Vec<Reason> = Vec::new();
    for looked in looked.iter().take(SELECTORS_MAX) {
        if let Some(reason) = of_selector(&*snapshot, looked, asked)?
            && !found.contains(&reason)
        {
            found.push(reason);
        }
    }
    Ok(found)
}

/// The part where values were lost: the deepest that is empty though its own parts are not.
#[must_use]
pub fn filtered(parts: &[Part]) -> Option<Reason> {
    let lost = parts.iter().enumerate().filter(|(index, part)| {
        let own = parts[index + 1..].iter().take_while(|below| below.depth > part.depth);
        let mut own = own.filter(|below| below.depth == part.depth + 1);
        part.outcome.is_empty() && !own.any(|below| below.outcome.is_empty())
    });
    let (_, part) = lost.max_by_key(|(index, part)| (part.depth, Reverse(*index)))?;
    Some(Reason::Filtered { part: part.text.clone(), does: part.does.clone() })
}

fn collect<'e>(expr: &'e Expr, asked: Asked, into: &mut Vec<Looked<'e>>) {
    let range = match asked.when {
        When::At(at) => TimeRange::new(at, at),
        When::Over(steps) => TimeRange::new(steps.start, steps.end),
    };
    walk(expr, range, asked.lookback, into);
}

/// `range` is when this part is evaluated.
fn walk<'e>(expr: &'e Expr, range: TimeRange, lookback: Duration, into: &mut Vec<Looked<'e>>) {
    match expr {
        Expr::Vector(selector) => {
            let range = back(shifted(range, selector.at, &selector.offset), lookback);
            into.push(Looked { selector, range, newest_only: true });
        }
        Expr::Matrix(node) => {
            let range = back(shifted(range, node.selector.at, &node.selector.offset), span(&node.range));
            into.push(Looked { selector: &node.selector, range, newest_only: false });
        }
        Expr::Subquery(node) => {
            let range = back(shifted(range, node.at, &node.offset), span(&node.range));
            walk(&node.expr, range, lookback, into);
        }
        _ => {
            for child in expr.children() {
                walk(child, range, lookback, into);
            }
        }
    }
}

fn shifted(range: TimeRange, at: Option<At>, offset: &Length) -> TimeRange {
    let range = match at {
        None => range,
        Some(At::Time(millis)) => TimeRange::new(Timestamp(millis), Timestamp(millis)),
        Some(At::Start) => TimeRange::new(range.start, range.start),
        Some(At::End) => TimeRange::new(range.end, range.end),
    };
    let Length::Fixed(millis) = offset else { return range };
    let by = |at: Timestamp| Timestamp(at.0.saturating_sub(*millis));
    TimeRange::new(by(range.start), by(range.end))
}

fn back(range: TimeRange, by: Duration) -> TimeRange {
    TimeRange::new(range.start.minus(by), range.end)
}

fn span(length: &Length) -> Duration {
    match length {
        Length::Fixed(millis) => Duration::from_millis(u64::try_from(*millis).unwrap_or_default()),
        Length::Computed(_) => Duration::ZERO,
    }
}

fn of_selector(snapshot: &dyn Snapshot, looked: &Looked<'_>, asked: Asked) -> Result<Option<Reason>, StorageError> {
    let matchers = &looked.selector.matchers;
    if newest(snapshot, matchers, looked.range, looked.newest_only)?.is_some() {
        return Ok(None);
    }
    if !is_known(snapshot, matchers)? {
        return of_labels(snapshot, looked.selector).map(Some);
    }
    let selector = looked.selector.to_string();
    if let Some((last, labels)) = last_before(snapshot, matchers, looked.range.end)? {
        return of_target(snapshot, &labels, looked.range.end, asked.lookback, (selector, last)).map(Some);
    }
    if let Some(oldest) = asked.oldest.filter(|oldest| looked.range.end < *oldest) {
        return Ok(Some(Reason::OutsideRetention { oldest }));
    }
    let later = TimeRange::new(looked.range.end, Timestamp::MAX);
    let first = edge(snapshot, matchers, later, |times, values| {
        times.iter().zip(values).find(|(_, value)| !is_stale(**value)).map(|(at, _)| *at)
    })?;
    let first = first.into_iter().map(|(at, _)| at).min();
    Ok(Some(match first {
        Some(first) => Reason::NotYet { selector, first },
        None => Reason::NotTogether { selector },
    }))
}

fn is_known(snapshot: &dyn Snapshot, matchers: &[Matcher]) -> Result<bool, StorageError> {
    Ok(!snapshot.series(&[matchers.to_vec()], TimeRange::ALL, 1)?.items.is_empty())
}

/// No series ever had these labels: which of the conditions is it?
fn of_labels(snapshot: &dyn Snapshot, selector: &VectorSelector) -> Result<Reason, StorageError> {
    let is_name = |matcher: &&Matcher| &*matcher.name == "__name__" && matcher.op == MatchOp::Equal;
    let name = selector.matchers.iter().find(is_name);
    let metric = name.map_or(String::new(), |name| name.value.to_string());
    if let Some(name) = name
        && !is_known(snapshot, std::slice::from_ref(name))?
    {
        let names = snapshot.label_values("__name__", &[], TimeRange::ALL, NAMES_MAX)?.items;
        let nothing = names.is_empty();
        return Ok(if nothing {
            Reason::NothingStored
        } else {
            Reason::NoSuchMetric { alike: alike(&metric, names), metric }
        });
    }
    for matcher in selector.matchers.iter().filter(|matcher| !is_name(matcher)) {
        let one: Vec<Matcher> = name.into_iter().chain([matcher]).cloned().collect();
        if is_known(snapshot, &one)? {
            continue;
        }
        let of_metric: Vec<Vec<Matcher>> = name.map(|name| vec![name.clone()]).into_iter().collect();
        let values = snapshot.label_values(&matcher.name, &of_metric, TimeRange::ALL, OFFERED)?;
        let label = matcher.name.to_string();
        if values.items.is_empty() {
            let labels = snapshot.label_names(&of_metric, TimeRange::ALL, OFFERED + 1)?.items;
            let labels = labels.into_iter().filter(|label| label != "__name__").take(OFFERED).collect();
            return Ok(Reason::NoSuchLabel { metric, label, labels });
        }
        let (values, more) = (values.items, values.truncated);
        return Ok(Reason::NoSuchValue { metric, matcher: matcher.to_string(), label, values, more });
    }
    Ok(Reason::NotTogether { selector: selector.to_string() })
}

/// The last sample there was up to a time.
fn last_before(
    snapshot: &dyn Snapshot,
    matchers: &[Matcher],
    end: Timestamp,
) -> Result<Option<(Timestamp, Labels)>, StorageError> {
    let starts = BACK.iter().map(|by| end.minus(*by)).chain([Timestamp::MIN]);
    for start in starts {
        let found = newest(snapshot, matchers, TimeRange::new(start, end), false)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The newest sample of a range, and whose it is.
fn newest(
    snapshot: &dyn Snapshot,
    matchers: &[Matcher],
    range: TimeRange,
    ends_count: bool,
) -> Result<Option<(Timestamp, Labels)>, StorageError> {
    let found = edge(snapshot, matchers, range, |times, values| {
        let mut rows = times.iter().zip(values).rev();
        match ends_count {
            true => rows.next().filter(|(_, value)| !is_stale(**value)).map(|(at, _)| *at),
            false => rows.find(|(_, value)| !is_stale(**value)).map(|(at, _)| *at),
        }
    })?;
    Ok(found.into_iter().max_by_key(|(at, _)| *at))
}

/// A time of each of the first series, picked out of its columns.
fn edge(
    snapshot: &dyn Snapshot,
    matchers: &[Matcher],
    range: TimeRange,
    pick: impl Fn(&[i64], &[f64]) -> Option<i64>,
) -> Result<Vec<(Timestamp, Labels)>, StorageError> {
    let selection = snapshot.select(matchers, range, &SelectHints::default())?;
    let mut cursor = selection.reader.cursor();
    let mut found = Vec::new();
    for (id, labels) in (0..).zip(&selection.labels).take(SERIES_MAX) {
        let column = cursor.read(SelectedId(id))?;
        found.extend(pick(column.times, column.values).map(|at| (Timestamp(at), labels.clone())));
    }
    Ok(found)
}

/// The samples ended: what about the target they came from?
fn of_target(
    snapshot: &dyn Snapshot,
    labels: &Labels,
    end: Timestamp,
    lookback: Duration,
    (selector, last): (String, Timestamp),
) -> Result<Reason, StorageError> {
    let (Some(job), Some(instance)) = (labels.get("job"), labels.get("instance")) else {
        return Ok(Reason::Ended { selector, last });
    };
    let up =
        [("__name__", "up"), ("job", job), ("instance", instance)].map(|(name, value)| Matcher::equal(name, value));
    let (job, instance) = (job.to_owned(), instance.to_owned());
    if !is_known(snapshot, &up)? {
        return Ok(Reason::Ended { selector, last });
    }
    let now = up_rows(snapshot, &up, TimeRange::new(end.minus(lookback), end))?;
    match now.last() {
        None => Ok(Reason::TargetGone { selector, job, instance, last }),
        Some((_, true)) => Ok(Reason::Ended { selector, last }),
        Some((_, false)) => {
            let mut since = None;
            for by in BACK {
                let rows = up_rows(snapshot, &up, TimeRange::new(end.minus(by), end))?;
                let down = rows.iter().rev().take_while(|(_, up)| !up);
                let count = down.clone().count();
                since = down.last().map(|(at, _)| *at);
                // An older sample says that it was up before: this is when it ended.
                if count < rows.len() {
                    return Ok(Reason::TargetDown { selector, job, instance, since, last });
                }
            }
            Ok(Reason::TargetDown { selector, job, instance, since, last })
        }
    }
}

fn up_rows(snapshot: &dyn Snapshot, up: &[Matcher], range: TimeRange) -> Result<Vec<(Timestamp, bool)>, StorageError> {
    let selection = snapshot.select(up, range, &SelectHints::default())?;
    let mut rows = Vec::new();
    let mut cursor = selection.reader.cursor();
    for (id, _) in (0..).zip(&selection.labels).take(SERIES_MAX) {
        let column = cursor.read(SelectedId(id))?;
        let seen = column.times.iter().zip(column.values).filter(|(_, value)| !is_stale(**value));
        rows.extend(seen.map(|(at, value)| (Timestamp(*at), *value > 0.0)));
    }
    rows.sort_unstable_by_key(|(at, _)| *at);
    Ok(rows)
}

/// The names nearest to one that does not exist.
fn alike(metric: &str, names: Vec<String>) -> Vec<String> {
    let words = |name: &str| name.split('_').filter(|word| word.len() > 2).map(str::to_owned).collect::<Vec<_>>();
    let wanted = words(metric);
    let mut near: Vec<(usize, String)> = names
        .into_iter()
        .filter_map(|name| {
            let edits = distance(metric, &name);
            let shared = words(&name).iter().filter(|word| wanted.contains(word)).count();
            // A slip of the finger, a forgotten ending, or another metric of the same family.
            let is_near = edits <= 1 + metric.len() / 6
                || name.starts_with(metric)
                || (metric.starts_with(&name) && name.len() > 3)
                || (shared >= 2 && shared * 2 >= wanted.len());
            is_near.then_some((edits, name))
        })
        .collect();
    near.sort();
    near.into_iter().take(OFFERED).map(|(_, name)| name).collect()
}

/// Edits between two names; names so long that nobody types them are not compared.
fn distance(from: &str, to: &str) -> usize {
    const COMPARED_MAX: usize = 120;
    let (from, to) = (from.as_bytes(), to.as_bytes());
    if from.len() > COMPARED_MAX || to.len() > COMPARED_MAX {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let best = (corner + usize::from(a != b)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = row[j + 1];
            row[j + 1] = best;
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests;
