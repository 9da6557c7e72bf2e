//! The repository's own files, as a reader of it sees them.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold what was made, not what was written. Only at the root: a crate may have a module `data`.
const MADE_AT_ROOT: [&str; 3] = [".git", "target", "data"];

/// The root folder.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// One text file.
#[derive(Clone, Debug)]
pub struct TextFile {
    /// From the root, with `/` between.
    pub path: String,
    pub text: String,
}

/// Every text file that somebody wrote, by path. Walks folders itself, so that a source archive without git is fine.
#[must_use]
pub fn text_files() -> Vec<TextFile> {
    let mut files = Vec::new();
    walk(&root(), "", &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<TextFile>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        // A file in a linked working tree.
        if path == ".git" {
            continue;
        }
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            // A `target` inside a member folder appears when cargo runs there with its own target folder.
            let made = prefix.is_empty() && MADE_AT_ROOT.contains(&name.as_str()) || name == "target";
            if !made {
                walk(&entry.path(), &format!("{path}/"), files);
            }
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            files.push(TextFile { path, text });
        }
    }
}
