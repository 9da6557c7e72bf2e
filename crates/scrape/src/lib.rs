//! Scraping: which targets there are, what is asked of them and when, and what becomes of the answers.
//!
//! Promises: a target costs at most its own scrape, whatever it answers; a discovery mechanism that fails keeps the
//! targets it last knew; every queue between the parts is bounded.
//! Not here: the formats (`wire`), connections and credentials (`net`), storage (`model::storage`).

mod cache;
pub mod config;
pub mod discovery;
mod families;
pub mod fetch;
pub mod fetch_http;
mod histogram_limits;
pub mod host;
pub mod ingest;
pub mod pool;
pub mod report;
mod sample_labels;
pub mod schedule;
mod scrape_loop;
mod settings;
mod shared;
pub mod target;
pub mod trial;

pub use shared::Shared;

#[cfg(test)]
mod allocation_tests;
#[cfg(test)]
mod pool_tests;
#[cfg(test)]
mod scrape_loop_tests;
#[cfg(test)]
mod test_bench;
