//! The engine as its users see it: through the contracts of `model::storage`, on good and on bad disks.

#![allow(clippy::panic, reason = "a test that cannot go on says what it saw")]

mod basics;
mod damage;
mod forged;
mod kill;
mod limits;
mod model_test;
mod readers;
mod reading;
mod tail;
mod world;
