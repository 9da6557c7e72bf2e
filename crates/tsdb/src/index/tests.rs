//! The index against a look at every series, while it grows, is merged, and is rebuilt.

use model::labels::Labels;
use model::matcher::{MatchOp, Matcher, matches_all};

use crate::index::head::HeadIndex;
use crate::index::{Ids, IdsBuilder};
use crate::seeded::Seeded;

/// Every operator with every kind of pattern, alone and together. Made once: patterns take long to compile.
pub(crate) fn selectors() -> &'static [Vec<Matcher>] {
    static SELECTORS: std::sync::LazyLock<Vec<Vec<Matcher>>> = std::sync::LazyLock::new(make_selectors);
    &SELECTORS
}

fn make_selectors() -> Vec<Vec<Matcher>> {
    let conditions = [
        (MatchOp::Equal, ["metric_2", "", "nothing", "metric_"].as_slice()),
        (MatchOp::NotEqual, &["metric_2", "", "nothing"]),
        (
            MatchOp::Regex,
            &[
                "metric_2",
                "metric_1|metric_3|x",
                "metric_.*",
                "metric_1.*",
                ".+",
                ".*",
                "",
                ".*_4.*",
                "metric_[0-3]",
                "(?i)METRIC_5",
                ".*3",
                "metric_2|",
                "z.*",
                "host-1.*",
            ],
        ),
        (MatchOp::NotRegex, &["metric_2", "metric_1|metric_3", "metric_1.*", ".+", ".*", "", "|metric_4", ".*[13]"]),
    ];
    let mut selectors = vec![Vec::new()];
    for name in ["__name__", "slot", "job", "absent"] {
        for (op, patterns) in &conditions {
            for pattern in *patterns {
                let matcher = Matcher::new(name, *op, pattern).unwrap();
                selectors.push(vec![matcher.clone()]);
                selectors.push(vec![matcher.clone(), Matcher::equal("instance", "host-1:9100")]);
                selectors.push(vec![Matcher::new("instance", MatchOp::NotRegex, ".*2:.*").unwrap(), matcher]);
            }
        }
    }
    selectors
}

fn series(at: usize) -> Labels {
    let metric = format!("metric_{}", at % 37);
    let instance = format!("host-{}:9100", at / 37 % 3);
    let mut pairs = vec![("__name__", metric), ("instance", instance), ("pod", format!("p{}", at / 111))];
    if at.is_multiple_of(3) {
        pairs.push(("slot", format!("metric_{}", at % 7)));
    }
    if !at.is_multiple_of(10) {
        pairs.push(("job", "node".to_owned()));
    }
    Labels::from_pairs(pairs)
}

#[track_caller]
fn check(index: &HeadIndex, all: &[Labels]) {
    let snapshot = index.snapshot();
    assert_eq!(snapshot.len(), all.len());
    // Not a multiple of three, so that each kind of selector comes along.
    for matchers in selectors().iter().skip(all.len() % 4).step_by(::tests::depth::pick(4, 1)) {
        let expected: Ids = (0..all.len() as u32).filter(|id| matches_all(matchers, &all[*id as usize])).collect();
        assert_eq!(snapshot.select(matchers), expected, "{matchers:?} among {}", all.len());
    }
    for (id, labels) in all.iter().enumerate().step_by(7) {
        assert_eq!(snapshot.labels(id as u32).as_ref(), Some(labels));
        assert_eq!(index.get(labels), Some(id as u32));
    }
    assert_eq!(snapshot.labels(all.len() as u32), None);
}

#[test]
fn the_head_index_finds_what_a_look_at_every_series_finds() {
    let index = HeadIndex::new();
    let mut all = Vec::new();
    for at in 0..::tests::depth::pick(600, 2500) {
        let labels = series(at);
        assert_eq!(index.insert(&labels), at as u32);
        assert_eq!(index.insert(&labels), at as u32, "the second time it is there");
        all.push(labels);
        if [0, 1, 255, 256, 300].contains(&at) {
            check(&index, &all);
        }
    }
    check(&index, &all);
    while index.maintain() {}
    check(&index, &all);
    assert!(index.heap_bytes() > all.len() * 20);
}

#[test]
fn an_old_snapshot_does_not_change_while_the_index_grows_and_merges() {
    let index = HeadIndex::new();
    for at in 0..700 {
        index.insert(&series(at));
    }
    let old = index.snapshot();
    let matcher = [Matcher::new("pod", MatchOp::Regex, "p.*").unwrap()];
    let before = old.select(&matcher);
    for at in 700..9000 {
        index.insert(&series(at));
    }
    while index.maintain() {}
    assert_eq!(old.select(&matcher), before);
    assert_eq!(before.len(), 700);
    assert_eq!(index.snapshot().select(&matcher).len(), 9000);
}

#[test]
fn readers_and_a_writer_go_on_side_by_side() {
    let index = HeadIndex::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for at in 0..4000 {
                index.insert(&series(at));
            }
        });
        scope.spawn(|| {
            while index.len() < 4000 {
                index.maintain();
            }
        });
        let mut seen = 0;
        while seen < 4000 {
            let snapshot = index.snapshot();
            let found = snapshot.select(&[Matcher::new("instance", MatchOp::Regex, ".+").unwrap()]).len() as usize;
            assert_eq!(found, snapshot.len());
            assert!(found >= seen);
            seen = found;
        }
    });
}

#[test]
fn a_rebuilt_index_has_the_kept_series_in_the_same_order() {
    let index = HeadIndex::new();
    let all: Vec<Labels> = (0..600).map(series).collect();
    for labels in &all {
        index.insert(labels);
    }
    let keep: Ids = (0..600u32).filter(|id| id % 3 != 1).collect();
    let (rebuilt, ids) = index.rebuild(&keep);
    let kept: Vec<Labels> = keep.iter().map(|id| all[id as usize].clone()).collect();
    check(&rebuilt, &kept);
    assert_eq!((ids[0], ids[1], ids[2], ids[3]), (Some(0), None, Some(1), Some(2)));
}

#[test]
fn names_values_and_counts_are_those_of_the_series() {
    let index = HeadIndex::new();
    for at in 0..1000 {
        index.insert(&series(at));
    }
    let snapshot = index.snapshot();
    assert_eq!(snapshot.label_names(None), ["__name__", "instance", "job", "pod", "slot"]);
    assert_eq!(snapshot.label_values("instance", None), ["host-0:9100", "host-1:9100", "host-2:9100"]);
    let some = snapshot.select(&[Matcher::equal("pod", "p3"), Matcher::equal("job", "")]);
    assert_eq!(snapshot.label_names(Some(&some)), ["__name__", "instance", "pod", "slot"]);
    assert_eq!(snapshot.label_values("pod", Some(&some)), ["p3"]);
    assert!(snapshot.label_values("absent", None).is_empty());
    let top = snapshot.cardinality(2);
    assert_eq!(top.series, 1000);
    assert_eq!(top.series_by_metric, [("metric_0".to_owned(), 28), ("metric_1".to_owned(), 27)]);
    assert_eq!(top.series_by_label[0], ("__name__".into(), 1000));
    assert_eq!(top.values_by_label[0], ("__name__".into(), 37));
    assert_eq!(top.series_by_pair[0], ("job=node".into(), 900));
}

#[test]
fn a_union_is_the_same_however_its_parts_came() {
    let mut random = Seeded::new(1);
    let mut builder = IdsBuilder::default();
    let mut expected = Ids::new();
    for _ in 0..100 {
        let (start, len) = (random.below(100_000) as u32, random.below(30) as u32);
        builder.push_run(start, len);
        expected.extend(start..start + len);
        let single = random.below(100_000) as u32;
        builder.push(single);
        expected.insert(single);
        let set: Ids = (0..20).map(|_| random.below(100_000) as u32).collect();
        builder.union(&set);
        expected |= set;
    }
    assert_eq!(builder.finish(), expected);
}
