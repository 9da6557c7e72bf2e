//! What an engine is set up with: switches of the language, limits, threads.

use std::time::Duration;

/// The switches of `--enable-feature` that change what a query means. The defaults are Prometheus's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is one switch a user sets, named as he names it")]
pub struct Features {
    /// `promql-experimental-functions`
    pub experimental_functions: bool,
    /// `promql-delayed-name-removal`: the metric's name goes at the very end instead of at each step.
    pub delayed_name_removal: bool,
    /// `use-start-timestamps`
    pub start_timestamps: bool,
    /// `promql-extended-range-selectors`: `anchored` and `smoothed`.
    pub extended_range_selectors: bool,
    /// `promql-binop-fill-modifiers`
    pub fill_modifiers: bool,
    /// `promql-duration-expr`; on since 3.14.
    pub duration_expressions: bool,
    /// `type-and-unit-labels`
    pub type_and_unit_labels: bool,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            experimental_functions: false,
            delayed_name_removal: false,
            start_timestamps: false,
            extended_range_selectors: false,
            fill_modifiers: false,
            duration_expressions: true,
            type_and_unit_labels: false,
        }
    }
}

impl Features {
    /// Everything on: what the conformance scripts run with.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            experimental_functions: true,
            delayed_name_removal: true,
            start_timestamps: true,
            extended_range_selectors: true,
            fill_modifiers: true,
            duration_expressions: true,
            type_and_unit_labels: false,
        }
    }

    /// Switches one on by the name `--enable-feature` knows it by. False: no such switch of the language.
    pub fn enable(&mut self, name: &str) -> bool {
        let switch = match name {
            "promql-experimental-functions" => &mut self.experimental_functions,
            "promql-delayed-name-removal" => &mut self.delayed_name_removal,
            "use-start-timestamps" => &mut self.start_timestamps,
            "promql-extended-range-selectors" => &mut self.extended_range_selectors,
            "promql-binop-fill-modifiers" => &mut self.fill_modifiers,
            "promql-duration-expr" => &mut self.duration_expressions,
            "type-and-unit-labels" => &mut self.type_and_unit_labels,
            _ => return false,
        };
        *switch = true;
        true
    }
}

/// How an engine works. The defaults are Prometheus's where it has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub features: Features,
    /// How old a sample may be and still count as current.
    pub lookback: Duration,
    /// The resolution of a subquery that names none.
    pub subquery_step: Duration,
    /// No query runs longer; one with a shorter limit of its own runs so long.
    pub timeout: Duration,
    /// Samples one query may hold at a time; beyond it fails.
    pub samples_max: u64,
    /// Bytes one query may hold at a time; beyond it fails.
    pub query_bytes_max: u64,
    /// Bytes all queries together may hold; whoever asks for more fails.
    pub process_bytes_max: u64,
    /// Bytes of range results kept for dashboards; 0 keeps none. What was not used for longest goes.
    pub cache_bytes_max: u64,
    /// Queries at a time; more wait in the order of arrival, as long as their timeout allows.
    pub concurrency: usize,
    /// Threads all queries together may use besides those that entered.
    pub extra_threads: usize,
    /// Series a thread works on between two looks at the others.
    pub batch: usize,
    /// Below so many samples for each of them further threads cost more than they bring: starting one takes about
    /// 50 µs, and a sample a few nanoseconds.
    pub thread_samples: u64,
}

const GIB: u64 = 1 << 30;

impl Default for Settings {
    fn default() -> Self {
        Self {
            features: Features::default(),
            lookback: Duration::from_secs(5 * 60),
            subquery_step: Duration::from_secs(60),
            timeout: Duration::from_secs(2 * 60),
            samples_max: 50_000_000,
            query_bytes_max: GIB,
            process_bytes_max: 2 * GIB,
            cache_bytes_max: 64 << 20,
            concurrency: 20,
            extra_threads: 0,
            batch: 32,
            thread_samples: 50_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_known_by_its_prometheus_name() {
        let mut features = Features::default();
        assert!(features.enable("promql-experimental-functions"));
        assert!(features.experimental_functions);
        assert!(!features.enable("no-such-feature"));
    }
}
