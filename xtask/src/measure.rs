//! `cargo xtask house`: the measures of the house beside their targets.
//!
//! What `tests/tidy.rs` and `tests/layering.rs` enforce is printed here with its figure; the rest (comment share, test
//! share) is for judgement. A row that cannot be measured yet says so.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::process::ExitCode;

use tests::repo::{self, TextFile};
use xtask::house;
use xtask::metadata::{Metadata, build_alone};
use xtask::ratchet::{self, RustFile, percent};
use xtask::source::LineCount;

/// Engines hold more rules per line than the rest.
const ENGINES: [&str; 2] = ["tsdb", "promql"];

/// One measure. `good` is none where there is nothing to measure yet.
#[derive(Debug)]
struct Measure {
    what: String,
    figure: String,
    target: &'static str,
    good: Option<bool>,
}

pub(crate) fn run() -> ExitCode {
    let metadata = match Metadata::of_workspace() {
        Ok(metadata) => metadata,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let texts = repo::text_files();
    let files = ratchet::rust_files(&texts);
    let mut measures = arrows(&metadata);
    measures.extend(packages_alone(&metadata));
    measures.extend(functions(&files));
    measures.extend(sizes(&files));
    measures.extend(panics(&files));
    measures.extend(heads_and_comments(&files));
    measures.extend(test_share(&files));
    measures.extend(formats(&texts));
    measures.extend(main_tasks_and_queues(&files));
    print(&measures);
    if measures.iter().any(|measure| measure.good == Some(false)) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn print(measures: &[Measure]) {
    let width = |text: fn(&Measure) -> &str| measures.iter().map(|m| text(m).chars().count()).max().unwrap_or(0);
    let (what, figure, target) = (width(|m| &m.what), width(|m| &m.figure), width(|m| m.target));
    for m in measures {
        let verdict = m.good.map_or("not yet", |good| if good { "good" } else { "MISSED" });
        println!("{:what$}  {:>figure$}  {:target$}  {verdict}", m.what, m.figure, m.target);
    }
}

fn measure(what: impl Into<String>, figure: &dyn Display, target: &'static str, good: bool) -> Measure {
    Measure { what: what.into(), figure: figure.to_string(), target, good: Some(good) }
}

fn not_yet(what: impl Into<String>, target: &'static str) -> Measure {
    Measure { what: what.into(), figure: "–".to_owned(), target, good: None }
}

fn arrows(metadata: &Metadata) -> Vec<Measure> {
    let up = house::arrows_run_downwards(metadata).len();
    let circles = ratchet::circles(metadata).len();
    vec![
        measure("arrows that run up or sideways", &up, "0", up == 0),
        measure("circles of imports", &circles, "0", circles == 0),
        if metadata.is_member("scrape") {
            // Counted by reading: scrape_loop.rs, storage.rs, db.rs, head.rs is the plan.
            not_yet("files from a scrape to a stored sample (count by reading)", "<= 4")
        } else {
            not_yet("files from a scrape to a stored sample", "<= 4")
        },
    ]
}

fn packages_alone(metadata: &Metadata) -> Vec<Measure> {
    const TARGET: &str = "<= 45, no tokio, axum, sqlx";
    let alone = |engine: &str| {
        let what = format!("packages to build {engine} alone");
        if !metadata.is_member(engine) {
            return not_yet(what, TARGET);
        }
        match build_alone(engine) {
            Ok(packages) => {
                let breaches = house::engine_builds_alone(engine, packages.iter().map(String::as_str));
                measure(what, &packages.len(), TARGET, breaches.is_empty())
            }
            Err(error) => measure(what, &error, TARGET, false),
        }
    };
    ENGINES.map(alone).into()
}

fn functions(files: &[RustFile]) -> Vec<Measure> {
    let all = ratchet::functions(files);
    let long = all.iter().filter(|(_, function)| function.lines > ratchet::FUNCTION_LINES).count();
    let share = percent(long, all.len());
    let longest = all.first().map_or(0, |(_, function)| function.lines);
    let name = all.first().map_or("", |(_, function)| function.name.as_str());
    vec![
        measure(
            format!("functions over 70 lines ({long} of {})", all.len()),
            &format!("{share:.2} %"),
            "<= 0.8 %",
            share <= ratchet::LONG_FUNCTIONS_PERCENT_MAX,
        ),
        measure(format!("longest function ({name})"), &longest, "<= 120", longest <= ratchet::FUNCTION_LINES_MAX),
    ]
}

fn sizes(files: &[RustFile]) -> Vec<Measure> {
    let long: usize = files.iter().map(RustFile::lines).filter(|&lines| lines > ratchet::FILE_LINES_MAX).sum();
    let crates = by_package(files);
    let total: usize = crates.values().map(|count| count.code).sum();
    let biggest = crates.iter().max_by_key(|(_, count)| count.code);
    let (name, code) = biggest.map_or(("", 0), |(name, count)| (*name, count.code));
    let share = percent(code, total);
    vec![
        measure("lines in files over 1,000", &long, "0", long == 0),
        measure(
            format!("biggest crate's share of {total} lines ({name}, {} crates)", crates.len()),
            &format!("{share:.0} %"),
            "<= 20 %",
            share <= 20.0,
        ),
    ]
}

fn panics(files: &[RustFile]) -> Vec<Measure> {
    let (found, lines) = ratchet::unwraps(files);
    let per_1000 = if lines == 0 { 0.0 } else { found as f64 * 1000.0 / lines as f64 };
    let what = format!("unwrap and expect per 1,000 lines ({found} in {lines})");
    vec![measure(what, &format!("{per_1000:.2}"), "<= 0.5", per_1000 <= ratchet::UNWRAPS_PER_1000_MAX)]
}

fn heads_and_comments(files: &[RustFile]) -> Vec<Measure> {
    let with_head = files.iter().filter(|file| file.has_head()).count();
    let crates = by_package(files);
    let comment: usize = crates.values().map(|count| count.comment).sum();
    let code: usize = crates.values().map(|count| count.code).sum();
    let share = percent(comment, code + comment);
    vec![
        measure(
            format!("files with a //! head ({with_head} of {})", files.len()),
            &format!("{:.0} %", percent(with_head, files.len())),
            "100 %",
            with_head == files.len(),
        ),
        measure("comment share", &format!("{share:.0} %"), "15-25 %", (15.0..=25.0).contains(&share.round())),
    ]
}

fn test_share(files: &[RustFile]) -> Vec<Measure> {
    let crates = by_package(files);
    let ratio = |count: &LineCount| if count.code == 0 { 0.0 } else { count.test as f64 / count.code as f64 };
    let one = |(name, count): (&&str, &LineCount)| {
        let engine = ENGINES.contains(name);
        let (target, floor) = if engine { (">= 1.2", 1.2) } else { (">= 0.9 overall", 0.9) };
        let what = format!("test lines per line of {name} ({} / {})", count.test, count.code);
        let good = (engine || ratio(count) >= floor).then_some(ratio(count) >= floor);
        Measure { what, figure: format!("{:.2}", ratio(count)), target, good }
    };
    let mut rows: Vec<Measure> = crates.iter().map(one).collect();
    let mut all = LineCount::default();
    for file in files.iter().filter(|file| !matches!(file.package(), "xtask")) {
        let count = file.source.count();
        all.test += count.test;
        all.code += if file.is_product() { count.code } else { 0 };
    }
    let overall = format!("test lines per line of code, overall ({} / {})", all.test, all.code);
    rows.push(measure(overall, &format!("{:.2}", ratio(&all)), ">= 0.9", ratio(&all) >= 0.9));
    rows
}

fn formats(texts: &[TextFile]) -> Vec<Measure> {
    const WHAT: &str = "disk formats documented with an example a test decodes";
    let pages = ratchet::format_pages(texts).count();
    let untested = ratchet::formats_without_test(texts).len();
    if pages == 0 {
        return vec![not_yet(WHAT, "all")];
    }
    vec![measure(WHAT, &format!("{} of {pages}", pages - untested), "all", untested == 0)]
}

fn main_tasks_and_queues(files: &[RustFile]) -> Vec<Measure> {
    let main = files.iter().find(|file| file.path == "crates/watchpost/src/main.rs");
    let functions = main.map(|file| file.source.functions()).unwrap_or_default();
    let lines = functions.iter().find(|function| function.name == "main").map_or(0, |function| function.lines);
    let spawns = ratchet::product_lines_with(files, &ratchet::SPAWNS, ratchet::SUPERVISOR).len();
    let unbounded = ratchet::product_lines_with(files, &ratchet::UNBOUNDED, "").len();
    vec![
        measure("lines of main", &lines, "<= 40", lines <= 40),
        measure("tokio::spawn outside the supervisor", &spawns, "0", spawns == 0),
        measure("unbounded channels", &unbounded, "0", unbounded == 0),
    ]
}

/// Lines of the product's crates.
fn by_package(files: &[RustFile]) -> BTreeMap<&str, LineCount> {
    let mut crates: BTreeMap<&str, LineCount> = BTreeMap::new();
    for file in files.iter().filter(|file| file.is_product()) {
        let count = file.source.count();
        let sum = crates.entry(file.package()).or_default();
        sum.code += count.code;
        sum.comment += count.comment;
        sum.test += count.test;
    }
    crates
}

#[cfg(test)]
mod tests_of_the_measures {
    //! Made-up files whose figures are known.

    use super::*;

    fn files(made_up: &[(&str, &str)]) -> Vec<RustFile> {
        let texts = made_up.iter().map(|&(path, text)| TextFile { path: path.to_owned(), text: text.to_owned() });
        ratchet::rust_files(&texts.collect::<Vec<_>>())
    }

    #[test]
    fn lines_are_counted_by_crate_and_by_what_they_are() {
        let files = files(&[
            ("crates/a/src/lib.rs", "//! A.\nfn a() {}\n#[cfg(test)]\nmod tests;\n"),
            ("crates/a/src/tests.rs", "//! T.\nfn t() {}\n"),
            ("crates/b/src/lib.rs", "//! B.\nfn b() {\n}\n"),
            ("xtask/src/main.rs", "//! X.\nfn main() {}\n"),
        ]);
        let crates = by_package(&files);
        assert_eq!(crates.len(), 2);
        assert_eq!(crates["a"], LineCount { code: 1, comment: 1, test: 4 });
        assert_eq!(crates["b"], LineCount { code: 2, comment: 1, test: 0 });
        assert!(sizes(&files)[1].figure.starts_with("67"));
    }

    #[test]
    fn a_measure_beyond_its_target_is_missed() {
        let unwraps = files(&[("crates/a/src/lib.rs", "//! A.\nfn a() { b.unwrap() }\n")]);
        assert_eq!(panics(&unwraps)[0].good, Some(false));
        assert_eq!(panics(&unwraps)[0].figure, "1000.00");
        assert_eq!(heads_and_comments(&files(&[("crates/a/src/lib.rs", "fn a() {}\n")]))[0].good, Some(false));
        let main = format!("//! M.\nfn main() {{\n{}}}\n", "    a();\n".repeat(39));
        assert_eq!(main_tasks_and_queues(&files(&[("crates/watchpost/src/main.rs", &main)]))[0].good, Some(false));
        assert_eq!(formats(&[])[0].good, None);
    }
}
