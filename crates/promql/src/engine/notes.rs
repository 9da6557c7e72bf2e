//! Annotations: what a query wants to tell about its result, with the place in the query that caused it.
//!
//! The texts are those of Prometheus, because people search for them and scripts compare them. The place is kept
//! beside the text and only rendered at the end, so both forms (with and without `(line:col)`) can be shown.

use std::collections::BTreeMap;

use model::query::Notes;

use super::number;
use crate::syntax::ast::Span;

/// How many annotations of one level a result shows; the rest is counted. Prometheus's number.
const SHOWN_MAX: usize = 10;

/// Kept while a query runs. Texts contain label values, so without a bound a query over a million broken
/// series would keep a million texts; beyond it only the count goes on.
const KEPT_MAX: usize = 1_000;

/// How much an annotation matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Warning,
    Info,
}

/// What the operation was in which two native histograms met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistogramOperation {
    Addition,
    Subtraction,
    Aggregation,
}

impl HistogramOperation {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Addition => "addition",
            Self::Subtraction => "subtraction",
            Self::Aggregation => "aggregation",
        }
    }
}

/// Where and how much classic buckets had to be lifted so that they grow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForcedMonotonicity {
    pub time_min: i64,
    pub time_max: i64,
    pub bucket_min: f64,
    pub bucket_max: f64,
    pub difference_max: f64,
    pub samples: u64,
}

impl ForcedMonotonicity {
    fn widen(&mut self, other: &Self) {
        self.time_min = self.time_min.min(other.time_min);
        self.time_max = self.time_max.max(other.time_max);
        self.bucket_min = self.bucket_min.min(other.bucket_min);
        self.bucket_max = self.bucket_max.max(other.bucket_max);
        self.difference_max = self.difference_max.max(other.difference_max);
        self.samples += other.samples;
    }
}

/// One annotation beside its text.
#[derive(Clone, Debug, PartialEq)]
struct Place {
    span: Span,
    monotonicity: Option<ForcedMonotonicity>,
}

/// The annotations of a query or of a part of it. Equal texts are one annotation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NoteSet {
    kept: BTreeMap<(Level, String), Place>,
    dropped: [usize; 2],
}

impl NoteSet {
    fn add(&mut self, level: Level, text: String, span: Span) {
        self.insert(level, text, Place { span, monotonicity: None });
    }

    /// The earliest place wins, so that the result does not depend on who met it first.
    fn insert(&mut self, level: Level, text: String, place: Place) {
        if self.kept.len() >= KEPT_MAX && !self.kept.contains_key(&(level, text.clone())) {
            self.dropped[level as usize] += 1;
            return;
        }
        self.kept
            .entry((level, text))
            .and_modify(|known| {
                if (place.span.start, place.span.end) < (known.span.start, known.span.end) {
                    known.span = place.span;
                }
                match (&mut known.monotonicity, &place.monotonicity) {
                    (Some(known), Some(new)) => known.widen(new),
                    (known @ None, new) => *known = *new,
                    (Some(_), None) => {}
                }
            })
            .or_insert(place);
    }

    /// Takes over the annotations of another part.
    pub fn merge(&mut self, other: Self) {
        for ((level, text), place) in other.kept {
            self.insert(level, text, place);
        }
        for (sum, more) in self.dropped.iter_mut().zip(other.dropped) {
            *sum += more;
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The texts of one level without their places.
    pub fn texts(&self, level: Level) -> impl Iterator<Item = &str> {
        self.kept.keys().filter(move |(l, _)| *l == level).map(|(_, text)| text.as_str())
    }

    /// The texts of one level with their places, all of them.
    pub fn positioned(&self, level: Level, query: &str) -> Vec<String> {
        self.kept
            .iter()
            .filter(|((l, _), _)| *l == level)
            .map(|((_, text), place)| render(text, place, query))
            .collect()
    }

    /// As the HTTP API shows them: at most ten of each level, the rest counted.
    #[must_use]
    pub fn render(&self, query: &str) -> Notes {
        let shown = |level: Level, noun: &str| {
            let mut texts = self.positioned(level, query);
            let omitted = texts.len().saturating_sub(SHOWN_MAX) + self.dropped[level as usize];
            texts.truncate(SHOWN_MAX);
            if omitted > 0 {
                texts.push(format!("{omitted} more {noun} annotations omitted"));
            }
            texts
        };
        Notes { warnings: shown(Level::Warning, "warning"), infos: shown(Level::Info, "info") }
    }
}

fn render(text: &str, place: &Place, query: &str) -> String {
    let (line, col) = place.span.line_col(query);
    let detail = place.monotonicity.map_or_else(String::new, |m| {
        let second = |millis: i64| {
            let at = model::time::Timestamp(millis / 1000 * 1000).to_string();
            at.replace(".000Z", "Z")
        };
        format!(
            ", from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
            number::general(m.bucket_min),
            number::general(m.bucket_max),
            number::two_digits(m.difference_max),
            m.samples,
            second(m.time_min),
            second(m.time_max),
        )
    });
    format!("{text}{detail} ({line}:{col})")
}

fn with_metric(text: &str, metric: &str) -> String {
    if metric.is_empty() { text.to_owned() } else { format!("{text} for metric name {}", number::quoted(metric)) }
}

/// The annotations Prometheus knows. Each names the part of the query it is about.
impl NoteSet {
    pub fn invalid_quantile(&mut self, quantile: f64, span: Span) {
        let got = number::general(quantile);
        self.add(Level::Warning, format!("PromQL warning: quantile value should be between 0 and 1, got {got}"), span);
    }

    pub fn invalid_ratio(&mut self, ratio: f64, used: f64, span: Span) {
        let (got, used) = (number::general(ratio), number::general(used));
        let text = format!("PromQL warning: ratio value should be between -1 and 1, got {got}, capping to {used}");
        self.add(Level::Warning, text, span);
    }

    pub fn bad_bucket_label(&mut self, metric: &str, value: &str, span: Span) {
        let value = number::quoted(value);
        let text = format!("PromQL warning: bucket label \"le\" is missing or has a malformed value of {value}");
        self.add(Level::Warning, with_metric(&text, metric), span);
    }

    pub fn mixed_floats_histograms(&mut self, metric: &str, span: Span) {
        let metric = number::quoted(metric);
        let text = format!("PromQL warning: encountered a mix of histograms and floats for metric name {metric}");
        self.add(Level::Warning, text, span);
    }

    pub fn mixed_floats_histograms_in_aggregation(&mut self, span: Span) {
        let text = "PromQL warning: encountered a mix of histograms and floats for aggregation";
        self.add(Level::Warning, text.to_owned(), span);
    }

    pub fn mixed_classic_native(&mut self, metric: &str, span: Span) {
        let text = "PromQL warning: vector contains a mix of classic and native histograms";
        self.add(Level::Warning, with_metric(text, metric), span);
    }

    pub fn not_a_counter(&mut self, metric: &str, span: Span) {
        let metric = number::quoted(metric);
        let text = format!("PromQL warning: this native histogram metric is not a counter: {metric}");
        self.add(Level::Warning, text, span);
    }

    pub fn not_a_gauge(&mut self, metric: &str, span: Span) {
        let metric = number::quoted(metric);
        let text = format!("PromQL warning: this native histogram metric is not a gauge: {metric}");
        self.add(Level::Warning, text, span);
    }

    pub fn mixed_exponential_custom(&mut self, metric: &str, span: Span) {
        let metric = number::quoted(metric);
        let text = format!(
            "PromQL warning: vector contains a mix of histograms with exponential and custom buckets schemas for \
             metric name {metric}"
        );
        self.add(Level::Warning, text, span);
    }

    pub fn incompatible_bucket_layout(&mut self, operator: &str, span: Span) {
        let text = format!("PromQL warning: incompatible bucket layout encountered for binary operator {operator}");
        self.add(Level::Warning, text, span);
    }

    pub fn sort_in_range_query(&mut self, span: Span) {
        let text = "PromQL warning: sort is ineffective for range queries since results are always ordered by labels";
        self.add(Level::Warning, text.to_owned(), span);
    }

    pub fn counter_reset_collision(&mut self, operation: HistogramOperation, span: Span) {
        let operation = operation.as_str();
        let text = format!("PromQL warning: conflicting counter resets during histogram {operation}");
        self.add(Level::Warning, text, span);
    }

    pub fn start_time_overlap(&mut self, metric: &str, span: Span) {
        let text = "PromQL warning: start timestamp overlaps with a previous sample";
        self.add(Level::Warning, with_metric(text, metric), span);
    }

    /// What the storage could not read.
    pub fn storage(&mut self, warning: &str, span: Span) {
        self.add(Level::Warning, warning.to_owned(), span);
    }

    pub fn possible_non_counter(&mut self, metric: &str, span: Span) {
        let text = format!(
            "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}",
            number::quoted(metric)
        );
        self.add(Level::Info, text, span);
    }

    pub fn possible_non_counter_label(&mut self, metric: &str, type_label: &str, span: Span) {
        let text = format!(
            "PromQL info: metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", \
             got {}: {}",
            number::quoted(type_label),
            number::quoted(metric)
        );
        self.add(Level::Info, text, span);
    }

    pub fn forced_monotonicity(&mut self, metric: &str, found: ForcedMonotonicity, span: Span) {
        let text = "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see \
                    https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
        self.insert(Level::Info, with_metric(text, metric), Place { span, monotonicity: Some(found) });
    }

    pub fn incompatible_types(&mut self, left: &str, operator: &str, right: &str, span: Span) {
        let text = format!(
            "PromQL info: incompatible sample types encountered for binary operator {}: {left} {operator} {right}",
            number::quoted(operator)
        );
        self.add(Level::Info, text, span);
    }

    pub fn histogram_ignored_in_aggregation(&mut self, aggregation: &str, span: Span) {
        self.add(Level::Info, format!("PromQL info: ignored histogram in {aggregation} aggregation"), span);
    }

    pub fn histogram_ignored_in_mixed_range(&mut self, metric: &str, span: Span) {
        let text = format!(
            "PromQL info: ignored histograms in a range containing both floats and histograms for metric name {}",
            number::quoted(metric)
        );
        self.add(Level::Info, text, span);
    }

    pub fn quantile_of_nan_is_nan(&mut self, metric: &str, span: Span) {
        let text = "PromQL info: input to histogram_quantile has NaN observations, result is NaN";
        self.add(Level::Info, with_metric(text, metric), span);
    }

    pub fn quantile_skewed_by_nan(&mut self, metric: &str, span: Span) {
        let text = "PromQL info: input to histogram_quantile has NaN observations, result is skewed higher";
        self.add(Level::Info, with_metric(text, metric), span);
    }

    pub fn fraction_without_nan(&mut self, metric: &str, span: Span) {
        let text = "PromQL info: input to histogram_fraction has NaN observations, which are excluded from all \
                    fractions";
        self.add(Level::Info, with_metric(text, metric), span);
    }

    pub fn custom_buckets_reconciled(&mut self, operation: HistogramOperation, span: Span) {
        let operation = operation.as_str();
        let text = format!("PromQL info: mismatched custom buckets were reconciled during {operation}");
        self.add(Level::Info, text, span);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one_annotation_at_the_earliest_place() {
        let mut notes = NoteSet::default();
        notes.invalid_quantile(2.0, Span::new(12, 13));
        notes.invalid_quantile(2.0, Span::new(4, 5));
        let rendered = notes.render("sum(quantile\n");
        assert_eq!(rendered.warnings, ["PromQL warning: quantile value should be between 0 and 1, got 2 (1:5)"]);
    }

    #[test]
    fn ten_are_shown_and_the_rest_is_counted() {
        let mut notes = NoteSet::default();
        for metric in 0..13 {
            notes.not_a_gauge(&format!("m{metric:02}"), Span::default());
        }
        let rendered = notes.render("x");
        assert_eq!(rendered.warnings.len(), 11);
        assert_eq!(rendered.warnings[10], "3 more warning annotations omitted");
        assert_eq!(rendered.infos, Vec::<String>::new());
    }

    #[test]
    fn forced_monotonicity_widens() {
        let mut notes = NoteSet::default();
        let one = ForcedMonotonicity {
            time_min: 1_000,
            time_max: 1_000,
            bucket_min: 1.0,
            bucket_max: 2.0,
            difference_max: 0.5,
            samples: 1,
        };
        notes.forced_monotonicity("m", one, Span::new(0, 1));
        notes.forced_monotonicity(
            "m",
            ForcedMonotonicity { time_max: 61_000, bucket_max: 4.0, ..one },
            Span::new(0, 1),
        );
        let infos = notes.render("m").infos;
        assert_eq!(infos.len(), 1);
        let tail = ", from buckets 1 to 4, with a max diff of 0.5, over 2 samples from 1970-01-01T00:00:01Z to \
                    1970-01-01T00:01:01Z (1:1)";
        assert!(infos[0].ends_with(tail), "{}", infos[0]);
    }
}
