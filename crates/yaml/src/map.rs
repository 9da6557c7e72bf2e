//! A map from text that keeps the order in which it was written.
//!
//! For maps where order is meaning or kindness: receivers, labels of a page, modules. Look-ups walk it, so it is for
//! what people write by hand; for more take a `BTreeMap`.

use crate::decode::{Context, Decode, decode_entries};
use crate::encode::Encode;
use crate::node::Node;
use crate::schema::{Schema, Shape};

/// Pairs in the order of the file. Keys are unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map<T>(Vec<(String, T)>);

impl<T> Map<T> {
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&T> {
        self.0.iter().find(|(have, _)| have == key).map(|(_, value)| value)
    }

    /// Sets a value, in its old place if the key is there. Returns what it replaced.
    pub fn insert(&mut self, key: impl Into<String>, value: T) -> Option<T> {
        let key = key.into();
        match self.0.iter_mut().find(|(have, _)| *have == key) {
            Some((_, old)) => Some(std::mem::replace(old, value)),
            None => {
                self.0.push((key, value));
                None
            }
        }
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &T)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for Map<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Into<String>, T> FromIterator<(K, T)> for Map<T> {
    fn from_iter<I: IntoIterator<Item = (K, T)>>(pairs: I) -> Self {
        let mut map = Self::default();
        for (key, value) in pairs {
            map.insert(key, value);
        }
        map
    }
}

impl<T> IntoIterator for Map<T> {
    type Item = (String, T);
    type IntoIter = std::vec::IntoIter<(String, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T: Decode + Schema> Decode for Map<T> {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        decode_entries(node, cx).map(Self)
    }

    fn from_null() -> Option<Self> {
        Some(Self::default())
    }
}

impl<T: Encode> Encode for Map<T> {
    fn encode(&self) -> Node {
        Node::map(self.0.iter().map(|(key, value)| (key.clone(), value.encode())))
    }
}

impl<T: Schema> Schema for Map<T> {
    const SECRET: bool = T::SECRET;

    fn shape() -> Shape {
        Shape::map(T::shape())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_keeps_the_order_of_the_file() {
        let map: Map<u8> = crate::from_str("a.yml", "z: 1\na: 2\n").expect("a map of numbers");
        assert_eq!(map.iter().collect::<Vec<_>>(), [("z", &1), ("a", &2)]);
        assert_eq!((map.get("a"), map.get("b"), map.len()), (Some(&2), None, 2));
    }

    #[test]
    fn a_key_set_again_stays_in_its_place() {
        let map: Map<u8> = [("z", 1), ("a", 2), ("z", 3)].into_iter().collect();
        assert_eq!(map.iter().collect::<Vec<_>>(), [("z", &3), ("a", &2)]);
    }
}
