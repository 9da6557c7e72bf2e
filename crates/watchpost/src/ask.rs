//! `watchpost query`, `query-range`, `series`, `labels`: a question to a running server or to a data folder.
//!
//! Both ways end in the JSON of Prometheus's API, which is printed as it is or as promtool prints it.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use appliance::config::Config;
use appliance::config::load::{FlagValue, load};
use model::query::{Evaluator, PointValue, QueryOptions, Steps, Value};
use model::storage::TimeRange;
use model::time::{Clock, SystemClock, Timestamp};
use net::client::{Budget, Call, Client, ClientOptions};
use promql::engine::number;
use serde_json::{Value as Json, json};

use crate::cli::ask::{Ask, Probe, Question, Whom};
use crate::data_folder::DataFolder;
use crate::sources::sources;
use crate::version::say;
use crate::{healthcheck, samples};

/// The range that is asked for where none is given.
const HOUR_MS: i64 = 3_600_000;
/// What an answer may hold.
const ANSWER_BYTES_MAX: usize = 1 << 30;

/// Asks, and prints the answer.
pub(crate) fn ask(arguments: &Ask) -> anyhow::Result<ExitCode> {
    let Ask { whom, question } = arguments;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let answered = match &whom.data {
        Some(_) => ask_folder(whom, question, &clock)?,
        None => ask_server(whom, question, &clock)?,
    };
    for warning in &answered.warnings {
        crate::version::complain(&format!("warning: {warning}\n"));
    }
    say(&if whom.json { format!("{}\n", answered.data) } else { as_text(question, &answered.data) })
}

/// Fetches a target once, and says what a scrape would bring.
pub(crate) fn probe(arguments: &Probe) -> anyhow::Result<ExitCode> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("the runtime cannot start")?;
    let trial = runtime.block_on(appliance::scraping::probe(&arguments.url, arguments.timeout, &clock));
    let trial = trial.map_err(anyhow::Error::msg)?;
    let mut text = format!("{} answered within {} ms\n", trial.url, trial.took.as_millis());
    if !trial.content_type.is_empty() {
        text.push_str(&format!("type: {}, {} bytes\n", trial.content_type, trial.bytes));
    }
    text.push_str(&format!("samples: {}\n", trial.samples));
    trial.first.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    if let Some(failure) = &trial.failure {
        say(&text)?;
        bail!("{} {}", failure.fact, failure.hint);
    }
    say(&text)
}

struct Answered {
    data: Json,
    warnings: Vec<String>,
}

/// The configuration, with the data folder that was named.
pub(crate) fn configured(whom: &Whom) -> anyhow::Result<Config> {
    let mut sources = sources(whom.config.clone(), &[], false);
    sources.own_file_only = true;
    if let Some(data) = &whom.data {
        sources.flags.push(FlagValue { flag: "data", key: "storage.path", text: data.clone(), adds: false });
    }
    Ok(load(&sources)?)
}

/// The data folder, which nobody else may use meanwhile.
pub(crate) fn folder(config: &Config) -> anyhow::Result<DataFolder> {
    let path = &config.settings.storage.path;
    let path = path.place.resolve(&path.value);
    anyhow::ensure!(path.is_dir(), "{}: there is no data folder", path.display());
    Ok(DataFolder::open(&path)?)
}

fn ask_folder(whom: &Whom, question: &Question, clock: &Arc<dyn Clock>) -> anyhow::Result<Answered> {
    let config = configured(whom)?;
    let folder = folder(&config)?;
    let store = samples::database(&config, folder.path(), clock)?;
    let engine = samples::engine(&config, &store, clock)?;
    let options = QueryOptions { timeout: Some(whom.timeout), ..QueryOptions::default() };
    let now = clock.now();
    let range = |start: &Option<String>, end: &Option<String>| -> anyhow::Result<TimeRange> {
        Ok(TimeRange::new(time(start, Timestamp::MIN)?, time(end, Timestamp::MAX)?))
    };
    let (data, warnings) = match question {
        Question::Instant { query, time: at } => {
            let answer = engine.instant(query, time(at, now)?, &options)?;
            (value_as_json(&answer.value), answer.notes.warnings)
        }
        Question::Range { query, start, end, step } => {
            let end = time(end, now)?;
            let start = time(start, Timestamp(end.millis() - HOUR_MS))?;
            let answer = engine.range(query, Steps { start, end, step_ms: step_ms(step)? }, &options)?;
            (value_as_json(&answer.value), answer.notes.warnings)
        }
        Question::Series { selectors, start, end } => {
            let found = engine.series(selectors, range(start, end)?, &options)?;
            (found.items.iter().map(labels_as_json).collect(), Vec::new())
        }
        Question::Labels { name, selectors, start, end } => {
            let found = engine.labels(name.as_deref(), selectors, range(start, end)?, &options)?;
            (json!(found.items), Vec::new())
        }
    };
    // Nothing was written, so there is nothing to lose if closing fails.
    let _closed = appliance::ports::MetricStore::close(&*store);
    Ok(Answered { data, warnings })
}

pub(crate) fn time(text: &Option<String>, default: Timestamp) -> anyhow::Result<Timestamp> {
    let Some(text) = text else { return Ok(default) };
    Timestamp::parse(text).with_context(|| format!("{text:?} is no time, expected seconds since 1970 or RFC 3339"))
}

fn step_ms(text: &str) -> anyhow::Result<i64> {
    let millis = match text.parse::<f64>() {
        Ok(seconds) => (seconds * 1000.0) as i64,
        Err(_) => i64::try_from(model::time::parse_duration(text)?.as_millis())?,
    };
    anyhow::ensure!(millis > 0, "--step {text}: expected a step above zero");
    Ok(millis)
}

fn labels_as_json(labels: &model::labels::Labels) -> Json {
    Json::Object(labels.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect())
}

fn value_as_json(value: &Value) -> Json {
    let point = |at: Timestamp, value: f64| json!([at.seconds(), number::api(value)]);
    let histogram = |histogram: &model::histogram::Histogram| json!({"count": number::api(histogram.count), "sum": number::api(histogram.sum)});
    match value {
        Value::Scalar(at, value) => json!({"resultType": "scalar", "result": point(*at, *value)}),
        Value::String(at, text) => json!({"resultType": "string", "result": [at.seconds(), text]}),
        Value::Vector(samples) => {
            let sample = |sample: &model::query::VectorSample| {
                let metric = labels_as_json(&sample.labels);
                match &sample.value {
                    PointValue::Float(value) => json!({"metric": metric, "value": point(sample.time, *value)}),
                    PointValue::Histogram(value) => {
                        json!({"metric": metric, "histogram": [sample.time.seconds(), histogram(value)]})
                    }
                }
            };
            json!({"resultType": "vector", "result": samples.iter().map(sample).collect::<Vec<_>>()})
        }
        Value::Matrix(series) => {
            let one = |series: &model::query::Series| {
                let floats: Vec<Json> = series.floats.iter().map(|(at, value)| point(*at, *value)).collect();
                let histograms: Vec<Json> =
                    series.histograms.iter().map(|(at, value)| json!([at.seconds(), histogram(value)])).collect();
                json!({"metric": labels_as_json(&series.labels), "values": floats, "histograms": histograms})
            };
            json!({"resultType": "matrix", "result": series.iter().map(one).collect::<Vec<_>>()})
        }
    }
}

fn ask_server(whom: &Whom, question: &Question, clock: &Arc<dyn Clock>) -> anyhow::Result<Answered> {
    let base = match &whom.server {
        Some(server) => server.trim_end_matches('/').to_owned(),
        None => format!("http://{}", healthcheck::address_of(&configured(whom)?)?),
    };
    let mut call = Call::get(format!("{base}{}", path_of(question, clock.now())));
    call.budget = Budget { total: whom.timeout, body_bytes_max: ANSWER_BYTES_MAX, ..Budget::default() };
    if let Some(file) = &whom.token_file {
        let token = read_line(file)?;
        call.headers.insert("authorization", format!("Bearer {token}").parse()?);
    }
    let options = ClientOptions { ca_file: whom.ca_file.clone(), ..ClientOptions::default() };
    let client = Client::new(options, Arc::clone(clock))?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("the runtime cannot start")?;
    let reply = runtime.block_on(client.send(call)).with_context(|| format!("{base} does not answer"))?;
    let body: Json = serde_json::from_slice(&reply.body)
        .with_context(|| format!("{base} answers with status {} and no JSON", reply.status.as_u16()))?;
    if body["status"] != "success" {
        bail!("{}", body["error"].as_str().unwrap_or("the server refuses without saying why"));
    }
    let warnings = body["warnings"].as_array().into_iter().flatten();
    Ok(Answered {
        warnings: warnings.filter_map(|text| text.as_str().map(str::to_owned)).collect(),
        data: body["data"].clone(),
    })
}

fn read_line(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(text.trim().to_owned())
}

fn path_of(question: &Question, now: Timestamp) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let mut add = |name: &str, value: &Option<String>| {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    };
    let path = match question {
        Question::Instant { query: text, time } => {
            add("query", &Some(text.clone()));
            add("time", time);
            "/api/v1/query".to_owned()
        }
        Question::Range { query: text, start, end, step } => {
            let end = end.clone().unwrap_or_else(|| now.seconds().to_string());
            let hour_before = Timestamp::parse(&end).map_or(now, |end| Timestamp(end.millis() - HOUR_MS));
            add("query", &Some(text.clone()));
            add("start", &Some(start.clone().unwrap_or_else(|| hour_before.seconds().to_string())));
            add("end", &Some(end));
            add("step", &Some(step.clone()));
            "/api/v1/query_range".to_owned()
        }
        Question::Series { selectors, start, end } => {
            selectors.iter().for_each(|selector| add("match[]", &Some(selector.clone())));
            add("start", start);
            add("end", end);
            "/api/v1/series".to_owned()
        }
        Question::Labels { name, selectors, start, end } => {
            selectors.iter().for_each(|selector| add("match[]", &Some(selector.clone())));
            add("start", start);
            add("end", end);
            match name {
                None => "/api/v1/labels".to_owned(),
                Some(name) => {
                    let name: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
                    format!("/api/v1/label/{name}/values")
                }
            }
        }
    };
    format!("{path}?{}", query.finish())
}

/// As promtool prints it.
fn as_text(question: &Question, data: &Json) -> String {
    let mut text = String::new();
    match question {
        Question::Series { .. } => {
            for labels in data.as_array().into_iter().flatten() {
                text.push_str(&format!("{}\n", metric(labels, true)));
            }
        }
        Question::Labels { .. } => {
            for label in data.as_array().into_iter().flatten() {
                text.push_str(&format!("{}\n", label.as_str().unwrap_or_default()));
            }
        }
        Question::Instant { .. } | Question::Range { .. } => result_as_text(data, &mut text),
    }
    text
}

fn result_as_text(data: &Json, text: &mut String) {
    let result = &data["result"];
    let point = |point: &Json| {
        let value = match &point[1] {
            Json::String(value) => value.clone(),
            histogram => format!("{{count:{}, sum:{}}}", plain(&histogram["count"]), plain(&histogram["sum"])),
        };
        format!("{value} @[{}]", point[0])
    };
    match data["resultType"].as_str() {
        Some("scalar") => text.push_str(&format!("scalar: {}\n", point(result))),
        Some("string") => text.push_str(&format!("{}\n", plain(&result[1]))),
        Some("vector") => {
            for sample in result.as_array().into_iter().flatten() {
                let shown = if sample["value"].is_array() { &sample["value"] } else { &sample["histogram"] };
                text.push_str(&format!("{} => {}\n", metric(&sample["metric"], false), point(shown)));
            }
        }
        _ => {
            for series in result.as_array().into_iter().flatten() {
                text.push_str(&format!("{} =>\n", metric(&series["metric"], false)));
                let points =
                    [&series["values"], &series["histograms"]].into_iter().filter_map(Json::as_array).flatten();
                points.for_each(|one| text.push_str(&format!("{}\n", point(one))));
            }
        }
    }
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `up{job="api"}`; with `name_inside` the name is a label like the others.
fn metric(labels: &Json, name_inside: bool) -> String {
    let Some(object) = labels.as_object() else { return String::new() };
    let name = object.get("__name__").and_then(Json::as_str).filter(|_| !name_inside).unwrap_or("");
    let others = object.iter().filter(|(label, _)| name_inside || *label != "__name__");
    let inside: Vec<String> = others.map(|(label, value)| format!("{label}={value}")).collect();
    if inside.is_empty() && !name.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", inside.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_printed_as_promtool_prints_them() {
        let instant = Question::Instant { query: String::new(), time: None };
        let vector = json!({"resultType": "vector", "result": [
            {"metric": {"__name__": "up", "job": "a\"b"}, "value": [1.5, "1"]},
            {"metric": {}, "histogram": [2, {"count": "3", "sum": "4"}]},
        ]});
        assert_eq!(as_text(&instant, &vector), "up{job=\"a\\\"b\"} => 1 @[1.5]\n{} => {count:3, sum:4} @[2]\n");
        let matrix = json!({"resultType": "matrix", "result": [
            {"metric": {"__name__": "up"}, "values": [[1, "1"], [2, "0"]]},
        ]});
        assert_eq!(as_text(&instant, &matrix), "up =>\n1 @[1]\n0 @[2]\n");
        let series = Question::Series { selectors: Vec::new(), start: None, end: None };
        assert_eq!(as_text(&series, &json!([{"__name__": "up", "job": "x"}])), "{__name__=\"up\", job=\"x\"}\n");
    }

    #[test]
    fn a_range_without_times_is_the_last_hour() {
        let question = Question::Range { query: "up".to_owned(), start: None, end: None, step: "60".to_owned() };
        let path = path_of(&question, Timestamp(7_200_000));
        assert_eq!(path, "/api/v1/query_range?query=up&start=3600&end=7200&step=60");
    }
}
