//! How much a test tries: CI depth, or everything.

/// Set to `deep` by `cargo xtask test --deep`.
pub const DEPTH_VARIABLE: &str = "WATCHPOST_TEST_DEPTH";

/// Whether tests should take all the time they can use.
#[must_use]
pub fn deep() -> bool {
    std::env::var(DEPTH_VARIABLE).is_ok_and(|depth| depth == "deep")
}

/// The number of rounds, seeds or rows for this run.
#[must_use]
pub fn pick<T>(ci: T, all: T) -> T {
    if deep() { all } else { ci }
}
