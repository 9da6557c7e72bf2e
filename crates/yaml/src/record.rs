//! A map with known keys, declared once: `record!` makes the struct, its defaults, the strict decoder, the encoder and
//! the description from one declaration. The guide is at the head of the crate.
//!
//! Promises: every problem of a map is found in one go (unknown keys, missing keys, wrong values); the keys a decoder
//! knows are exactly those the description lists, because both are made from the same fields.

use std::ops::{Bound, RangeBounds};

use crate::decode::{Context, Decode};
use crate::encode::Encode;
use crate::node::{Entry, Node, Value, shown};
use crate::problem::Place;
use crate::schema::{Field, Schema};
use crate::write::to_line;

/// Keys named in a message about an unknown one; a longer list helps nobody, the page of settings has them all.
const KEYS_SHOWN_MAX: usize = 24;

/// What `record!` implements. Apart from [`Decode`] so that one record can stand within another's map (`flatten`).
pub trait Record: Sized {
    /// Takes its keys from the map. `None`: a problem has been noted.
    fn read(map: &mut MapReader<'_>, cx: &mut Context) -> Option<Self>;
    /// Adds its keys in the order of declaration.
    fn write(&self, entries: &mut Vec<(String, Node)>);
    fn fields() -> Vec<Field>;
}

/// Where the keys of a record stand, for a check that compares several of them.
#[derive(Debug)]
pub struct At<'a> {
    entries: &'a [Entry],
    place: &'a Place,
}

impl At<'_> {
    /// Where the key stands; the place of the map if it is not there.
    #[must_use]
    pub fn key(&self, key: &str) -> &Place {
        self.entries.iter().find(|entry| entry.key == key).map_or(self.place, |entry| &entry.key_place)
    }

    /// Where the value of the key stands; the place of the map if it is not there.
    #[must_use]
    pub fn value(&self, key: &str) -> &Place {
        self.entries.iter().find(|entry| entry.key == key).map_or(self.place, |entry| &entry.value.place)
    }

    /// Whether the key was written at all, with or without a value.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// Where the map itself stands.
    #[must_use]
    pub fn map(&self) -> &Place {
        self.place
    }
}

/// Hands out the values of a map by key, and knows at the end which keys nobody asked for.
#[derive(Debug)]
pub struct MapReader<'a> {
    entries: &'a [Entry],
    place: &'a Place,
    known: Vec<&'static str>,
}

impl<'a> MapReader<'a> {
    #[must_use]
    pub fn at(&self) -> At<'a> {
        At { entries: self.entries, place: self.place }
    }

    fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.push(key);
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// A key that may be left out. Without a value it is nothing, if the type has one, else the default.
    pub fn optional<T: Decode + Schema>(
        &mut self,
        cx: &mut Context,
        key: &'static str,
        default: impl FnOnce() -> T,
    ) -> Option<T> {
        match self.take(key) {
            None => Some(default()),
            Some(node) if node.is_null() => Some(T::from_null().unwrap_or_else(default)),
            Some(node) => cx.field(key, node),
        }
    }

    /// A key that must be there, with a value.
    pub fn required<T: Decode + Schema>(&mut self, cx: &mut Context, key: &'static str) -> Option<T> {
        match self.take(key) {
            Some(node) => cx.field(key, node),
            None => {
                let place = self.place.clone();
                cx.problem(&place, format!("expected the key {key:?} ({}), found no such key", T::shape().words));
                None
            }
        }
    }

    /// Refuses a value outside `range`. Defaults are not asked: they are the program's own.
    pub fn ranged<T: PartialOrd + Encode + Schema>(
        &self,
        cx: &mut Context,
        key: &'static str,
        value: Option<T>,
        range: &impl RangeBounds<T>,
    ) -> Option<T> {
        let value = value?;
        let node = self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value);
        match node {
            Some(node) if !node.is_null() && !range.contains(&value) => {
                let expected = format!("{} {}", T::shape().words, range_words(range));
                cx.within(key.to_owned(), T::SECRET, |cx| cx.expected(node, expected))
            }
            _ => Some(value),
        }
    }

    /// Every key must have been asked for.
    fn refuse_unknown(&self, cx: &mut Context) {
        for entry in self.entries.iter().filter(|entry| !self.known.contains(&entry.key.as_str())) {
            let sentence = format!("unknown key {}, {}", shown(&entry.key), self.instead_of(&entry.key));
            cx.problem(&entry.key_place, sentence);
        }
    }

    fn instead_of(&self, unknown: &str) -> String {
        if let Some(nearest) = nearest(unknown, &self.known) {
            return format!("expected perhaps {nearest:?}");
        }
        let mut keys: Vec<&str> = self.known.clone();
        keys.sort_unstable();
        let more = keys.len().saturating_sub(KEYS_SHOWN_MAX);
        keys.truncate(KEYS_SHOWN_MAX);
        match (keys.len(), more) {
            (0, _) => "expected no keys here".to_owned(),
            (_, 0) => format!("expected one of {}", keys.join(", ")),
            _ => format!("expected one of {} and {more} more", keys.join(", ")),
        }
    }
}

/// Reads a record from a map: what the `Decode` of a record does.
pub fn decode_record<T: Record>(node: &Node, cx: &mut Context) -> Option<T> {
    let Value::Map(entries) = &node.value else { return cx.expected_kind(node, "a map") };
    let before = cx.problems().len() + cx.problems().left_out();
    let mut map = MapReader { entries, place: &node.place, known: Vec::new() };
    let record = T::read(&mut map, cx);
    map.refuse_unknown(cx);
    let after = cx.problems().len() + cx.problems().left_out();
    record.filter(|_| before == after)
}

/// A range in words, with its ends as they are written in a file.
pub fn range_words<T: Encode>(range: &impl RangeBounds<T>) -> String {
    let line = |end: &T| to_line(&end.encode());
    match (range.start_bound(), range.end_bound()) {
        (Bound::Unbounded, Bound::Unbounded) => "of any size".to_owned(),
        (Bound::Unbounded, Bound::Included(end)) => format!("of at most {}", line(end)),
        (Bound::Unbounded, Bound::Excluded(end)) => format!("below {}", line(end)),
        (Bound::Included(start), Bound::Unbounded) => format!("of at least {}", line(start)),
        (Bound::Excluded(start), Bound::Unbounded) => format!("above {}", line(start)),
        (Bound::Included(start) | Bound::Excluded(start), Bound::Included(end)) => {
            format!("from {} to {}", line(start), line(end))
        }
        (Bound::Included(start) | Bound::Excluded(start), Bound::Excluded(end)) => {
            format!("from {} to below {}", line(start), line(end))
        }
    }
}

/// The word that was probably meant: at most two letters away, or one for short words.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // Longer than any key we know by more than the distance: not worth the table.
    if word.len() > 64 {
        return None;
    }
    let allowed = if word.chars().count() < 5 { 1 } else { 2 };
    let distance = |known: &&'a str| (distance(word, known), *known);
    known.iter().map(distance).min().filter(|(distance, _)| *distance <= allowed).map(|(_, known)| known)
}

/// Letters to insert, drop or change to make one word of the other (Levenshtein), one row at a time.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.to_lowercase().replace('-', "_").chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.to_lowercase().replace('-', "_").chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let change = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

/// The text of doc comments: every line without its first blank.
#[must_use]
pub fn doc_text(lines: &[&str]) -> String {
    let lines: Vec<&str> = lines.iter().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
    lines.join("\n").trim().to_owned()
}

/// Declares a record: see the head of the crate.
#[macro_export]
macro_rules! record {
    (
        $(#[doc = $doc:literal])*
        $(#[derive($($derive:path),* $(,)?)])?
        $(#[yaml($($option:tt)*)])?
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $field_doc:literal])*
                $(#[yaml($($attr:tt)*)])?
                $field_vis:vis $field:ident : $ty:ty $(= $default:expr)?
            ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq $($(, $derive)*)?)]
        $vis struct $name {
            $( $(#[doc = $field_doc])* $field_vis $field: $ty, )*
        }

        $crate::__record_default! { [$($($option)*)?] $name { $( $field ($ty) ($($default)?) )* } }

        impl $crate::record::Record for $name {
            #[allow(unused_variables, reason = "a record without keys asks for none")]
            fn read(map: &mut $crate::record::MapReader<'_>, cx: &mut $crate::Context) -> ::core::option::Option<Self> {
                $( let $field: ::core::option::Option<$ty> = $crate::__record_field! {
                    @munch read (map cx ($ty) ($($default)?)) name($field) mode(optional) range() ; $($($attr)*)?
                }; )*
                let record = Self { $( $field: $field?, )* };
                $crate::__record_check! { [$($($option)*)?] record map cx }
                ::core::option::Option::Some(record)
            }

            #[allow(unused_variables, reason = "a record without keys writes none")]
            fn write(&self, entries: &mut ::std::vec::Vec<(::std::string::String, $crate::Node)>) {
                $( $crate::__record_field! {
                    @munch write (entries ($ty) (&self.$field)) name($field) mode(optional) range() ; $($($attr)*)?
                } )*
            }

            fn fields() -> ::std::vec::Vec<$crate::schema::Field> {
                #[allow(unused_mut, reason = "a record without keys adds none")]
                let mut fields = ::std::vec::Vec::new();
                $( $crate::__record_field! {
                    @munch describe (fields ($ty) ($($default)?) [$($field_doc),*])
                    name($field) mode(optional) range() ; $($($attr)*)?
                } )*
                fields
            }
        }

        impl $crate::Decode for $name {
            fn decode(node: &$crate::Node, cx: &mut $crate::Context) -> ::core::option::Option<Self> {
                $crate::record::decode_record(node, cx)
            }
        }

        impl $crate::Encode for $name {
            fn encode(&self) -> $crate::Node {
                let mut entries = ::std::vec::Vec::new();
                $crate::record::Record::write(self, &mut entries);
                $crate::Node::map(entries)
            }
        }

        impl $crate::Schema for $name {
            fn shape() -> $crate::Shape {
                $crate::Shape::record(
                    ::core::concat!(::core::module_path!(), "::", ::core::stringify!($name)),
                    <Self as $crate::record::Record>::fields,
                )
            }
        }
    };
}

/// The `Default` of a record, unless `no_default` is among its options.
#[doc(hidden)]
#[macro_export]
macro_rules! __record_default {
    ([no_default $($rest:tt)*] $($record:tt)*) => {};
    ([$skip:tt $($rest:tt)*] $($record:tt)*) => { $crate::__record_default! { [$($rest)*] $($record)* } };
    ([] $name:ident { $( $field:ident ($ty:ty) $default:tt )* }) => {
        impl ::core::default::Default for $name {
            fn default() -> Self {
                Self { $( $field: $crate::__record_value!(($ty) $default), )* }
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __record_value {
    (($ty:ty) ()) => {
        <$ty as ::core::default::Default>::default()
    };
    (($ty:ty) ($default:expr)) => {{
        let default: $ty = $default;
        default
    }};
}

/// Calls `check = function` of a record's options.
#[doc(hidden)]
#[macro_export]
macro_rules! __record_check {
    ([] $record:ident $map:ident $cx:ident) => {};
    ([check = $check:path $(, $($rest:tt)*)?] $record:ident $map:ident $cx:ident) => {
        $check(&$record, &$map.at(), $cx);
    };
    ([$skip:tt $($rest:tt)*] $($arg:tt)*) => { $crate::__record_check! { [$($rest)*] $($arg)* } };
}

/// Reads the options of a field one by one, then does what the verb says.
#[doc(hidden)]
#[macro_export]
macro_rules! __record_field {
    (@munch $verb:ident $args:tt name $name:tt mode $mode:tt range $range:tt ;) => {
        $crate::__record_field! { @$verb $mode $args name $name range $range }
    };
    (@munch $verb:ident $args:tt name $old:tt mode $mode:tt range $range:tt ; name = $new:literal $(, $($rest:tt)*)?) => {
        $crate::__record_field! { @munch $verb $args name($new) mode $mode range $range ; $($($rest)*)? }
    };
    (@munch $verb:ident $args:tt name $name:tt mode $old:tt range $range:tt ; required $(, $($rest:tt)*)?) => {
        $crate::__record_field! { @munch $verb $args name $name mode(required) range $range ; $($($rest)*)? }
    };
    (@munch $verb:ident $args:tt name $name:tt mode $old:tt range $range:tt ; flatten $(, $($rest:tt)*)?) => {
        $crate::__record_field! { @munch $verb $args name $name mode(flatten) range $range ; $($($rest)*)? }
    };
    (@munch $verb:ident $args:tt name $name:tt mode $mode:tt range $old:tt ; range = $range:expr $(, $($rest:tt)*)?) => {
        $crate::__record_field! { @munch $verb $args name $name mode $mode range($range) ; $($($rest)*)? }
    };

    (@key ($key:ident)) => { ::core::stringify!($key) };
    (@key ($key:literal)) => { $key };

    (@read (flatten) ($map:ident $cx:ident ($ty:ty) ()) name $name:tt range()) => {
        <$ty as $crate::record::Record>::read($map, $cx)
    };
    (@read (required) ($map:ident $cx:ident ($ty:ty) ()) name $name:tt range $range:tt) => {
        $crate::__record_field! {
            @ranged $map $cx ($ty) $name $range $map.required::<$ty>($cx, $crate::__record_field!(@key $name))
        }
    };
    (@read (optional) ($map:ident $cx:ident ($ty:ty) $default:tt) name $name:tt range $range:tt) => {
        $crate::__record_field! {
            @ranged $map $cx ($ty) $name $range
            $map.optional::<$ty>($cx, $crate::__record_field!(@key $name), || $crate::__record_value!(($ty) $default))
        }
    };
    (@ranged $map:ident $cx:ident ($ty:ty) $name:tt () $value:expr) => { $value };
    (@ranged $map:ident $cx:ident ($ty:ty) $name:tt ($range:expr) $value:expr) => { {
        let value: ::core::option::Option<$ty> = $value;
        $map.ranged($cx, $crate::__record_field!(@key $name), value, &($range))
    } };

    (@write (flatten) ($entries:ident ($ty:ty) ($value:expr)) name $name:tt range $range:tt) => {
        $crate::record::Record::write($value, $entries);
    };
    (@write $mode:tt ($entries:ident ($ty:ty) ($value:expr)) name $name:tt range $range:tt) => {
        let node = $crate::Encode::encode($value);
        if !node.is_null() {
            $entries.push((::std::string::String::from($crate::__record_field!(@key $name)), node));
        }
    };

    (@describe (flatten) ($fields:ident ($ty:ty) $default:tt $doc:tt) name $name:tt range $range:tt) => {
        $fields.extend(<$ty as $crate::record::Record>::fields());
    };
    (@describe (required) ($fields:ident ($ty:ty) $default:tt $doc:tt) name $name:tt range $range:tt) => {
        $fields.push($crate::schema::Field {
            required: true,
            default: ::core::option::Option::None,
            ..$crate::__record_field!(@base ($ty) $doc name $name range $range)
        });
    };
    (@describe (optional) ($fields:ident ($ty:ty) $default:tt $doc:tt) name $name:tt range $range:tt) => {
        $fields.push($crate::schema::Field {
            required: false,
            default: ::core::option::Option::Some(|| $crate::Encode::encode(&$crate::__record_value!(($ty) $default))),
            ..$crate::__record_field!(@base ($ty) $doc name $name range $range)
        });
    };
    (@base ($ty:ty) [$($doc:expr),*] name $name:tt range $range:tt) => {
        $crate::schema::Field {
            key: $crate::__record_field!(@key $name),
            doc: $crate::record::doc_text(&[$($doc),*]),
            shape: <$ty as $crate::Schema>::shape,
            secret: <$ty as $crate::Schema>::SECRET,
            required: false,
            default: ::core::option::Option::None,
            range: $crate::__record_field!(@range_words ($ty) $range),
        }
    };
    (@range_words ($ty:ty) ()) => { ::core::option::Option::None };
    (@range_words ($ty:ty) ($range:expr)) => {
        ::core::option::Option::Some($crate::record::range_words::<$ty>(&($range)))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_suggested_only_when_it_is_near() {
        let known = ["listen", "http_listen", "tls", "external_url"];
        for (word, want) in [
            ("lisen", Some("listen")),
            ("Listen", Some("listen")),
            ("http-listen", Some("http_listen")),
            ("tsl", None),
            ("tl", Some("tls")),
            ("nothing", None),
        ] {
            assert_eq!(nearest(word, &known), want, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(1000), &known), None);
    }

    #[test]
    fn ranges_are_said_in_words() {
        assert_eq!(range_words(&(1u8..=5)), "from 1 to 5");
        assert_eq!(range_words(&(1u8..)), "of at least 1");
        assert_eq!(range_words(&(..9u8)), "below 9");
        let day = std::time::Duration::from_secs(86_400);
        assert_eq!(range_words(&(..=day)), "of at most 1d");
    }
}
