//! Discovery mechanisms that are read and checked and not acted on: an existing file loads, and the job is named.
//!
//! Keys and refusals are Prometheus's, so that a mistake is still found where it is made. What only the cloud itself
//! could tell (a region from the machine's metadata, whether a key is right) is not asked.

pub mod a_to_k;
pub mod l_to_z;

use yaml::{At, Context};

/// Notes `sentence` at a key where it is not given.
fn require(given: bool, at: &At<'_>, cx: &mut Context, key: &str, sentence: &str) {
    if !given {
        cx.problem(at.value(key), sentence);
    }
}

/// Declares a role or the like as a text of a few words, with the sentence for another one.
macro_rules! role {
    ($(#[doc = $doc:literal])* $name:ident [$($word:literal),+] $sentence:literal) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name(pub String);

        impl yaml::Decode for $name {
            fn decode(node: &yaml::Node, cx: &mut yaml::Context) -> Option<Self> {
                let text = cx.text(node, &<Self as yaml::Schema>::shape().words)?;
                if ![$($word),+].contains(&text.as_str()) {
                    let expected = [$($word),+].join(", ");
                    cx.problem(&node.place, format!(concat!($sentence, ", expected one of {}"), text, expected));
                    return None;
                }
                Some(Self(text))
            }

            fn from_null() -> Option<Self> {
                Some(Self::default())
            }
        }

        impl yaml::Encode for $name {
            fn encode(&self) -> yaml::Node {
                yaml::Node::text(self.0.as_str())
            }
        }

        impl yaml::Schema for $name {
            fn shape() -> yaml::Shape {
                yaml::Shape::one(format!("one of {}", [$($word),+].join(", ")))
            }
        }
    };
}

use role;
