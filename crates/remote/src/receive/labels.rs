//! From label fields to labels: what Prometheus takes is taken, everything else is refused in its words.

use model::labels::{Labels, METRIC_NAME};
use wire::remote_write::RemoteWriteError;
use wire::remote_write::read::key_labels;

/// Characters of all names and values of an exemplar at most; `OpenMetrics` says so, and Prometheus keeps to it.
const EXEMPLAR_CHARS_MAX: usize = 128;
/// Characters of labels that an answer shows.
const SHOWN_CHARS_MAX: usize = 512;

/// Labels of a series: named, UTF-8, no name twice. Empty values mean "no such label"; the order does not matter.
/// The inner error is for the sender and concerns this series only.
pub(super) fn series_labels(key: &[u8]) -> Result<Result<Labels, String>, RemoteWriteError> {
    let mut pairs: Vec<(&[u8], &[u8])> = key_labels(key).collect::<Result<_, _>>()?;
    pairs.sort_by(|a, b| a.0.cmp(b.0));
    let named = pairs.iter().any(|(name, value)| *name == METRIC_NAME.as_bytes() && !value.is_empty());
    let Some(texts) = texts(&pairs).filter(|texts| named && texts.iter().all(|(name, _)| !name.is_empty())) else {
        return Ok(Err(format!("invalid metric name or labels, got {}", shown(&pairs))));
    };
    if let Some(twice) = texts.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let name = twice[0].0;
        return Ok(Err(format!("invalid labels for series, labels {}, duplicated label {name}", shown(&pairs))));
    }
    Ok(Ok(Labels::from_sorted(texts.into_iter().filter(|(_, value)| !value.is_empty()))))
}

/// Labels of an exemplar; `None` where it is not one that storage keeps.
pub(super) fn exemplar_labels(key: &[u8]) -> Result<Option<Labels>, RemoteWriteError> {
    let pairs: Vec<(&[u8], &[u8])> = key_labels(key).collect::<Result<_, _>>()?;
    let Some(texts) = texts(&pairs) else { return Ok(None) };
    let chars: usize = texts.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
    Ok((chars <= EXEMPLAR_CHARS_MAX).then(|| Labels::from_pairs(texts)))
}

/// The metric's name; empty where there is none.
pub(super) fn metric_name(key: &[u8]) -> Result<String, RemoteWriteError> {
    for pair in key_labels(key) {
        let (name, value) = pair?;
        if name == METRIC_NAME.as_bytes() {
            return Ok(String::from_utf8_lossy(value).into_owned());
        }
    }
    Ok(String::new())
}

fn texts<'a>(pairs: &[(&'a [u8], &'a [u8])]) -> Option<Vec<(&'a str, &'a str)>> {
    let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).ok();
    pairs.iter().map(|(name, value)| Some((text(name)?, text(value)?))).collect()
}

/// Label fields as an answer shows them, whatever they hold.
fn shown(pairs: &[(&[u8], &[u8])]) -> String {
    let one = |(name, value): &(&[u8], &[u8])| {
        format!("{}={:?}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
    };
    let all = format!("{{{}}}", pairs.iter().map(one).collect::<Vec<_>>().join(", "));
    shortened(&all)
}

/// A text with a bound.
pub(super) fn shortened(text: &str) -> String {
    if text.len() <= SHOWN_CHARS_MAX {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(SHOWN_CHARS_MAX)])
}

/// The family a metric belongs to: lines of histograms and summaries carry a suffix, their family does not.
pub(super) fn family_of(metric: &str, kind: &str) -> String {
    let suffixes: &[&str] = match kind {
        "histogram" => &["_bucket", "_sum", "_count"],
        "gaugehistogram" => &["_bucket", "_gsum", "_gcount"],
        "summary" => &["_sum", "_count"],
        _ => &[],
    };
    suffixes.iter().find_map(|suffix| metric.strip_suffix(suffix)).unwrap_or(metric).to_owned()
}

#[cfg(test)]
mod tests {
    use wire::protobuf::Writer;

    use super::*;

    /// Fields of `name=value` pairs separated by bars.
    fn key(pairs: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for pair in pairs.split(|byte| *byte == b'|').filter(|pair| !pair.is_empty()) {
            let at = pair.iter().position(|byte| *byte == b'=').expect("a pair");
            Writer::new(&mut out).message(1, |writer| {
                writer.bytes(1, &pair[..at]);
                writer.bytes(2, &pair[at + 1..]);
            });
        }
        out
    }

    fn judged(pairs: &[u8]) -> Result<String, String> {
        series_labels(&key(pairs)).expect("the fields are good").map(|labels| labels.to_string())
    }

    #[test]
    fn labels_may_come_in_any_order_and_empty_values_are_none() {
        assert_eq!(judged(b"job=a|__name__=up|gone=").as_deref(), Ok("{__name__=\"up\", job=\"a\"}"));
        assert_eq!(judged("__name__=größe".as_bytes()).as_deref(), Ok("{__name__=\"größe\"}"));
    }

    #[test]
    fn what_is_no_series_is_refused_in_words() {
        let cases: &[(&[u8], &str)] = &[
            (b"", "invalid metric name or labels, got {}"),
            (b"job=a", "invalid metric name or labels, got {job=\"a\"}"),
            (b"__name__=", "invalid metric name or labels, got {__name__=\"\"}"),
            (b"__name__=a|=x", "invalid metric name or labels, got {=\"x\", __name__=\"a\"}"),
            (b"__name__=a\xff", "invalid metric name or labels, got {__name__=\"a\u{fffd}\"}"),
            (
                b"__name__=a|b=1|b=2",
                "invalid labels for series, labels {__name__=\"a\", b=\"1\", b=\"2\"}, duplicated label b",
            ),
        ];
        for (pairs, expected) in cases {
            assert_eq!(judged(pairs), Err((*expected).to_owned()));
        }
    }

    #[test]
    fn an_exemplar_with_too_much_text_is_left_out() {
        let long = format!("a={}", "x".repeat(EXEMPLAR_CHARS_MAX));
        assert_eq!(exemplar_labels(&key(long.as_bytes())), Ok(None));
        assert_eq!(exemplar_labels(&key(b"t=1")), Ok(Some(Labels::from_pairs([("t", "1")]))));
    }

    #[test]
    fn lines_of_a_histogram_belong_to_its_family() {
        assert_eq!(family_of("a_bucket", "histogram"), "a");
        assert_eq!(family_of("a_count", "summary"), "a");
        assert_eq!(family_of("a_count", "gauge"), "a_count");
    }
}
