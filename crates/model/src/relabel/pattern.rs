//! Regular expressions as Go reads them, compiled by our own library.
//!
//! Promises: `\d`, `\w`, `\s` and `\b` are ASCII, `[` and `&` within a class are letters, `\Q…\E` is literal and a `{` that
//! counts nothing is a brace, as in RE2; what RE2 refuses although our library takes it is refused.
//! Matches the whole text; `.` matches a line break.

use regex::Regex;

use crate::matcher::{self, BadRegex};

/// How often one thing may be repeated in RE2.
const REPEAT_MAX: u32 = 1000;

/// Compiles a pattern, anchored at both ends.
pub(super) fn compile(pattern: &str) -> Result<Regex, BadRegex> {
    let refused = |reason: String| BadRegex { pattern: pattern.to_owned(), reason };
    let translated = Translation::of(pattern).map_err(refused)?;
    matcher::anchored(&translated).map_err(|bad| refused(bad.reason.lines().last().unwrap_or_default().to_owned()))
}

/// The state of reading one pattern.
struct Translation<'p> {
    rest: std::iter::Peekable<std::str::Chars<'p>>,
    out: String,
    /// Whether the last thing written was a repetition, which must not be repeated again.
    repeated: bool,
}

impl<'p> Translation<'p> {
    fn of(pattern: &'p str) -> Result<String, String> {
        let out = String::with_capacity(pattern.len() + 8);
        let mut this = Self { rest: pattern.chars().peekable(), out, repeated: false };
        while let Some(c) = this.rest.next() {
            this.step(c)?;
        }
        Ok(this.out)
    }

    fn step(&mut self, c: char) -> Result<(), String> {
        match c {
            '\\' => self.escape()?,
            '[' => self.class()?,
            '*' | '+' | '?' => return self.repetition(c.encode_utf8(&mut [0; 4])),
            '{' => match self.counts()? {
                Some(counts) => return self.repetition(&counts),
                None => self.out.push_str("\\{"),
            },
            '}' => self.out.push_str("\\}"),
            '(' => self.group()?,
            c => self.out.push(c),
        }
        self.repeated = false;
        Ok(())
    }

    /// A repetition, with the `?` that makes it lazy.
    fn repetition(&mut self, operator: &str) -> Result<(), String> {
        if self.repeated {
            return Err(format!("invalid nested repetition operator: `{operator}`"));
        }
        self.out.push_str(operator);
        if self.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
        self.repeated = true;
        Ok(())
    }

    /// `3}`, `3,}` or `3,5}` after a brace; anything else there is text.
    fn counts(&mut self) -> Result<Option<String>, String> {
        let mut ahead = self.rest.clone();
        let inside: String = ahead.by_ref().take_while(|c| *c != '}').collect();
        let closed = self.rest.clone().any(|c| c == '}');
        let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let (least, most) = inside.split_once(',').unwrap_or((&inside, &inside));
        if !closed || !number(least) || !(most.is_empty() || number(most)) || (most.is_empty() && !inside.contains(','))
        {
            return Ok(None);
        }
        let size = |text: &str| text.parse::<u32>().unwrap_or(u32::MAX);
        let upper = if most.is_empty() { size(least) } else { size(most) };
        if size(least) > REPEAT_MAX || upper > REPEAT_MAX || size(least) > upper {
            return Err(format!("invalid repeat count: `{{{inside}}}`"));
        }
        self.rest = ahead;
        Ok(Some(format!("{{{inside}}}")))
    }

    /// `(`, with the flags RE2 knows: `i`, `m`, `s`, `U`.
    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        self.out.push('?');
        if matches!(self.rest.peek(), Some('P' | '<')) {
            return Ok(());
        }
        for c in self.rest.by_ref() {
            self.out.push(c);
            match c {
                ':' | ')' => return Ok(()),
                'i' | 'm' | 's' | 'U' | '-' => {}
                c => return Err(format!("invalid or unsupported Perl syntax: `(?{c}`")),
            }
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<(), String> {
        let Some(c) = self.rest.next() else { return Err("trailing backslash at end of expression: ``".to_owned()) };
        match c {
            'd' => self.out.push_str("[0-9]"),
            'D' => self.out.push_str("[^0-9]"),
            'w' => self.out.push_str("[0-9A-Za-z_]"),
            'W' => self.out.push_str("[^0-9A-Za-z_]"),
            's' => self.out.push_str("[\\t\\n\\x0c\\r ]"),
            'S' => self.out.push_str("[^\\t\\n\\x0c\\r ]"),
            'b' => self.out.push_str("(?-u:\\b)"),
            'B' => self.out.push_str("(?-u:\\B)"),
            'Q' => self.quoted(),
            c => self.plain_escape(c)?,
        }
        Ok(())
    }

    /// `\Q…\E`, or to the end.
    fn quoted(&mut self) {
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return;
            }
            push_literal(c, &mut self.out);
        }
    }

    /// Escapes that mean the same in a class and outside.
    fn plain_escape(&mut self, c: char) -> Result<(), String> {
        match c {
            'a' | 'f' | 'n' | 'r' | 't' | 'v' | 'A' | 'z' => self.out.extend(['\\', c]),
            'x' | 'p' | 'P' => self.braced_escape(c),
            '0'..='7' => self.octal(c)?,
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => push_literal(c, &mut self.out),
            c => return Err(format!("invalid escape sequence: `\\{c}`")),
        }
        Ok(())
    }

    /// `\x{10}`, `\p{Greek}`: the braces belong to the escape.
    fn braced_escape(&mut self, c: char) {
        self.out.extend(['\\', c]);
        if self.rest.peek() != Some(&'{') {
            return;
        }
        for c in self.rest.by_ref() {
            self.out.push(c);
            if c == '}' {
                return;
            }
        }
    }

    /// `\012`: one digit other than 0 alone would be a back reference, which RE2 has not.
    fn octal(&mut self, first: char) -> Result<(), String> {
        let digit = |c: &char| ('0'..='7').contains(c);
        if first != '0' && !self.rest.peek().is_some_and(digit) {
            return Err(format!("invalid escape sequence: `\\{first}`"));
        }
        let mut code = first.to_digit(8).unwrap_or(0);
        for _ in 0..2 {
            let Some(next) = self.rest.next_if(digit) else { break };
            code = code * 8 + next.to_digit(8).unwrap_or(0);
        }
        self.out.push_str(&format!("\\x{{{code:x}}}"));
        Ok(())
    }

    /// `[…]`: our library would read a `[` inside as a class within the class, and `&&`, `--`, `~~` as operators.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        while let Some(c) = self.rest.next() {
            match c {
                ']' if !first => {
                    self.out.push(']');
                    return Ok(());
                }
                '\\' => self.escape_in_class()?,
                '[' if self.rest.peek() == Some(&':') => self.named_class(),
                '-' => self.dash(first),
                c => push_literal(c, &mut self.out),
            }
            first = false;
        }
        Err("missing closing ]: `[`".to_owned())
    }

    /// A dash between two letters is a range; at either end it is a dash.
    fn dash(&mut self, first: bool) {
        let last = self.rest.peek() == Some(&']');
        self.out.push_str(if first || last { "\\-" } else { "-" });
    }

    fn named_class(&mut self) {
        self.out.push('[');
        for c in self.rest.by_ref() {
            self.out.push(c);
            if c == ']' {
                return;
            }
        }
    }

    fn escape_in_class(&mut self) -> Result<(), String> {
        let Some(c) = self.rest.next() else { return Err("trailing backslash at end of expression: ``".to_owned()) };
        match c {
            'd' => self.out.push_str("0-9"),
            'w' => self.out.push_str("0-9A-Za-z_"),
            's' => self.out.push_str("\\t\\n\\x0c\\r "),
            // A class within the class is what our library has for these.
            'D' => self.out.push_str("[^0-9]"),
            'W' => self.out.push_str("[^0-9A-Za-z_]"),
            'S' => self.out.push_str("[^\\t\\n\\x0c\\r ]"),
            c => self.plain_escape(c)?,
        }
        Ok(())
    }
}

/// A character that stands for itself, wherever it stands.
fn push_literal(c: char, out: &mut String) {
    if c.is_ascii_punctuation() && !matches!(c, '<' | '>') {
        out.push('\\');
    }
    out.push(c);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let regex = compile(pattern).unwrap_or_else(|bad| panic!("{bad}"));
        for text in yes {
            assert!(regex.is_match(text), "{pattern} should match {text:?}");
        }
        for text in no {
            assert!(!regex.is_match(text), "{pattern} should not match {text:?}");
        }
    }

    #[test]
    fn classes_and_escapes_mean_what_they_mean_in_re2() {
        check("\\d+", &["12"], &["١٢", "a"]);
        check("\\w", &["a", "_"], &["é"]);
        check("[\\w-]+", &["a-b"], &["a b"]);
        check("[a[b]", &["a", "[", "b"], &["]"]);
        check("[&&~~]", &["&", "~"], &["a"]);
        check("[^\\D]", &["1"], &["a"]);
        check("[[:alpha:]_]+", &["ab_"], &["1"]);
        check("[]a]", &["]", "a"], &["b"]);
        check("[a\\-z]", &["-", "a", "z"], &["b"]);
        check("\\Qa.b*\\E+", &["a.b*", "a.b**"], &["axb"]);
        check("\\p{Greek}\\pL\\x{41}[\\p{Greek}]", &["αxAβ"], &["axAβ"]);
        check("\\101\\x41\\<\\_", &["AA<_"], &[]);
        check("(?:a\\b.)+", &["a-", "aé"], &["ab"]);
        check("a\\Bb", &["ab"], &["a"]);
    }

    #[test]
    fn braces_that_count_nothing_are_braces() {
        check("a{b}", &["a{b}"], &["ab"]);
        check("${1}", &[], &["1"]);
        check("a{,2}", &["a{,2}"], &["aa"]);
        check("a{1,2}b{2}c{1,}", &["abbc", "aabbccc"], &["abc"]);
        check("(?:x}|{)", &["x}", "{"], &[]);
    }

    #[test]
    fn the_whole_text_must_match_and_a_dot_matches_line_breaks() {
        check("a.b|c", &["a\nb", "c"], &["ca", "xa\nb"]);
        check("(?i)FOO(?P<n>x)(?<m>y)", &["fooxy"], &["foo"]);
    }

    #[test]
    fn what_re2_refuses_is_refused() {
        for (pattern, part) in [
            ("a**", "invalid nested repetition operator"),
            ("a{2}{3}", "invalid nested repetition operator"),
            ("a{1001}", "invalid repeat count"),
            ("(?x:a)", "Perl syntax"),
            ("(?=a)", "Perl syntax"),
            ("\\1", "invalid escape sequence"),
            ("\\y", "invalid escape sequence"),
            ("a\\", "trailing backslash"),
            ("[a", "missing closing ]"),
            ("(a", ""),
            ("a)(b", ""),
            ("*a", ""),
        ] {
            let bad = compile(pattern).expect_err(pattern);
            assert!(bad.reason.contains(part), "{pattern}: {}", bad.reason);
        }
    }
}
