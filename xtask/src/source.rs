//! Reading Rust source well enough to measure it: what is code, comment or literal, where functions begin and end,
//! which lines are tests.
//!
//! Not a parser: macros are read as written, which is what a reader of the file sees.

/// A source file, split by what its characters are. Both texts have the file's lines.
#[derive(Clone, Debug)]
pub struct Source {
    /// Comments blanked, literals blanked between their quotes.
    pub code: String,
    /// Only the comments.
    pub comments: String,
    /// For each line, whether it belongs to tests.
    pub in_tests: Vec<bool>,
}

/// A function with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// From one.
    pub first_line: usize,
    /// From the line of `fn` to the line of the closing brace.
    pub lines: usize,
}

/// How many lines of a file are what. Blank lines are none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCount {
    pub code: usize,
    pub comment: usize,
    pub test: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Class {
    Code,
    Comment,
    Literal,
}

impl Source {
    /// Reads a file. `path` decides whether all of it is tests.
    #[must_use]
    pub fn read(path: &str, text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let classes = classify(&chars);
        let only = |wanted: Class| -> String {
            let keep = |(&c, &class): (&char, &Class)| if class == wanted || c == '\n' { c } else { ' ' };
            chars.iter().zip(&classes).map(keep).collect()
        };
        let code = only(Class::Code);
        let in_tests = test_lines(&code, is_test_file(path));
        Self { comments: only(Class::Comment), code, in_tests }
    }

    /// Code outside tests, line by line, tests blank.
    pub fn product_lines(&self) -> impl Iterator<Item = &str> {
        self.code.lines().zip(&self.in_tests).map(|(line, &test)| if test { "" } else { line })
    }

    /// Lines by what they are; a comment inside tests counts as test.
    #[must_use]
    pub fn count(&self) -> LineCount {
        let mut count = LineCount::default();
        for ((code, comment), &test) in self.code.lines().zip(self.comments.lines()).zip(&self.in_tests) {
            match (code.trim().is_empty(), comment.trim().is_empty()) {
                (true, true) => {}
                _ if test => count.test += 1,
                (true, false) => count.comment += 1,
                (false, _) => count.code += 1,
            }
        }
        count
    }

    /// Every function with a body, in order.
    #[must_use]
    pub fn functions(&self) -> Vec<Function> {
        let bytes = self.code.as_bytes();
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices("fn ") {
            if at > 0 && is_word(bytes[at - 1]) {
                continue;
            }
            let name: String = self.code[at + 3..].trim_start().chars().take_while(|&c| is_word_char(c)).collect();
            // Without a name it is the type of a function.
            let open = if name.is_empty() { None } else { body_start(bytes, at) };
            let Some(open) = open else { continue };
            let first_line = line_of(bytes, at);
            let last_line = line_of(bytes, matching_brace(bytes, open));
            found.push(Function { name, first_line, lines: last_line - first_line + 1 });
        }
        found
    }
}

/// Whole files that are tests: `tests.rs`, `*_tests.rs`, anything in a folder `tests` or `benches`.
#[must_use]
pub fn is_test_file(path: &str) -> bool {
    let mut parts: Vec<&str> = path.split('/').collect();
    let name = parts.pop().unwrap_or_default();
    name == "tests.rs" || name.ends_with("_tests.rs") || parts.contains(&"tests") || parts.contains(&"benches")
}

/// Where the body of the function at `at` opens; none for a declaration.
fn body_start(bytes: &[u8], at: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (offset, byte) in bytes[at..].iter().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.checked_sub(1)?,
            b';' | b'}' if depth == 0 => return None,
            b'{' if depth == 0 => return Some(at + offset),
            _ => {}
        }
    }
    None
}

/// The brace that closes the one at `open`; the end where none does.
fn matching_brace(bytes: &[u8], open: usize) -> usize {
    let mut depth = 0usize;
    for (offset, byte) in bytes[open..].iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return open + offset;
        }
    }
    bytes.len() - 1
}

fn line_of(bytes: &[u8], at: usize) -> usize {
    1 + bytes[..at].iter().filter(|&&byte| byte == b'\n').count()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The lines of items under `#[cfg(test)]`.
fn test_lines(code: &str, all: bool) -> Vec<bool> {
    let bytes = code.as_bytes();
    let mut lines = vec![all; code.lines().count()];
    if all {
        return lines;
    }
    for (at, _) in code.match_indices("#[cfg(test)]") {
        let end = item_end(bytes, at + "#[cfg(test)]".len());
        for line in line_of(bytes, at)..=line_of(bytes, end) {
            if let Some(line) = lines.get_mut(line - 1) {
                *line = true;
            }
        }
    }
    lines
}

/// The end of the item that begins after `from`: its closing brace, or its semicolon.
fn item_end(bytes: &[u8], from: usize) -> usize {
    let mut depth = 0usize;
    for (offset, byte) in bytes[from..].iter().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => return from + offset,
            b'{' if depth == 0 => return matching_brace(bytes, from + offset),
            _ => {}
        }
    }
    bytes.len().saturating_sub(1)
}

fn classify(chars: &[char]) -> Vec<Class> {
    let mut classes = vec![Class::Code; chars.len()];
    let mut at = 0;
    while at < chars.len() {
        let (end, class) = token(chars, at);
        if class == Class::Literal {
            // The quotes stay code: `""` is still an argument.
            classes[at + 1..end.saturating_sub(1).max(at + 1)].fill(class);
        } else {
            classes[at..end].fill(class);
        }
        at = end;
    }
    classes
}

/// The end of what begins at `at`, and what it is. Code goes on one character or one word at a time.
fn token(chars: &[char], at: usize) -> (usize, Class) {
    let rest = &chars[at..];
    match rest {
        ['/', '/', ..] => (at + rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()), Class::Comment),
        ['/', '*', ..] => (at + block_comment_len(rest), Class::Comment),
        ['"', ..] => (at + quoted_len(rest, '"'), Class::Literal),
        ['\'', '\\', ..] => (at + quoted_len(rest, '\''), Class::Literal),
        ['\'', c, '\'', ..] if *c != '\'' => (at + 3, Class::Literal),
        [c, ..] if is_word_char(*c) => {
            let word = rest.iter().position(|&c| !is_word_char(c)).unwrap_or(rest.len());
            let raw = matches!(rest[..word], ['r'] | ['b' | 'c', 'r']);
            match raw.then(|| raw_len(&rest[word..])).flatten() {
                Some(len) => (at + word + len, Class::Literal),
                None => (at + word, Class::Code),
            }
        }
        _ => (at + 1, Class::Code),
    }
}

fn block_comment_len(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] if depth == 1 => return at + 2,
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    rest.len()
}

fn quoted_len(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of `#"…"#` after its `r`; none where it is a raw identifier.
fn raw_len(rest: &[char]) -> Option<usize> {
    let hashes = rest.iter().take_while(|&&c| c == '#').count();
    if rest.get(hashes) != Some(&'"') {
        return None;
    }
    let closes = |at: usize| rest[at] == '"' && rest[at + 1..].iter().take_while(|&&c| c == '#').count() >= hashes;
    let end = (hashes + 1..rest.len()).find(|&at| closes(at));
    Some(end.map_or(rest.len(), |at| at + 1 + hashes))
}

#[cfg(test)]
mod tests {
    //! Source that tries to mislead the scanner.

    use super::*;

    #[track_caller]
    fn check_code(text: &str, expected: &str) {
        let squeezed = Source::read("src/a.rs", text).code.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeezed, expected, "for {text}");
    }

    #[track_caller]
    fn check_functions(text: &str, expected: &[(&str, usize, usize)]) {
        let found = Source::read("src/a.rs", text).functions();
        let found: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.first_line, f.lines)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn comments_and_literals_are_not_code() {
        check_code("let a = \"}\"; // {", "let a = \" \";");
        check_code("a(/* { /* nested */ } */ b)", "a( b)");
        check_code("let q = '\"'; let s = \"x\";", "let q = ' '; let s = \" \";");
        check_code("let q = '\\''; b()", "let q = ' '; b()");
        check_code("r#\"a\"b\"# + c", "r # + c");
        check_code("r#type + br\"}\" + c", "r#type + b \" + c");
        check_code("\"a\\\"b\" + c", "\" \" + c");
        check_code("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}");
    }

    #[test]
    fn an_unfinished_literal_or_comment_ends_with_the_file() {
        check_code("a /* b", "a");
        for text in ["a \"b", "a \"b\\", "a r#\"b\"", "'\\", "fn a() { {", "#[cfg(test)]\nmod a {", "fn a(", ""] {
            let source = Source::read("src/a.rs", text);
            assert_eq!(source.code.chars().count(), text.chars().count());
            assert!(source.functions().len() <= 1);
        }
    }

    #[test]
    fn functions_are_measured_from_fn_to_the_closing_brace() {
        check_functions("fn a() {}\n\npub async fn b(\n    x: u8,\n) -> u8 {\n    x\n}\n", &[("a", 1, 1), ("b", 3, 5)]);
        check_functions("fn outer() {\n    fn inner() {\n    }\n}\n", &[("outer", 1, 4), ("inner", 2, 2)]);
        check_functions("fn a() -> impl Iterator<Item = u8>\nwhere\n    A: B,\n{\n}\n", &[("a", 1, 5)]);
        check_functions("fn a() { let s = \"{\"; let c = '{'; } // {\nfn b() {\n}\n", &[("a", 1, 1), ("b", 2, 2)]);
    }

    #[test]
    fn declarations_and_function_types_are_not_functions() {
        check_functions("trait T {\n    fn a(&self) -> u8;\n}\n", &[]);
        check_functions("struct S { call: fn (u8) -> u8 }\nfn b() {}\n", &[("b", 2, 1)]);
        check_functions("// fn a() {}\nlet s = \"fn b() {}\";\n", &[]);
    }

    #[test]
    fn lines_under_cfg_test_are_tests() {
        let text = "fn a() {}\n// why\n\n#[cfg(test)]\nmod tests {\n    // here\n    fn b() {}\n}\nfn c() {}\n";
        let source = Source::read("src/a.rs", text);
        assert_eq!(source.count(), LineCount { code: 2, comment: 1, test: 5 });
        assert_eq!(source.product_lines().filter(|line| line.contains("fn")).count(), 2);
    }

    #[test]
    fn a_test_module_in_a_file_of_its_own_takes_only_its_line() {
        let source = Source::read("src/a.rs", "fn a() {}\n#[cfg(test)]\nmod tests;\nfn b() {}\n");
        assert_eq!(source.in_tests, [false, true, true, false]);
    }

    #[test]
    fn test_files_are_known_by_their_place() {
        for path in ["crates/a/tests/b.rs", "crates/a/src/b/tests.rs", "tests/main.rs", "crates/a/benches/b.rs"] {
            assert!(is_test_file(path), "{path}");
        }
        for path in ["crates/a/src/attests.rs", "crates/a/src/test.rs", "xtask/src/test_command.rs"] {
            assert!(!is_test_file(path), "{path}");
        }
    }
}
