//! The states a mark can show. Each has its own shape, word and colour, and means one thing on every page.

/// What a mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Ok,
    Info,
    Pending,
    Warning,
    Critical,
    Down,
    Muted,
    NoData,
}

/// All of them, in the order the components page shows them.
pub const ALL: [Tone; 8] =
    [Tone::Critical, Tone::Warning, Tone::Pending, Tone::Ok, Tone::Down, Tone::Muted, Tone::NoData, Tone::Info];

impl Tone {
    /// The symbol in the icon sprite.
    #[must_use]
    pub fn icon(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Pending => "pending",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Down => "down",
            Self::Muted => "muted",
            Self::NoData => "nodata",
        }
    }

    /// The CSS class that colours it: states that ask for the same attention share one.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Ok => "t-ok",
            Self::Info => "t-info",
            Self::Pending | Self::Warning => "t-warning",
            Self::Critical | Self::Down => "t-critical",
            Self::Muted | Self::NoData => "t-muted",
        }
    }

    /// For those who do not see the shape.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Pending => "pending",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Down => "down",
            Self::Muted => "muted",
            Self::NoData => "no data",
        }
    }
}
