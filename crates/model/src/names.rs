//! Which names labels and metrics may have: anything that is UTF-8, or the classic letters, digits and underscores.

use crate::labels::is_classic_label_name;

yaml::choice! {
    /// What `metric_name_validation_scheme` chooses.
    #[derive(Hash)]
    pub enum NameScheme {
        /// Every name that is not empty.
        Utf8 = "utf8",
        /// Letters, digits and `_` (metrics also `:`), not starting with a digit.
        Legacy = "legacy",
    }
}

impl NameScheme {
    #[must_use]
    pub fn is_label_name(self, name: &str) -> bool {
        match self {
            Self::Utf8 => !name.is_empty(),
            Self::Legacy => is_classic_label_name(name),
        }
    }

    #[must_use]
    pub fn is_metric_name(self, name: &str) -> bool {
        match self {
            Self::Utf8 => !name.is_empty(),
            Self::Legacy => is_classic_metric_name(name),
        }
    }
}

/// Whether a metric's name needs no quotes in PromQL.
#[must_use]
pub fn is_classic_metric_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' || b == b':')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_valid_as_its_scheme_says() {
        for (name, utf8, legacy_label, legacy_metric) in [
            ("a_1", true, true, true),
            ("a:b", true, false, true),
            ("1a", true, false, false),
            ("a.b", true, false, false),
            ("é", true, false, false),
            ("", false, false, false),
        ] {
            assert_eq!(NameScheme::Utf8.is_label_name(name), utf8, "{name}");
            assert_eq!(NameScheme::Utf8.is_metric_name(name), utf8, "{name}");
            assert_eq!(NameScheme::Legacy.is_label_name(name), legacy_label, "{name}");
            assert_eq!(NameScheme::Legacy.is_metric_name(name), legacy_metric, "{name}");
        }
    }
}
