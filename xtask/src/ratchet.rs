//! The measures of tidiness: each takes files and gives numbers or breaches, so that `cargo xtask house` can print
//! what `tests/tidy.rs` enforces.

use crate::metadata::Metadata;
use crate::source::{Function, Source, is_test_file};
use tests::repo::TextFile;

/// Longest file: beyond it, a file becomes a folder.
pub const FILE_LINES_MAX: usize = 1_000;
/// A function fits on a screen.
pub const FUNCTION_LINES: usize = 70;
/// Of all functions, how many may be longer than that, in percent.
pub const LONG_FUNCTIONS_PERCENT_MAX: f64 = 0.8;
/// However few they are, none is longer than this.
pub const FUNCTION_LINES_MAX: usize = 120;
/// `unwrap` and `expect` per 1,000 lines outside tests.
pub const UNWRAPS_PER_1000_MAX: f64 = 0.5;
/// The only file that may start a task.
pub const SUPERVISOR: &str = "crates/appliance/src/supervise.rs";

/// A Rust file, read once.
#[derive(Clone, Debug)]
pub struct RustFile {
    pub path: String,
    pub text: String,
    pub source: Source,
}

/// The Rust files among these.
#[must_use]
pub fn rust_files(files: &[TextFile]) -> Vec<RustFile> {
    let rust = files.iter().filter(|file| file.path.ends_with(".rs"));
    rust.map(|file| RustFile {
        path: file.path.clone(),
        text: file.text.clone(),
        source: Source::read(&file.path, &file.text),
    })
    .collect()
}

impl RustFile {
    /// `crates/tsdb/src/head.rs` belongs to `tsdb`; files of `tests` and `xtask` to those.
    #[must_use]
    pub fn package(&self) -> &str {
        let mut parts = self.path.split('/');
        let first = parts.next().unwrap_or_default();
        if first == "crates" { parts.next().unwrap_or_default() } else { first }
    }

    /// Part of what is shipped, not of what proves or builds it.
    #[must_use]
    pub fn is_product(&self) -> bool {
        self.path.starts_with("crates/")
    }

    /// Whether the first line says what the file is for.
    #[must_use]
    pub fn has_head(&self) -> bool {
        self.text.lines().next().is_some_and(|line| line.starts_with("//! ") && line.len() > "//! ".len())
    }

    #[must_use]
    pub fn lines(&self) -> usize {
        self.text.lines().count()
    }
}

/// Every function, with its file, the longest first.
#[must_use]
pub fn functions(files: &[RustFile]) -> Vec<(&str, Function)> {
    let all = files.iter().flat_map(|file| file.source.functions().into_iter().map(|f| (file.path.as_str(), f)));
    let mut all: Vec<_> = all.collect();
    all.sort_by(|a, b| b.1.lines.cmp(&a.1.lines).then(a.0.cmp(b.0)));
    all
}

/// How many of so many, in percent.
#[must_use]
pub fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

/// A parser's own `self.expect(…)` is no panic: it returns what was wrong.
fn panics_of(line: &str) -> usize {
    let expects = line.matches(".expect(").count() - line.matches("self.expect(").count();
    line.matches(".unwrap()").count() + expects
}

/// `unwrap()` and `expect(` outside tests, and lines of code there.
#[must_use]
pub fn unwraps(files: &[RustFile]) -> (usize, usize) {
    let product = files.iter().filter(|file| file.is_product());
    product.fold((0, 0), |(found, lines), file| {
        let here: usize = file.source.product_lines().map(panics_of).sum();
        (found + here, lines + file.source.count().code)
    })
}

/// Lines of product code that hold one of these, with file and line number.
#[must_use]
pub fn product_lines_with(files: &[RustFile], needles: &[&str], spared: &str) -> Vec<String> {
    let product = files.iter().filter(|file| file.is_product() && file.path != spared);
    let hits = product.flat_map(|file| {
        let lines = file.source.product_lines().enumerate();
        lines
            .filter(|(_, line)| needles.iter().any(|needle| line.contains(needle)))
            .map(move |(at, line)| format!("{}:{}: {}", file.path, at + 1, line.trim()))
    });
    hits.collect()
}

/// Ways to start a task that nobody owns.
pub const SPAWNS: [&str; 4] =
    ["tokio::spawn(", "task::spawn(", "tokio::task::spawn_local(", "Handle::current().spawn("];

/// Queues without a bound.
pub const UNBOUNDED: [&str; 5] = [
    "unbounded_channel",
    "UnboundedSender",
    "UnboundedReceiver",
    "std::sync::mpsc::channel",
    "crossbeam_channel::unbounded",
];

/// Pages that describe bytes on disk.
pub fn format_pages(files: &[TextFile]) -> impl Iterator<Item = &TextFile> {
    files.iter().filter(|file| file.path.starts_with("docs/formats/") && file.path.ends_with(".md"))
}

/// A page on bytes ends in an example, and a test reads it: the page's own name stands in a test, not in a comment.
#[must_use]
pub fn formats_without_test(files: &[TextFile]) -> Vec<String> {
    let tested = |page: &&TextFile| {
        let name = page.path.trim_start_matches("docs/");
        let named = |file: &TextFile| {
            let marks_test = file.text.contains("#[test]") || is_test_file(&file.path);
            marks_test && file.text.lines().any(|line| line.contains(name) && !line.trim_start().starts_with("//"))
        };
        files.iter().any(|file| file.path.ends_with(".rs") && named(file))
    };
    format_pages(files)
        .filter(|page| !tested(page))
        .map(|page| format!("{}: no test reads its example", page.path))
        .collect()
}

/// Circles among imports of one another, as `a -> b -> a`. Cargo refuses them among crates; none is the proof.
#[must_use]
pub fn circles(metadata: &Metadata) -> Vec<String> {
    let imports = |name: &str| -> Vec<String> {
        let package = metadata.members().find(|package| package.name == name);
        package.map_or_else(Vec::new, |package| package.imports.clone())
    };
    let mut found = Vec::new();
    for member in metadata.members() {
        let mut seen = vec![member.name.clone()];
        let mut open = imports(&member.name);
        while let Some(next) = open.pop() {
            if next == member.name {
                found.push(format!("{next} reaches itself"));
                break;
            }
            if metadata.is_member(&next) && !seen.contains(&next) {
                open.extend(imports(&next));
                seen.push(next);
            }
        }
    }
    found
}
