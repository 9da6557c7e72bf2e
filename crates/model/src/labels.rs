//! Label sets: what a series is called.
//!
//! Invariant: names are unique, sorted by bytes, and no value is empty (an empty value means "no such label").
//! A [`Labels`] is one allocation, shared by clones: a packed string of length, name, length, value.
//! Not here: which names are legal in which place (`wire`, `promql`), limits on sizes (`tsdb`, `scrape`).

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::xxhash::xxh64;

/// The label that holds the metric's name.
pub const METRIC_NAME: &str = "__name__";

/// An immutable, sorted set of label names and values.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels(Arc<str>);

impl Labels {
    /// The set without labels.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::from(""))
    }

    /// Builds a set from pairs in any order. Of pairs with the same name the last one counts; empty values vanish.
    #[must_use]
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.build()
    }

    /// Builds a set from pairs that are sorted by name, unique and without empty values: the hot path of storage.
    #[must_use]
    pub fn from_sorted<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut packed = String::with_capacity(256);
        let mut previous: Option<&str> = None;
        for (name, value) in pairs {
            debug_assert!(previous < Some(name), "label names must come sorted and unique");
            debug_assert!(!value.is_empty(), "an empty value means the label is absent");
            previous = Some(name);
            push_text(&mut packed, name);
            push_text(&mut packed, value);
        }
        Self(Arc::from(packed))
    }

    /// The pairs in order of names.
    #[must_use]
    pub fn iter(&self) -> LabelsIter<'_> {
        LabelsIter { rest: &self.0 }
    }

    /// The value of a label; `None` where it is absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().take_while(|(n, _)| *n <= name).find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// The metric's name; empty where it has none.
    #[must_use]
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME).unwrap_or("")
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes this set holds on the heap (shared by all clones).
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.0.len()
    }

    /// A builder that starts from this set.
    #[must_use]
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder { pairs: self.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }

    /// The set without the named labels.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        Self::from_sorted(self.iter().filter(|(n, _)| !names.contains(n)))
    }

    /// The set of only the named labels.
    #[must_use]
    pub fn only(&self, names: &[&str]) -> Self {
        Self::from_sorted(self.iter().filter(|(n, _)| names.contains(n)))
    }

    /// XXH64 over `name 0xff value 0xff …`: the same number for the same labels in every release and in Prometheus.
    #[must_use]
    pub fn stable_hash(&self) -> u64 {
        let mut bytes = Vec::with_capacity(self.0.len() + 16);
        for (name, value) in self {
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(0xff);
            bytes.extend_from_slice(value.as_bytes());
            bytes.push(0xff);
        }
        xxh64(&bytes)
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl Ord for Labels {
    /// By name, then value, label by label; a set that ends first comes first.
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.iter().cmp(other.iter()) }
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// As Prometheus prints a label set: `{a="b", c="d"}`, the metric name being a label like the others.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            if is_classic_label_name(name) {
                f.write_str(name)?
            } else {
                write!(f, "{name:?}")?
            }
            write!(f, "={value:?}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = LabelsIter<'a>;
    fn into_iter(self) -> LabelsIter<'a> {
        self.iter()
    }
}

/// Walks the pairs of a [`Labels`] in order of names.
#[derive(Clone, Debug)]
pub struct LabelsIter<'a> {
    rest: &'a str,
}

impl<'a> Iterator for LabelsIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (name, rest) = take_text(self.rest);
        let (value, rest) = take_text(rest);
        self.rest = rest;
        Some((name, value))
    }
}

/// Collects labels in any order, then sorts once.
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        match self.pairs.iter().position(|(n, _)| n == name) {
            Some(at) if value.is_empty() => drop(self.pairs.swap_remove(at)),
            Some(at) => value.clone_into(&mut self.pairs[at].1),
            None if value.is_empty() => {}
            None => self.pairs.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Removes a label.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.pairs.retain(|(n, _)| n != name);
        self
    }

    /// The value set so far; `None` where there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The finished set.
    #[must_use]
    pub fn build(&self) -> Labels {
        let mut order: Vec<&(String, String)> = self.pairs.iter().collect();
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Labels::from_sorted(order.into_iter().map(|(n, v)| (n.as_str(), v.as_str())))
    }
}

/// Whether a name needs no quotes in PromQL: letters, digits and `_`, not starting with a digit.
#[must_use]
pub fn is_classic_label_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A length as ASCII, six bits a character, lowest first, 0x40 = more follow: so that the packed form is a `str`
/// and reading it back needs no UTF-8 check.
fn push_text(packed: &mut String, text: &str) {
    let mut len = text.len();
    while len >= 0x40 {
        packed.push(char::from((len & 0x3f) as u8 | 0x40));
        len >>= 6;
    }
    packed.push(char::from(len as u8));
    packed.push_str(text);
}

fn take_text(packed: &str) -> (&str, &str) {
    let mut len = 0;
    let mut shift = 0;
    for (index, byte) in packed.bytes().enumerate() {
        len |= usize::from(byte & 0x3f) << shift;
        shift += 6;
        if byte & 0x40 == 0 {
            return packed[index + 1..].split_at(len);
        }
    }
    ("", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_come_back_sorted_whatever_order_and_length_they_had() {
        let long = "v".repeat(100_000);
        let labels = Labels::from_pairs([("z", "1"), ("a", long.as_str()), ("m", "é"), ("gone", "")]);
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", long.as_str()), ("m", "é"), ("z", "1")]);
        assert_eq!(labels.get("m"), Some("é"));
        assert_eq!(labels.get("gone"), None);
        assert_eq!(labels.len(), 3);
    }

    #[test]
    fn the_last_of_two_equal_names_counts() {
        assert_eq!(Labels::from_pairs([("a", "1"), ("a", "2")]), Labels::from_pairs([("a", "2")]));
    }

    #[test]
    fn order_is_by_name_then_value_and_a_prefix_comes_first() {
        let sets = [
            Labels::empty(),
            Labels::from_pairs([("a", "1")]),
            Labels::from_pairs([("a", "1"), ("b", "1")]),
            Labels::from_pairs([("a", "2")]),
            Labels::from_pairs([("b", "0")]),
        ];
        assert!(sets.is_sorted());
        assert!(Labels::from_pairs([("a", "10")]) < Labels::from_pairs([("a", "9")]));
    }

    #[test]
    fn prints_names_that_need_quotes_in_quotes() {
        let labels = Labels::from_pairs([("__name__", "up"), ("a.b", "x\"y")]);
        assert_eq!(labels.to_string(), r#"{__name__="up", "a.b"="x\"y"}"#);
    }
}
