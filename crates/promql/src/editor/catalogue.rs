//! What the editor may ask about what is stored.

/// What a metric says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetricType {
    Counter,
    Gauge,
    Histogram,
    GaugeHistogram,
    Summary,
    Info,
    StateSet,
}

impl MetricType {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }
}

/// The metrics and labels there are. Answers are sorted and at most `limit` long; what is not known is left out.
pub trait Catalogue {
    fn metric_type(&self, metric: &str) -> Option<MetricType>;

    fn metric_help(&self, metric: &str) -> Option<String>;

    fn metric_names(&self, prefix: &str, limit: usize) -> Vec<String>;

    /// The labels of a metric, or all labels.
    fn label_names(&self, metric: Option<&str>, prefix: &str, limit: usize) -> Vec<String>;

    fn label_values(&self, metric: Option<&str>, label: &str, prefix: &str, limit: usize) -> Vec<String>;
}

/// Nothing is known: only the language itself is helped with.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCatalogue;

impl Catalogue for NoCatalogue {
    fn metric_type(&self, _metric: &str) -> Option<MetricType> {
        None
    }

    fn metric_help(&self, _metric: &str) -> Option<String> {
        None
    }

    fn metric_names(&self, _prefix: &str, _limit: usize) -> Vec<String> {
        Vec::new()
    }

    fn label_names(&self, _metric: Option<&str>, _prefix: &str, _limit: usize) -> Vec<String> {
        Vec::new()
    }

    fn label_values(&self, _metric: Option<&str>, _label: &str, _prefix: &str, _limit: usize) -> Vec<String> {
        Vec::new()
    }
}
