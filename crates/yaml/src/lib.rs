//! YAML with spans, and one declaration per file schema.
//!
//! Promises: no input panics, recurses without bound or costs more than the limits in [`parse`](mod@parse); every
//! problem of a file is found at once, with file, line and column; a secret is in no message and in no output.
//! Not here: what a configuration means (the crate that acts on it declares its own schema), reading files.
//!
//! # How to declare a schema
//!
//! The crate that acts on a file declares what may stand in it, once. [`record!`] is a map with known keys, [`choice!`]
//! a few words. From the declaration come the struct, its defaults, the strict decoder, the encoder that shows the
//! running configuration, and the page of settings with the text of the doc comments.
//!
//! ```
//! use std::time::Duration;
//!
//! yaml::choice! {
//!     /// Where the certificate comes from. The first word is the default.
//!     pub enum Mode {
//!         /// A certificate authority of our own.
//!         Auto = "auto",
//!         Files = "files",
//!         Off = "off",
//!     }
//! }
//!
//! yaml::record! {
//!     pub struct Tls {
//!         /// Where the certificate comes from.
//!         pub mode: Mode,
//!         pub cert_file: std::path::PathBuf,
//!     }
//! }
//!
//! yaml::record! {
//!     /// What listens where.
//!     #[yaml(check = Server::check)]
//!     pub struct Server {
//!         /// Addresses for TLS.
//!         pub listen: Vec<String> = vec!["0.0.0.0:8443".to_owned()],
//!         pub tls: Tls,
//!         /// How long a request may take.
//!         #[yaml(range = Duration::from_secs(1)..)]
//!         pub timeout: Duration = Duration::from_secs(120),
//!         #[yaml(name = "type")]
//!         pub kind: Option<String>,
//!     }
//! }
//!
//! impl Server {
//!     fn check(&self, at: &yaml::At<'_>, cx: &mut yaml::Context) {
//!         if self.listen.is_empty() {
//!             cx.problem(at.value("listen"), "expected at least one address, found none");
//!         }
//!     }
//! }
//!
//! let server: Server = yaml::from_str("watchpost.yml", "listen: [':8443']\ntls: {mode: off}\n").expect("fits");
//! assert_eq!((server.tls.mode, server.timeout), (Mode::Off, Duration::from_secs(120)));
//!
//! let problems = yaml::from_str::<Server>("watchpost.yml", "lisen: x\ntimeout: 0s\ntls: {mode: on}\n");
//! assert_eq!(problems.expect_err("three mistakes").to_string(), "\
//! watchpost.yml:3:13: tls.mode: expected one of auto, files, off, found \"on\"
//! watchpost.yml:2:10: timeout: expected a duration such as 30s, 5m or 1h30m of at least 1s, found \"0s\"
//! watchpost.yml:1:1: unknown key \"lisen\", expected perhaps \"listen\"");
//! ```
//!
//! What may stand in a declaration:
//!
//! - **A field** is `pub key: Type = default,`. Without `= default` it is the `Default` of the type.
//! - **`#[yaml(...)]` on a field**, after its doc comment: `name = "type"` (the key in the file), `required`,
//!   `flatten` (the keys of another record stand in this map), `range = 1..=100` (checked for what a file says).
//! - **`#[yaml(...)]` on the record**: `no_default` (no `Default`; for a required field whose type has none),
//!   `check = function` (called with the record once every field was read, for rules between fields).
//! - **`#[derive(...)]` on either** adds to `Debug, Clone, PartialEq`.
//! - **Types**: bool, integers, `f64`, `String`, `PathBuf`, [`Duration`](std::time::Duration), [`Bytes`], [`Binary`], `Option`,
//!   `Vec`, `Box`, `BTreeMap<String, _>`, [`Map`] (keeps the order), [`Spanned`] (knows its place), [`Node`] (anything), records,
//!   choices, and your own: implement [`Decode`], [`Encode`] and [`Schema`], or [`text_type!`] for what has `FromStr`
//!   and `Display`. A secret type sets [`Schema::SECRET`].
//!
//! # From text to value
//!
//! [`from_str`] does all at once. Our own file goes through the steps: [`parse`](fn@parse), [`expand`](fn@expand)
//! (`${VAR}`), [`merge`](fn@merge) (`include`), [`Node::set`] with [`parse_value`] (environment and flags), [`decode`](fn@decode).
//!
//! A key without a value is nothing for a text, a list, a map or an `Option`, and the default for everything else.

pub mod binary;
pub mod choice;
pub mod decode;
pub mod duration;
pub mod encode;
pub mod expand;
pub mod map;
pub mod merge;
pub mod node;
pub mod parse;
pub mod problem;
pub mod record;
pub mod scalar;
pub mod schema;
pub mod size;
pub mod spanned;
pub mod write;

pub use crate::binary::Binary;
pub use crate::decode::{Context, Decode, decode};
pub use crate::encode::Encode;
pub use crate::expand::{Reference, expand};
pub use crate::map::Map;
pub use crate::merge::merge;
pub use crate::node::{Node, Value};
pub use crate::parse::{parse, parse_bytes, parse_first, parse_value};
pub use crate::problem::{Place, Problem, Problems};
pub use crate::record::{At, Record};
pub use crate::schema::{Schema, Shape};
pub use crate::size::Bytes;
pub use crate::spanned::Spanned;
pub use crate::write::to_string;

/// Reads a value from the text of a file, or says everything that is wrong with it.
pub fn from_str<T: Decode>(file: &str, text: &str) -> Result<T, Problems> {
    decode(&parse(file, text)?)
}
