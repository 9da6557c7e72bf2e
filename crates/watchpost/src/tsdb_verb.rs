//! `watchpost tsdb`: looking into the time-series database of a data folder that no server uses.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use appliance::ports::{MetricStore, Part};
use model::matcher::{MatchOp, Matcher};
use model::storage::{Queryable as _, SelectHints, SelectedId, TimeRange};
use model::time::{Clock, SystemClock, Timestamp};
use promql::engine::number;

use crate::ask::{configured, folder, time};
use crate::cli::ask::{Tsdb, TsdbDeed};
use crate::samples::{self, Samples};
use crate::version::say;

/// Does it, and prints what was found.
pub(crate) fn tsdb(arguments: &Tsdb) -> anyhow::Result<ExitCode> {
    let config = configured(&arguments.whom)?;
    let folder = folder(&config)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = samples::database(&config, folder.path(), &clock)?;
    match &arguments.deed {
        TsdbDeed::Analyze { limit } => say(&analyze(&store, *limit)),
        TsdbDeed::Verify => verify(&store),
        TsdbDeed::Dump { selector, start, end } => {
            let range = TimeRange::new(time(start, Timestamp::MIN)?, time(end, Timestamp::MAX)?);
            dump(&store, selector.as_deref(), range)
        }
    }
}

fn analyze(store: &Samples, limit: usize) -> String {
    let found = store.cardinality(limit);
    let parts = store.parts();
    let mut text = String::new();
    let _infallible = writeln!(text, "series in the head: {}", found.series);
    let sum = |field: fn(&Part) -> u64| -> u64 { parts.iter().map(field).sum() };
    let (samples, bytes) = (sum(|part| part.samples), sum(|part| part.bytes));
    let _infallible = writeln!(text, "parts: {}, {samples} samples in {bytes} bytes", parts.len());
    for part in &parts {
        let Part { range, samples, series, bytes, .. } = part;
        let _infallible =
            writeln!(text, "  {} to {}  {samples} samples, {series} series, {bytes} bytes", range.start, range.end);
    }
    for (title, entries) in [
        ("series by metric", &found.series_by_metric),
        ("series by label", &found.series_by_label),
        ("values by label", &found.values_by_label),
        ("series by label and value", &found.series_by_pair),
    ] {
        let _infallible = writeln!(text, "\n{title}:");
        for (name, count) in entries {
            let _infallible = writeln!(text, "{count:>10}  {name}");
        }
    }
    text
}

/// Every series there is.
fn everything() -> anyhow::Result<Vec<Matcher>> {
    Ok(vec![Matcher::new("__name__", MatchOp::Regex, ".*")?])
}

fn verify(store: &Samples) -> anyhow::Result<ExitCode> {
    let snapshot = store.snapshot()?;
    let selection = snapshot.select(&everything()?, TimeRange::ALL, &SelectHints::default())?;
    let mut cursor = selection.reader.cursor();
    let (mut samples, mut failures) = (0u64, selection.warnings.clone());
    for (at, labels) in selection.labels.iter().enumerate() {
        let Ok(id) = u32::try_from(at) else { break };
        match cursor.read(SelectedId(id)) {
            Ok(column) => samples += column.times.len() as u64,
            Err(error) => failures.push(format!("{labels}: {error}")),
        }
    }
    let mut text = format!("{} series, {samples} samples read\n", selection.labels.len());
    for failure in &failures {
        let _infallible = writeln!(text, "damaged: {failure}");
    }
    let aside = store.quarantined();
    for thing in &aside {
        let _infallible = writeln!(text, "put aside: {}: {}", thing.what, thing.reason);
    }
    say(&text)?;
    Ok(if failures.is_empty() && aside.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn dump(store: &Samples, selector: Option<&str>, range: TimeRange) -> anyhow::Result<ExitCode> {
    let matchers = match selector {
        Some(selector) => promql::syntax::parse_selector(selector)?,
        None => everything()?,
    };
    let snapshot = store.snapshot()?;
    let selection = snapshot.select(&matchers, range, &SelectHints::default())?;
    let mut cursor = selection.reader.cursor();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for (at, labels) in selection.labels.iter().enumerate() {
        let Ok(id) = u32::try_from(at) else { break };
        let column = cursor.read(SelectedId(id))?;
        let mut histograms = column.histograms.iter().peekable();
        for (row, (time, value)) in column.times.iter().zip(column.values).enumerate() {
            let histogram = histograms.next_if(|(known, _)| *known as usize == row);
            let value = match histogram {
                Some((_, histogram)) => format!("{{count:{}, sum:{}}}", histogram.count, histogram.sum),
                None => number::api(*value),
            };
            writeln!(out, "{labels} {value} {time}")?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
