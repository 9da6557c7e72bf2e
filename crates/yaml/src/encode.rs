//! Value to tree: what is shown as the running configuration and written when objects are exported.
//!
//! Promises: keys come in the order of the schema, what is not set (`None`) is left out, secrets are `<secret>`.
//! Decoding an encoded value gives the value back, but for secrets.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::duration;
use crate::node::Node;

/// A type that can be written as a tree.
pub trait Encode {
    /// A null node means "not set": a record leaves the key out.
    fn encode(&self) -> Node;
}

impl Encode for Node {
    fn encode(&self) -> Node {
        self.clone()
    }
}

impl Encode for bool {
    fn encode(&self) -> Node {
        Node::plain(self.to_string())
    }
}

impl Encode for f64 {
    fn encode(&self) -> Node {
        let text = match *self {
            float if float.is_nan() => ".nan".to_owned(),
            float if float.is_infinite() => if float > 0.0 { ".inf" } else { "-.inf" }.to_owned(),
            float => format!("{float:?}"),
        };
        Node::plain(text)
    }
}

macro_rules! encode_int {
    ($($int:ident)*) => { $(
        impl Encode for $int {
            fn encode(&self) -> Node {
                Node::plain(self.to_string())
            }
        }
    )* };
}

encode_int!(u8 u16 u32 u64 usize i8 i16 i32 i64);

impl Encode for String {
    fn encode(&self) -> Node {
        Node::text(self.as_str())
    }
}

impl Encode for PathBuf {
    fn encode(&self) -> Node {
        Node::text(self.to_string_lossy())
    }
}

impl Encode for Duration {
    fn encode(&self) -> Node {
        Node::text(duration::format(*self))
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self) -> Node {
        self.as_ref().map_or_else(Node::null, T::encode)
    }
}

impl<T: Encode> Encode for Box<T> {
    fn encode(&self) -> Node {
        self.as_ref().encode()
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self) -> Node {
        Node::list(self.iter().map(T::encode).collect())
    }
}

impl<T: Encode> Encode for BTreeMap<String, T> {
    fn encode(&self) -> Node {
        Node::map(self.iter().map(|(key, value)| (key.clone(), value.encode())))
    }
}
