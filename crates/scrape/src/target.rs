//! What is scraped: a discovered set of labels made into an address, a rhythm and the labels of its series.
//!
//! Promise: the labels before and after the rules are those Prometheus would have, and so are the reasons for which
//! a target is refused.
//! Not here: where labels come from (`discovery`), what is done with the answers (`scrape_loop`).

use std::time::Duration;

use model::labels::{Labels, LabelsBuilder};
use model::time::{format_duration, parse_duration};

use crate::config::Job;

pub const ADDRESS: &str = "__address__";
pub const SCHEME: &str = "__scheme__";
pub const METRICS_PATH: &str = "__metrics_path__";
pub const INTERVAL: &str = "__scrape_interval__";
pub const TIMEOUT: &str = "__scrape_timeout__";
pub const NATIVE: &str = "__scrape_native_histograms__";
pub const ALWAYS_CLASSIC: &str = "__always_scrape_classic_histograms__";
pub const TO_CUSTOM: &str = "__convert_classic_histograms_to_nhcb__";
const PARAM_PREFIX: &str = "__param_";
const META_PREFIX: &str = "__meta_";
const INTERNAL_PREFIX: &str = "__";

/// One thing to scrape.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// What every series of it carries.
    pub labels: Labels,
    /// What it was before the rules, for the page that explains them.
    pub discovered: Labels,
    pub url: String,
    pub interval: Duration,
    /// At most `interval`.
    pub timeout: Duration,
    pub native_histograms: bool,
    pub always_classic: bool,
    pub classic_to_custom: bool,
    /// Two targets with the same number are the same target.
    pub id: TargetId,
}

/// Labels and address of a target as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetId(pub u64);

/// What a discovered set of labels becomes.
#[derive(Clone, Debug, PartialEq)]
pub enum Resolved {
    Active(Box<Target>),
    /// A rule dropped it; these are its labels before.
    Dropped(Labels),
    /// It cannot be scraped, and why.
    Refused {
        discovered: Labels,
        error: String,
    },
}

/// Why labels are no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("no address")]
    NoAddress,
    #[error("{0:?} is not a valid hostname")]
    Hostname(String),
    #[error("error parsing scrape {what}: {text:?} is not a valid duration")]
    Duration { what: &'static str, text: String },
    #[error("scrape {what} cannot be 0")]
    Zero { what: &'static str },
    #[error("scrape timeout cannot be greater than scrape interval ({timeout:?} > {interval:?})")]
    Timeout { timeout: String, interval: String },
}

/// The labels that the rules of a job see: those discovered, and what the job says where they say nothing.
#[must_use]
pub fn discovered_labels(job: &Job, found: &Labels) -> Labels {
    let mut labels = found.to_builder();
    let mut default = |name: &str, value: &str| {
        if labels.get(name).is_none() {
            labels.set(name, value);
        }
    };
    default("job", &job.name);
    default(INTERVAL, &format_duration(job.interval));
    default(TIMEOUT, &format_duration(job.timeout));
    default(METRICS_PATH, &job.metrics_path);
    default(SCHEME, &job.url_scheme);
    default(NATIVE, if job.native_histograms { "true" } else { "false" });
    default(ALWAYS_CLASSIC, if job.always_classic_histograms { "true" } else { "false" });
    default(TO_CUSTOM, if job.convert_classic_histograms { "true" } else { "false" });
    for (name, values) in &job.params {
        if let Some(first) = values.first() {
            default(&format!("{PARAM_PREFIX}{name}"), first);
        }
    }
    labels.build()
}

/// Applies the rules of a job to what was discovered.
#[must_use]
pub fn resolve(job: &Job, found: &Labels) -> Resolved {
    let discovered = discovered_labels(job, found);
    let Some(relabelled) = job.relabel.labels(&discovered) else { return Resolved::Dropped(discovered) };
    if relabelled.is_empty() {
        return Resolved::Dropped(discovered);
    }
    match target_of(job, &discovered, &relabelled) {
        Ok(target) => Resolved::Active(Box::new(target)),
        Err(error) => Resolved::Refused { discovered, error: error.to_string() },
    }
}

fn target_of(job: &Job, discovered: &Labels, relabelled: &Labels) -> Result<Target, TargetError> {
    let address = relabelled.get(ADDRESS).ok_or(TargetError::NoAddress)?;
    if address.contains('/') {
        return Err(TargetError::Hostname(address.to_owned()));
    }
    let interval = duration(relabelled, INTERVAL, "interval")?;
    let timeout = duration(relabelled, TIMEOUT, "timeout")?;
    if timeout > interval {
        let text = |name| relabelled.get(name).unwrap_or("").to_owned();
        return Err(TargetError::Timeout { timeout: text(TIMEOUT), interval: text(INTERVAL) });
    }
    let mut builder = LabelsBuilder::default();
    for (name, value) in relabelled.iter().filter(|(name, _)| !name.starts_with(INTERNAL_PREFIX)) {
        builder.set(name, value);
    }
    if builder.get("instance").is_none() {
        builder.set("instance", address);
    }
    let labels = builder.build();
    let url = url_of(job, relabelled);
    let switch = |name, default| relabelled.get(name).map_or(default, |value| value == "true");
    Ok(Target {
        id: TargetId(id_of(&labels, &url)),
        discovered: discovered.clone(),
        native_histograms: switch(NATIVE, job.native_histograms),
        always_classic: switch(ALWAYS_CLASSIC, job.always_classic_histograms),
        classic_to_custom: switch(TO_CUSTOM, job.convert_classic_histograms),
        labels,
        url,
        interval,
        timeout,
    })
}

fn duration(labels: &Labels, name: &str, what: &'static str) -> Result<Duration, TargetError> {
    let text = labels.get(name).unwrap_or("");
    let parsed = parse_duration(text).map_err(|_| TargetError::Duration { what, text: text.to_owned() })?;
    if parsed.is_zero() { Err(TargetError::Zero { what }) } else { Ok(parsed) }
}

/// Scheme, address, path and parameters; a label `__param_x` replaces the first value of the parameter x.
fn url_of(job: &Job, labels: &Labels) -> String {
    let mut params: Vec<(String, Vec<String>)> = job.params.clone();
    for (name, value) in labels {
        let Some(name) = name.strip_prefix(PARAM_PREFIX) else { continue };
        match params.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) if !values.is_empty() => value.clone_into(&mut values[0]),
            Some((_, values)) => values.push(value.to_owned()),
            None => params.push((name.to_owned(), vec![value.to_owned()])),
        }
    }
    params.sort();
    let scheme = labels.get(SCHEME).unwrap_or("http");
    let address = labels.get(ADDRESS).unwrap_or("");
    let path = labels.get(METRICS_PATH).unwrap_or("");
    let mut url = format!("{scheme}://{address}");
    if !path.is_empty() && !path.starts_with('/') {
        url.push('/');
    }
    push_path(&mut url, path);
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, values) in &params {
        for value in values {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if !query.is_empty() {
        url.push('?');
        url.push_str(&query);
    }
    url
}

/// A path may hold what a URL's path may; the rest is written as `%` and two digits, once.
fn push_path(url: &mut String, path: &str) {
    use std::fmt::Write as _;
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

/// Like the labels' own hash, the same in every run: where in its interval a target is scraped hangs on it.
fn id_of(labels: &Labels, url: &str) -> u64 {
    Labels::from_pairs([("labels", labels.stable_hash().to_string().as_str()), ("url", url)]).stable_hash()
}

/// The labels of a report, which carries no metric's own: the target's and the name.
#[must_use]
pub fn report_labels(target: &Labels, name: &str) -> Labels {
    let mut labels = target.to_builder();
    labels.set(model::labels::METRIC_NAME, name);
    labels.build()
}

/// Discovery's own labels, which rules may use and nobody sees afterwards.
#[must_use]
pub fn is_meta(name: &str) -> bool {
    name.starts_with(META_PREFIX)
}
