//! Our messages about a Prometheus file, with the words its users search for.
//!
//! Only the few that come from reading as such are put differently here (durations, unknown and doubled keys); what a
//! field means is said in Prometheus's words where it is checked.

use yaml::{Problem, Problems};

/// The units of a duration, largest first; each may stand once.
const UNITS: [&str; 7] = ["y", "w", "d", "h", "m", "s", "ms"];

/// The same problems in the words of Prometheus.
pub(super) fn translated(problems: Problems) -> Problems {
    let mut out = Problems::default();
    for problem in problems {
        out.push(in_prometheus_words(problem));
    }
    out
}

fn in_prometheus_words(mut problem: Problem) -> Problem {
    let Some(sentence) = sentence(&problem) else { return problem };
    problem.found = sentence;
    problem.expected.clear();
    problem
}

fn sentence(problem: &Problem) -> Option<String> {
    let Problem { path, expected, found, .. } = problem;
    if let Some(rest) = found.strip_prefix("unknown key \"") {
        let (key, instead) = rest.split_once("\", ").unwrap_or((rest, ""));
        return Some(format!("field {key} not found in type {}, {instead}", go_type(path)));
    }
    if expected == "every key once" {
        let key = found.split('"').nth(1).unwrap_or_default();
        let first = found.rsplit(", first ").next().unwrap_or_default();
        // Which of the two Go says depends on the type, which is not known yet where keys are compared.
        return Some(format!(
            "field {key} already set in type config.plain: key {key:?} already set in map, first {first}"
        ));
    }
    if let Some(name) = found.strip_prefix("bytes that are no UTF-8 text: ").filter(|_| expected == "a text as the key")
    {
        return Some(format!("{name} is not a valid label name"));
    }
    let text = unquoted(found);
    let fault = match (text, path.rsplit('.').next().unwrap_or_default()) {
        (Some(text), _) if expected.starts_with("a duration") => duration_fault(text),
        (Some(text), "min_version" | "max_version") => format!("unknown TLS version: {text}"),
        (Some(text), "role") if path.contains("kubernetes_sd_configs") => {
            format!("unknown Kubernetes SD role {text:?}")
        }
        (Some(text), _) if is_of_yaml(expected) => format!("cannot unmarshal {} `{text}`", tag(text, expected)),
        (None, _) if found == "a single value" && is_of_yaml(expected) => "cannot unmarshal !!str".to_owned(),
        (None, _) if found == "a list" && is_of_yaml(expected) => "cannot unmarshal !!seq".to_owned(),
        (None, _) if found == "a map" && is_of_yaml(expected) => "cannot unmarshal !!map".to_owned(),
        _ => return None,
    };
    Some(format!("expected {expected}, found {found}: {fault}"))
}

/// What YAML itself can be wrong about: the kind of a value.
fn is_of_yaml(expected: &str) -> bool {
    ["a text", "a list", "a map", "true or false", "a whole number", "a number"]
        .iter()
        .any(|kind| expected.starts_with(kind))
}

/// Go's name for the kind of a scalar that does not fit. One that would fit by its text was in quotes.
fn tag(text: &str, expected: &str) -> &'static str {
    let number = expected.contains("number");
    match yaml::scalar::as_int(text) {
        Some(whole) if whole < 0 || !number => "!!int",
        Some(_) => "!!str",
        None if !number && yaml::scalar::as_float(text).is_some() => "!!float",
        None if number && yaml::scalar::as_bool(text).is_some() => "!!bool",
        None => "!!str",
    }
}

/// The type that Go's message names for a map, by the keys that lead to it.
fn go_type(path: &str) -> String {
    let keys: Vec<&str> = path.split('.').map(|key| key.split('[').next().unwrap_or(key)).collect();
    let last = keys.last().copied().unwrap_or_default();
    let named = match last {
        "runtime" => "config.RuntimeConfig",
        "storage" => "config.StorageConfig",
        "exemplars" => "config.ExemplarsConfig",
        "retention" => "config.TSDBRetentionConfig",
        "queue_config" => "config.QueueConfig",
        "metadata_config" => "config.MetadataConfig",
        "scrape_configs" => "config.ScrapeConfig",
        "alertmanagers" => "config.AlertmanagerConfig",
        "authorization" => "config.Authorization",
        "relabel_configs" | "metric_relabel_configs" | "alert_relabel_configs" | "write_relabel_configs" => {
            "relabel.plain"
        }
        "tls_config" | "basic_auth" | "oauth2" => "config.plain",
        "sigv4" => "sigv4.plain",
        "azuread" => "azuread.plain",
        "static_configs" => {
            r#"struct { Targets []string "yaml:\"targets\""; Labels model.LabelSet "yaml:\"labels\"" }"#
        }
        "selectors" => "kubernetes.SelectorConfig",
        "attach_metadata" => "kubernetes.AttachMetadataConfig",
        _ => "",
    };
    if !named.is_empty() {
        return named.to_owned();
    }
    let section = keys.iter().rev().find_map(|key| key.strip_suffix("_sd_configs"));
    match section {
        Some("docker" | "dockerswarm") => "moby.plain".to_owned(),
        Some("ec2" | "lightsail") if last == "filters" => "aws.EC2Filter".to_owned(),
        Some("ec2" | "lightsail") => "aws.plain".to_owned(),
        Some("kuma") => "xds.plain".to_owned(),
        Some("nerve" | "serverset") => "zookeeper.plain".to_owned(),
        Some(mechanism) => format!("{mechanism}.plain"),
        None => "config.plain".to_owned(),
    }
}

/// What Go's parser says about a text that is no duration.
fn duration_fault(text: &str) -> String {
    if text.is_empty() {
        return "empty duration string".to_owned();
    }
    let mut rest = text;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let letters = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let (unit, after) = letters.split_at(letters.find(|c: char| c.is_ascii_digit()).unwrap_or(letters.len()));
        if letters.len() == rest.len() || unit.is_empty() {
            return format!("not a valid duration string: {text:?}");
        }
        if !UNITS.contains(&unit) {
            return format!("unknown unit {unit:?} in duration {text:?}");
        }
        if !units.any(|known| *known == unit) {
            return format!("not a valid duration string: {text:?}");
        }
        rest = after;
    }
    "duration out of range".to_owned()
}

/// The text of a value that is shown in quotes.
fn unquoted(found: &str) -> Option<&str> {
    found.strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    yaml::record! {
        /// Something to read.
        struct Read {
            interval: std::time::Duration,
            name: String,
        }
    }

    #[test]
    fn the_type_in_a_message_is_the_one_go_would_name() {
        for (path, expected) in [
            ("", "config.plain"),
            ("global", "config.plain"),
            ("scrape_configs[0]", "config.ScrapeConfig"),
            ("scrape_configs[0].kubernetes_sd_configs[1].namespaces", "kubernetes.plain"),
            ("scrape_configs[0].kubernetes_sd_configs[1].tls_config", "config.plain"),
            ("scrape_configs[0].dockerswarm_sd_configs[0]", "moby.plain"),
            ("scrape_configs[0].metric_relabel_configs[0]", "relabel.plain"),
            ("remote_write[0].queue_config", "config.QueueConfig"),
        ] {
            assert_eq!(go_type(path), expected, "{path}");
        }
    }

    #[test]
    fn problems_of_reading_are_told_as_prometheus_tells_them() {
        for (text, expected) in [
            (
                "interval: -1h",
                "expected a duration such as 30s, 5m or 1h30m, found \"-1h\": not a valid duration string: \"-1h\"",
            ),
            ("interval: 5x", "unknown unit \"x\" in duration \"5x\""),
            ("interval: ''", "empty duration string"),
            ("interval: 300y", "duration out of range"),
            ("interval: 1m1h", "not a valid duration string: \"1m1h\""),
            ("name: [a]", "name: expected a text, found a list: cannot unmarshal !!seq"),
            ("intervall: 5m", "field intervall not found in type config.plain, expected perhaps \"interval\""),
            (
                "name: a\nname: b",
                "a.yml:2:1: field name already set in type config.plain: key \"name\" already set in map, first at a.yml:1:1",
            ),
            ("!!binary /w==: a", "\"\\xff\" is not a valid label name"),
        ] {
            let problems = yaml::from_str::<Read>("a.yml", text).expect_err(text);
            let problems = translated(problems).to_string();
            assert!(problems.contains(expected), "{text}: {problems}");
        }
    }
}
