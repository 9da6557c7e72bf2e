//! What some tests need beyond Rust and a C compiler: one table for the tests that look for it and for
//! `cargo xtask test`, which installs it.

use std::path::{Path, PathBuf};

use crate::repo::TextFile;

/// Something a test may have to do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    Postgres,
    Browser,
    H2load,
    Slowhttptest,
    Testssl,
    /// Answers recorded from the programs we replace, named by `WATCHPOST_CONFORMANCE`.
    Conformance,
    /// The accessibility rules of axe-core: named by `WATCHPOST_AXE`, or fetched with npm into the build folder.
    Axe,
}

/// How a need is met.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub need: Need,
    /// The Debian package.
    pub package: &'static str,
    /// What the package brings and the tests call.
    pub program: &'static str,
    /// Folders beside `PATH` to look in; `*` stands for one folder name.
    pub folders: &'static [&'static str],
    /// When set to 1, a test that would skip fails instead.
    pub required_variable: &'static str,
    pub tests: &'static str,
}

/// Every need that a package meets.
pub const ROWS: [Row; 5] = [
    Row {
        need: Need::Postgres,
        package: "postgresql",
        program: "initdb",
        folders: &["/usr/lib/postgresql/*/bin"],
        required_variable: "WATCHPOST_REQUIRE_POSTGRES",
        tests: "the metadata store on PostgreSQL",
    },
    Row {
        need: Need::Browser,
        package: "chromium",
        program: "chromium",
        folders: &[],
        required_variable: "WATCHPOST_REQUIRE_BROWSER",
        tests: "the pages in a browser",
    },
    Row {
        need: Need::H2load,
        package: "nghttp2-client",
        program: "h2load",
        folders: &[],
        required_variable: "WATCHPOST_REQUIRE_H2LOAD",
        tests: "the listener under HTTP/2 load",
    },
    Row {
        need: Need::Slowhttptest,
        package: "slowhttptest",
        program: "slowhttptest",
        folders: &[],
        required_variable: "WATCHPOST_REQUIRE_SLOWHTTPTEST",
        tests: "the listener against slow clients",
    },
    Row {
        need: Need::Testssl,
        package: "testssl.sh",
        program: "testssl",
        folders: &[],
        required_variable: "WATCHPOST_REQUIRE_TESTSSL",
        tests: "what the TLS listener offers",
    },
];

impl Need {
    /// The package that meets it; none for data that the environment names.
    #[must_use]
    pub fn row(self) -> Option<&'static Row> {
        ROWS.iter().find(|row| row.need == self)
    }
}

/// The rows some test asks for: installing a browser for tests that are not written yet would be a waste.
#[must_use]
pub fn in_use(files: &[TextFile]) -> Vec<&'static Row> {
    let asks = |file: &TextFile, row: &Row| {
        let here = file.path == "tests/src/needs.rs";
        !here && file.path.ends_with(".rs") && file.text.contains(&format!("Need::{:?}", row.need))
    };
    ROWS.iter().filter(|row| files.iter().any(|file| asks(file, row))).collect()
}

impl Row {
    /// Where the program is, if it is installed.
    #[must_use]
    pub fn find(&self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let named = std::env::split_paths(&path).map(|folder| folder.join(self.program));
        let beside = self.folders.iter().flat_map(|pattern| matching_folders(pattern));
        let found = named.chain(beside.map(|folder| folder.join(self.program))).find(|program| program.is_file())?;
        // What a link leads to: other programs lie beside the real one.
        Some(found.canonicalize().unwrap_or(found))
    }
}

/// The folders a pattern names; the highest version of several comes first.
fn matching_folders(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once("/*/") else { return vec![PathBuf::from(pattern)] };
    let Ok(entries) = std::fs::read_dir(Path::new(before)) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.sort_by_key(|folder| {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        std::cmp::Reverse((name.parse::<u32>().unwrap_or(0), name))
    });
    found.into_iter().map(|folder| folder.join(after)).collect()
}

#[cfg(test)]
mod tests {
    //! The search over made-up folders.

    use super::*;

    #[test]
    fn the_newest_of_several_versions_is_found_first() {
        let folder = std::env::temp_dir().join(format!("watchpost-needs-{}", std::process::id()));
        for version in ["9", "15", "17"] {
            std::fs::create_dir_all(folder.join(version).join("bin")).unwrap();
        }
        let found = matching_folders(&format!("{}/*/bin", folder.display()));
        std::fs::remove_dir_all(&folder).unwrap();
        let expected: Vec<PathBuf> = ["17", "15", "9"].iter().map(|v| folder.join(v).join("bin")).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_row_is_in_use_when_a_test_outside_the_table_names_its_need() {
        let files = [
            ("tests/src/needs.rs", "Need::Browser"),
            ("docs/a.md", "Need::H2load"),
            ("crates/store/src/tests.rs", "skip::program(Need::Postgres)"),
        ]
        .map(|(path, text)| TextFile { path: path.to_owned(), text: text.to_owned() });
        let packages: Vec<&str> = in_use(&files).iter().map(|row| row.package).collect();
        assert_eq!(packages, ["postgresql"]);
    }

    #[test]
    fn a_program_that_is_nowhere_is_not_found() {
        let row = Row { program: "no-such-program-anywhere", folders: &["/no/such/*/bin", "/nor"], ..ROWS[0] };
        assert_eq!(row.find(), None);
        assert!(Row { program: "sh", ..ROWS[0] }.find().is_some());
    }
}
