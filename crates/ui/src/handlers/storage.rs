//! `/status/tsdb`: what the storage counts about itself, whose series there are, and its files.

use std::time::Duration;

use appliance::metrics::MetricsError;
use axum::extract::State;
use axum::response::Response;
use model::query::{PointValue, QueryOptions, Value};

use super::frame::Frame;
use super::{App, numbers, query, refusal, times};
use crate::pages::Fact;
use crate::pages::storage::{Aside, Cardinality, PartRow, Producer, Producers, StoragePage, Top, TopRow};

/// Entries of each list.
const TOP: usize = 10;
const TARGETS: usize = 20;
const PARTS: usize = 20;
/// Counting by target reads the newest sample of every series; beyond this the page says so and goes on without.
const COUNT_TIME: Duration = Duration::from_secs(10);

/// `GET /status/tsdb`
pub(super) async fn show(State(app): State<App>, frame: Frame) -> Response {
    let caller = &frame.caller;
    let (cardinality, series) = match app.metrics.cardinality(caller, TOP).await {
        Ok(found) => (Cardinality::Lists(lists(&found)), Some(found.series)),
        Err(error) => (Cardinality::Failed(refusal::sentence(&error.to_string())), None),
    };
    let targets = match producers(&app, &frame).await {
        Ok(rows) => Producers::Rows(rows),
        Err(error) => Producers::Failed(refusal::sentence(&error.to_string())),
    };
    let mut parts = app.metrics.parts(caller).unwrap_or_default();
    parts.sort_by_key(|part| std::cmp::Reverse(part.range.start));
    let part = |part: &appliance::ports::Part| PartRow {
        id: part.id.clone(),
        from: times::full(part.range.start),
        to: times::full(part.range.end),
        samples: numbers::count(part.samples),
        series: numbers::count(part.series),
        bytes: numbers::bytes(part.bytes),
    };
    let quarantined = app.metrics.quarantined(caller).unwrap_or_default();
    let view = StoragePage {
        figures: figures(&app, &frame, series),
        cardinality,
        targets,
        parts: parts.iter().take(PARTS).map(part).collect(),
        parts_all: if parts.len() > PARTS { numbers::count(parts.len() as u64) } else { String::new() },
        quarantined: quarantined.into_iter().map(|q| Aside { what: q.what, reason: q.reason }).collect(),
    };
    frame.show(view.render(&frame.shell))
}

/// `GET /tsdb-status`: where Prometheus has it.
pub(super) async fn moved(frame: Frame) -> Response {
    frame.go("/status/tsdb")
}

fn figures(app: &App, frame: &Frame, series: Option<u64>) -> Vec<Fact> {
    let known = app.metrics.figures(&frame.caller).unwrap_or_default();
    let figure = |name: &str| known.iter().find(|figure| figure.name == name).map(|figure| figure.value as u64);
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: Option<String>| facts.extend(value.map(|value| Fact::new(name, value)));
    fact("Series in memory", series.or_else(|| figure("prometheus_tsdb_head_series")).map(numbers::count));
    fact("New series since the start", figure("prometheus_tsdb_head_series_created_total").map(numbers::count));
    fact("Samples since the start", figure("prometheus_tsdb_head_samples_appended_total").map(numbers::count));
    fact("Came late", figure("prometheus_tsdb_out_of_order_samples_appended_total").map(numbers::count));
    fact("Not taken", figure("watchpost_tsdb_refused_samples_total").map(numbers::count));
    fact("Memory of the head", figure("watchpost_tsdb_head_heap_bytes").map(numbers::bytes));
    fact("Log on disk", figure("watchpost_tsdb_log_bytes").map(numbers::bytes));
    fact("Files on disk", figure("prometheus_tsdb_storage_blocks_bytes").map(numbers::bytes));
    fact("Kept for", Some(app.facts.retention.clone()).filter(|text| !text.is_empty()));
    facts
}

fn lists(found: &appliance::ports::Cardinality) -> Vec<Top> {
    let top = |title: &str, name: &str, count: &str, rows: &[(String, u64)], href: &dyn Fn(&str) -> String| {
        let most = rows.first().map_or(0.0, |(_, count)| *count as f64);
        let row = |(name, count): &(String, u64)| TopRow {
            href: href(name),
            name: name.clone(),
            count: numbers::count(*count),
            percent: numbers::percent(*count as f64, most),
        };
        let rows = rows.iter().map(row).collect();
        Top { title: title.to_owned(), name: name.to_owned(), count: count.to_owned(), rows }
    };
    let of_pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) => query::of(&format!("{{{}}}", numbers::matcher(name, value))),
        None => String::new(),
    };
    vec![
        top("Series by metric", "Metric", "Series", &found.series_by_metric, &|name| {
            query::of(&numbers::selector(name))
        }),
        top("Values by label", "Label", "Values", &found.values_by_label, &|_| String::new()),
        top("Series by label", "Label", "Series", &found.series_by_label, &|_| String::new()),
        top("Series by label and value", "Pair", "Series", &found.series_by_pair, &of_pair),
    ]
}

/// Which target produced the series there are now.
async fn producers(app: &App, frame: &Frame) -> Result<Vec<Producer>, MetricsError> {
    let query = format!("topk({TARGETS}, count by (job, instance) ({{__name__!=\"\"}}))");
    let options = QueryOptions { timeout: Some(COUNT_TIME), ..QueryOptions::default() };
    let answer = app.metrics.instant(&frame.caller, query, app.clock.now(), options).await?;
    let Value::Vector(samples) = answer.value else { return Ok(Vec::new()) };
    let mut rows: Vec<(f64, String, String)> = samples
        .iter()
        .map(|sample| {
            let count = if let PointValue::Float(count) = sample.value { count } else { 0.0 };
            let label = |name| sample.labels.get(name).unwrap_or_default().to_owned();
            (count, label("job"), label("instance"))
        })
        .collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (&a.1, &a.2).cmp(&(&b.1, &b.2))));
    let most = rows.first().map_or(0.0, |row| row.0);
    let producer = |(count, job, instance): (f64, String, String)| Producer {
        href: query::of(&format!(
            "topk(10, count by (__name__) ({{{},{}}}))",
            numbers::matcher("job", &job),
            numbers::matcher("instance", &instance)
        )),
        count: numbers::count(count as u64),
        percent: numbers::percent(count, most),
        job: named(job),
        instance: named(instance),
    };
    Ok(rows.into_iter().map(producer).collect())
}

/// What came by remote write may have neither label.
fn named(label: String) -> String {
    if label.is_empty() { "none".to_owned() } else { label }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_list_leads_to_what_it_counts() {
        let found = appliance::ports::Cardinality {
            series: 3,
            series_by_metric: vec![("up".to_owned(), 2), ("a.b".to_owned(), 1)],
            series_by_label: vec![("job".to_owned(), 3)],
            values_by_label: vec![("job".to_owned(), 1)],
            series_by_pair: vec![("job=a=b".to_owned(), 3)],
        };
        let lists = lists(&found);
        let hrefs: Vec<&str> = lists.iter().flat_map(|list| list.rows.iter().map(|row| row.href.as_str())).collect();
        assert_eq!(
            hrefs,
            ["/query?expr=up", "/query?expr=%7B__name__%3D%22a.b%22%7D", "", "", "/query?expr=%7Bjob%3D%22a%3Db%22%7D"]
        );
        assert_eq!(lists[0].rows[1].percent, 50);
    }
}
