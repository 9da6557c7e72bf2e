//! The appliance: use cases, life cycle and calendar jobs of the whole.
//!
//! Not here: how anything is stored (`store`), said on the wire (`api`) or shown (`ui`).

pub mod calendar;
pub mod jobs;
pub mod memory;
pub mod ports;
