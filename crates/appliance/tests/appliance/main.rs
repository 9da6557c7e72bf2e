//! The appliance as the binary uses it: configuration from all its sources, and reloading.

mod configuration;
mod reloading;
