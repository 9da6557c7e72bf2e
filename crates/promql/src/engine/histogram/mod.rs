//! Native histograms as values: arithmetic, comparison, reset detection, estimates.
//!
//! Everything works on [`model::histogram::Histogram`] in its float form. One side of a histogram is treated as a
//! list of (index, population) in ascending order; spans are only packed at the end.

pub(crate) mod arithmetic;
pub(crate) mod buckets;
pub(crate) mod estimate;
pub(crate) mod reset;
pub(crate) mod sum;
pub(crate) mod trim;
