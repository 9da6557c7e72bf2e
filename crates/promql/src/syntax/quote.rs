//! Quoted text: reading the escapes of Go string literals, and writing them.
//!
//! Written text reads back to the same bytes. Not here: where a literal ends (`lexer`).

use std::fmt::Write as _;

/// What a literal stands for: usually text, but escapes can spell any bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unquoted(pub Vec<u8>);

impl Unquoted {
    /// As text; what is not UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// The bytes, where they are not UTF-8.
    #[must_use]
    pub fn invalid_utf8(&self) -> Option<Box<[u8]>> {
        std::str::from_utf8(&self.0).is_err().then(|| self.0.clone().into_boxed_slice())
    }
}

/// Reads a literal with its quotes: `"…"` and `'…'` with escapes, back quotes without. `None` where it is none.
#[must_use]
pub fn unquote(literal: &str) -> Option<Unquoted> {
    let quote = literal.chars().next()?;
    let inner = literal.strip_prefix(quote)?.strip_suffix(quote)?;
    match quote {
        '`' => (!inner.contains('`')).then(|| Unquoted(inner.as_bytes().to_vec())),
        '"' | '\'' => unescape(inner, quote),
        _ => None,
    }
}

fn unescape(inner: &str, quote: char) -> Option<Unquoted> {
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(next) = rest.chars().next() {
        rest = &rest[next.len_utf8()..];
        match next {
            '\\' => rest = escape(rest, quote, &mut bytes)?,
            '\n' => return None,
            _ if next == quote => return None,
            _ => push_char(&mut bytes, next),
        }
    }
    Some(Unquoted(bytes))
}

/// Reads one escape behind its backslash and returns what follows it.
fn escape<'a>(rest: &'a str, quote: char, bytes: &mut Vec<u8>) -> Option<&'a str> {
    let letter = rest.chars().next()?;
    let tail = &rest[letter.len_utf8()..];
    let plain = match letter {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        '"' | '\'' if letter == quote => letter as u8,
        'x' => {
            let (value, tail) = digits(tail, 2, 16)?;
            bytes.push(u8::try_from(value).ok()?);
            return Some(tail);
        }
        '0'..='7' => {
            let (value, tail) = digits(rest, 3, 8)?;
            bytes.push(u8::try_from(value).ok()?);
            return Some(tail);
        }
        'u' | 'U' => {
            let (value, tail) = digits(tail, if letter == 'u' { 4 } else { 8 }, 16)?;
            push_char(bytes, char::from_u32(value)?);
            return Some(tail);
        }
        _ => return None,
    };
    bytes.push(plain);
    Some(tail)
}

fn digits(text: &str, count: usize, radix: u32) -> Option<(u32, &str)> {
    let value = u32::from_str_radix(text.get(..count)?, radix).ok()?;
    // from_str_radix takes a sign; a literal does not.
    (!text.starts_with('+')).then(|| (value, &text[count..]))
}

fn push_char(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Text in double quotes, with escapes where they are needed.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        // The lexer takes this one for damaged text where it stands as itself.
        if c == '\u{fffd}' {
            out.push_str("\\ufffd");
        } else {
            push_escaped(&mut out, c, '"');
        }
    }
    out.push('"');
    out
}

/// Bytes in double quotes; what is not UTF-8 becomes `\xNN`.
#[must_use]
pub fn quoted_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_escaped(&mut out, c, '"');
        }
        for byte in chunk.invalid() {
            let _infallible = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

/// One character in single quotes.
#[must_use]
pub fn quoted_char(c: char) -> String {
    let mut out = String::from("'");
    push_escaped(&mut out, c, '\'');
    out.push('\'');
    out
}

/// `U+0078 'x'`
#[must_use]
pub fn code_point(c: char) -> String {
    let mut out = format!("U+{:04X}", c as u32);
    if is_printable(c) {
        let _infallible = write!(out, " '{c}'");
    }
    out
}

fn push_escaped(out: &mut String, c: char, quote: char) {
    match c {
        '\\' => out.push_str("\\\\"),
        _ if c == quote => out.extend(['\\', c]),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        _ if is_printable(c) => out.push(c),
        _ => {
            let code = c as u32;
            let _infallible = match code {
                0..=0x1f | 0x7f => write!(out, "\\x{code:02x}"),
                0x20..=0xffff => write!(out, "\\u{code:04x}"),
                _ => write!(out, "\\U{code:08x}"),
            };
        }
    }
}

/// Whether a character is shown as itself. The standard library knows: it leaves printable characters alone when it
/// escapes text. A letter in front, because it treats a combining mark at the beginning differently.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    let text: String = ['a', c].iter().collect();
    text.escape_debug().eq(text.chars())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_escape_of_go_is_read() {
        for (literal, bytes) in [
            (r#""\a\b\f\n\r\t\v\\\"""#, &b"\x07\x08\x0c\n\r\t\x0b\\\""[..]),
            (r"'\''", b"'"),
            (r#""\xff\377A\U00000042""#, b"\xff\xffAB"),
            (r"`\n`", b"\\n"),
            (r#""ü""#, "ü".as_bytes()),
        ] {
            assert_eq!(unquote(literal), Some(Unquoted(bytes.to_vec())), "{literal}");
        }
    }

    #[test]
    fn what_is_no_literal_is_refused() {
        for literal in
            ["", "\"", "\"a", "\"\\q\"", "\"\\'\"", "\"\\x+1\"", "\"\\400\"", "\"\\ud800\"", "\"a\nb\"", "abc"]
        {
            assert_eq!(unquote(literal), None, "{literal}");
        }
    }

    #[test]
    fn written_text_reads_back() {
        for text in ["", "plain", "\"\\", "\u{1}\n\u{7f}", "ö☺\u{301}", "\u{a0}\u{200b}\u{e000}\u{10ffff}", "\u{fffd}"]
        {
            assert_eq!(unquote(&quoted(text)).map(|read| read.text()).as_deref(), Some(text));
        }
        assert_eq!(quoted("\u{a0}\u{1}"), r#""\u00a0\x01""#);
        assert_eq!(quoted_bytes(b"a\xffb"), r#""a\xffb""#);
        assert_eq!(quoted_char('\''), r"'\''");
        assert_eq!(code_point('x'), "U+0078 'x'");
    }
}
