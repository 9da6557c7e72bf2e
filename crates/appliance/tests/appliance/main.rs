//! The appliance as the binary uses it: configuration from all its sources, reloading, and the use cases of identity.

#![allow(clippy::panic, reason = "a test that cannot go on says why")]

mod configuration;
mod identity;
mod prometheus;
mod reloading;
