//! Ratchets over every file that somebody wrote: size, heads, words, and documents that keep up with the code.
//!
//! Each rule is a function from files to breaches, shown to fire on made-up files beside being applied to ours.

use std::collections::{BTreeMap, BTreeSet};

use tests::repo::{self, TextFile};
use xtask::metadata::{Metadata, Package};
use xtask::ratchet::{self, RustFile};

fn made_up(files: &[(&str, &str)]) -> Vec<TextFile> {
    files.iter().map(|&(path, text)| TextFile { path: path.to_owned(), text: text.to_owned() }).collect()
}

#[track_caller]
fn check_none(breaches: &[String]) {
    assert!(breaches.is_empty(), "{} breaches:\n{}", breaches.len(), breaches.join("\n"));
}

// Sizes and heads.

fn files_too_long(files: &[RustFile]) -> Vec<String> {
    let long = files.iter().filter(|file| file.lines() > ratchet::FILE_LINES_MAX);
    long.map(|file| format!("{}: {} lines; at 1,000 a file becomes a folder", file.path, file.lines())).collect()
}

fn functions_too_long(files: &[RustFile]) -> Vec<String> {
    let functions = ratchet::functions(files);
    let long: Vec<String> = functions
        .iter()
        .filter(|(_, function)| function.lines > ratchet::FUNCTION_LINES)
        .map(|(path, function)| {
            format!("{path}:{}: {} has {} lines", function.first_line, function.name, function.lines)
        })
        .collect();
    let longest = functions.first().map_or(0, |(_, function)| function.lines);
    let share = ratchet::percent(long.len(), functions.len());
    if share > ratchet::LONG_FUNCTIONS_PERCENT_MAX || longest > ratchet::FUNCTION_LINES_MAX { long } else { Vec::new() }
}

fn files_without_head(files: &[RustFile]) -> Vec<String> {
    let silent = files.iter().filter(|file| !file.has_head());
    silent.map(|file| format!("{}: line 1 does not say what the file is for (`//! …`)", file.path)).collect()
}

#[test]
fn files_and_functions_stay_small_and_say_what_they_are_for() {
    let files = ratchet::rust_files(&repo::text_files());
    assert!(files.len() > 10, "the walk finds our files");
    check_none(&files_too_long(&files));
    check_none(&functions_too_long(&files));
    check_none(&files_without_head(&files));
}

#[test]
fn a_long_file_a_long_function_and_a_missing_head_are_named() {
    let long_file = "//! Long.\n".to_owned() + &"\n".repeat(1_000);
    let lines = |count: usize| "    a();\n".repeat(count - 2);
    let short = "fn s() {\n}\n".repeat(200);
    let files = ratchet::rust_files(&made_up(&[
        ("crates/a/src/long.rs", &long_file),
        ("crates/a/src/longest.rs", &format!("//! L.\n{short}fn far() {{\n{}}}\n", lines(121))),
        ("crates/a/src/mute.rs", "// not a head\n"),
        ("crates/a/src/empty_head.rs", "//! \n"),
    ]));
    assert_eq!(files_too_long(&files), ["crates/a/src/long.rs: 1001 lines; at 1,000 a file becomes a folder"]);
    assert_eq!(functions_too_long(&files), ["crates/a/src/longest.rs:402: far has 121 lines"]);
    assert_eq!(files_without_head(&files).len(), 2);

    let few = ratchet::rust_files(&made_up(&[("crates/a/src/a.rs", &format!("fn a() {{\n{}}}\n", lines(71)))]));
    assert_eq!(functions_too_long(&few), ["crates/a/src/a.rs:1: a has 71 lines"], "1 of 1 is more than 0.8 %");
    let many = format!("{short}fn a() {{\n{}}}\n", lines(71));
    let many = ratchet::rust_files(&made_up(&[("crates/a/src/a.rs", &many)]));
    check_none(&functions_too_long(&many));
}

// Panics, tasks, queues.

fn too_many_unwraps(files: &[RustFile]) -> Vec<String> {
    let (found, lines) = ratchet::unwraps(files);
    // Below 2,000 lines a single one would break the ratio: there it is one.
    let allowed = (ratchet::UNWRAPS_PER_1000_MAX * lines as f64 / 1000.0).max(1.0);
    if found as f64 <= allowed {
        return Vec::new();
    }
    let mut breaches =
        vec![format!("{found} unwrap or expect in {lines} lines, at most {}", ratchet::UNWRAPS_PER_1000_MAX)];
    breaches.extend(ratchet::product_lines_with(files, &[".unwrap()", ".expect("], ""));
    breaches
}

#[test]
fn panics_are_rare_and_tasks_and_queues_have_owners_and_bounds() {
    let files = ratchet::rust_files(&repo::text_files());
    check_none(&too_many_unwraps(&files));
    check_none(&ratchet::product_lines_with(&files, &ratchet::SPAWNS, ratchet::SUPERVISOR));
    check_none(&ratchet::product_lines_with(&files, &ratchet::UNBOUNDED, ""));
}

#[test]
fn unwraps_spawns_and_unbounded_queues_are_found_in_code_but_not_in_tests_or_words() {
    let text = "//! A.\n// x.unwrap() and tokio::spawn(\nfn a() { x.unwrap(); tokio::spawn(y); }\n\
                const S: &str = \"unbounded_channel\";\nfn b() { unbounded_channel(); x.expect(\"e\"); self.expect(Kind::Paren)?; }\n\
                #[cfg(test)]\nmod tests {\n    fn c() { x.unwrap(); tokio::spawn(y); }\n}\n";
    let files =
        ratchet::rust_files(&made_up(&[("crates/a/src/a.rs", text), ("tests/a.rs", "fn a() { x.unwrap() }\n")]));
    assert_eq!(ratchet::unwraps(&files), (2, 3));
    assert_eq!(too_many_unwraps(&files).len(), 3);
    let spawns = ratchet::product_lines_with(&files, &ratchet::SPAWNS, ratchet::SUPERVISOR);
    assert_eq!(spawns, ["crates/a/src/a.rs:3: fn a() { x.unwrap(); tokio::spawn(y); }"]);
    assert_eq!(ratchet::product_lines_with(&files, &ratchet::UNBOUNDED, "").len(), 1);
    check_none(&ratchet::product_lines_with(&files, &ratchet::SPAWNS, "crates/a/src/a.rs"));
}

// Words.

/// What must not stand in any file, as `(phrase, why)`. Put together here so that this file does not hold them.
fn forbidden() -> Vec<(String, &'static str)> {
    let unfinished = "unfinished work is an issue, not a mark in the code";
    let machine = "a path of one machine";
    let organised = "says how work is organised, not what the product is";
    let registry = "a registry's host: packages are named, never where they are fetched";
    [
        ("TO|DO", unfinished),
        ("FIX|ME", unfinished),
        ("XX|X", unfinished),
        ("todo|!(", unfinished),
        ("unimplemented|!(", unfinished),
        ("dbg|!(", "left over from looking for something"),
        ("/wo|rk/", machine),
        ("/ro|ot/", machine),
        ("/tmp/ba|sh_jobs", machine),
        ("/home/|user/", machine),
        ("AI ag|ent", organised),
        ("sub|agent", organised),
        ("sub-|agent", organised),
        ("coding ag|ent", organised),
        ("session lo|g", organised),
        ("this ses|sion's", organised),
        ("the integra|tor", organised),
        ("language mo|del", organised),
        ("index.cra|tes.io", registry),
        ("static.cra|tes.io", registry),
        ("registry.np|mjs.org", registry),
        ("files.python|hosted.org", registry),
        ("deb.deb|ian.org", registry),
        ("proxy.go|lang.org", registry),
    ]
    .map(|(phrase, why)| (phrase.replace('|', ""), why))
    .to_vec()
}

/// `Cargo.lock` is cargo's: it names where packages come from.
fn forbidden_words(files: &[TextFile]) -> Vec<String> {
    let forbidden = forbidden();
    let mut breaches = Vec::new();
    for file in files.iter().filter(|file| file.path != "Cargo.lock") {
        for (at, line) in file.text.lines().enumerate() {
            for (phrase, why) in forbidden.iter().filter(|(phrase, _)| stands_alone(line, phrase)) {
                breaches.push(format!("{}:{}: {phrase:?}: {why}", file.path, at + 1));
            }
        }
    }
    breaches
}

/// A phrase of letters only counts as a word of its own; a path only where no other path goes before it.
fn stands_alone(line: &str, phrase: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices(phrase).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + phrase.len()..].chars().next();
        let open_before = phrase.starts_with(word) && before.is_some_and(word)
            || phrase.starts_with('/') && before.is_some_and(|c| word(c) || matches!(c, '.' | '}' | '/' | '-'));
        let open_after = phrase.ends_with(word) && after.is_some_and(word);
        !open_before && !open_after
    })
}

/// A name that says nothing of what is inside: the thing has not been found yet.
fn names_that_say_nothing(files: &[TextFile]) -> Vec<String> {
    let empty = ["util", "utils", "common", "helper", "helpers", "misc"];
    let says_nothing = |path: &str| {
        let parts = path.split(['/', '.', '_', '-']);
        parts.into_iter().any(|part| empty.contains(&part.to_ascii_lowercase().as_str()))
    };
    let named = files.iter().filter(|file| file.path.ends_with(".rs") || file.path.ends_with(".js"));
    named
        .filter(|file| says_nothing(&file.path))
        .map(|file| format!("{}: name it after what it holds", file.path))
        .collect()
}

/// Escaping is askama's; one exception would be the hole.
fn unescaped_templates(files: &[TextFile]) -> Vec<String> {
    let templates = files.iter().filter(|file| file.path.starts_with("web/templates/"));
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    let open = templates.filter(|file| squeezed(&file.text).contains(concat!("|", "safe")));
    open.map(|file| format!("{}: a template switches escaping off", file.path)).collect()
}

#[test]
fn no_file_holds_forbidden_words_or_an_empty_name() {
    let files = repo::text_files();
    check_none(&forbidden_words(&files));
    check_none(&names_that_say_nothing(&files));
    check_none(&unescaped_templates(&files));
}

#[test]
fn every_forbidden_word_is_found_and_its_innocent_cousins_are_not() {
    for (phrase, why) in forbidden() {
        let files = made_up(&[("docs/a.md", &format!("one\n({phrase})\n"))]);
        assert_eq!(forbidden_words(&files), [format!("docs/a.md:2: {phrase:?}: {why}")]);
    }
    let innocent =
        "user agent, login session, agents of OpenTelemetry, XXXL, mastodons, /data/root/x, a session logs out\n";
    check_none(&forbidden_words(&made_up(&[("docs/a.md", innocent)])));
    check_none(&forbidden_words(&made_up(&[("Cargo.lock", &forbidden()[0].0)])));
}

#[test]
fn empty_names_and_unescaped_templates_are_found() {
    let files = made_up(&[
        ("crates/a/src/utils.rs", ""),
        ("crates/a/src/string_helpers.rs", ""),
        ("crates/common/src/lib.rs", ""),
        ("crates/a/src/commonality.rs", ""),
        ("docs/guide/common.md", ""),
        ("web/templates/a.html", "{{ x |\n safe }}"),
        ("web/templates/b.html", "{{ x }} | unsafe"),
    ]);
    assert_eq!(names_that_say_nothing(&files).len(), 3);
    assert_eq!(unescaped_templates(&files), ["web/templates/a.html: a template switches escaping off"]);
}

// Documents.

fn decisions_without_parts(files: &[TextFile]) -> Vec<String> {
    let pages = files.iter().filter(|file| file.path.starts_with("docs/decisions/") && file.path.ends_with(".md"));
    let mut breaches = Vec::new();
    for page in pages {
        // A heading, or the word that opens a paragraph: `## Context`, `Context: …`.
        let opens = |line: &str, part: &str| line.trim_start_matches("## ").starts_with(part);
        let missing: Vec<&str> = ["Context", "Decision", "Consequence"]
            .into_iter()
            .filter(|part| !page.text.lines().any(|line| opens(line, part)))
            .collect();
        if !missing.is_empty() {
            breaches.push(format!("{}: has no {}", page.path, missing.join(", ")));
        }
        let name = page.path.trim_start_matches("docs/decisions/");
        let number = name.split('-').next().unwrap_or_default();
        if number.len() != 4 || number.parse::<u32>().is_err() {
            breaches.push(format!("{}: the name is NNNN-title.md", page.path));
        }
    }
    breaches
}

/// Both databases walk the same steps: the same numbers with the same names.
fn migrations_that_differ(files: &[TextFile]) -> Vec<String> {
    let names = |folder: &str| -> BTreeSet<String> {
        let prefix = format!("migrations/{folder}/");
        files.iter().filter_map(|file| file.path.strip_prefix(&prefix)).map(str::to_owned).collect()
    };
    let (sqlite, postgres) = (names("sqlite"), names("postgres"));
    let mut breaches: Vec<String> = sqlite
        .symmetric_difference(&postgres)
        .map(|name| format!("migrations: {name} stands in one of sqlite and postgres only"))
        .collect();
    let mut by_number: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in &sqlite {
        by_number.entry(name.split('_').next().unwrap_or_default()).or_default().push(name);
    }
    breaches.extend(
        by_number.values().filter(|names| names.len() > 1).map(|names| format!("migrations: one number, {names:?}")),
    );
    breaches
}

/// Tests named in the invariants of the architecture page, as `test_name` in backticks at the end of an item.
fn invariants_without_test(files: &[TextFile]) -> Vec<String> {
    let Some(page) = files.iter().find(|file| file.path == "docs/architecture.md") else {
        return vec!["docs/architecture.md is missing".to_owned()];
    };
    let rust: Vec<&TextFile> = files.iter().filter(|file| file.path.ends_with(".rs")).collect();
    let invariants = page.text.lines().skip_while(|line| *line != "## Invariants").skip(1);
    let items = invariants.take_while(|line| !line.starts_with("## "));
    let items: Vec<&str> = items.filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).collect();
    let mut breaches = Vec::new();
    if items.is_empty() {
        breaches.push("docs/architecture.md has no numbered invariants".to_owned());
    }
    for item in items {
        let guards = item.rsplit_once("Test: ").map_or("", |(_, guards)| guards);
        let names: Vec<&str> = guards.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            breaches.push(format!("docs/architecture.md: names no test (`Test: …`): {item}"));
        }
        let missing = names.iter().filter(|name| !rust.iter().any(|file| file.text.contains(&format!("fn {name}("))));
        breaches.extend(missing.map(|name| format!("docs/architecture.md: there is no test {name}")));
    }
    breaches
}

/// Links from our pages to our files.
fn dangling_links(files: &[TextFile]) -> Vec<String> {
    let there: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let folder_there = |path: &str| files.iter().any(|file| file.path.starts_with(&format!("{path}/")));
    let mut breaches = Vec::new();
    for page in files.iter().filter(|file| file.path.ends_with(".md") && !file.path.contains("testdata/")) {
        let here = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in page.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let link = link.split('#').next().unwrap_or_default();
            if link.is_empty() || link.contains(':') || link.contains(' ') {
                continue;
            }
            let path = joined(here, link);
            // A picture is no text, so it is looked for where it would be.
            let is_picture = path.ends_with(".png") && repo::root().join(&path).is_file();
            if !there.contains(path.as_str()) && !folder_there(&path) && !is_picture {
                breaches.push(format!("{}: links to {link}, which is not there", page.path));
            }
        }
    }
    breaches
}

fn joined(folder: &str, link: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn documents_keep_up_with_the_code() {
    let files = repo::text_files();
    check_none(&decisions_without_parts(&files));
    check_none(&migrations_that_differ(&files));
    check_none(&ratchet::formats_without_test(&files));
    check_none(&invariants_without_test(&files));
    check_none(&dangling_links(&files));
}

#[test]
fn a_decision_without_its_parts_and_a_migration_without_its_twin_are_named() {
    let whole = "# T\n## Context\n## Decision\n## Consequences\n";
    let files = made_up(&[
        ("docs/decisions/0001-whole.md", whole),
        ("docs/decisions/0002-half.md", "# T\n## Decision\n"),
        ("docs/decisions/0003-short.md", "# T\nContext: a.\nDecision: b.\nConsequence: c, in context.\n"),
        ("docs/decisions/three.md", whole),
        ("migrations/sqlite/0001_a.sql", ""),
        ("migrations/sqlite/0001_b.sql", ""),
        ("migrations/postgres/0001_a.sql", ""),
    ]);
    assert_eq!(
        decisions_without_parts(&files),
        [
            "docs/decisions/0002-half.md: has no Context, Consequence",
            "docs/decisions/three.md: the name is NNNN-title.md",
        ]
    );
    assert_eq!(
        migrations_that_differ(&files),
        [
            "migrations: 0001_b.sql stands in one of sqlite and postgres only",
            "migrations: one number, [\"0001_a.sql\", \"0001_b.sql\"]",
        ]
    );
}

#[test]
fn a_format_that_no_test_reads_is_named() {
    let files = made_up(&[
        ("docs/formats/log.md", ""),
        ("docs/formats/index.md", ""),
        ("docs/formats/chunk.md", ""),
        ("crates/tsdb/src/log.rs", "//! L.\n#[test]\nfn a() { include_str!(\"../../../docs/formats/log.md\"); }\n"),
        ("crates/tsdb/src/index.rs", "//! docs/formats/index.md\n#[test]\nfn a() {}\n"),
        ("crates/tsdb/src/chunk.rs", "const PAGE: &str = \"docs/formats/chunk.md\";\n"),
    ]);
    assert_eq!(
        ratchet::formats_without_test(&files),
        ["docs/formats/index.md: no test reads its example", "docs/formats/chunk.md: no test reads its example"]
    );
}

#[test]
fn an_invariant_without_an_existing_test_is_named() {
    let page = "# A\n## Invariants\n1. Holds. Test: `there_is_one`\n2. Hopes.\n3. Claims. Test: `nowhere`, `there_is_one`\n## More\n4. no\n";
    let files = made_up(&[("docs/architecture.md", page), ("crates/a/src/a.rs", "fn there_is_one() {}\n")]);
    assert_eq!(
        invariants_without_test(&files),
        [
            "docs/architecture.md: names no test (`Test: …`): 2. Hopes.",
            "docs/architecture.md: there is no test nowhere",
        ]
    );
    assert_eq!(invariants_without_test(&[]), ["docs/architecture.md is missing"]);
}

#[test]
fn a_link_to_nowhere_is_named() {
    let page = "[a](../README.md#x) [b](guide/) [c](gone.md) [d](https://example.org/x) [e](#here)\n";
    let files = made_up(&[("docs/a.md", page), ("README.md", ""), ("docs/guide/b.md", "")]);
    assert_eq!(dangling_links(&files), ["docs/a.md: links to gone.md, which is not there"]);
}

#[test]
fn a_circle_of_imports_is_named() {
    let package = |name: &str, imports: &[&str]| Package {
        name: name.to_owned(),
        member: true,
        imports: imports.iter().map(|&import| import.to_owned()).collect(),
        ..Package::default()
    };
    let metadata =
        Metadata { packages: vec![package("a", &["b"]), package("b", &["c"]), package("c", &["a", "serde"])] };
    assert_eq!(ratchet::circles(&metadata).len(), 3);
    let metadata = Metadata { packages: vec![package("a", &["b", "c"]), package("b", &["c"]), package("c", &[])] };
    check_none(&ratchet::circles(&metadata));
}
