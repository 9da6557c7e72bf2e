//! Completions: what may be typed at a place, best first.

use super::EDITOR_BYTES_MAX;
use super::catalogue::{Catalogue, MetricType};
use super::scan::{Expecting, Frame, Scan, Stage, scan};
use super::words::{aggregation, help};
use crate::syntax::ParseOptions;
use crate::syntax::ast::{AggregateOp, Span};
use crate::syntax::functions::FUNCTIONS;
use crate::syntax::quote::quoted;
use crate::syntax::token::TokenKind;

/// A list longer than this is not read; typing one more letter shortens it.
pub const COMPLETIONS_MAX: usize = 200;
/// So many of them may be names of metrics, so that functions are seen, too.
const METRICS_MAX: usize = 100;

/// Ranges people ask for.
const DURATIONS: [&str; 10] = ["1m", "5m", "10m", "15m", "30m", "1h", "6h", "12h", "1d", "7d"];
/// Units behind digits.
const UNITS: [(&str, &str); 7] = [
    ("ms", "milliseconds"),
    ("s", "seconds"),
    ("m", "minutes"),
    ("h", "hours"),
    ("d", "days"),
    ("w", "weeks"),
    ("y", "years of 365 days"),
];

/// What a completion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompletionKind {
    Metric,
    Function,
    Aggregation,
    Keyword,
    Operator,
    Label,
    LabelValue,
    Duration,
}

/// One thing that may be typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Replaces the word at the cursor.
    pub text: String,
    pub kind: CompletionKind,
    /// A signature or a type.
    pub detail: String,
    /// One line of help.
    pub doc: String,
}

/// What may be typed, and the word it replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completions {
    pub replace: Span,
    pub items: Vec<Completion>,
    /// Whether there were more.
    pub truncated: bool,
}

/// What may be typed at a place (in bytes; within a character it counts as in front of it).
#[must_use]
pub fn complete(text: &str, cursor: usize, options: ParseOptions, catalogue: &dyn Catalogue) -> Completions {
    let mut cursor = cursor.min(text.len());
    while !text.is_char_boundary(cursor) {
        cursor -= 1;
    }
    let place = if text.len() > EDITOR_BYTES_MAX { None } else { Place::find(text, cursor) };
    let Some(place) = place else {
        return Completions { replace: span(cursor, cursor), items: Vec::new(), truncated: false };
    };
    let replace = span(place.start, place.end);
    let mut list = List { prefix: &text[place.start..cursor], place: &place, options, catalogue, items: Vec::new() };
    list.fill(text);
    let mut items = list.items;
    let truncated = items.len() > COMPLETIONS_MAX;
    items.truncate(COMPLETIONS_MAX);
    Completions { replace, items, truncated }
}

fn span(start: usize, end: usize) -> Span {
    let position = |pos: usize| u32::try_from(pos).unwrap_or(u32::MAX);
    Span::new(position(start), position(end))
}

/// Where the cursor is: the word it is in, and what may stand there.
struct Place {
    start: usize,
    end: usize,
    /// The quote of the string that the cursor is in.
    quote: Option<char>,
    scan: Scan,
}

impl Place {
    fn find(text: &str, cursor: usize) -> Option<Self> {
        let before = &text[..cursor];
        let scan_before = scan(before);
        let unreadable = scan_before.unreadable.map(|span| span.start as usize);
        let last = scan_before.words.last().map(|word| word.token);
        if last.is_some_and(|token| token.kind == TokenKind::Comment && token.span.end as usize == cursor) {
            return None;
        }
        // A colon divides in brackets; elsewhere it is part of a name.
        let in_brackets = matches!(scan_before.frames.last(), Some(Frame::Brackets | Frame::Duration));
        let is_word = |c: char| c == '_' || c.is_ascii_alphanumeric() || (c == ':' && !in_brackets);
        let word_start = before.trim_end_matches(is_word).len();
        let (start, quote) = match unreadable {
            Some(start) => match before[start..].chars().next() {
                Some(quote @ ('"' | '\'' | '`')) => (start, Some(quote)),
                // A word or number that is not finished yet is no reason to give up, anything else is.
                _ if start >= word_start => (word_start, None),
                _ => return None,
            },
            None => (word_start, None),
        };
        let behind = &text[cursor..];
        let end = match quote {
            Some(quote) => cursor + closing_quote(behind, quote),
            None => cursor + (behind.len() - behind.trim_start_matches(is_word).len()),
        };
        Some(Self { start, end, quote, scan: scan(&text[..start]) })
    }
}

/// The length of the rest of a string, its quote included; 0 where it is not closed on this line.
fn closing_quote(behind: &str, quote: char) -> usize {
    let line = behind.lines().next().unwrap_or_default();
    line.find(quote).map_or(0, |at| at + quote.len_utf8())
}

struct List<'a> {
    prefix: &'a str,
    place: &'a Place,
    options: ParseOptions,
    catalogue: &'a dyn Catalogue,
    items: Vec<Completion>,
}

impl List<'_> {
    fn fill(&mut self, text: &str) {
        let scan = &self.place.scan;
        if self.place.quote.is_some() && !matches!(scan.expecting, Expecting::LabelValue | Expecting::LabelName) {
            return;
        }
        match scan.expecting {
            Expecting::Operand(stage) => self.operand(stage),
            Expecting::Operator { groupable } => self.operator(groupable),
            Expecting::AggregateHead => self.words(&["by", "without"]),
            Expecting::Open(_) | Expecting::LabelEnd | Expecting::GroupingEnd => {}
            Expecting::LabelName => self.labels(selected_metric(text, scan)),
            Expecting::MatchOp => self.operators(&["=", "!=", "=~", "!~"]),
            Expecting::LabelValue => self.label_values(text),
            Expecting::GroupingLabel => self.labels(nearest_metric(text, self.place)),
            Expecting::Duration => self.durations(),
            Expecting::AtTime => self.words(&["start()", "end()"]),
        }
    }

    fn push(&mut self, text: &str, kind: CompletionKind, detail: &str, doc: &str) {
        // One more than is shown tells that there are more.
        if self.items.len() <= COMPLETIONS_MAX {
            let (text, detail, doc) = (text.to_owned(), detail.to_owned(), doc.to_owned());
            self.items.push(Completion { text, kind, detail, doc });
        }
    }

    fn starts(&self, word: &str) -> bool {
        word.get(..self.prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(self.prefix))
    }

    fn words(&mut self, words: &[&str]) {
        for word in words {
            if self.starts(word) {
                self.push(word, CompletionKind::Keyword, "", help(word.trim_end_matches("()")).unwrap_or_default());
            }
        }
    }

    fn operators(&mut self, operators: &[&str]) {
        if self.prefix.is_empty() {
            for operator in operators {
                self.push(operator, CompletionKind::Operator, "", help(operator).unwrap_or_default());
            }
        }
    }

    fn operand(&mut self, stage: Stage) {
        match stage {
            Stage::Start => {}
            Stage::Operator { comparison } => {
                self.words(if comparison { &["bool", "on", "ignoring"] } else { &["on", "ignoring"] });
            }
            Stage::Matching => self.words(&["group_left", "group_right"]),
            Stage::Included => {}
        }
        if self.options.binop_fill && stage != Stage::Start {
            self.words(&["fill", "fill_left", "fill_right"]);
        }
        // In the parentheses of fill() only a number may stand.
        if self.place.scan.frames.last() == Some(&Frame::Fill) {
            return;
        }
        for metric in self.catalogue.metric_names(self.prefix, METRICS_MAX) {
            let kind = self.catalogue.metric_type(&metric).map_or("", MetricType::as_str);
            let doc = self.catalogue.metric_help(&metric).unwrap_or_default();
            self.push(&metric, CompletionKind::Metric, kind, &doc);
        }
        for op in AggregateOp::ALL {
            if self.starts(op.as_str()) && (!op.is_experimental() || self.options.experimental_functions) {
                let (signature, doc) = aggregation(op);
                self.push(op.as_str(), CompletionKind::Aggregation, signature, doc);
            }
        }
        for function in &FUNCTIONS {
            if self.starts(function.name) && (!function.experimental || self.options.experimental_functions) {
                self.push(function.name, CompletionKind::Function, function.signature, function.doc);
            }
        }
    }

    fn operator(&mut self, groupable: bool) {
        if groupable {
            self.words(&["by", "without"]);
        }
        self.words(&["and", "or", "unless", "offset", "atan2"]);
        if self.options.extended_range_selectors {
            self.words(&["anchored", "smoothed"]);
        }
        self.operators(&["+", "-", "*", "/", "%", "^", "==", "!=", "<", "<=", ">", ">=", "@"]);
    }

    fn labels(&mut self, metric: Option<&str>) {
        // Within quotes the name is written with quotes.
        let prefix = if self.place.quote.is_some() { &self.prefix[1..] } else { self.prefix };
        for label in self.catalogue.label_names(metric, prefix, COMPLETIONS_MAX + 1) {
            let bare = self.place.quote.is_none() && model::labels::is_classic_label_name(&label);
            let text = if bare { label } else { quoted(&label) };
            self.push(&text, CompletionKind::Label, "label", "");
        }
    }

    fn label_values(&mut self, text: &str) {
        let scan = &self.place.scan;
        let Some(label) = scan.label.map(|span| &text[span.start as usize..span.end as usize]) else { return };
        let label = crate::syntax::quote::unquote(label).map_or_else(|| label.to_owned(), |name| name.text());
        let prefix = if self.place.quote.is_some() { &self.prefix[1..] } else { self.prefix };
        let metric = selected_metric(text, scan);
        for value in self.catalogue.label_values(metric, &label, prefix, COMPLETIONS_MAX + 1) {
            self.push(&quoted(&value), CompletionKind::LabelValue, &label, "");
        }
    }

    fn durations(&mut self) {
        let digits = self.prefix.len() - self.prefix.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits > 0 && digits == self.prefix.len() {
            for (unit, name) in UNITS {
                self.push(&format!("{}{unit}", self.prefix), CompletionKind::Duration, name, "");
            }
            return;
        }
        for duration in DURATIONS {
            if self.starts(duration) {
                self.push(duration, CompletionKind::Duration, "", "");
            }
        }
        if self.options.duration_expr {
            for name in ["step", "range", "min_of", "max_of"] {
                if let Some(function) = crate::syntax::functions::lookup(name).filter(|_| self.starts(name)) {
                    self.push(name, CompletionKind::Function, function.signature, function.doc);
                }
            }
        }
    }
}

/// The metric in front of the braces.
fn selected_metric<'a>(text: &'a str, scan: &Scan) -> Option<&'a str> {
    scan.metric.map(|span| &text[span.start as usize..span.end as usize])
}

/// The metric whose labels are grouped by: the next one behind the cursor, else the last one in front of it.
fn nearest_metric<'a>(text: &'a str, place: &Place) -> Option<&'a str> {
    let whole = scan(text);
    let metrics: Vec<Span> = whole
        .words
        .iter()
        .filter(|word| word.role == super::highlight::Role::Metric)
        .map(|word| word.token.span)
        .filter(|span| (span.start as usize) < place.start || (span.start as usize) >= place.end)
        .collect();
    let behind = metrics.iter().find(|span| span.start as usize >= place.end);
    behind.or(metrics.last()).map(|span| &text[span.start as usize..span.end as usize])
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A small shop with a few metrics.
    pub(in super::super) struct Shop;

    const METRICS: [(&str, MetricType); 4] = [
        ("latency_seconds", MetricType::Histogram),
        ("latency_seconds_bucket", MetricType::Counter),
        ("orders_total", MetricType::Counter),
        ("temperature", MetricType::Gauge),
    ];

    impl Catalogue for Shop {
        fn metric_type(&self, metric: &str) -> Option<MetricType> {
            METRICS.iter().find(|(name, _)| *name == metric).map(|(_, kind)| *kind)
        }

        fn metric_help(&self, metric: &str) -> Option<String> {
            (metric == "orders_total").then(|| "Orders taken.".to_owned())
        }

        fn metric_names(&self, prefix: &str, limit: usize) -> Vec<String> {
            let names = METRICS.iter().map(|(name, _)| (*name).to_owned());
            names.filter(|name| name.starts_with(prefix)).take(limit).collect()
        }

        fn label_names(&self, metric: Option<&str>, prefix: &str, limit: usize) -> Vec<String> {
            let names: &[&str] = match metric {
                Some("orders_total") => &["code", "job", "service.name"],
                Some(_) => &["job"],
                None => &["code", "job", "room"],
            };
            names.iter().filter(|name| name.starts_with(prefix)).take(limit).map(ToString::to_string).collect()
        }

        fn label_values(&self, _metric: Option<&str>, label: &str, prefix: &str, limit: usize) -> Vec<String> {
            let values: &[&str] = if label == "code" { &["200", "404", "500"] } else { &[] };
            values.iter().filter(|value| value.starts_with(prefix)).take(limit).map(ToString::to_string).collect()
        }
    }

    /// The cursor is at `|`; shows the word replaced and the first few completions.
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let cursor = text.find('|').expect("a cursor");
        let text = text.replacen('|', "", 1);
        let found = complete(&text, cursor, ParseOptions::default(), &Shop);
        let word = &text[found.replace.start as usize..found.replace.end as usize];
        let items: Vec<&str> = found.items.iter().take(6).map(|item| item.text.as_str()).collect();
        assert_eq!(format!("[{word}] {}", items.join(" ")), expected, "{text}");
    }

    #[test]
    fn an_operand_is_a_metric_an_aggregation_or_a_function() {
        check("|", "[] latency_seconds latency_seconds_bucket orders_total temperature sum avg");
        check("ord|", "[ord] orders_total");
        check("sum(r|ate", "[rate] rad rate resets round");
        check(
            "histogram_|",
            "[histogram_] histogram_avg histogram_count histogram_fraction histogram_quantile histogram_stddev histogram_stdvar",
        );
        check("1 + t|", "[t] temperature topk tan tanh time timestamp");
        check("orders_total > b|", "[b] bool bottomk");
        check("a * on (job) g|", "[g] group_left group_right group");
    }

    #[test]
    fn behind_an_operand_come_operators_and_modifiers() {
        check("orders_total |", "[] and or unless offset atan2 +");
        check("orders_total o|", "[o] or offset");
        check("sum(orders_total) |", "[] by without and or unless offset");
        check("sum by (job) (orders_total) b|", "[b] ");
        check("sum |", "[] by without");
        check("foo[5m] @ |", "[] start() end()");
    }

    #[test]
    fn labels_are_those_of_the_metric() {
        check("orders_total{|", "[] code job \"service.name\"");
        check("orders_total{code=\"200\", j|}", "[j] job");
        check("orders_total{\"serv|\"}", "[\"serv\"] \"service.name\"");
        check("{|", "[] code job room");
        check("sum by (|) (temperature)", "[] job");
        check("sum(orders_total) by (c|", "[c] code");
    }

    #[test]
    fn label_values_come_with_quotes() {
        check("orders_total{code|", "[code] code");
        check("orders_total{code |", "[] = != =~ !~");
        check("orders_total{code=|", "[] \"200\" \"404\" \"500\"");
        check("orders_total{code=\"4|\"}", "[\"4\"] \"404\"");
        check("orders_total{code=~\"|", "[\"] \"200\" \"404\" \"500\"");
    }

    #[test]
    fn durations_are_offered_in_brackets_and_behind_offset() {
        check("foo[|", "[] 1m 5m 10m 15m 30m 1h");
        check("foo[5|]", "[5] 5ms 5s 5m 5h 5d 5w");
        check("foo offset |", "[] 1m 5m 10m 15m 30m 1h");
        check("foo[5m:s|", "[s] step");
    }

    #[test]
    fn nothing_is_offered_in_comments_and_plain_strings() {
        check("foo # com|", "[] ");
        check("\"str|", "[\"str] ");
        check("foo $ b|", "[] ");
    }

    #[test]
    fn functions_that_are_off_are_not_offered() {
        let all = complete("mad", 3, ParseOptions::ALL, &Shop).items;
        assert_eq!(all.len(), 1);
        assert!(all[0].detail.starts_with("mad_over_time(") && all[0].doc.ends_with('.'));
        assert!(complete("mad", 3, ParseOptions::default(), &Shop).items.is_empty());
    }
}
