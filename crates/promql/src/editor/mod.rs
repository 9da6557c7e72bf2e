//! What an editor of queries needs: colours, problems, completions, explanations.
//!
//! Pure functions over the text, the parser and a small [`Catalogue`] of what is stored. Promises: they take any
//! text, finished or not, without panicking; results are bounded; positions are bytes of the text as given.
//! Not here: how any of it is shown.

pub mod catalogue;
pub mod complete;
pub mod diagnose;
pub mod highlight;
pub mod hover;
mod scan;
mod words;

pub use catalogue::{Catalogue, MetricType, NoCatalogue};
pub use complete::{Completion, CompletionKind, Completions, complete};
pub use diagnose::{Diagnostic, Severity, diagnose};
pub use highlight::{Highlight, Role, highlight};
pub use hover::{Hover, hover};

/// Longer texts are not coloured, completed or explained: nobody edits them by hand.
pub const EDITOR_BYTES_MAX: usize = 64 << 10;
