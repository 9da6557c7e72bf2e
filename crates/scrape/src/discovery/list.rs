//! A list of targets as files and HTTP servers write it: `[{"targets": […], "labels": {…}}]`, in JSON or YAML.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::labels::Labels;

use super::group::{ADDRESS, Group};
use super::statics::StaticConfig;

/// One entry; a key that Prometheus does not know is refused as it does.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    targets: Option<Vec<String>>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// Reads JSON; entry `i` becomes the group `<source>:<i>`, with `own` labels besides its own.
pub(crate) fn from_json(bytes: &[u8], source: &str, own: (&str, &str)) -> Result<Vec<Group>, String> {
    let entries: Option<Vec<Option<Entry>>> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let entries = entries.unwrap_or_default().into_iter().enumerate();
    entries
        .map(|(index, entry)| {
            let entry = entry.ok_or_else(|| format!("nil target group item found (index {index})"))?;
            let labels = entry.labels.unwrap_or_default();
            if labels.contains_key("") {
                return Err("\"\" is not a valid label name".to_owned());
            }
            let targets = entry.targets.unwrap_or_default();
            Ok(group(index, source, own, labels, targets))
        })
        .collect()
}

/// Reads YAML, likewise; the problems come with their places in `file`.
pub(crate) fn from_yaml(text: &str, file: &str, own: (&str, &str)) -> Result<Vec<Group>, String> {
    let entries: Vec<StaticConfig> = yaml::from_str(file, text).map_err(|problems| problems.to_string())?;
    let entries = entries.into_iter().enumerate();
    Ok(entries
        .map(|(index, entry)| {
            let targets = entry.targets.into_iter().map(|target| target.value).collect();
            group(index, file, own, entry.labels.into_iter().collect(), targets)
        })
        .collect())
}

fn group(
    index: usize,
    source: &str,
    (name, value): (&str, &str),
    labels: BTreeMap<String, String>,
    targets: Vec<String>,
) -> Group {
    let own = [(name.to_owned(), value.to_owned())];
    Group {
        source: Arc::from(format!("{source}:{index}")),
        labels: Labels::from_pairs(labels.into_iter().chain(own)),
        targets: targets.into_iter().map(|target| Labels::from_pairs([(ADDRESS, target)])).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: (&str, &str) = ("__meta_own", "here");

    #[test]
    fn json_and_yaml_say_the_same() {
        let json = br#"[{"targets": ["a:1", "b:2"], "labels": {"env": "prod"}}, {"targets": []}]"#;
        let yaml = "- targets: [a:1, b:2]\n  labels: {env: prod}\n- targets: []\n";
        let read = from_json(json, "f", OWN).expect("json");
        assert_eq!(read, from_yaml(yaml, "f", OWN).expect("yaml"));
        assert_eq!((&*read[0].source, &*read[1].source), ("f:0", "f:1"));
        assert_eq!(read[0].labels.to_string(), r#"{__meta_own="here", env="prod"}"#);
        assert_eq!(read[0].targets[1].to_string(), r#"{__address__="b:2"}"#);
        assert_eq!(from_yaml("", "f", OWN), Ok(Vec::new()));
        assert_eq!(from_json(b"null", "f", OWN), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_list_of_targets_is_refused() {
        for (json, why) in [
            (r#"[null]"#, "nil target group item found (index 0)"),
            (r#"[{"target": []}]"#, "unknown field `target`"),
            (r#"{"targets": []}"#, "invalid type: map"),
            (r#"[{"targets": [1]}]"#, "invalid type: integer"),
            (r#"[{"labels": {"": "x"}}]"#, "is not a valid label name"),
            ("[", "EOF"),
        ] {
            let error = from_json(json.as_bytes(), "f", OWN).expect_err(json);
            assert!(error.contains(why), "{json}: {error}");
        }
        let error = from_yaml("- targets: [a]\n  label: {}\n", "f.yml", OWN).expect_err("a typing mistake");
        assert_eq!(error, "f.yml:2:3: [0]: unknown key \"label\", expected perhaps \"labels\"");
    }
}
