//! The binary.

#[cfg(test)]
mod process_metrics;

fn main() {}
