//! A text that must not be shown: passwords, tokens, keys.
//!
//! Invariant: Debug, Display and Serialize print `<secret>`; only [`Secret::expose`] gives the text, so that every
//! place that uses one can be found by name. The memory is wiped when the last owner drops it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// What is shown in place of a secret.
pub const REDACTED: &str = "<secret>";

/// A text that prints as `<secret>`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the one call that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// In a file a secret is any text; no message about it shows it.
impl yaml::Decode for Secret {
    fn decode(node: &yaml::Node, cx: &mut yaml::Context) -> Option<Self> {
        cx.within_secret(|cx| cx.text(node, "a text")).map(Self::new)
    }

    fn from_null() -> Option<Self> {
        Some(Self::default())
    }
}

/// Written as `<secret>`, and as nothing where there is none: "is it set?" is what a reader wants to know.
impl yaml::Encode for Secret {
    fn encode(&self) -> yaml::Node {
        if self.is_empty() { yaml::Node::text("") } else { yaml::Node::plain(REDACTED) }
    }
}

impl yaml::Schema for Secret {
    const SECRET: bool = true;

    fn shape() -> yaml::Shape {
        yaml::Shape::one("a secret text")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_from_a_file_and_never_written_or_complained_about_by_its_text() {
        let read: Vec<Secret> = yaml::from_str("a.yml", "[hunter2, 0x10]").expect("two texts");
        assert_eq!(read.iter().map(Secret::expose).collect::<Vec<_>>(), ["hunter2", "0x10"]);
        assert_eq!(yaml::to_string(&read), "- <secret>\n- <secret>\n");
        let problem =
            yaml::from_str::<Vec<Secret>>("a.yml", "- {hunter2: hunter3}\n- [hunter4]").expect_err("not texts");
        assert!(!problem.to_string().contains("hunter"), "{problem}");
        assert_eq!(problem.len(), 2);
    }

    #[test]
    fn no_way_of_printing_shows_the_text() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "<secret> <secret> Some(<secret>)");
        assert_eq!(secret.expose(), "hunter2");
    }
}
