//! What a password must be: long, and not among the first million that somebody would try.
//!
//! No rules about kinds of characters and no forced change: they make passwords worse. Instead, three questions: is it
//! long enough; is it made of the words everybody uses (`common_words.txt`, alone, in pairs, dressed up with digits,
//! signs or 1337); is it made of this product's, this host's or this user's name. Nobody outside is asked.
//! Not here: hashing (`hasher`), how often one may guess (`throttle`).

use std::collections::HashSet;
use std::sync::LazyLock;

/// More bytes are refused, not cut: hashing them would cost, and a cut password is another one.
pub const BYTES_MAX: usize = 1024;
/// No configuration can ask for less.
pub const LENGTH_MIN_LEAST: usize = 8;
/// Nor for more: people would write it down.
pub const LENGTH_MIN_MOST: usize = 128;

/// Every word of it: the names, teams, months and walks over the keyboard that lists of stolen passwords begin with.
const COMMON_WORDS: &str = include_str!("common_words.txt");
/// Common words a password must have beside each other before it counts as a sentence.
const COMMON_WORDS_MAX: usize = 2;
/// Digits and signs around common words that do not make them a password yet.
const DRESSING_CHARS_MAX: usize = 8;
/// Letters of one's own that must be left beside the name of the product, host or user.
const OWN_LETTERS_MIN: usize = 4;
/// Shorter context words stand in ordinary words.
const CONTEXT_CHARS_MIN: usize = 3;

/// Rows and columns of keyboards, the alphabet and the digits, each as it is walked; also backwards.
const WALKS: [&str; 7] = [
    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
    "012345678901234567890123456789",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "1q2w3e4r5t6y7u8i9o0p",
];
/// A piece of a walk shorter than this is chance.
const WALK_CHARS_MIN: usize = 3;
/// Pieces of walks of which a password must have more.
const WALKS_MAX: usize = 4;

/// What is wrong with a password, for the person who thought of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weak {
    #[error("too short, expected at least {min} characters")]
    TooShort { min: usize },
    #[error("too long, expected at most {BYTES_MAX} bytes")]
    TooLong,
    #[error("one of the first that would be guessed: it is made of very common words")]
    Common,
    #[error("one of the first that would be guessed: it is one pattern over and over, or a walk over the keyboard")]
    Pattern,
    #[error("one of the first that would be guessed: it is little more than {0:?}")]
    Context(String),
}

/// What this server asks of passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Characters, not bytes.
    pub length_min: usize,
    /// Names of this product and this host.
    pub context: Vec<String>,
}

impl Policy {
    pub fn check(&self, password: &str, user: &str) -> Result<(), Weak> {
        if password.len() > BYTES_MAX {
            return Err(Weak::TooLong);
        }
        if password.chars().count() < self.length_min {
            return Err(Weak::TooShort { min: self.length_min });
        }
        let lower = password.to_lowercase();
        if is_repetition(&lower) || is_walk(&lower) {
            return Err(Weak::Pattern);
        }
        if let Some(word) = self.context_of(&lower, user) {
            return Err(Weak::Context(word));
        }
        if is_common(&lower) || is_common(&without_1337(&lower)) {
            return Err(Weak::Common);
        }
        Ok(())
    }

    /// The context word of which the password is made, if nothing else of weight is in it.
    fn context_of(&self, lower: &str, user: &str) -> Option<String> {
        let user_parts = user.split(['@', '.']).chain([user]);
        let words = self.context.iter().map(String::as_str).chain(user_parts).map(str::to_lowercase);
        let mut words: Vec<String> = words.filter(|word| word.chars().count() >= CONTEXT_CHARS_MIN).collect();
        // The longest first, so that `watchpost` is not left over as `post`.
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        for text in [lower.to_owned(), without_1337(lower)] {
            let mut rest = text;
            let mut found = None;
            for word in &words {
                if rest.contains(word.as_str()) {
                    rest = rest.replace(word.as_str(), " ");
                    found = found.or(Some(word));
                }
            }
            if found.is_some() && rest.chars().filter(|c| c.is_alphabetic()).count() < OWN_LETTERS_MIN {
                return found.cloned();
            }
        }
        None
    }
}

/// `aaaaaaaaaaaa`, `ababababab`, `abcabcabcabc`: a piece of up to a third of it, over and over.
fn is_repetition(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    (1..=chars.len() / 3).any(|period| chars.iter().zip(&chars[period..]).all(|(a, b)| a == b))
}

/// `123456789012`, `qwertyuiop12`, `abcdef654321`: a few walks and nothing else.
fn is_walk(text: &str) -> bool {
    let mut rest = text;
    let mut walks = 0;
    while !rest.is_empty() {
        let longest = walk_at(rest);
        walks += 1;
        if longest < WALK_CHARS_MIN && longest < rest.len() || walks > WALKS_MAX {
            return false;
        }
        rest = rest.get(longest..).unwrap_or_default();
    }
    true
}

/// How many bytes from here on are a walk; 0 where not even the first is a key.
fn walk_at(text: &str) -> usize {
    let ascii = text.bytes().take_while(u8::is_ascii).count();
    let walk = |len: &usize| {
        let piece = &text[..*len];
        let back: String = piece.chars().rev().collect();
        WALKS.iter().any(|walk| walk.contains(piece) || walk.contains(&back))
    };
    (1..=ascii).take_while(walk).last().unwrap_or(0)
}

/// The letters for which people write digits and signs.
fn without_1337(text: &str) -> String {
    let letter = |c| match c {
        '0' => 'o',
        '1' | '!' | '|' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' | '+' => 't',
        other => other,
    };
    // What stands behind the last letter is dressing: `password1` is not `passwordi`.
    let core = text.trim_end_matches(|c: char| !c.is_alphabetic());
    core.chars().map(letter).collect::<String>() + &text[core.len()..]
}

/// One or two common words with some digits and signs around and between them.
fn is_common(text: &str) -> bool {
    let runs: Vec<&str> = text.split(|c: char| !c.is_alphabetic()).filter(|run| !run.is_empty()).collect();
    let letters: usize = runs.iter().map(|run| run.chars().count()).sum();
    if runs.is_empty() || text.chars().count() - letters > DRESSING_CHARS_MAX {
        return false;
    }
    let mut words = 0;
    for run in runs {
        let Some(count) = words_in(run, COMMON_WORDS_MAX) else { return false };
        words += count;
    }
    words <= COMMON_WORDS_MAX
}

/// The least number of common words that a run of letters is made of, if it is made of up to so many.
fn words_in(run: &str, most: usize) -> Option<usize> {
    static WORDS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| COMMON_WORDS.split_whitespace().collect());
    if WORDS.contains(run) {
        return Some(1);
    }
    if most < 2 {
        return None;
    }
    let cuts = run.char_indices().skip(1).map(|(at, _)| run.split_at(at));
    let rest = cuts.filter(|(first, _)| WORDS.contains(first)).filter_map(|(_, rest)| words_in(rest, most - 1));
    rest.min().map(|count| count + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy { length_min: 12, context: vec!["watchpost".to_owned(), "mon.example.org".to_owned(), "mon".to_owned()] }
    }

    #[track_caller]
    #[allow(clippy::needless_pass_by_value, reason = "a table of expectations reads better without borrows")]
    fn check(password: &str, expected: Result<(), Weak>) {
        assert_eq!(policy().check(password, "annabel"), expected, "{password}");
    }

    #[test]
    fn length_counts_characters_and_has_an_end() {
        check("kj3h4kjh53k", Err(Weak::TooShort { min: 12 }));
        check("kj3h4kjh53kx", Ok(()));
        check("ßßöäüøéèçñåx", Ok(()));
        check("ßßöäüøéèçñx", Err(Weak::TooShort { min: 12 }));
        check("", Err(Weak::TooShort { min: 12 }));
        let long = "correct horse battery staple ".repeat(36);
        check(&format!("{}zebra", &long[..1019]), Ok(()));
        check(&format!("{}zebra", &long[..1020]), Err(Weak::TooLong));
    }

    #[test]
    fn nothing_else_is_asked_of_a_good_password() {
        for password in [
            "correct horse battery staple",
            "vier-kraniche-am-see",
            "kcmvbnwroiuerht",
            "829471650385",
            " leading and trailing ",
            "日本語のパスワードです。長い",
            "\u{1F980}\u{1F980}\u{1F40B}\u{1F40B}\u{1F98A}\u{1F98A}\u{1F427}\u{1F427}\u{1F419}\u{1F419}\u{1F99C}\u{1F9A9}",
            "watchpost guards seven lighthouses",
            "Tr0ub4dor&3xyzzy",
        ] {
            check(password, Ok(()));
        }
    }

    #[test]
    fn common_words_stay_common_however_they_are_dressed() {
        for password in [
            "passwordpassword",
            "password1234",
            "Password2026!",
            "P@ssw0rd!!!!",
            "p4$$w0rd1234",
            "welcome-2026",
            "letmein12345",
            "adminadmin123",
            "iloveyou2024",
            "iloveyouforever",
            "changeme1234",
            "123password123",
            "summer_winter_1",
            "DragonMaster99",
            "liverpool1892!",
            "superman-batman",
        ] {
            check(password, Err(Weak::Common));
        }
    }

    #[test]
    fn patterns_are_no_passwords() {
        for password in [
            "aaaaaaaaaaaa",
            "abababababab",
            "xyzxyzxyzxyzx",
            "123456789012",
            "098765432109",
            "qwertyuiop12",
            "abcdefghijkl",
            "1q2w3e4r5t6y",
            "1qaz2wsx3edc",
            "qwerty123456",
            "poiuytrewqlkjhgf",
            "abc123abc123",
            "............",
            "éééééééééééé",
        ] {
            check(password, Err(Weak::Pattern));
        }
    }

    #[test]
    fn the_names_at_hand_are_no_passwords() {
        for (password, word) in [
            ("watchpost2026", "watchpost"),
            ("W4tchp0st!!!!", "watchpost"),
            ("annabelannabel7", "annabel"),
            ("mon.example.org", "mon.example.org"),
            ("annabel@watchpost", "watchpost"),
            ("__Annabel__123", "annabel"),
        ] {
            check(password, Err(Weak::Context(word.to_owned())));
        }
        assert_eq!(
            policy().check("ann@example.org!!", "ann@example.org").err(),
            Some(Weak::Context("ann@example.org".to_owned()))
        );
        check("annabel likes strong tea", Ok(()));
    }

    /// The promise of the list in numbers: the words with the suffixes that everybody takes, long enough to pass by
    /// length alone.
    #[test]
    fn more_than_three_thousand_common_passwords_are_refused() {
        let suffixes =
            ["", "1", "12", "123", "1234", "12345", "2024", "2025", "2026", "!", "123!", "1!", "007", "69", "99"];
        let words: Vec<&str> = COMMON_WORDS.split_whitespace().collect();
        let mut refused = 0;
        for word in &words {
            for suffix in suffixes {
                for password in
                    [format!("{word}{suffix}"), format!("{word}{word}{suffix}"), format!("{word}{suffix}{word}")]
                {
                    if password.chars().count() < 12 {
                        continue;
                    }
                    assert!(policy().check(&password, "annabel").is_err(), "{password}");
                    refused += 1;
                }
            }
        }
        assert!(refused >= 3_000, "{refused}");
        assert!(words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())), "the list is lower case");
    }

    /// Long hostile texts must not take long: the checks are linear, or bounded by what a word can be.
    #[test]
    fn a_kilobyte_of_anything_is_judged() {
        for piece in ["a", "pass", "1", "é", "qwerty", "watchpost", "\0", "<script>"] {
            let text: String = piece.repeat(BYTES_MAX / piece.len());
            assert!(policy().check(&text, "annabel").is_err(), "{piece}");
        }
        let odd: String = (0..1024u32).map(|at| char::from(b'!' + (at * at * 7 % 89) as u8)).collect();
        let _judged_without_ado = policy().check(&odd, &odd);
    }
}
