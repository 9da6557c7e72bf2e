//! What a form shows again after it was refused: what was typed, and what is wrong with it.

/// A field of text. Passwords use it too, but their value is never written into a page.
#[derive(Clone, Debug, Default)]
pub struct Field {
    pub value: String,
    /// One sentence: what is wrong and what would be right.
    pub error: Option<String>,
}

impl Field {
    /// With a value that is fine or not yet judged.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self { value: value.into(), error: None }
    }

    /// With a value that was refused.
    #[must_use]
    pub fn wrong(value: impl Into<String>, error: impl Into<String>) -> Self {
        Self { value: value.into(), error: Some(error.into()) }
    }
}

/// One of several: an option of a select, a radio button, a check box.
#[derive(Clone, Debug)]
pub struct Choice {
    /// What is posted.
    pub value: String,
    pub label: String,
    /// What it means, beside or under the label; may be empty.
    pub note: String,
    pub chosen: bool,
}

/// A field with its label, for the summary at the top of a refused form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub id: &'static str,
    pub label: &'static str,
}

/// What stands under a field for a new password. By reference, because templates pass everything so.
#[must_use]
pub fn at_least(characters: &u32) -> String {
    format!("At least {characters} characters. A few words in a row are easy to keep and hard to guess.")
}

/// The fields among these that were refused, given as `(id, label, field)`.
#[must_use]
pub fn faults(fields: &[(&'static str, &'static str, &Option<String>)]) -> Vec<Fault> {
    let wrong = fields.iter().filter(|(_, _, error)| error.is_some());
    wrong.map(|&(id, label, _)| Fault { id, label }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_only_refused_fields_in_their_order() {
        let (fine, wrong) = (Field::new("a"), Field::wrong("b", "too short"));
        let found = faults(&[("name", "Name", &fine.error), ("password", "Password", &wrong.error)]);
        assert_eq!(found, [Fault { id: "password", label: "Password" }]);
    }
}
