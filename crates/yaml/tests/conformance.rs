//! Real files of Prometheus, Alertmanager, the blackbox exporter and rule collections, if `WATCHPOST_CONFORMANCE` names
//! the folder they are in: each reads as YAML, also those that the programs refuse for what they say.

use std::fs;
use std::path::{Path, PathBuf};

/// What is wrong with these is their YAML; everything else must read.
const BROKEN: [&str; 3] = [
    // The same key twice.
    "config/prometheus/bad/section_key_dup.bad.yml",
    // Not base64.
    "config/prometheus/bad/labelmap.bad.yml",
    // Bytes that are no UTF-8: refused by Prometheus one step later, as label names.
    "config/prometheus/bad/labelname.bad.yml",
];

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
        match yaml::parse_bytes(&name, &fs::read(path).expect("readable")) {
            Err(problems) if !expected_bad => wrong.push(problems.to_string()),
            Ok(_) if expected_bad => wrong.push(format!("{name}: reads, but is broken")),
            Err(_) => {}
            Ok(node) => {
                let again = yaml::parse(&name, &yaml::to_string(&node)).map(|node| yaml::write::to_line(&node));
                if again.as_deref() != Ok(&yaml::write::to_line(&node)) {
                    wrong.push(format!("{name}: does not come back as it was"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), paths.len(), wrong.join("\n"));
}
