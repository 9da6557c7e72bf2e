//! Real files of Prometheus, Alertmanager, the blackbox exporter and rule collections, if `WATCHPOST_CONFORMANCE` names
//! the folder they are in: each reads as YAML, also those that the programs refuse for what they say.

use std::fs;
use std::path::{Path, PathBuf};

/// What is wrong with these is their YAML; everything else must read.
const BROKEN: [&str; 4] = [
    // The same key twice.
    "config/prometheus/bad/section_key_dup.bad.yml",
    // Not base64.
    "config/prometheus/bad/labelmap.bad.yml",
    // Bytes that are no text as a key: refused by Prometheus one step later, as names of labels.
    "config/prometheus/bad/labelname.bad.yml",
    "config/prometheus/bad/static_config.bad.yml",
];

/// Prometheus reads the first document of this one and warns about the second.
const TWO_DOCUMENTS: &str = "rules/prometheus-rules-fixtures/rules_multi_doc.yaml";

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path()).collect();
    entries.sort();
    for path in entries {
        let named = |names: &[&str]| path.extension().is_some_and(|have| names.iter().any(|name| have == *name));
        if path.is_dir() {
            files(&path, found);
        } else if named(&["yml", "yaml", "rules"]) {
            found.push(path);
        }
    }
}

#[test]
fn real_files_read_and_come_back_as_they_were() {
    let Some(root) = std::env::var_os("WATCHPOST_CONFORMANCE").map(PathBuf::from) else {
        println!("skipped: WATCHPOST_CONFORMANCE is not set");
        return;
    };
    let mut paths = Vec::new();
    for folder in ["config", "rules", "alertmanager", "blackbox", "seeds"] {
        files(&root.join(folder), &mut paths);
    }
    assert!(paths.len() > 300, "found only {} files", paths.len());
    let mut wrong = Vec::new();
    for path in &paths {
        let name = path.strip_prefix(&root).expect("below it").to_string_lossy().replace('\\', "/");
        let expected_bad = BROKEN.contains(&name.as_str());
        match yaml::parse_first(&name, &fs::read_to_string(path).expect("readable")) {
            Err(problems) if !expected_bad => wrong.push(problems.to_string()),
            Ok(_) if expected_bad => wrong.push(format!("{name}: reads, but is broken")),
            Err(_) => {}
            Ok((_, second)) if second.is_some() != (name == TWO_DOCUMENTS) => {
                wrong.push(format!("{name}: second document: {second:?}"));
            }
            Ok((node, _)) => {
                let again = yaml::parse(&name, &yaml::to_string(&node)).map(|node| yaml::write::to_line(&node));
                if again.as_deref() != Ok(&yaml::write::to_line(&node)) {
                    wrong.push(format!("{name}: does not come back as it was"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), paths.len(), wrong.join("\n"));
}
