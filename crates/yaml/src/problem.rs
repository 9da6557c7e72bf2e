//! Where something stands in a file, and what is wrong there.
//!
//! Promises: a message is lower case, says what was expected and, where it may be shown, what was found.
//! A value that came from the environment, from a secret file or that stands in a secret field is never in it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Problems kept for one document. A file that is wrong from top to bottom is usually one mistake seen many times;
/// beyond this only the number is kept, so that a hostile file cannot fill the memory with complaints.
pub const PROBLEMS_MAX: usize = 100;

/// A place in a file. Line and column count from 1 and in characters; line 0 means "not in a file": a value that
/// came from the environment, from a flag or from the program itself, and `file` says which.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Place {
    pub file: Arc<str>,
    pub line: u32,
    pub column: u32,
}

impl Place {
    #[must_use]
    pub fn new(file: &Arc<str>, line: usize, column: usize) -> Self {
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { file: Arc::clone(file), line: narrow(line), column: narrow(column) }
    }

    /// Outside every file; `source` is for example `environment variable WATCHPOST_SERVER__LISTEN`.
    #[must_use]
    pub fn outside(source: &str) -> Self {
        Self { file: source.into(), line: 0, column: 0 }
    }

    #[must_use]
    pub fn is_in_file(&self) -> bool {
        self.line > 0
    }

    /// Where `path`, written here, leads: relative to the folder of this file, or unchanged (that is: relative to the
    /// working directory) when this is not a file.
    #[must_use]
    pub fn resolve(&self, path: &Path) -> PathBuf {
        match Path::new(&*self.file).parent() {
            Some(folder) if self.is_in_file() && !path.as_os_str().is_empty() => folder.join(path),
            _ => path.to_owned(),
        }
    }
}

/// Nowhere: the place of a default.
impl Default for Place {
    fn default() -> Self {
        Self::outside("default")
    }
}

/// `file:line:column`, or only what the value came from.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_in_file() {
            return f.write_str(&self.file);
        }
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Something in a file is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub file: Arc<str>,
    pub line: u32,
    pub column: u32,
    /// The key it is about, such as `server.listen[0]`; empty for the document as a whole.
    pub path: String,
    /// What should stand there; empty when `found` is the whole sentence.
    pub expected: String,
    /// What stands there; empty when there is nothing to say or it must not be shown.
    pub found: String,
}

impl Problem {
    /// A problem in a whole sentence, such as `unknown receiver "ops", expected one of "mail", "pager"`.
    pub fn new(place: &Place, path: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self {
            file: Arc::clone(&place.file),
            line: place.line,
            column: place.column,
            path: path.into(),
            expected: String::new(),
            found: sentence.into(),
        }
    }

    /// A problem that prints as `expected …, found …`.
    pub fn expected(place: &Place, path: &str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { expected: expected.into(), ..Self::new(place, path, found) }
    }

    #[must_use]
    pub fn place(&self) -> Place {
        Place { file: Arc::clone(&self.file), line: self.line, column: self.column }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place())?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        match (self.expected.as_str(), self.found.as_str()) {
            (expected, "") => write!(f, "expected {expected}"),
            ("", found) => f.write_str(found),
            (expected, found) => write!(f, "expected {expected}, found {found}"),
        }
    }
}

impl std::error::Error for Problem {}

/// Everything that is wrong with a document, in the order it was met. Never empty inside an `Err`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    left_out: usize,
}

impl Problems {
    /// Notes one more; beyond [`PROBLEMS_MAX`] it is only counted.
    pub fn push(&mut self, problem: Problem) {
        if self.list.len() >= PROBLEMS_MAX {
            self.left_out += 1;
            return;
        }
        self.list.push(problem);
    }

    pub fn extend(&mut self, more: Problems) {
        self.left_out += more.left_out;
        for problem in more.list {
            self.push(problem);
        }
    }

    #[must_use]
    pub fn as_slice(&self) -> &[Problem] {
        &self.list
    }

    /// How many there were beyond those kept.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// `Ok(value)` if nothing is wrong.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self { list: vec![problem], left_out: 0 }
    }
}

impl std::ops::Deref for Problems {
    type Target = [Problem];

    fn deref(&self) -> &[Problem] {
        &self.list
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

/// One line for each.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        if self.left_out > 0 {
            write!(f, "\nand {} more problems", self.left_out)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_relative_to_the_file_it_is_written_in() {
        let file: Arc<str> = "conf/watchpost.yml".into();
        let place = Place::new(&file, 3, 1);
        assert_eq!(place.resolve(Path::new("rules/a.yml")), Path::new("conf/rules/a.yml"));
        assert_eq!(place.resolve(Path::new("/etc/a.yml")), Path::new("/etc/a.yml"));
        assert_eq!(place.resolve(Path::new("")), Path::new(""));
        assert_eq!(Place::outside("flag --rules").resolve(Path::new("a.yml")), Path::new("a.yml"));
    }

    #[test]
    fn a_problem_prints_with_its_place_and_key() {
        let place = Place::new(&"a.yml".into(), 3, 7);
        let problem = Problem::expected(&place, "server.listen", "a list", "a text");
        assert_eq!(problem.to_string(), "a.yml:3:7: server.listen: expected a list, found a text");
        assert_eq!(Problem::expected(&place, "", "a list", "").to_string(), "a.yml:3:7: expected a list");
        assert_eq!(Problem::new(&place, "", "unknown receiver").to_string(), "a.yml:3:7: unknown receiver");
        let outside = Problem::expected(&Place::outside("flag --x"), "", "a list", "");
        assert_eq!(outside.to_string(), "flag --x: expected a list");
    }

    #[test]
    fn problems_beyond_the_limit_are_only_counted() {
        let mut problems = Problems::default();
        for _ in 0..PROBLEMS_MAX + 2 {
            problems.push(Problem::new(&Place::outside("x"), "", "no"));
        }
        assert_eq!((problems.len(), problems.left_out()), (PROBLEMS_MAX, 2));
        assert!(problems.to_string().ends_with("\nand 2 more problems"));
    }
}
