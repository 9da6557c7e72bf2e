//! Results of range queries, kept so that a dashboard that moves on by a minute computes only that minute.
//!
//! One extent for each (query, step, phase, lookback): the steps from its start to its end, without those of the
//! last ten minutes, in which late samples still arrive. It is only used while the storage says that nothing older
//! was changed. Invisible but in speed: what depends on the bounds of the query, reads ahead of its time or came
//! with annotations is not kept at all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::histogram::Histogram;
use model::labels::Labels;
use model::query::Series;
use model::time::Timestamp;

use crate::syntax::ast::{Borders, DurationExpr, Expr, Length, VectorSelector};
use crate::syntax::functions::FunctionId;

/// Steps younger than this are always computed anew: scrapes may be this late, and rules write behind them.
pub(crate) const RECENT_MS: i64 = 10 * 60_000;

/// What the query is, so far as its result depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The canonical text.
    pub(crate) text: String,
    pub(crate) step: i64,
    /// Where the steps lie between two multiples of the step.
    pub(crate) phase: i64,
    pub(crate) lookback: i64,
}

struct Entry {
    generation: u64,
    start: i64,
    end: i64,
    series: Arc<Vec<Series>>,
    bytes: u64,
    used: u64,
}

#[derive(Default)]
struct State {
    entries: HashMap<Key, Entry>,
    bytes: u64,
    uses: u64,
}

/// The kept results.
pub(crate) struct ResultCache {
    state: Mutex<State>,
    bytes_max: u64,
}

/// The part of a result that is known: all steps from `start` to `end`.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) start: i64,
    pub(crate) end: i64,
    series: Arc<Vec<Series>>,
}

impl ResultCache {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { state: Mutex::default(), bytes_max }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A holder that panicked leaves at worst an entry whose size is counted wrongly.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The known steps of a query from `start` to `end`.
    pub(crate) fn get(&self, key: &Key, generation: u64, start: i64, end: i64) -> Option<Known> {
        let mut state = self.lock();
        state.uses += 1;
        let uses = state.uses;
        let entry = state.entries.get_mut(key)?;
        if entry.generation != generation {
            return None;
        }
        entry.used = uses;
        let known = Known { start: start.max(entry.start), end: end.min(entry.end), series: entry.series.clone() };
        (known.start <= known.end).then_some(known)
    }

    /// Keeps the steps of a result that are old enough. Makes room by forgetting what was not used for longest.
    pub(crate) fn put(&self, key: Key, generation: u64, (start, end): (i64, i64), result: &[Series]) {
        if end < start {
            return;
        }
        let series: Vec<Series> = result.iter().filter_map(|series| within(series, start, end)).collect();
        let bytes = series.iter().map(bytes_of).sum::<u64>() + key.text.len() as u64;
        let mut state = self.lock();
        if let Some(old) = state.entries.remove(&key) {
            state.bytes -= old.bytes;
        }
        if bytes > self.bytes_max {
            return;
        }
        while state.bytes + bytes > self.bytes_max {
            let oldest = state.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone());
            let Some(removed) = oldest.and_then(|oldest| state.entries.remove(&oldest)) else { break };
            state.bytes -= removed.bytes;
        }
        state.bytes += bytes;
        state.uses += 1;
        let used = state.uses;
        state.entries.insert(key, Entry { generation, start, end, series: Arc::new(series), bytes, used });
    }
}

/// The points of a series from `start` to `end`; `None` where there are none.
fn within(series: &Series, start: i64, end: i64) -> Option<Series> {
    let range = |low: usize, high: usize| low..high.max(low);
    let floats = range(
        series.floats.partition_point(|(time, _)| time.0 < start),
        series.floats.partition_point(|(time, _)| time.0 <= end),
    );
    let histograms = range(
        series.histograms.partition_point(|(time, _)| time.0 < start),
        series.histograms.partition_point(|(time, _)| time.0 <= end),
    );
    if floats.is_empty() && histograms.is_empty() {
        return None;
    }
    Some(Series {
        labels: series.labels.clone(),
        floats: series.floats[floats].to_vec(),
        histograms: series.histograms[histograms].to_vec(),
    })
}

fn bytes_of(series: &Series) -> u64 {
    let histogram = |histogram: &Arc<Histogram>| 16 * super::column::histogram_samples(histogram);
    let histograms = series.histograms.iter().map(|(_, h)| histogram(h) + 16).sum::<u64>();
    (series.labels.heap_bytes() + 16 * series.floats.len()) as u64 + histograms
}

impl Known {
    /// The known steps with those before and behind them.
    pub(crate) fn joined(&self, before: Vec<Series>, behind: Vec<Series>) -> Vec<Series> {
        let known = self.series.iter().filter_map(|series| within(series, self.start, self.end));
        let mut by_labels: HashMap<Labels, usize> = HashMap::new();
        let mut out: Vec<Series> = Vec::new();
        for series in before.into_iter().chain(known).chain(behind) {
            match by_labels.get(&series.labels) {
                Some(at) => {
                    out[*at].floats.extend(series.floats);
                    out[*at].histograms.extend(series.histograms);
                }
                None => {
                    by_labels.insert(series.labels.clone(), out.len());
                    out.push(series);
                }
            }
        }
        out.sort_by(|a, b| a.labels.cmp(&b.labels));
        out
    }
}

/// Whether each step of a query depends only on samples up to its time, and not on where the query begins or ends.
pub(crate) fn is_cacheable(expr: &Expr) -> bool {
    let length = |length: &Length| match length {
        Length::Fixed(millis) => *millis >= 0,
        Length::Computed(computed) => !uses_query_range(computed),
    };
    let selector = |selector: &VectorSelector| {
        // A computed offset may come out negative.
        let ahead = matches!(selector.offset, Length::Computed(_)) || !length(&selector.offset);
        selector.at.is_none() && selector.borders != Borders::Smoothed && !ahead
    };
    let own = match expr {
        Expr::Vector(node) => selector(node),
        Expr::Matrix(node) => selector(&node.selector) && length(&node.range),
        Expr::Subquery(node) => {
            let ahead = matches!(node.offset, Length::Computed(_)) || !length(&node.offset);
            node.at.is_none() && !ahead && length(&node.range) && node.step.as_ref().is_none_or(length)
        }
        Expr::Call(node) => !matches!(
            node.function.id,
            FunctionId::Start | FunctionId::End | FunctionId::Range | FunctionId::Step | FunctionId::Info
        ),
        Expr::Number(_) | Expr::String(_) | Expr::Aggregate(_) | Expr::Binary(_) | Expr::Unary(_) | Expr::Paren(_) => {
            true
        }
    };
    own && expr.children().into_iter().all(is_cacheable)
}

fn uses_query_range(expr: &DurationExpr) -> bool {
    match expr {
        DurationExpr::Range(_) => true,
        DurationExpr::Literal(_) | DurationExpr::Step(_) => false,
        DurationExpr::Unary { operand, .. } => uses_query_range(operand),
        DurationExpr::Paren { inner, .. } => uses_query_range(inner),
        DurationExpr::Binary { lhs, rhs, .. }
        | DurationExpr::MinOf { lhs, rhs, .. }
        | DurationExpr::MaxOf { lhs, rhs, .. } => uses_query_range(lhs) || uses_query_range(rhs),
    }
}

/// The last step that is old enough to be kept, for steps from `start`.
pub(crate) fn last_settled(start: i64, end: i64, step: i64, now: Timestamp) -> i64 {
    let limit = end.min(now.0.saturating_sub(RECENT_MS));
    if limit < start { start - step } else { start + (limit - start) / step * step }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{ParseOptions, parse};

    fn key(text: &str) -> Key {
        Key { text: text.to_owned(), step: 10, phase: 0, lookback: 300_000 }
    }

    fn series(name: &str, times: &[i64]) -> Series {
        Series {
            labels: Labels::from_pairs([("__name__", name)]),
            floats: times.iter().map(|time| (Timestamp(*time), *time as f64)).collect(),
            histograms: Vec::new(),
        }
    }

    fn times(series: &Series) -> Vec<i64> {
        series.floats.iter().map(|(time, _)| time.0).collect()
    }

    #[test]
    fn known_steps_are_joined_with_new_ones() {
        let cache = ResultCache::new(10_000);
        cache.put(key("a"), 1, (0, 30), &[series("a", &[0, 10, 20, 30, 40])]);
        let known = cache.get(&key("a"), 1, 10, 60).expect("kept");
        assert_eq!((known.start, known.end), (10, 30));
        let joined = known.joined(Vec::new(), vec![series("a", &[40, 50, 60]), series("Z", &[60])]);
        assert_eq!(times(&joined[1]), [10, 20, 30, 40, 50, 60]);
        assert_eq!(times(&joined[0]), [60]);
    }

    #[test]
    fn a_change_of_what_is_old_forgets() {
        let cache = ResultCache::new(10_000);
        cache.put(key("a"), 1, (0, 30), &[series("a", &[0])]);
        assert!(cache.get(&key("a"), 2, 0, 30).is_none());
    }

    #[test]
    fn memory_is_bounded_and_the_unused_goes_first() {
        let cache = ResultCache::new(400);
        let many: Vec<i64> = (0..10).map(|at| at * 10).collect();
        cache.put(key("a"), 1, (0, 90), &[series("a", &many)]);
        cache.put(key("b"), 1, (0, 90), &[series("b", &many)]);
        assert!(cache.get(&key("a"), 1, 0, 90).is_some());
        cache.put(key("c"), 1, (0, 90), &[series("c", &many)]);
        assert!(cache.get(&key("b"), 1, 0, 90).is_none());
        assert!(cache.get(&key("a"), 1, 0, 90).is_some());
        assert!(cache.lock().bytes <= 400);
    }

    #[test]
    fn what_looks_beyond_its_step_is_not_kept() {
        let check = |query: &str| is_cacheable(&parse(query, ParseOptions::ALL).expect(query));
        for query in ["sum(rate(a[5m]))", "a offset 5m", "max_over_time(a[1h:5m])", "a[step()] and b", "a > 1"] {
            let query = query.replace("a[step()]", "rate(a[step()])");
            assert!(check(&query), "{query}");
        }
        for query in ["a @ 10", "a offset -5m", "a smoothed", "vector(end())", "rate(a[range()])", "a[5m] @ start()"] {
            assert!(!check(query), "{query}");
        }
    }

    #[test]
    fn the_last_ten_minutes_are_not_settled() {
        let minute = 60_000;
        assert_eq!(last_settled(0, 30 * minute, minute, Timestamp(25 * minute)), 15 * minute);
        assert_eq!(last_settled(20 * minute, 30 * minute, minute, Timestamp(25 * minute)), 19 * minute);
        assert_eq!(last_settled(0, 5 * minute, minute, Timestamp(60 * minute)), 5 * minute);
    }
}
