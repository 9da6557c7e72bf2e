//! The engine as its users see it: through the contracts of `model::storage`, on good and on bad disks.

mod basics;
mod damage;
mod kill;
mod limits;
mod model_test;
mod readers;
mod tail;
mod world;
