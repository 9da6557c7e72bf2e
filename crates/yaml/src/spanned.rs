//! A value that knows where it was written, so that what was made from it can say so.
//!
//! Promise: two are equal when their values are: moving a line in a file changes nothing that is compared.

use std::ops::{Deref, DerefMut};

use crate::decode::{Context, Decode};
use crate::encode::Encode;
use crate::node::Node;
use crate::problem::Place;
use crate::schema::{Schema, Shape};

/// A value and its place; a default stands nowhere.
#[derive(Clone, Debug, Default)]
pub struct Spanned<T> {
    pub value: T,
    pub place: Place,
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Spanned<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Spanned<T> {}

impl<T> From<T> for Spanned<T> {
    fn from(value: T) -> Self {
        Self { value, place: Place::default() }
    }
}

impl<T: Decode> Decode for Spanned<T> {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        T::decode(node, cx).map(|value| Self { value, place: node.place.clone() })
    }

    fn from_null() -> Option<Self> {
        T::from_null().map(Self::from)
    }
}

impl<T: Encode> Encode for Spanned<T> {
    fn encode(&self) -> Node {
        Node { place: self.place.clone(), ..self.value.encode() }
    }
}

impl<T: Schema> Schema for Spanned<T> {
    const SECRET: bool = T::SECRET;

    fn shape() -> Shape {
        T::shape()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_knows_where_it_was_written() {
        let read: Vec<Spanned<u8>> = crate::from_str("a.yml", "- 1\n-   2\n").expect("two numbers");
        let places: Vec<String> = read.iter().map(|item| item.place.to_string()).collect();
        assert_eq!(places, ["a.yml:1:3", "a.yml:2:5"]);
        assert_eq!(read, [Spanned::from(1), Spanned::from(2)]);
    }
}
