//! Values that only this file has: a key that is not built yet, the address of the metadata store, an amount of memory.

use std::fmt;

use model::secret::Secret;
use yaml::schema::Shape;
use yaml::{Context, Decode, Encode, Node, Schema};

/// A key that is known but not built yet: giving it is refused by name, so that nobody relies on what does nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Later;

impl Decode for Later {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let path = cx.path();
        cx.problem(&node.place, format!("`{path}` is not supported by this version yet, take it out"));
        None
    }
}

impl Encode for Later {
    fn encode(&self) -> Node {
        Node::null()
    }
}

impl Schema for Later {
    fn shape() -> Shape {
        Shape::one("not supported by this version yet")
    }
}

/// Where users, dashboards and the like are kept.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum MetadataUrl {
    /// In the data folder.
    #[default]
    Sqlite,
    /// A database server; the address may carry a password.
    Postgres(Secret),
}

impl fmt::Debug for MetadataUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl MetadataUrl {
    /// The address without its password.
    #[must_use]
    pub fn shown(&self) -> String {
        let Self::Postgres(url) = self else { return "sqlite".to_owned() };
        let url = url.expose();
        let Some((scheme, rest)) = url.split_once("://") else { return "postgres".to_owned() };
        // The last `@` ends the user part: a password may contain one.
        let Some((user, host)) = rest.rsplit_once('@') else { return without_query(url) };
        let name = user.split_once(':').map_or(user, |(name, _)| name);
        without_query(&format!("{scheme}://{name}@{host}"))
    }
}

/// Parameters may carry a password too (`?password=`).
fn without_query(url: &str) -> String {
    url.split_once('?').map_or(url, |(before, _)| before).to_owned()
}

impl Decode for MetadataUrl {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        const EXPECTED: &str = "sqlite or postgres://user@host/db";
        let text = cx.text(node, EXPECTED)?;
        if text == "sqlite" {
            return Some(Self::Sqlite);
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Some(Self::Postgres(Secret::new(text)));
        }
        // Not `cx.expected`, which would show the text: it may be an address with a password and a typing mistake.
        cx.problem(&node.place, format!("expected {EXPECTED}"));
        None
    }
}

impl Encode for MetadataUrl {
    fn encode(&self) -> Node {
        Node::text(self.shown())
    }
}

impl Schema for MetadataUrl {
    fn shape() -> Shape {
        Shape::one("sqlite or a postgres:// address")
    }
}

/// An amount of memory: bytes, or a part of what the machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    Bytes(u64),
    Percent(u8),
}

impl Memory {
    /// In bytes, on a machine with so many.
    #[must_use]
    pub const fn of(self, machine: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => machine / 100 * percent as u64,
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::Percent(25)
    }
}

impl Decode for Memory {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        const EXPECTED: &str = "a size such as 2GB or a part of the machine's memory such as 25%";
        let text = cx.text(node, EXPECTED)?;
        let memory = match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().filter(|percent| (1..=100).contains(percent)).map(Self::Percent),
            None => yaml::size::parse(&text).ok().filter(|bytes| *bytes > 0).map(Self::Bytes),
        };
        memory.or_else(|| cx.expected(node, EXPECTED))
    }
}

impl Encode for Memory {
    fn encode(&self) -> Node {
        Node::text(match self {
            Self::Bytes(bytes) => yaml::size::format(*bytes),
            Self::Percent(percent) => format!("{percent}%"),
        })
    }
}

impl Schema for Memory {
    fn shape() -> Shape {
        Shape::one("a size or a percentage of the machine's memory")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bytes_or_a_part_of_the_machine() {
        assert_eq!(Memory::Percent(25).of(8 << 30), (8 << 30) / 100 * 25);
        assert_eq!(Memory::Bytes(5).of(8 << 30), 5);
    }

    #[test]
    fn the_address_of_a_database_is_shown_without_its_password() {
        for (url, shown) in [
            ("postgres://ann:s3cret@db/watch", "postgres://ann@db/watch"),
            ("postgres://ann:s3@cret@db/watch", "postgres://ann@db/watch"),
            ("postgres://ann@db/watch?password=s3cret&x=y", "postgres://ann@db/watch"),
            ("postgres://db/watch?password=s3cret", "postgres://db/watch"),
        ] {
            let url = MetadataUrl::Postgres(Secret::new(url));
            assert_eq!(url.shown(), shown);
            assert_eq!(format!("{url:?}"), shown);
        }
    }
}
