//! Text to tokens, one at a time, comments included.
//!
//! The lexer knows where it stands, because words differ by place: in braces every word is a label, in brackets
//! only `step`, `range`, `min_of` and `max_of` are words. It stops for good at the first thing it cannot read.
//! Promise: spans of successive tokens do not overlap and everything between them is white space.

use super::ast::{BinaryOp, Span};
use super::quote::{code_point, quoted, quoted_char};
use super::token::{Token, TokenKind, keyword};

/// Reads tokens off a query.
#[derive(Debug)]
pub struct Lexer<'a> {
    text: &'a str,
    pos: usize,
    /// Where the token being read began.
    start: usize,
    parens: i32,
    in_braces: bool,
    in_brackets: bool,
    /// Between `[` and the first number only arithmetic and the words of duration expressions are read.
    in_duration_head: bool,
    got_colon: bool,
    got_duration: bool,
    error: Option<String>,
}

/// Reading stopped; the reason is in the lexer.
struct Stopped;

type Lexed = Result<TokenKind, Stopped>;

impl<'a> Lexer<'a> {
    #[must_use]
    pub const fn new(text: &'a str) -> Self {
        Self {
            text,
            pos: 0,
            start: 0,
            parens: 0,
            in_braces: false,
            in_brackets: false,
            in_duration_head: false,
            got_colon: false,
            got_duration: false,
            error: None,
        }
    }

    /// Why the last token was [`TokenKind::Error`].
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// The next token. After the end, the end again; after an error, the error again.
    pub fn next_token(&mut self) -> Token {
        if self.error.is_none() {
            self.skip_spaces();
        }
        let kind = match self.error.is_none().then(|| self.read()) {
            Some(Ok(kind)) => kind,
            Some(Err(Stopped)) | None => TokenKind::Error,
        };
        let span = Span::new(offset(self.start), offset(self.pos));
        if kind != TokenKind::Error {
            self.start = self.pos;
        }
        Token { kind, span }
    }

    fn read(&mut self) -> Lexed {
        if self.in_duration_head && self.in_brackets {
            return self.read_duration_head();
        }
        if self.peek() == Some('#') {
            return Ok(self.read_comment());
        }
        if self.in_braces {
            return self.read_in_braces();
        }
        self.read_statement()
    }

    fn read_statement(&mut self) -> Lexed {
        let Some(c) = self.bump() else { return self.read_end() };
        match c {
            ',' => Ok(TokenKind::Comma),
            '*' => Ok(TokenKind::Op(BinaryOp::Mul)),
            '/' => Ok(TokenKind::Op(BinaryOp::Div)),
            '%' => Ok(TokenKind::Op(BinaryOp::Mod)),
            '+' => Ok(TokenKind::Op(BinaryOp::Add)),
            '-' => Ok(TokenKind::Op(BinaryOp::Sub)),
            '^' => Ok(TokenKind::Op(BinaryOp::Pow)),
            '@' => Ok(TokenKind::At),
            '=' | '!' | '<' | '>' => self.read_comparison(c),
            '0'..='9' => self.read_number_or_duration(),
            '.' if self.peek().is_some_and(|next| next.is_ascii_digit()) => self.read_number_or_duration(),
            '"' | '\'' => self.read_string(c),
            '`' => self.read_raw_string(),
            _ if is_word_start(c) || c == ':' => self.read_word(c),
            '(' | ')' => self.read_paren(c),
            '{' => {
                self.in_braces = true;
                Ok(TokenKind::LeftBrace)
            }
            '[' if self.in_brackets => self.stop(format!("unexpected left bracket {}", quoted_char(c))),
            '[' => {
                self.got_colon = false;
                self.got_duration = false;
                self.in_brackets = true;
                self.in_duration_head = true;
                Ok(TokenKind::LeftBracket)
            }
            ']' if !self.in_brackets => self.stop(format!("unexpected right bracket {}", quoted_char(c))),
            ']' => {
                self.in_brackets = false;
                Ok(TokenKind::RightBracket)
            }
            _ => self.stop(format!("unexpected character: {}", quoted_char(c))),
        }
    }

    fn read_end(&mut self) -> Lexed {
        if self.parens != 0 {
            return self.stop("unclosed left parenthesis".to_owned());
        }
        if self.in_brackets {
            return self.stop("unclosed left bracket".to_owned());
        }
        Ok(TokenKind::Eof)
    }

    fn read_comparison(&mut self, first: char) -> Lexed {
        let next = self.peek();
        let kind = match (first, next) {
            ('=', Some('=')) => TokenKind::Op(BinaryOp::Eq),
            ('=', Some('~')) => {
                return self.stop(format!("unexpected character after '=': {}", quoted_char('~')));
            }
            ('=', _) => return Ok(TokenKind::Equal),
            ('!', Some('=')) => TokenKind::Op(BinaryOp::Ne),
            ('!', _) => {
                return self.stop(format!("unexpected character after '!': {}", quoted_or_end(next)));
            }
            ('<', Some('=')) => TokenKind::Op(BinaryOp::Le),
            ('<', Some('/')) => TokenKind::Op(BinaryOp::TrimUpper),
            ('<', _) => return Ok(TokenKind::Op(BinaryOp::Lt)),
            (_, Some('=')) => TokenKind::Op(BinaryOp::Ge),
            (_, Some('/')) => TokenKind::Op(BinaryOp::TrimLower),
            (_, _) => return Ok(TokenKind::Op(BinaryOp::Gt)),
        };
        self.bump();
        Ok(kind)
    }

    fn read_paren(&mut self, c: char) -> Lexed {
        if c == '(' {
            self.parens += 1;
            return Ok(TokenKind::LeftParen);
        }
        self.parens -= 1;
        if self.parens < 0 {
            // Prometheus reports the place behind the parenthesis.
            self.start = self.pos;
            return self.stop(format!("unexpected right parenthesis {}", quoted_char(c)));
        }
        Ok(TokenKind::RightParen)
    }

    /// A word or a colon outside of braces.
    fn read_word(&mut self, first: char) -> Lexed {
        if self.in_brackets {
            return self.read_word_in_brackets(first);
        }
        self.bump_while(|c| is_word(c) || c == ':');
        let word = self.token_text();
        let kind = match keyword(word) {
            Some(TokenKind::Fill | TokenKind::FillLeft | TokenKind::FillRight) if !self.paren_follows() => {
                TokenKind::Identifier
            }
            Some(kind) => kind,
            None if word.contains(':') => TokenKind::MetricIdentifier,
            None => TokenKind::Identifier,
        };
        Ok(kind)
    }

    fn read_word_in_brackets(&mut self, first: char) -> Lexed {
        if first == ':' {
            if self.got_colon {
                return self.stop(format!("unexpected colon {}", quoted_char(first)));
            }
            self.got_colon = true;
            return Ok(TokenKind::Colon);
        }
        if let Some(kind) = self.duration_word(first) {
            return Ok(kind);
        }
        self.stop(format!("unexpected character: {}, expected {}", quoted_char(first), quoted_char(':')))
    }

    /// `step`, `range`, `min_of`, `max_of`; the letters are consumed either way, as the error's place shows.
    fn duration_word(&mut self, first: char) -> Option<TokenKind> {
        if !matches!(first, 's' | 'S' | 'm' | 'M' | 'r' | 'R') {
            return None;
        }
        self.bump_while(is_word_start);
        match keyword(self.token_text()) {
            Some(kind @ (TokenKind::Step | TokenKind::Range | TokenKind::MinOf | TokenKind::MaxOf)) => Some(kind),
            _ => None,
        }
    }

    fn read_duration_head(&mut self) -> Lexed {
        let Some(c) = self.bump() else {
            return self.stop("unexpected end of input in duration expression".to_owned());
        };
        match c {
            ']' => {
                self.in_brackets = false;
                self.got_colon = false;
                Ok(TokenKind::RightBracket)
            }
            ':' => {
                self.start = self.pos;
                if !self.got_duration {
                    return self.stop("unexpected colon before duration in duration expression".to_owned());
                }
                if self.got_colon {
                    return self.stop("unexpected repeated colon in duration expression".to_owned());
                }
                self.start = self.pos - 1;
                self.got_colon = true;
                Ok(TokenKind::Colon)
            }
            '(' | ')' => self.read_paren(c),
            '+' => Ok(TokenKind::Op(BinaryOp::Add)),
            '-' => Ok(TokenKind::Op(BinaryOp::Sub)),
            '*' => Ok(TokenKind::Op(BinaryOp::Mul)),
            '/' => Ok(TokenKind::Op(BinaryOp::Div)),
            '%' => Ok(TokenKind::Op(BinaryOp::Mod)),
            '^' => Ok(TokenKind::Op(BinaryOp::Pow)),
            ',' => Ok(TokenKind::Comma),
            '0'..='9' => self.read_first_duration(),
            '.' if self.peek().is_some_and(|next| next.is_ascii_digit()) => self.read_first_duration(),
            _ => match self.duration_word(c) {
                Some(kind) => {
                    // A colon may follow a computed range as well as a written one.
                    self.got_duration = true;
                    Ok(kind)
                }
                None => self.stop(format!("unexpected character in duration expression: {}", quoted_char(c))),
            },
        }
    }

    fn read_first_duration(&mut self) -> Lexed {
        self.got_duration = true;
        self.in_duration_head = false;
        self.read_number_or_duration()
    }

    fn read_in_braces(&mut self) -> Lexed {
        let Some(c) = self.bump() else {
            return self.stop("unexpected end of input inside braces".to_owned());
        };
        match c {
            _ if is_word_start(c) => {
                self.bump_while(is_word);
                Ok(TokenKind::Identifier)
            }
            ',' => Ok(TokenKind::Comma),
            '"' | '\'' => self.read_string(c),
            '`' => self.read_raw_string(),
            '=' if self.peek() == Some('~') => {
                self.bump();
                Ok(TokenKind::EqualRegex)
            }
            '=' => Ok(TokenKind::Equal),
            '!' => match self.bump() {
                Some('~') => Ok(TokenKind::NotEqualRegex),
                Some('=') => Ok(TokenKind::Op(BinaryOp::Ne)),
                other => self.stop(format!("unexpected character after '!' inside braces: {}", quoted_or_end(other))),
            },
            '{' => self.stop(format!("unexpected left brace {}", quoted_char(c))),
            '}' => {
                self.in_braces = false;
                Ok(TokenKind::RightBrace)
            }
            _ => self.stop(format!("unexpected character inside braces: {}", quoted_char(c))),
        }
    }

    fn read_comment(&mut self) -> TokenKind {
        self.bump_while(|c| c != '\n' && c != '\r');
        TokenKind::Comment
    }

    /// A string behind its opening quote.
    fn read_string(&mut self, quote: char) -> Lexed {
        loop {
            match self.bump() {
                Some('\\') => self.read_escape(quote)?,
                Some('\u{fffd}') => return self.stop("invalid UTF-8 rune".to_owned()),
                None | Some('\n') => return self.stop("unterminated quoted string".to_owned()),
                Some(c) if c == quote => return Ok(TokenKind::String),
                Some(_) => {}
            }
        }
    }

    fn read_raw_string(&mut self) -> Lexed {
        loop {
            match self.bump() {
                Some('\u{fffd}') => return self.stop("invalid UTF-8 rune".to_owned()),
                None => return self.stop("unterminated raw string".to_owned()),
                Some('`') => return Ok(TokenKind::String),
                Some(_) => {}
            }
        }
    }

    /// An escape behind its backslash.
    fn read_escape(&mut self, quote: char) -> Result<(), Stopped> {
        let Some(letter) = self.bump() else {
            return self.stop("escape sequence not terminated".to_owned()).map(drop);
        };
        let (digits, radix, first, max) = match letter {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' => return Ok(()),
            _ if letter == quote => return Ok(()),
            '0'..='7' => (3, 8, Some(letter), 0xff),
            'x' => (2, 16, self.bump(), 0xff),
            'u' => (4, 16, self.bump(), 0x10_ffff),
            'U' => (8, 16, self.bump(), 0x10_ffff),
            _ => return self.stop(format!("unknown escape sequence {}", code_point(letter))).map(drop),
        };
        let mut value: u32 = 0;
        let mut next = first;
        for index in 0..digits {
            if index > 0 {
                next = self.bump();
            }
            match next.map(|c| (c, c.to_digit(radix))) {
                None => return self.stop("escape sequence not terminated".to_owned()).map(drop),
                Some((c, None)) => {
                    let message = format!("illegal character {} in escape sequence", code_point(c));
                    return self.stop(message).map(drop);
                }
                Some((_, Some(digit))) => value = value.wrapping_mul(radix).wrapping_add(digit),
            }
        }
        if value > max || (0xd800..0xe000).contains(&value) {
            return self.stop("escape sequence is an invalid Unicode code point".to_owned()).map(drop);
        }
        Ok(())
    }

    /// A number or a duration whose first character is consumed.
    fn read_number_or_duration(&mut self) -> Lexed {
        self.pos = self.start;
        if self.scan_number() {
            return Ok(TokenKind::Number);
        }
        if self.scan_duration_tail() {
            return Ok(TokenKind::Duration);
        }
        let text = quoted(self.token_text());
        self.stop(format!("bad number or duration syntax: {text}"))
    }

    /// Scans what looks like a number. Whether it is one turns out when it is computed; what matters here is
    /// where it ends, and that `1_`, `1e`, `1..2` are refused with exactly the characters Prometheus shows.
    fn scan_number(&mut self) -> bool {
        let begin = self.pos;
        let hex = self.accept(|c| c == '0') && self.accept(|c| matches!(c, 'x' | 'X'));
        if hex {
            self.accept(|c| c == '_');
        }
        let is_digit = |c: char| if hex { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
        self.accept(|c| c == '.');
        self.accept(is_digit);
        let (mut dot_seen, mut exponent_seen) = (false, false);
        while let Some(c) = self.peek().filter(|c| is_digit(*c) || matches!(c, '.' | '_' | 'e' | 'E')) {
            match c {
                '.' => {
                    self.bump();
                    if std::mem::replace(&mut dot_seen, true) || self.accept(|c| matches!(c, '_' | '.')) || hex {
                        return false;
                    }
                }
                'e' | 'E' => {
                    self.bump();
                    if std::mem::replace(&mut exponent_seen, true) {
                        return false;
                    }
                    self.accept(|c| matches!(c, '+' | '-'));
                    if self.must_not_follow() {
                        return false;
                    }
                }
                '_' => {
                    self.bump();
                    if self.must_not_follow() {
                        return false;
                    }
                }
                _ => self.bump_while(is_digit),
            }
        }
        self.pos != begin && !self.peek().is_some_and(is_word)
    }

    /// Whether something stands here that cannot follow an exponent or an underscore; it is consumed.
    fn must_not_follow(&mut self) -> bool {
        self.accept(|c| matches!(c, '.' | '_' | 'e' | 'E')) || self.peek().is_none()
    }

    /// The unit behind a number, and further numbers with units. Their order is checked when it is computed.
    fn scan_duration_tail(&mut self) -> bool {
        if !self.accept(|c| matches!(c, 's' | 'm' | 'h' | 'd' | 'w' | 'y')) {
            return false;
        }
        self.accept(|c| c == 's');
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.bump_while(|c| c.is_ascii_digit());
            // Years come first, so they cannot follow.
            if !self.accept(|c| matches!(c, 's' | 'm' | 'h' | 'd' | 'w')) {
                return false;
            }
            self.accept(|c| c == 's');
        }
        if self.peek().is_some_and(is_word) {
            self.bump();
            return false;
        }
        true
    }

    fn paren_follows(&self) -> bool {
        self.rest().trim_start_matches(is_space).starts_with('(')
    }

    fn skip_spaces(&mut self) {
        self.bump_while(is_space);
        self.start = self.pos;
    }

    fn token_text(&self) -> &'a str {
        &self.text[self.start..self.pos]
    }

    fn rest(&self) -> &'a str {
        &self.text[self.pos..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn accept(&mut self, wanted: impl Fn(char) -> bool) -> bool {
        let found = self.peek().is_some_and(wanted);
        if found {
            self.bump();
        }
        found
    }

    fn bump_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.bump();
        }
    }

    fn stop(&mut self, message: String) -> Lexed {
        self.error = Some(message);
        Err(Stopped)
    }
}

/// Texts are at most [`super::parser::QUERY_BYTES_MAX`] long, far below what a position can hold.
fn offset(pos: usize) -> u32 {
    u32::try_from(pos).unwrap_or(u32::MAX)
}

/// How Prometheus prints the character that is missing at the end of the text.
fn quoted_or_end(c: Option<char>) -> String {
    quoted_char(c.unwrap_or('\u{fffd}'))
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

const fn is_word_start(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

const fn is_word(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of the tokens, the error last.
    fn words(text: &str) -> Vec<String> {
        let mut lexer = Lexer::new(text);
        let mut out = Vec::new();
        loop {
            let token = lexer.next_token();
            match token.kind {
                TokenKind::Eof => return out,
                TokenKind::Error => {
                    out.push(format!("! {}", lexer.error().unwrap_or("")));
                    return out;
                }
                kind => out.push(format!("{:?} {}", kind, &text[token.span.start as usize..token.span.end as usize])),
            }
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(words(text), expected, "{text}");
    }

    #[test]
    fn words_differ_by_place() {
        check(
            "sum{sum=\"x\"}",
            &["Aggregate(Sum) sum", "LeftBrace {", "Identifier sum", "Equal =", "String \"x\"", "RightBrace }"],
        );
        check("a:b", &["MetricIdentifier a:b"]);
        check(
            "fill + fill (1)",
            &["Identifier fill", "Op(Add) +", "Fill fill", "LeftParen (", "Number 1", "RightParen )"],
        );
        check(
            "x[5m:step]",
            &["Identifier x", "LeftBracket [", "Duration 5m", "Colon :", "Step step", "RightBracket ]"],
        );
    }

    #[test]
    fn numbers_end_where_prometheus_ends_them() {
        for number in
            ["1", "1.5", ".5", "1e3", "1E+3", "0x1F", "0x_53", "1_000_000", ".123_456", "0755", "5.", "Inf", "nan"]
        {
            check(number, &[&format!("Number {number}")]);
        }
        for (text, shown) in
            [("1_", "1_"), ("1..2", "1.."), ("1e", "1e"), ("0x1.2", "0x1."), ("1__2", "1__"), ("5mm", "5mm")]
        {
            check(text, &[&format!("! bad number or duration syntax: \"{shown}\"")]);
        }
        for duration in ["5m", "1h30m", "250ms", "1y2w", "5m1h"] {
            check(duration, &[&format!("Duration {duration}")]);
        }
    }

    #[test]
    fn strings_are_checked_while_they_are_read() {
        check(r#""a\"b" 'c\'' `d\`"#, &[r#"String "a\"b""#, r"String 'c\''", r"String `d\`"]);
        for (text, error) in [
            ("\"a", "unterminated quoted string"),
            ("\"a\nb\"", "unterminated quoted string"),
            ("`a", "unterminated raw string"),
            (r#""\q""#, "unknown escape sequence U+0071 'q'"),
            (r#""\xg1""#, "illegal character U+0067 'g' in escape sequence"),
            (r#""\ud800""#, "escape sequence is an invalid Unicode code point"),
            (r#""\"#, "escape sequence not terminated"),
        ] {
            check(text, &[&format!("! {error}")]);
        }
    }

    #[test]
    fn comments_and_spaces_separate_tokens() {
        check("a # b\n+\tc", &["Identifier a", "Comment # b", "Op(Add) +", "Identifier c"]);
        check("a{ # b }\n}", &["Identifier a", "LeftBrace {", "Comment # b }", "RightBrace }"]);
    }

    #[test]
    fn the_first_unreadable_thing_ends_the_stream() {
        check("a $ b", &["Identifier a", "! unexpected character: '$'"]);
        check("(a", &["LeftParen (", "Identifier a", "! unclosed left parenthesis"]);
        check("a[5m", &["Identifier a", "LeftBracket [", "Duration 5m", "! unclosed left bracket"]);
        check("a!b", &["Identifier a", "! unexpected character after '!': 'b'"]);
        check("{a!b}", &["LeftBrace {", "Identifier a", "! unexpected character after '!' inside braces: 'b'"]);
        let mut lexer = Lexer::new("$");
        assert_eq!(lexer.next_token(), lexer.next_token());
    }
}
