//! `label_replace`, `label_join`, `absent`: functions about labels.

use model::labels::{Labels, METRIC_NAME};
use model::matcher::{MatchOp, Matcher, anchored};
use model::query::QueryError;
use regex::Regex;

use super::super::column::Column;
use super::super::plan::{Grid, Kind, Node};
use super::Run;
use super::frame::{Frame, Head, Stream};

/// `label_replace(v, dst, replacement, src, regex)`
pub(crate) fn replace<'r>(
    run: &Run<'_>,
    input: Stream<'_>,
    [dst, replacement, src, pattern]: [&str; 4],
    grid: Grid,
) -> Result<Stream<'r>, QueryError> {
    let bad = |what: &str, text: &str| QueryError::Execution(format!("invalid {what} in label_replace(): {text}"));
    let regex = anchored(pattern).map_err(|_| bad("regular expression", pattern))?;
    if !is_label_name(dst) {
        return Err(bad("destination label name", dst));
    }
    relabelled(run, input, grid, dst, |labels| replaced(labels, &regex, src, replacement))
}

/// `$1`, `${1}`, `$name`; Go and Rust read them alike: `$1x` is the group named `1x`, a lone `$` is itself.
fn replaced(labels: &Labels, regex: &Regex, src: &str, replacement: &str) -> Option<String> {
    let captures = regex.captures(labels.get(src).unwrap_or(""))?;
    let mut value = String::new();
    captures.expand(replacement, &mut value);
    Some(value)
}

/// Any text is a label name that is not empty and is UTF-8. Where escapes such as `\xff` made it something else, the
/// parser left the mark of that in it.
pub(crate) fn is_label_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(char::REPLACEMENT_CHARACTER)
}

/// `label_join(v, dst, separator, src…)`
pub(crate) fn join<'r>(
    run: &Run<'_>,
    input: Stream<'_>,
    (dst, separator, sources): (&str, &str, &[String]),
    grid: Grid,
) -> Result<Stream<'r>, QueryError> {
    let bad = |what: &str, text: &str| QueryError::Execution(format!("invalid {what} in label_join(): {text}"));
    if let Some(source) = sources.iter().find(|source| !is_label_name(source)) {
        return Err(bad("source label name", source));
    }
    if !is_label_name(dst) {
        return Err(bad("destination label name", dst));
    }
    relabelled(run, input, grid, dst, |labels| {
        let values: Vec<&str> = sources.iter().map(|source| labels.get(source).unwrap_or("")).collect();
        Some(values.join(separator))
    })
}

/// Sets a label to what `value` makes of the others; series that become the same are merged.
fn relabelled<'r>(
    run: &Run<'_>,
    input: Stream<'_>,
    grid: Grid,
    dst: &str,
    value: impl Fn(&Labels) -> Option<String>,
) -> Result<Stream<'r>, QueryError> {
    let mut frame = input.into_frame(run, grid)?;
    for series in &mut frame.series {
        let labels = run.visible(&series.head);
        let Some(value) = value(&labels) else { continue };
        series.head.labels = labels.to_builder().set(dst, &value).build();
        // A name that was set on purpose stays.
        if dst == METRIC_NAME {
            series.head.dropped = false;
        }
    }
    frame.merge_same()?;
    Ok(Stream::Frame(frame))
}

/// `absent`, `absent_over_time`: 1 at the steps at which nothing is there.
pub(crate) fn absent<'r>(run: &Run<'_>, present: &[bool], argument: &Node) -> Result<Stream<'r>, QueryError> {
    let mut column = Column::absent(present.len());
    for (step, present) in present.iter().enumerate() {
        if !present {
            column.set_float(step, 1.0);
        }
    }
    let mut frame = Frame::default();
    frame.push(Head { labels: absent_labels(argument), dropped: false }, column, &run.budget)?;
    Ok(Stream::Frame(frame))
}

/// The labels a bare selector asks for with `=`. A later condition on the same label takes it back.
fn absent_labels(argument: &Node) -> Labels {
    let Kind::Selector(selector) = &argument.kind else { return Labels::empty() };
    let mut builder = Labels::empty().to_builder();
    let mut asked: Vec<&str> = Vec::new();
    let conditions = selector.matchers.iter().filter(|m: &&Matcher| &*m.name != METRIC_NAME);
    for matcher in conditions {
        if matcher.op == MatchOp::Equal && !asked.contains(&&*matcher.name) {
            builder.set(&matcher.name, &matcher.value);
            asked.push(&matcher.name);
        } else {
            builder.remove(&matcher.name);
        }
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_expand_as_in_go() {
        let labels = Labels::from_pairs([("src", "one-two")]);
        let regex = anchored("(?P<first>.*)-(.*)").expect("compiles");
        let check = |template: &str, expected: &str| {
            assert_eq!(replaced(&labels, &regex, "src", template).as_deref(), Some(expected), "{template}");
        };
        check("$2", "two");
        check("${2}x", "twox");
        check("$2x", "");
        check("$first", "one");
        check("$$1", "$1");
        check("a$", "a$");
        check("$-$1", "$-one");
        check("a", "a");
        let digits = anchored("[0-9]+").expect("compiles");
        assert_eq!(replaced(&labels, &digits, "src", "$1"), None);
    }
}
