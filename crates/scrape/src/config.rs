//! What a `prometheus.yml` says about scraping: `global`, `scrape_configs`, and what a job is in the end.
//!
//! Promises: what Prometheus refuses is refused, in its words and with a place, and everything wrong is found at once;
//! what we read and do not act on is named. A [`ScrapeConfig`] is the text of the file; [`ScrapeConfig::inherit`] fills in
//! what `global` says, and a [`Job`] is what the loops run by.
//! Not here: the file as a whole (`appliance::prometheus`), the blocks of single mechanisms (`discovery`, `unsupported`).

pub mod global;
pub mod job;
pub mod protocol;
pub mod scrape_config;
pub mod sections;
pub mod unsupported;
pub mod values;

pub use self::global::Global;
pub use self::job::{Job, Limits};
pub use self::protocol::Protocol;
pub use self::scrape_config::ScrapeConfig;
pub use self::sections::{Discovery, Mechanism};
