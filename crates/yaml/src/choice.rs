//! A value that is one of a few words, declared once by `choice!`.
//!
//! Promise: the message for another word lists them all and suggests the nearest.

use crate::decode::Context;
use crate::node::Node;
use crate::record::nearest;

/// What `choice!` calls: finds the word of a node among those known.
pub fn decode_word<T: Copy>(node: &Node, cx: &mut Context, words: &[(&'static str, T)]) -> Option<T> {
    let text = cx.text(node, &words_text(words))?;
    if let Some((_, choice)) = words.iter().find(|(word, _)| *word == text) {
        return Some(*choice);
    }
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let hint = match nearest(&text, &known) {
        Some(nearest) if !node.hidden => format!(" (perhaps {nearest})"),
        _ => String::new(),
    };
    cx.expected(node, format!("{}{hint}", words_text(words)))
}

/// `one of auto, files, off`.
#[must_use]
pub fn words_text<T>(words: &[(&'static str, T)]) -> String {
    let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    format!("one of {}", words.join(", "))
}

/// Declares an enum of words; the first is the default. See the head of the crate.
#[macro_export]
macro_rules! choice {
    (
        $(#[doc = $doc:literal])*
        $(#[derive($($derive:path),* $(,)?)])?
        $vis:vis enum $name:ident {
            $( $(#[doc = $variant_doc:literal])* $variant:ident = $word:literal $(| $alias:literal)* ),+ $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq $($(, $derive)*)?)]
        $vis enum $name {
            $( $(#[doc = $variant_doc])* $variant, )+
        }

        #[allow(dead_code, reason = "not every choice is asked for all of this")]
        impl $name {
            /// Every choice, in the order of declaration.
            $vis const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// Every spelling that is read.
            const WORDS: &'static [(&'static str, Self)] =
                &[$( ($word, Self::$variant), $( ($alias, Self::$variant), )* )+];

            /// The word as it is written in a file.
            #[must_use]
            $vis const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }
        }

        impl ::core::default::Default for $name {
            fn default() -> Self {
                Self::ALL[0]
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::core::str::FromStr for $name {
            type Err = ::std::string::String;

            fn from_str(text: &str) -> ::core::result::Result<Self, ::std::string::String> {
                let found = Self::WORDS.iter().find(|(word, _)| *word == text);
                found.map(|(_, choice)| *choice).ok_or_else(|| {
                    ::std::format!("expected {}, found {text:?}", $crate::choice::words_text(Self::WORDS))
                })
            }
        }

        impl $crate::Decode for $name {
            fn decode(node: &$crate::Node, cx: &mut $crate::Context) -> ::core::option::Option<Self> {
                $crate::choice::decode_word(node, cx, Self::WORDS)
            }
        }

        impl $crate::Encode for $name {
            fn encode(&self) -> $crate::Node {
                $crate::Node::text(self.as_str())
            }
        }

        impl $crate::Schema for $name {
            fn shape() -> $crate::Shape {
                $crate::Shape::one($crate::choice::words_text(Self::WORDS))
            }
        }
    };
}
