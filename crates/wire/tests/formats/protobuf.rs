//! The protobuf exposition: messages written here by hand, read as entries.

use wire::exposition::{Format, Options};
use wire::protobuf::{Writer, zigzag};

use crate::render::lines;

fn label(w: &mut Writer<'_>, field: u32, name: &str, value: &str) {
    w.message(field, |w| {
        w.str(1, name);
        w.str(2, value);
    });
}

fn time(w: &mut Writer<'_>, field: u32, seconds: i64, nanos: i64) {
    w.message(field, |w| {
        w.int64(1, seconds);
        w.int64(2, nanos);
    });
}

fn exemplar(w: &mut Writer<'_>, field: u32, trace: &str, value: f64, seconds: Option<i64>) {
    w.message(field, |w| {
        label(w, 1, "trace", trace);
        w.double(2, value);
        if let Some(seconds) = seconds {
            time(w, 3, seconds, 0);
        }
    });
}

fn native(w: &mut Writer<'_>) {
    w.uint64(1, 6);
    w.double(2, 12.5);
    for (count, bound) in [(2u64, 1.0), (5, 4.0)] {
        w.message(3, |w| {
            w.uint64(1, count);
            w.double(2, bound);
            exemplar(w, 3, "bucket", 0.5, None);
        });
    }
    w.sint64(5, 3);
    w.double(6, 0.001);
    w.uint64(7, 1);
    w.message(9, |w| w.sint64(1, -2));
    w.message(9, |w| {
        w.sint64(1, 1);
        w.uint64(2, 1);
    });
    w.packed_varints(10, [zigzag(2)].into_iter());
    w.message(12, |w| {
        w.sint64(1, 4);
        w.uint64(2, 2);
    });
    w.packed_varints(13, [zigzag(1), zigzag(1)].into_iter());
    time(w, 15, 50, 0);
    exemplar(w, 16, "late", 2.0, Some(60));
    exemplar(w, 16, "early", 1.0, Some(55));
    exemplar(w, 16, "timeless", 1.0, None);
}

/// A counter, a name that needs quotes, a summary, a native histogram with classic buckets, a gauge histogram.
pub(crate) fn sample_stream() -> Vec<u8> {
    let mut out = Vec::new();
    let mut w = Writer::new(&mut out);
    let mut family = |name: &str, kind: u64, metric: &dyn Fn(&mut Writer<'_>)| {
        w.delimited(|w| {
            w.str(1, name);
            w.str(2, "help");
            w.uint64(3, kind);
            w.message(4, |w| metric(w));
            w.str(5, if name == "waits" { "seconds" } else { "" });
        });
    };
    family("requests_total", 0, &|w| {
        label(w, 1, "path", "/\"a\"");
        w.message(3, |w| {
            w.double(1, 17.0);
            exemplar(w, 2, "x", 3.0, Some(40));
            time(w, 3, 30, 1_000_000);
        });
        w.int64(6, 41_000);
    });
    family("queue.len", 1, &|w| w.message(2, |w| w.double(1, 3.0)));
    family("sizes", 2, &|w| {
        label(w, 1, "odd.label", "v");
        w.message(4, |w| {
            w.uint64(1, 2);
            w.double(2, 3.5);
            w.message(3, |w| {
                w.double(1, 0.5);
                w.double(2, f64::NAN);
            });
        });
    });
    family("waits", 4, &|w| w.message(7, native));
    family("levels", 5, &|w| {
        w.message(7, |w| {
            w.double(4, 1.5);
            w.double(8, 0.5);
            w.message(12, |w| w.uint64(2, 1));
            w.packed_doubles(14, &[1.0]);
        });
    });
    out
}

#[test]
fn every_kind_of_metric_is_read() {
    let read = lines(&sample_stream(), Format::Protobuf, Options { native_histograms: true, ..Options::default() });
    let expected = [
        "help requests_total: \"help\"",
        "type requests_total: counter",
        "{__name__=\"requests_total\", path=\"/\\\"a\\\"\"} 17 @41000 since 30001 # {trace=\"x\"} 3 @40000",
        "help queue.len: \"help\"",
        "type queue.len: gauge",
        "{__name__=\"queue.len\"} 3",
        "help sizes: \"help\"",
        "type sizes: summary",
        "{__name__=\"sizes_count\", \"odd.label\"=\"v\"} 2",
        "{__name__=\"sizes_sum\", \"odd.label\"=\"v\"} 3.5",
        "{__name__=\"sizes\", \"odd.label\"=\"v\", quantile=\"0.5\"} NaN",
        "help waits: \"help\"",
        "type waits: histogram",
        "unit waits: \"seconds\"",
        "{__name__=\"waits\"} int schema 3 count 6 sum 12.5 zero 0.001:1 + [(4, 2)] [1, 1] - [(-1, 1)] [2] bounds [] \
         Unknown since 50000 # {trace=\"early\"} 1 @55000 # {trace=\"late\"} 2 @60000",
        "help levels: \"help\"",
        "type levels: gaugehistogram",
        "{__name__=\"levels\"} float schema 0 count 1.5 sum 0 zero 0:0.5 + [(0, 1)] [1.0] bounds [] Gauge",
    ];
    assert_eq!(read, expected);
}

#[test]
fn classic_buckets_are_read_where_native_ones_are_not_wanted_or_both_are() {
    let buckets = [
        "{__name__=\"waits_count\"} 6 since 50000",
        "{__name__=\"waits_sum\"} 12.5 since 50000",
        "{__name__=\"waits_bucket\", le=\"1.0\"} 2 since 50000 # {trace=\"bucket\"} 0.5 @-1",
        "{__name__=\"waits_bucket\", le=\"4.0\"} 5 since 50000 # {trace=\"bucket\"} 0.5 @-1",
        "{__name__=\"waits_bucket\", le=\"+Inf\"} 6 since 50000",
    ];
    let classic = lines(&sample_stream(), Format::Protobuf, Options::default());
    let from = classic.iter().position(|line| line.starts_with("unit waits")).unwrap() + 1;
    assert_eq!(classic[from..from + 5], buckets);
    let both = Options { native_histograms: true, always_classic: true, ..Options::default() };
    let both = lines(&sample_stream(), Format::Protobuf, both);
    let from = both.iter().position(|line| line.starts_with("unit waits")).unwrap() + 1;
    assert!(both[from].contains("int schema 3"));
    assert_eq!(both[from + 1..from + 6], buckets);
}

#[test]
fn a_message_that_is_cut_off_or_has_no_value_says_so() {
    let stream = sample_stream();
    let cut = lines(&stream[..stream.len() - 1], Format::Protobuf, Options::default());
    assert!(cut.last().unwrap().starts_with("error: protobuf: byte "), "{cut:?}");
    let mut out = Vec::new();
    Writer::new(&mut out).delimited(|w| {
        w.str(1, "a");
        w.message(4, |_| {});
    });
    let read = lines(&out, Format::Protobuf, Options::default());
    assert!(read.last().unwrap().contains("\"a\" is a counter, but has no value of that"), "{read:?}");
}
