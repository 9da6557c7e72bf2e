//! The index in memory: series are added to it while others read, and neither waits for the other.
//!
//! Series get ids in the order they come. The last few lie in an open tail, looked through one by one; each full tail
//! becomes an immutable *segment* over its range of ids, and segments of like size are merged ([`HeadIndex::maintain`]),
//! so there are few of them. A reader takes a [`HeadIndexSnapshot`]: some pointers, copied under a lock that is never
//! held while anything is searched. Labels are numbers of interned name-value pairs, four bytes each.
//! Not here: what happens to a series' samples, when a series is forgotten ([`HeadIndex::rebuild`] is the means).

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use hashbrown::{DefaultHashBuilder, HashTable};
use model::labels::{Labels, METRIC_NAME};
use model::matcher::Matcher;

use crate::error::TsdbError;
use crate::index::select::{Selector, select_prepared};
use crate::index::{Cardinality, Decision, Ids, IdsBuilder, IndexRead, keep_top};

/// Series in the open tail: looking through it costs a query at most some 30 µs.
const TAIL_SERIES: usize = 256;
/// Segments of like size that are merged into one.
const MERGE_FAN_IN: usize = 8;
/// With more segments than this an insertion merges itself instead of leaving it to the background.
const SEGMENTS_MAX: usize = 64;
/// Pairs in one piece of the table of pairs.
const PAIRS_IN_CHUNK: usize = 1024;

/// One interned name and value.
#[derive(Debug)]
struct Pair {
    name: Arc<str>,
    value: Box<str>,
}

type PairChunk = Box<[OnceLock<Pair>]>;

/// All pairs by number. Grows at the end only, so an old copy of the list of chunks stays right.
#[derive(Clone, Debug, Default)]
struct Pairs {
    chunks: Arc<Vec<Arc<PairChunk>>>,
}

impl Pairs {
    fn get(&self, pair: u32) -> (&str, &str) {
        let chunk = &self.chunks[pair as usize / PAIRS_IN_CHUNK];
        chunk[pair as usize % PAIRS_IN_CHUNK].get().map_or(("", ""), |pair| (&pair.name, &pair.value))
    }

    fn push(&mut self, at: u32, pair: Pair) {
        let place = at as usize % PAIRS_IN_CHUNK;
        if place == 0 {
            let chunk: PairChunk = (0..PAIRS_IN_CHUNK).map(|_| OnceLock::new()).collect();
            // A copy of the pointers where a snapshot holds them: once in 1,024 pairs.
            Arc::make_mut(&mut self.chunks).push(Arc::new(chunk));
        }
        let chunk = &self.chunks[at as usize / PAIRS_IN_CHUNK];
        chunk[place].get_or_init(|| pair);
    }
}

/// The open tail: places are filled once, in order.
#[derive(Debug)]
struct Tail {
    first: u32,
    tuples: Box<[OnceLock<Box<[u32]>>]>,
}

impl Tail {
    fn new(first: u32) -> Arc<Self> {
        Arc::new(Self { first, tuples: (0..TAIL_SERIES).map(|_| OnceLock::new()).collect() })
    }

    fn tuple(&self, id: u32) -> Option<&[u32]> {
        self.tuples.get(id.checked_sub(self.first)? as usize)?.get().map(|tuple| &**tuple)
    }
}

/// The series of one pair within a segment, in 16 bytes for the many that have few.
#[derive(Clone, Debug)]
enum Posting {
    One(u32),
    Run(u32, u32),
    List(Box<[u32]>),
    Set(Box<Ids>),
}

/// Up to so many ids a plain list is smaller than a bitmap, or not much larger.
const LIST_MAX: usize = 16;

impl Posting {
    fn of(ids: &[u32]) -> Self {
        let (first, len) = (ids[0], ids.len());
        if len == 1 {
            Self::One(first)
        } else if (ids[len - 1] - first) as usize == len - 1 {
            Self::Run(first, len as u32)
        } else if len <= LIST_MAX {
            Self::List(ids.into())
        } else {
            let mut set: Ids = ids.iter().copied().collect();
            set.optimize();
            Self::Set(Box::new(set))
        }
    }

    fn add_to(&self, into: &mut IdsBuilder<'_>) {
        match self {
            Self::One(id) => into.push(*id),
            Self::Run(start, len) => into.push_run(*start, *len),
            Self::List(ids) => into.extend(ids.iter().copied()),
            Self::Set(set) => into.union(set),
        }
    }

    fn ids(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        match self {
            Self::One(id) => Box::new(std::iter::once(*id)),
            Self::Run(start, len) => Box::new(*start..*start + *len),
            Self::List(ids) => Box::new(ids.iter().copied()),
            Self::Set(set) => Box::new(set.iter()),
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::One(_) => 1,
            Self::Run(_, len) => u64::from(*len),
            Self::List(ids) => ids.len() as u64,
            Self::Set(set) => set.len(),
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Self::One(_) | Self::Run(..) => 0,
            Self::List(ids) => ids.len() * 4,
            Self::Set(set) => set.serialized_size() + size_of::<Ids>() + 32,
        }
    }
}

/// An immutable index of the series `first..first + len`.
#[derive(Debug)]
struct Segment {
    first: u32,
    /// Where each series' pairs begin in `tuples`; one more at the end.
    starts: Box<[u32]>,
    tuples: Box<[u32]>,
    names: Box<[SegmentName]>,
    /// Pairs sorted by name and value, and their series at the same index.
    sorted: Box<[u32]>,
    postings: Box<[Posting]>,
}

#[derive(Debug)]
struct SegmentName {
    name: Arc<str>,
    /// Its pairs in `sorted`.
    from: u32,
    to: u32,
    present: Ids,
}

impl Segment {
    fn len(&self) -> usize {
        self.starts.len() - 1
    }

    fn tuple(&self, id: u32) -> Option<&[u32]> {
        let at = id.checked_sub(self.first)? as usize;
        Some(&self.tuples[*self.starts.get(at)? as usize..*self.starts.get(at + 1)? as usize])
    }

    /// A segment of a full tail.
    fn of_tail(tail: &Tail, pairs: &Pairs) -> Self {
        let mut entries: Vec<(u32, u32)> = Vec::new();
        let (mut starts, mut tuples) = (vec![0], Vec::new());
        for (id, tuple) in (tail.first..).zip(&tail.tuples) {
            let tuple = tuple.get().map_or(&[] as &[u32], |tuple| tuple);
            entries.extend(tuple.iter().map(|pair| (*pair, id)));
            tuples.extend_from_slice(tuple);
            starts.push(tuples.len() as u32);
        }
        // By number first: comparing texts is for the distinct ones only.
        entries.sort_unstable();
        let mut groups: Vec<(u32, Posting)> = entries
            .chunk_by(|a, b| a.0 == b.0)
            .map(|group| (group[0].0, Posting::of(&group.iter().map(|entry| entry.1).collect::<Vec<_>>())))
            .collect();
        groups.sort_unstable_by(|a, b| pairs.get(a.0).cmp(&pairs.get(b.0)));
        Self::assemble(tail.first, starts, tuples, groups, pairs)
    }

    /// One segment of several neighbours.
    fn merge(segments: &[Arc<Self>], pairs: &Pairs) -> Self {
        let (mut starts, mut tuples) = (vec![0], Vec::new());
        let mut entries: Vec<(u32, usize, usize)> = Vec::new();
        for (which, segment) in segments.iter().enumerate() {
            let base = tuples.len() as u32;
            starts.extend(segment.starts[1..].iter().map(|start| base + start));
            tuples.extend_from_slice(&segment.tuples);
            entries.extend(segment.sorted.iter().enumerate().map(|(at, pair)| (*pair, which, at)));
        }
        // Sorted runs one after the other: the stable sort only merges them.
        entries
            .sort_by(|a, b| if a.0 == b.0 { std::cmp::Ordering::Equal } else { pairs.get(a.0).cmp(&pairs.get(b.0)) });
        let groups = entries.chunk_by(|a, b| a.0 == b.0).map(|group| match group {
            [(pair, which, at)] => (*pair, segments[*which].postings[*at].clone()),
            _ => {
                let ids: Vec<u32> =
                    group.iter().flat_map(|(_, which, at)| segments[*which].postings[*at].ids()).collect();
                (group[0].0, Posting::of(&ids))
            }
        });
        let groups: Vec<(u32, Posting)> = groups.collect();
        Self::assemble(segments[0].first, starts, tuples, groups, pairs)
    }

    fn assemble(first: u32, starts: Vec<u32>, tuples: Vec<u32>, groups: Vec<(u32, Posting)>, pairs: &Pairs) -> Self {
        let mut names = Vec::new();
        let mut from = 0;
        for group in groups.chunk_by(|a, b| pairs.get(a.0).0 == pairs.get(b.0).0) {
            let name = pairs.get(group[0].0).0;
            let mut present = IdsBuilder::default();
            for (_, posting) in group {
                posting.add_to(&mut present);
            }
            let mut present = present.finish();
            present.optimize();
            let to = from + group.len() as u32;
            names.push(SegmentName { name: name.into(), from, to, present });
            from = to;
        }
        let (sorted, postings): (Vec<u32>, Vec<Posting>) = groups.into_iter().unzip();
        Self {
            first,
            starts: starts.into(),
            tuples: tuples.into(),
            names: names.into(),
            sorted: sorted.into(),
            postings: postings.into(),
        }
    }

    fn name(&self, name: &str) -> Option<&SegmentName> {
        let at = self.names.binary_search_by(|entry| (*entry.name).cmp(name)).ok()?;
        self.names.get(at)
    }

    fn heap_bytes(&self) -> usize {
        let names: usize =
            self.names.iter().map(|name| name.present.serialized_size() + size_of::<SegmentName>()).sum();
        let postings: usize = self.postings.iter().map(Posting::heap_bytes).sum();
        (self.starts.len() + self.tuples.len() + self.sorted.len()) * 4
            + self.postings.len() * size_of::<Posting>()
            + names
            + postings
    }
}

/// A segment together with the texts of its pairs.
struct SegmentView<'s> {
    segment: &'s Segment,
    pairs: &'s Pairs,
}

impl SegmentView<'_> {
    /// The first pair of a label that is not less than `value`.
    fn lower_bound(&self, name: &SegmentName, value: &str) -> usize {
        let pairs = &self.segment.sorted[name.from as usize..name.to as usize];
        name.from as usize + pairs.partition_point(|pair| self.pairs.get(*pair).1 < value)
    }
}

impl IndexRead for SegmentView<'_> {
    fn all(&self) -> Ids {
        let mut ids = Ids::new();
        ids.insert_range(self.segment.first..self.segment.first + self.segment.len() as u32);
        ids
    }

    fn present(&self, name: &str) -> Result<Ids, TsdbError> {
        Ok(self.segment.name(name).map(|entry| entry.present.clone()).unwrap_or_default())
    }

    fn add_value(&self, name: &str, value: &str, into: &mut IdsBuilder<'_>) -> Result<(), TsdbError> {
        let Some(entry) = self.segment.name(name) else { return Ok(()) };
        let at = self.lower_bound(entry, value);
        if at < entry.to as usize && self.pairs.get(self.segment.sorted[at]).1 == value {
            self.segment.postings[at].add_to(into);
        }
        Ok(())
    }

    fn add_range(
        &self,
        name: &str,
        from: &str,
        decide: &mut dyn FnMut(&str) -> Decision,
        into: &mut IdsBuilder<'_>,
    ) -> Result<(), TsdbError> {
        let Some(entry) = self.segment.name(name) else { return Ok(()) };
        for at in self.lower_bound(entry, from)..entry.to as usize {
            match decide(self.pairs.get(self.segment.sorted[at]).1) {
                Decision::Take => self.segment.postings[at].add_to(into),
                Decision::Skip => {}
                Decision::Stop => break,
            }
        }
        Ok(())
    }
}

/// What only the writer touches, and what snapshots are copied from.
#[derive(Debug)]
struct Writer {
    hasher: DefaultHashBuilder,
    names: HashTable<Arc<str>>,
    pair_ids: HashTable<u32>,
    series_ids: HashTable<u32>,
    pairs: Pairs,
    pair_count: u32,
    segments: Arc<Vec<Arc<Segment>>>,
    tail: Arc<Tail>,
    /// The next id.
    len: u32,
    text_bytes: usize,
}

/// The index of the head. All methods take `&self`.
#[derive(Debug)]
pub struct HeadIndex {
    writer: Mutex<Writer>,
    /// Held while segments are merged, so that only one thread does.
    merging: Mutex<()>,
}

impl Default for HeadIndex {
    fn default() -> Self {
        Self::new()
    }
}

impl HeadIndex {
    #[must_use]
    pub fn new() -> Self {
        let writer = Writer {
            hasher: DefaultHashBuilder::default(),
            names: HashTable::new(),
            pair_ids: HashTable::new(),
            series_ids: HashTable::new(),
            pairs: Pairs::default(),
            pair_count: 0,
            segments: Arc::default(),
            tail: Tail::new(0),
            len: 0,
            text_bytes: 0,
        };
        Self { writer: Mutex::new(writer), merging: Mutex::new(()) }
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // Every change leaves the index whole, so a holder that panicked does no harm.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id of a series that is in the index.
    #[must_use]
    pub fn get(&self, labels: &Labels) -> Option<u32> {
        let writer = self.writer();
        writer.find(writer.hasher.hash_one(labels), labels)
    }

    /// The id of a series, which is put in if it is not there. New ids follow each other.
    pub fn insert(&self, labels: &Labels) -> u32 {
        let mut writer = self.writer();
        let hash = writer.hasher.hash_one(labels);
        if let Some(id) = writer.find(hash, labels) {
            return id;
        }
        let id = writer.add(hash, labels);
        let crowded = writer.segments.len() > SEGMENTS_MAX;
        drop(writer);
        if crowded {
            self.maintain();
        }
        id
    }

    /// The labels of a series.
    #[must_use]
    pub fn labels(&self, id: u32) -> Option<Labels> {
        let writer = self.writer();
        writer.tuple(id).map(|tuple| writer.pairs.labels(tuple))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.writer().len as usize
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is in the index now.
    #[must_use]
    pub fn snapshot(&self) -> HeadIndexSnapshot {
        let writer = self.writer();
        HeadIndexSnapshot {
            pairs: writer.pairs.clone(),
            segments: Arc::clone(&writer.segments),
            tail: Arc::clone(&writer.tail),
            len: writer.len,
        }
    }

    /// Merges segments of like size; true where there was something to do. For a background thread: inserting goes on
    /// meanwhile.
    pub fn maintain(&self) -> bool {
        let _only_one = self.merging.lock().unwrap_or_else(PoisonError::into_inner);
        let (segments, pairs) = {
            let writer = self.writer();
            (Arc::clone(&writer.segments), writer.pairs.clone())
        };
        let Some(range) = merge_range(&segments) else { return false };
        let merged = Arc::new(Segment::merge(&segments[range.clone()], &pairs));
        let mut writer = self.writer();
        // Others only ever added segments behind: the range is still where it was.
        Arc::make_mut(&mut writer.segments).splice(range, [merged]);
        true
    }

    /// A new index of the kept series, in the same order, and the new id of each old one.
    #[must_use]
    pub fn rebuild(&self, keep: &Ids) -> (Self, Vec<Option<u32>>) {
        let old = self.snapshot();
        let new = Self::new();
        let mut ids = vec![None; old.len as usize];
        for id in keep {
            if let Some(labels) = old.labels(id) {
                ids[id as usize] = Some(new.insert(&labels));
            }
        }
        while new.maintain() {}
        (new, ids)
    }

    /// About how many bytes it holds on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let writer = self.writer();
        let segments: usize = writer.segments.iter().map(|segment| segment.heap_bytes()).sum();
        let tables = (writer.pair_ids.capacity() + writer.series_ids.capacity()) * 5;
        let chunks = writer.pairs.chunks.len() * PAIRS_IN_CHUNK * size_of::<OnceLock<Pair>>();
        segments + tables + chunks + writer.text_bytes
    }
}

/// The last run of segments of like size that is worth merging.
fn merge_range(segments: &[Arc<Segment>]) -> Option<std::ops::Range<usize>> {
    let tier = |segment: &Arc<Segment>| (segment.len() / TAIL_SERIES).max(1).ilog(MERGE_FAN_IN);
    let mut to = segments.len();
    while to > 0 {
        let this = tier(&segments[to - 1]);
        let from = segments[..to].iter().rposition(|segment| tier(segment) != this).map_or(0, |at| at + 1);
        if to - from >= MERGE_FAN_IN {
            return Some(from..to);
        }
        to = from;
    }
    None
}

impl Pairs {
    fn labels(&self, tuple: &[u32]) -> Labels {
        Labels::from_sorted(tuple.iter().map(|pair| self.get(*pair)))
    }
}

impl Writer {
    fn tuple(&self, id: u32) -> Option<&[u32]> {
        tuple_of(&self.segments, &self.tail, id)
    }

    fn find(&self, hash: u64, labels: &Labels) -> Option<u32> {
        let same = |id: &u32| {
            let Some(tuple) = self.tuple(*id) else { return false };
            tuple.iter().map(|pair| self.pairs.get(*pair)).eq(labels)
        };
        self.series_ids.find(hash, same).copied()
    }

    fn add(&mut self, hash: u64, labels: &Labels) -> u32 {
        let tuple: Box<[u32]> = labels.iter().map(|(name, value)| self.intern(name, value)).collect();
        let id = self.len;
        let place = (id - self.tail.first) as usize;
        self.tail.tuples[place].get_or_init(|| tuple);
        self.len += 1;
        let (segments, tail, pairs, hasher) = (&self.segments, &self.tail, &self.pairs, &self.hasher);
        self.series_ids.insert_unique(hash, id, |id| {
            // Growing the table: the hash of a series is made again from its texts.
            tuple_of(segments, tail, *id).map_or(0, |tuple| hasher.hash_one(pairs.labels(tuple)))
        });
        if place + 1 == TAIL_SERIES {
            let segment = Arc::new(Segment::of_tail(&self.tail, &self.pairs));
            Arc::make_mut(&mut self.segments).push(segment);
            self.tail = Tail::new(self.len);
        }
        id
    }

    fn intern(&mut self, name: &str, value: &str) -> u32 {
        let hash = self.hasher.hash_one((name, value));
        let pairs = &self.pairs;
        if let Some(pair) = self.pair_ids.find(hash, |pair| pairs.get(*pair) == (name, value)) {
            return *pair;
        }
        let name_hash = self.hasher.hash_one(name);
        let hasher = &self.hasher;
        let shared = self
            .names
            .entry(name_hash, |known| &**known == name, |known| hasher.hash_one(&**known))
            .or_insert_with(|| name.into())
            .get()
            .clone();
        let pair = self.pair_count;
        self.pair_count += 1;
        // The text and the allocator's share of it.
        self.text_bytes += value.len().next_multiple_of(16);
        self.pairs.push(pair, Pair { name: shared, value: value.into() });
        let pairs = &self.pairs;
        self.pair_ids.insert_unique(hash, pair, |pair| hasher.hash_one(pairs.get(*pair)));
        pair
    }
}

fn tuple_of<'t>(segments: &'t [Arc<Segment>], tail: &'t Tail, id: u32) -> Option<&'t [u32]> {
    if id >= tail.first {
        return tail.tuple(id);
    }
    let at = segments.partition_point(|segment| segment.first <= id).checked_sub(1)?;
    segments[at].tuple(id)
}

/// The index as it was at one moment. Searching it takes no lock.
#[derive(Clone, Debug)]
pub struct HeadIndexSnapshot {
    pairs: Pairs,
    segments: Arc<Vec<Arc<Segment>>>,
    tail: Arc<Tail>,
    len: u32,
}

impl HeadIndexSnapshot {
    /// The series that pass all matchers.
    #[must_use]
    pub fn select(&self, matchers: &[Matcher]) -> Ids {
        self.select_prepared(&Selector::new(matchers))
    }

    /// As [`HeadIndexSnapshot::select`], with matchers prepared before.
    #[must_use]
    pub fn select_prepared(&self, selector: &Selector) -> Ids {
        let mut found = Ids::new();
        for segment in self.segments.iter() {
            let view = SegmentView { segment, pairs: &self.pairs };
            // Memory does not fail; a segment that could not be searched would have nothing to say.
            let ids = select_prepared(&view, selector).unwrap_or_default();
            if found.is_empty() { found = ids } else { found |= ids }
        }
        for id in self.tail.first..self.len {
            let tuple = self.tail.tuple(id).unwrap_or_default();
            let value_of = |name: &str| {
                tuple.iter().map(|pair| self.pairs.get(*pair)).find(|pair| pair.0 == name).map_or("", |pair| pair.1)
            };
            if selector.passes(value_of) {
                found.insert(id);
            }
        }
        found
    }

    /// The labels of a series.
    #[must_use]
    pub fn labels(&self, id: u32) -> Option<Labels> {
        self.tuple(id).map(|tuple| self.pairs.labels(tuple))
    }

    fn tuple(&self, id: u32) -> Option<&[u32]> {
        if id >= self.len { None } else { tuple_of(&self.segments, &self.tail, id) }
    }

    /// How many series there are; ids are below it.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The label names of all series, or of some; sorted.
    #[must_use]
    pub fn label_names(&self, of: Option<&Ids>) -> Vec<String> {
        let mut names: Vec<&str> = Vec::new();
        for segment in self.segments.iter() {
            let used = segment.names.iter().filter(|name| of.is_none_or(|ids| !ids.is_disjoint(&name.present)));
            names.extend(used.map(|name| &*name.name));
        }
        for tuple in self.tail_tuples(of) {
            names.extend(tuple.iter().map(|pair| self.pairs.get(*pair).0));
        }
        sorted_unique(names)
    }

    /// The values of a label in all series, or in some; sorted.
    #[must_use]
    pub fn label_values(&self, name: &str, of: Option<&Ids>) -> Vec<String> {
        let mut values: Vec<&str> = Vec::new();
        for segment in self.segments.iter() {
            let Some(entry) = segment.name(name) else { continue };
            let range = entry.from as usize..entry.to as usize;
            match of {
                // Few series of many values: ask the series.
                Some(ids) if ids.len() < range.len() as u64 => {
                    let last = segment.first + segment.len() as u32;
                    let tuples = ids.range(segment.first..last).filter_map(|id| segment.tuple(id));
                    let pairs = tuples.flatten().map(|pair| self.pairs.get(*pair));
                    values.extend(pairs.filter(|pair| pair.0 == name).map(|pair| pair.1));
                }
                _ => {
                    let used = |at: &usize| of.is_none_or(|ids| segment.postings[*at].ids().any(|id| ids.contains(id)));
                    values.extend(range.filter(used).map(|at| self.pairs.get(segment.sorted[at]).1));
                }
            }
        }
        for tuple in self.tail_tuples(of) {
            let pairs = tuple.iter().map(|pair| self.pairs.get(*pair));
            values.extend(pairs.filter(|pair| pair.0 == name).map(|pair| pair.1));
        }
        sorted_unique(values)
    }

    fn tail_tuples<'s>(&'s self, of: Option<&'s Ids>) -> impl Iterator<Item = &'s [u32]> {
        let wanted = move |id: &u32| of.is_none_or(|ids| ids.contains(*id));
        (self.tail.first..self.len).filter(wanted).filter_map(|id| self.tail.tuple(id))
    }

    /// Where the series come from; at most `limit` entries in each list. Reads no series, only the lists of pairs.
    #[must_use]
    pub fn cardinality(&self, limit: usize) -> Cardinality {
        let mut by_pair: Vec<(u32, u64)> = Vec::new();
        for segment in self.segments.iter() {
            by_pair.extend(segment.sorted.iter().zip(&segment.postings).map(|(pair, posting)| (*pair, posting.len())));
        }
        by_pair.extend(self.tail_tuples(None).flatten().map(|pair| (*pair, 1)));
        by_pair.sort_unstable();
        let by_pair: Vec<(u32, u64)> = by_pair
            .chunk_by(|a, b| a.0 == b.0)
            .map(|group| (group[0].0, group.iter().map(|entry| entry.1).sum()))
            .collect();
        let mut labels: std::collections::BTreeMap<&str, (u64, u64)> = std::collections::BTreeMap::new();
        let mut result = Cardinality { series: u64::from(self.len), ..Cardinality::default() };
        for (pair, series) in by_pair {
            let (name, value) = self.pairs.get(pair);
            if name == METRIC_NAME {
                result.series_by_metric.push((value.to_owned(), series));
            }
            let label = labels.entry(name).or_default();
            *label = (label.0 + series, label.1 + 1);
            result.series_by_pair.push((format!("{name}={value}"), series));
        }
        result.series_by_label = labels.iter().map(|(name, (series, _))| ((*name).to_owned(), *series)).collect();
        result.values_by_label = labels.iter().map(|(name, (_, values))| ((*name).to_owned(), *values)).collect();
        for list in [
            &mut result.series_by_metric,
            &mut result.series_by_label,
            &mut result.values_by_label,
            &mut result.series_by_pair,
        ] {
            keep_top(list, limit);
        }
        result
    }
}

fn sorted_unique(mut texts: Vec<&str>) -> Vec<String> {
    texts.sort_unstable();
    texts.dedup();
    texts.into_iter().map(str::to_owned).collect()
}
