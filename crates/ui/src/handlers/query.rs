//! `/query`: reads what was asked, asks it, and finds out why where nothing comes back.
//!
//! Addresses of Prometheus's own page (`/graph?g0.expr=…`) lead here with what they asked for.

mod old;
mod paint;
mod table;
mod when;
mod why;

use std::sync::Arc;
use std::time::Duration;

use appliance::explain::empty::Asked as AskedEmpty;
use appliance::explain::{Outcome, Part, When};
use appliance::metrics::MetricsError;
use axum::extract::{Query, State};
use axum::response::Response;
use model::query::{QueryError, QueryOptions, QueryStats, Value};
use promql::syntax::ast::ValueType;
use promql::syntax::{Expr, PRETTY_WIDTH, ParseErrors, parse, pretty};
use serde::Deserialize;

use super::App;
use super::frame::Frame;
use super::{numbers, refusal};
use crate::filters::QUERY_CHARS_MAX;
use crate::pages::query::{Answer, Example, Fault, Jump, Metric, Part as PartRow, QueryPage};
use crate::tone::Tone;

/// Explaining asks the query in pieces; nobody waits longer for a page.
const EXPLAIN_TIME: Duration = Duration::from_secs(30);
/// Errors of a query that are shown; later ones often follow from the first.
const FAULTS_MAX: usize = 5;
/// Metrics named before anything is asked.
const METRICS: usize = 12;

/// The times a query is often asked over, with the word of `from`.
const SPANS: [(&str, &str); 6] =
    [("One time", ""), ("15 min", "15m"), ("1 h", "1h"), ("6 h", "6h"), ("1 day", "1d"), ("1 week", "7d")];

/// Queries that answer on every server.
const EXAMPLES: [(&str, &str); 4] = [
    ("up", "1 for each target that answers, 0 for each that does not"),
    ("count by (job) (up == 0)", "how many targets of each job are down"),
    ("topk(10, count by (__name__) ({__name__!=\"\"}))", "the metrics with the most series"),
    ("scrape_duration_seconds", "how long the last scrape of each target took"),
];

/// What the form sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    expr: String,
    from: String,
    to: String,
    step: String,
    show: String,
    #[serde(flatten)]
    old: old::Old,
}

impl Asked {
    fn explains(&self) -> bool {
        self.show == "explain"
    }

    /// This query with another beginning, or shown differently.
    fn address(&self, from: &str, explain: bool) -> String {
        let show = if explain { "explain" } else { "" };
        let pairs = [("expr", self.expr.as_str()), ("from", from), ("to", &self.to), ("step", &self.step)];
        address(pairs.into_iter().chain([("show", show)]))
    }
}

/// A page's address from what is not empty.
fn address<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    let query = query.finish();
    if query.is_empty() { "/query".to_owned() } else { format!("/query?{query}") }
}

/// The address of a query at one time.
pub(super) fn of(expr: &str) -> String {
    address([("expr", expr)])
}

/// `GET /query`, `GET /graph`
pub(super) async fn show(State(app): State<App>, frame: Frame, Query(asked): Query<Asked>) -> Response {
    if asked.expr.is_empty()
        && let Some(address) = asked.old.address()
    {
        return frame.go(&address);
    }
    let when = when::read(&asked.from, &asked.to, &asked.step, app.clock.now());
    let mut view = blank(&asked, when.fields());
    match when.asked() {
        _ if asked.expr.trim().is_empty() => view.answer = start(&app, &frame).await,
        Some(when) => answer(&app, &frame, &asked.expr, when, &mut view).await,
        // The fields say what is wrong; nothing was asked.
        None => view.answer = Answer::Start { examples: Vec::new(), metrics: Vec::new() },
    }
    frame.show(view.render(&frame.shell))
}

/// The page before anything is asked.
fn blank(asked: &Asked, fields: when::Fields) -> QueryPage {
    let asks = !asked.expr.trim().is_empty();
    let jump = |(label, from): (&str, &str)| Jump {
        label: label.to_owned(),
        href: asked.address(from, asked.explains()),
        current: asked.from.trim() == from,
    };
    QueryPage {
        query: asked.expr.clone(),
        painted: paint::pieces(&asked.expr),
        from: fields.from,
        to: fields.to,
        step: fields.step,
        explain: asked.explains(),
        spans: if asks { SPANS.map(jump).to_vec() } else { Vec::new() },
        table_href: if asks { asked.address(&asked.from, false) } else { String::new() },
        explain_href: asked.address(&asked.from, true),
        notes: Vec::new(),
        cost: String::new(),
        answer: Answer::Start { examples: Vec::new(), metrics: Vec::new() },
    }
}

async fn start(app: &App, frame: &Frame) -> Answer {
    let example =
        |(query, says): (&str, &str)| Example { query: query.to_owned(), says: says.to_owned(), href: of(query) };
    // What cannot be counted is not offered; the page is of use without it.
    let counted = app.metrics.cardinality(&frame.caller, METRICS).await.unwrap_or_default();
    let metric = |(name, series): (String, u64)| Metric {
        series: numbers::count(series),
        href: of(&numbers::selector(&name)),
        name,
    };
    Answer::Start {
        examples: EXAMPLES.map(example).to_vec(),
        metrics: counted.series_by_metric.into_iter().map(metric).collect(),
    }
}

async fn answer(app: &App, frame: &Frame, query: &str, when: When, view: &mut QueryPage) {
    if query.chars().count() > QUERY_CHARS_MAX {
        let message = format!("a query has at most {QUERY_CHARS_MAX} characters");
        view.answer = Answer::Wrong(vec![Fault {
            place: String::new(),
            message,
            before: String::new(),
            marked: String::new(),
            after: String::new(),
        }]);
        return;
    }
    let expr = match parse(query, app.metrics.language) {
        Ok(expr) => expr,
        Err(errors) => {
            view.answer = Answer::Wrong(faults(query, &errors));
            return;
        }
    };
    let outcome = if view.explain {
        explained(app, frame, query, &expr, when, view).await
    } else {
        asked(app, frame, query, &expr, when, view).await
    };
    if let Err(error) = outcome {
        view.answer = failed(&error);
    }
}

async fn asked(
    app: &App,
    frame: &Frame,
    query: &str,
    expr: &Expr,
    when: When,
    view: &mut QueryPage,
) -> Result<(), MetricsError> {
    let (options, begun) = (QueryOptions::default(), app.clock.monotonic());
    let caller = &frame.caller;
    let answer = match when {
        When::At(at) => app.metrics.instant(caller, query.to_owned(), at, options).await?,
        When::Over(steps) => app.metrics.range(caller, query.to_owned(), steps, options).await?,
    };
    let took = app.clock.monotonic().saturating_sub(begun);
    view.notes = paint::notes(query, expr, &answer.notes);
    view.cost = cost(&answer.value, answer.stats, took);
    let is_empty = match &answer.value {
        Value::Vector(samples) => samples.is_empty(),
        Value::Matrix(series) => series.is_empty(),
        Value::Scalar(..) | Value::String(..) => false,
    };
    view.answer = if is_empty {
        Answer::Nothing(reasons(app, frame, query, when).await)
    } else {
        Answer::Table(table::of(&answer.value, matches!(when, When::Over(_))))
    };
    Ok(())
}

async fn reasons(app: &App, frame: &Frame, query: &str, when: When) -> Vec<crate::pages::query::Why> {
    let lookback = app.reloader.current().settings.limits.query.lookback;
    let oldest = app.metrics.oldest(&frame.caller).ok().flatten();
    let asked = AskedEmpty { when, lookback, oldest };
    let options = QueryOptions { timeout: Some(EXPLAIN_TIME), ..QueryOptions::default() };
    let found = app.metrics.explain_empty(&frame.caller, query, asked, (Arc::clone(&app.clock), options)).await;
    why::words(found, app.clock.now(), &app.facts.retention)
}

async fn explained(
    app: &App,
    frame: &Frame,
    query: &str,
    expr: &Expr,
    when: When,
    view: &mut QueryPage,
) -> Result<(), MetricsError> {
    let options = QueryOptions { timeout: Some(EXPLAIN_TIME), nocache: true, ..QueryOptions::default() };
    let parts = app.metrics.explain(&frame.caller, query, when, (Arc::clone(&app.clock), options)).await?;
    view.answer = Answer::Parts { pretty: pretty(expr, PRETTY_WIDTH), parts: parts.into_iter().map(part).collect() };
    Ok(())
}

fn part(part: Part) -> PartRow {
    let nothing = part.outcome.is_empty();
    let mut row = PartRow {
        depth: part.depth,
        text: part.text,
        does: part.does,
        returns: String::new(),
        tone: Tone::Ok,
        read: String::new(),
        held: String::new(),
        took: String::new(),
    };
    match part.outcome {
        Outcome::NotAsked => {}
        Outcome::Failed(text) => (row.tone, row.returns) = (Tone::Critical, text),
        Outcome::Returned { kind, series, points, samples_read, bytes_peak, took } => {
            row.returns = match kind {
                _ if nothing => "nothing".to_owned(),
                ValueType::Scalar => "a number".to_owned(),
                ValueType::String => "a text".to_owned(),
                _ if points > series => {
                    format!(
                        "{} series, {}",
                        numbers::count(series as u64),
                        numbers::counted(points as u64, "sample", "samples")
                    )
                }
                _ => format!("{} series", numbers::count(series as u64)),
            };
            if nothing {
                row.tone = Tone::NoData;
            }
            row.read = numbers::count(samples_read);
            row.held = numbers::bytes(bytes_peak);
            row.took = numbers::took(took);
        }
    }
    row
}

/// "12 series · 605 samples read · at most 1.2 MB held · 11 ms"
fn cost(value: &Value, stats: QueryStats, took: Duration) -> String {
    let series = match value {
        Value::Vector(samples) => samples.len(),
        Value::Matrix(series) => series.len(),
        Value::Scalar(..) | Value::String(..) => 1,
    };
    [
        format!("{} series", numbers::count(series as u64)),
        format!("{} read", numbers::counted(stats.samples_total, "sample", "samples")),
        format!("at most {} held", numbers::bytes(stats.bytes_peak)),
        numbers::took(took),
    ]
    .join(" · ")
}

/// Each error with the line it stands in, its place marked.
fn faults(query: &str, errors: &ParseErrors) -> Vec<Fault> {
    let fault = |error: &promql::syntax::ParseError| {
        let cut = |at: u32| {
            let mut at = query.len().min(at as usize);
            while !query.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let (start, end) = (cut(error.span.start), cut(error.span.end).max(cut(error.span.start)));
        let line = query[..start].rfind('\n').map_or(0, |at| at + 1);
        let rest = query[end..].find('\n').map_or(query.len(), |at| end + at);
        Fault {
            place: if error.line == 0 { String::new() } else { format!("{}:{}", error.line, error.col) },
            message: error.message.clone(),
            before: query[line..start].to_owned(),
            // At the end nothing stands there: a blank carries the mark.
            marked: if start == end { " ".to_owned() } else { query[start..end].to_owned() },
            after: query[end..rest].to_owned(),
        }
    };
    errors.0.iter().take(FAULTS_MAX).map(fault).collect()
}

fn failed(error: &MetricsError) -> Answer {
    let (fact, ours) = match error {
        MetricsError::Denied(_) | MetricsError::AdminClosed | MetricsError::ReceiverClosed => {
            ("You may not read metrics.", false)
        }
        MetricsError::Query(QueryError::BadData(_)) => ("This cannot be asked.", false),
        MetricsError::Query(QueryError::Execution(_)) => ("The query could not be evaluated.", false),
        MetricsError::Query(QueryError::Timeout(_)) => ("The query took too long.", false),
        MetricsError::Query(QueryError::Cancelled(_)) => ("The query was stopped.", false),
        MetricsError::Query(QueryError::Internal(_)) => ("The storage failed.", true),
        MetricsError::Query(QueryError::Unavailable(_)) => ("The storage is not ready.", true),
    };
    Answer::Failed { fact: fact.to_owned(), cause: refusal::sentence(&error.to_string()), ours }
}

#[cfg(test)]
mod tests {
    use promql::syntax::ParseOptions;

    use super::*;

    #[track_caller]
    fn check(query: &str, place: &str, marked: &str) -> Fault {
        let found = faults(query, &parse(query, ParseOptions::ALL).unwrap_err());
        assert_eq!((found[0].place.as_str(), found[0].marked.as_str()), (place, marked), "{query}: {found:?}");
        found[0].clone()
    }

    #[test]
    fn an_error_is_marked_in_its_own_line() {
        let fault = check("sum(\n  rate(up))\n+ 1", "2:8", "up");
        assert_eq!((fault.before.as_str(), fault.after.as_str()), ("  rate(", "))"));
        // Whatever is missing at the end has no letter of its own, and a place inside one is moved to its beginning.
        let error = |query: &str, start, end| {
            let span = promql::syntax::ast::Span::new(start, end);
            faults(query, &ParseErrors(vec![promql::syntax::ParseError::new(query, span, String::new())])).remove(0)
        };
        let fault = error("sum(up", 6, 6);
        assert_eq!((fault.before.as_str(), fault.marked.as_str(), fault.after.as_str()), ("sum(up", " ", ""));
        assert_eq!(error("aü", 2, 3).marked, "ü");
        assert_eq!(error("a", 7, 9).before, "a");
    }

    #[test]
    fn a_query_survives_being_asked_over_another_time() {
        let asked = Asked { expr: "a{b=\"c&d\"} + 1".to_owned(), step: "30s".to_owned(), ..Asked::default() };
        assert_eq!(asked.address("1h", true), "/query?expr=a%7Bb%3D%22c%26d%22%7D+%2B+1&from=1h&step=30s&show=explain");
        assert_eq!(of(""), "/query");
    }

    #[test]
    fn what_a_query_cost_is_one_line() {
        let stats = QueryStats { samples_total: 1, samples_peak: 1, bytes_peak: 1_200_000 };
        let text = cost(&Value::Vector(Vec::new()), stats, Duration::from_millis(11));
        assert_eq!(text, "0 series · 1 sample read · at most 1.2 MB held · 11 ms");
    }
}
