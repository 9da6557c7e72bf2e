//! The shape of a target's last exposition: which series stood in which place, and what the storage calls them.
//!
//! Most scrapes repeat the one before but for the values. So each line is compared with the series that stood in its
//! place last time, and where it is the same, neither labels are read nor anything hashed or allocated. Where lines
//! came, went or moved, the rest of the body is looked up by text ([`Rebuild`]) and a new shape is made of it.
//! Texts are kept as what differs from the line before: neighbours share most of their text, so that a series costs
//! some bytes and its reference.
//! Not here: what a sample's labels are (`sample_labels`), where values go (`ingest`).

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashSet, HashTable};
use model::storage::SeriesRef;

/// A rule dropped the series: it has no reference.
pub(crate) const DROPPED: u8 = 1;
/// Its samples had timestamps of their own: no marker is due when it ends.
pub(crate) const UNTRACKED: u8 = 2;
/// The same text stood further up already.
pub(crate) const REPEATED: u8 = 4;
const FLAG_BITS: u32 = 3;

/// What was seen last time, in its order.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// For each place: bytes shared with the text before, length and flags of the rest, the rest.
    text: Vec<u8>,
    /// For each place that is not dropped.
    refs: Vec<SeriesRef>,
    places: u32,
    /// Whether the series are alive as far as readers know: their last sample is no marker.
    pub(crate) live: bool,
    /// Stands for everything that was said about families.
    pub(crate) said: u64,
}

/// One series in its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'s> {
    shared: usize,
    rest: &'s [u8],
    pub(crate) flags: u8,
    /// Where the next place begins.
    end: usize,
}

impl Place<'_> {
    #[inline]
    pub(crate) const fn key_len(&self) -> usize {
        self.shared + self.rest.len()
    }

    /// Whether a line begins with the text of this place; `previous` is the text of the place before.
    #[inline]
    pub(crate) fn starts(&self, line: &[u8], previous: &[u8]) -> bool {
        line.len() >= self.key_len()
            && line[..self.shared] == previous[..self.shared]
            && line[self.shared..self.key_len()] == *self.rest
    }
}

/// A walk over the places, in step with the lines of a body.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    at: usize,
    refs_at: usize,
    place: u32,
    /// The text of the place before.
    pub(crate) previous: Vec<u8>,
}

impl Walk {
    pub(crate) fn restart(&mut self) {
        (self.at, self.refs_at, self.place) = (0, 0, 0);
        self.previous.clear();
    }
}

impl Shape {
    /// How many series are known.
    #[cfg(test)]
    pub(crate) const fn len(&self) -> usize {
        self.places as usize
    }

    /// What this holds on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.text.capacity() + self.refs.capacity() * size_of::<SeriesRef>()
    }

    /// The place the walk has come to.
    #[inline]
    pub(crate) fn place(&self, walk: &Walk) -> Option<Place<'_>> {
        let mut at = walk.at;
        if at >= self.text.len() {
            return None;
        }
        let shared = read_varint(&self.text, &mut at);
        let head = read_varint(&self.text, &mut at);
        let len = head >> FLAG_BITS;
        let flags = (head & ((1 << FLAG_BITS) - 1)) as u8;
        Some(Place { shared, rest: &self.text[at..at + len], flags, end: at + len })
    }

    /// Goes on to the next place and gives the reference of this one; `None` where it was dropped.
    #[inline]
    pub(crate) fn step(&self, walk: &mut Walk) -> Option<SeriesRef> {
        let place = self.place(walk)?;
        walk.previous.truncate(place.shared);
        walk.previous.extend_from_slice(place.rest);
        walk.at = place.end;
        walk.place += 1;
        if place.flags & DROPPED != 0 {
            return None;
        }
        walk.refs_at += 1;
        self.refs.get(walk.refs_at - 1).copied()
    }

    /// Whether every place has been walked over.
    pub(crate) fn is_walked(&self, walk: &Walk) -> bool {
        walk.at >= self.text.len()
    }

    /// Every reference whose end readers must be told.
    pub(crate) fn tracked(&self) -> Vec<SeriesRef> {
        let mut walk = Walk::default();
        let mut found = Vec::with_capacity(self.refs.len());
        while let Some(place) = self.place(&walk) {
            let flags = place.flags;
            if let Some(series) = self.step(&mut walk)
                && flags & (UNTRACKED | REPEATED) == 0
            {
                found.push(series);
            }
        }
        // Two texts may name one series.
        found.sort_unstable();
        found.dedup();
        found
    }

    fn push(&mut self, previous: &mut Vec<u8>, key: &[u8], flags: u8, series: Option<SeriesRef>) {
        let shared = previous.iter().zip(key).take_while(|(a, b)| a == b).count();
        write_varint(&mut self.text, shared);
        write_varint(&mut self.text, (key.len() - shared) << FLAG_BITS | usize::from(flags));
        self.text.extend_from_slice(&key[shared..]);
        previous.truncate(shared);
        previous.extend_from_slice(&key[shared..]);
        if let Some(series) = series {
            self.refs.push(series);
        }
        self.places += 1;
    }
}

/// Texts laid end to end.
#[derive(Debug, Default)]
struct Keys {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Keys {
    fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len() as u32);
    }

    fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.bytes[start..self.ends[index] as usize]
    }

    const fn len(&self) -> usize {
        self.ends.len()
    }
}

/// What a text was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Known from last time; without a reference it was dropped.
    Known(Option<SeriesRef>),
    /// It stood further up already.
    Repeated(Option<SeriesRef>),
    New,
}

/// A shape in the making, beside the old one that it will replace. Lives as long as one scrape.
#[derive(Debug)]
pub(crate) struct Rebuild {
    new: Shape,
    previous: Vec<u8>,
    old: Keys,
    old_flags: Vec<u8>,
    old_refs: Vec<Option<SeriesRef>>,
    seen: Vec<bool>,
    /// By text, the first place that has it.
    old_index: HashTable<u32>,
    /// The old place that is expected next.
    cursor: usize,
    /// Texts that were not there last time, with their references.
    added: Keys,
    added_refs: Vec<Option<SeriesRef>>,
    added_index: HashTable<u32>,
    /// Series that were tracked and no longer are, though their text is still there.
    untracked: Vec<SeriesRef>,
    hasher: DefaultHashBuilder,
}

impl Rebuild {
    /// Begins where the walk has come to: what it walked over stays as it is. With `forget` no old series is known
    /// again, as their labels may have changed; they are only told apart from those that end.
    pub(crate) fn begin(shape: &Shape, walk: &Walk, forget: bool) -> Self {
        let hasher = DefaultHashBuilder::default();
        let mut rebuild = Self {
            new: Shape {
                text: shape.text[..walk.at].to_vec(),
                refs: shape.refs[..walk.refs_at].to_vec(),
                ..Shape::default()
            },
            previous: walk.previous.clone(),
            old: Keys::default(),
            old_flags: Vec::with_capacity(shape.places as usize),
            old_refs: Vec::with_capacity(shape.places as usize),
            seen: Vec::with_capacity(shape.places as usize),
            old_index: HashTable::new(),
            cursor: walk.place as usize,
            added: Keys::default(),
            added_refs: Vec::new(),
            added_index: HashTable::new(),
            untracked: Vec::new(),
            hasher,
        };
        rebuild.new.places = walk.place;
        let mut again = Walk::default();
        while let Some(place) = shape.place(&again) {
            let flags = place.flags;
            let series = shape.step(&mut again);
            rebuild.seen.push(again.place <= walk.place);
            rebuild.old.push(&again.previous);
            rebuild.old_flags.push(flags);
            rebuild.old_refs.push(series);
        }
        if !forget {
            rebuild.index_old();
        }
        rebuild
    }

    fn index_old(&mut self) {
        self.old_index.reserve(self.old.len(), |_| 0);
        for index in 0..self.old.len() {
            if self.old_flags[index] & REPEATED != 0 {
                continue;
            }
            let hash = self.hasher.hash_one(self.old.get(index));
            let Self { old, hasher, old_index, .. } = self;
            old_index.insert_unique(hash, index as u32, |other| hasher.hash_one(old.get(*other as usize)));
        }
    }

    /// What a text is. Those found in the order of last time are not looked up.
    pub(crate) fn find(&mut self, key: &[u8]) -> Found {
        let cursor = self.cursor;
        let expected = cursor < self.old.len()
            && !self.old_index.is_empty()
            && !self.seen[cursor]
            && self.old_flags[cursor] & REPEATED == 0
            && self.old.get(cursor) == key;
        let hash = if expected { 0 } else { self.hasher.hash_one(key) };
        let place = if expected {
            Some(cursor)
        } else {
            self.old_index.find(hash, |index| self.old.get(*index as usize) == key).map(|index| *index as usize)
        };
        if let Some(place) = place {
            if self.seen[place] {
                // The repetition of last time stands where the cursor is, most likely.
                self.cursor += usize::from(self.old_flags.get(cursor).is_some_and(|flags| flags & REPEATED != 0));
                return Found::Repeated(self.old_refs[place]);
            }
            self.seen[place] = true;
            self.cursor = place + 1;
            return Found::Known(self.old_refs[place]);
        }
        let added = self.added_index.find(hash, |index| self.added.get(*index as usize) == key);
        added.map_or(Found::New, |index| Found::Repeated(self.added_refs[*index as usize]))
    }

    /// Remembers the reference of a text that is [`Found::New`].
    pub(crate) fn add(&mut self, key: &[u8], series: Option<SeriesRef>) {
        let Self { added, hasher, added_index, .. } = self;
        let index = added.len() as u32;
        added.push(key);
        self.added_refs.push(series);
        let hash = hasher.hash_one(key);
        added_index.insert_unique(hash, index, |other| hasher.hash_one(added.get(*other as usize)));
    }

    /// Appends a place to the new shape.
    pub(crate) fn push(&mut self, key: &[u8], flags: u8, series: Option<SeriesRef>) {
        // The place the key had, if it was known: the cursor stands behind it.
        let before = self.cursor.checked_sub(1).filter(|place| self.old.get(*place) == key);
        if let Some(place) = before
            && flags & UNTRACKED != 0
            && self.old_flags[place] & UNTRACKED == 0
        {
            self.untracked.extend(series);
        }
        let mut previous = std::mem::take(&mut self.previous);
        self.new.push(&mut previous, key, flags, series);
        self.previous = previous;
    }

    /// The new shape, and the series of the old one that are not in it and whose end readers must be told.
    pub(crate) fn finish(mut self) -> (Shape, Vec<SeriesRef>) {
        let mut ended: HashSet<SeriesRef> = self.untracked.into_iter().collect();
        for (index, series) in self.old_refs.iter().enumerate() {
            if !self.seen[index] && self.old_flags[index] & (UNTRACKED | REPEATED) == 0 {
                ended.extend(*series);
            }
        }
        // The same series may go on under another text.
        if !ended.is_empty() {
            let mut walk = Walk::default();
            while let Some(place) = self.new.place(&walk) {
                let flags = place.flags;
                if let Some(series) = self.new.step(&mut walk)
                    && flags & UNTRACKED == 0
                {
                    ended.remove(&series);
                }
            }
        }
        self.new.text.shrink_to_fit();
        self.new.refs.shrink_to_fit();
        let mut ended: Vec<SeriesRef> = ended.into_iter().collect();
        ended.sort_unstable();
        (self.new, ended)
    }
}

#[inline]
fn read_varint(bytes: &[u8], at: &mut usize) -> usize {
    let mut value = 0;
    let mut shift = 0;
    loop {
        let byte = bytes[*at];
        *at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
        shift += 7;
    }
}

fn write_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs texts through a shape as a scrape does: `(text, flags)`; new ones get numbers from `next` on.
    fn run(shape: &Shape, lines: &[(&str, u8)], next: &mut u64) -> (Shape, Vec<u64>, usize) {
        let mut walk = Walk::default();
        let mut at = 0;
        while let Some(place) = shape.place(&walk)
            && at < lines.len()
            && place.starts(lines[at].0.as_bytes(), &walk.previous)
            && place.key_len() == lines[at].0.len()
            && place.flags & UNTRACKED == lines[at].1 & UNTRACKED
        {
            shape.step(&mut walk);
            at += 1;
        }
        let mut rebuild = Rebuild::begin(shape, &walk, false);
        let mut new = 0;
        for (key, flags) in &lines[at..] {
            let (series, flags) = match rebuild.find(key.as_bytes()) {
                Found::Known(series) => (series, *flags),
                Found::Repeated(series) => (series, *flags | REPEATED),
                Found::New => {
                    new += 1;
                    let series = (flags & DROPPED == 0).then(|| {
                        *next += 1;
                        SeriesRef(*next)
                    });
                    rebuild.add(key.as_bytes(), series);
                    (series, *flags)
                }
            };
            rebuild.push(key.as_bytes(), flags, series);
        }
        let (shape, ended) = rebuild.finish();
        (shape, ended.into_iter().map(|series| series.0).collect(), new)
    }

    fn texts(shape: &Shape) -> Vec<String> {
        let mut walk = Walk::default();
        let mut out = Vec::new();
        while shape.place(&walk).is_some() {
            shape.step(&mut walk);
            out.push(String::from_utf8(walk.previous.clone()).unwrap());
        }
        out
    }

    #[test]
    fn lines_that_come_go_and_move_keep_what_they_are_called() {
        let mut next = 0;
        let first = [("a{x=\"1\"}", 0), ("a{x=\"2\"}", 0), ("dropped", DROPPED), ("b", 0), ("c", 0)];
        let (shape, ended, new) = run(&Shape::default(), &first, &mut next);
        assert_eq!((shape.len(), ended.len(), new), (5, 0, 5));
        assert_eq!(texts(&shape), first.map(|(key, _)| key.to_owned()));
        assert_eq!(shape.tracked(), [1, 2, 3, 4].map(SeriesRef));

        let second = [("a{x=\"1\"}", 0), ("a{x=\"3\"}", 0), ("c", 0), ("b", 0), ("dropped", DROPPED)];
        let (shape, ended, new) = run(&shape, &second, &mut next);
        assert_eq!((ended, new), (vec![2], 1));
        assert_eq!(shape.tracked(), [1, 3, 4, 5].map(SeriesRef));
        assert_eq!(texts(&shape), second.map(|(key, _)| key.to_owned()));

        let (shape, ended, new) = run(&shape, &[], &mut next);
        assert_eq!((ended, new, shape.len()), (vec![1, 3, 4, 5], 0, 0));
    }

    #[test]
    fn a_text_that_stands_twice_is_one_series() {
        let mut next = 0;
        let twice = [("a", 0), ("b", 0), ("a", 0)];
        let (shape, ..) = run(&Shape::default(), &twice, &mut next);
        assert_eq!(shape.tracked(), [1, 2].map(SeriesRef));
        let (again, ended, new) = run(&shape, &twice, &mut next);
        assert_eq!((ended, new, texts(&again)), (vec![], 0, texts(&shape)));
        // The first goes, the repetition stays: it is the same series still.
        let (shape, ended, new) = run(&shape, &[("b", 0), ("a", 0)], &mut next);
        assert_eq!((ended, new), (vec![], 0));
        assert_eq!(shape.tracked(), [1, 2].map(SeriesRef));
    }

    #[test]
    fn a_series_whose_samples_get_their_own_time_is_no_longer_tracked() {
        let mut next = 0;
        let (shape, ..) = run(&Shape::default(), &[("a", 0), ("b", 0)], &mut next);
        let (shape, ended, _) = run(&shape, &[("a", UNTRACKED), ("b", 0)], &mut next);
        assert_eq!(ended, [1]);
        let (shape, ended, _) = run(&shape, &[("b", 0)], &mut next);
        assert_eq!(ended, [0; 0]);
        assert_eq!(shape.tracked(), [SeriesRef(2)]);
    }

    #[test]
    fn neighbours_share_their_text() {
        let keys: Vec<String> =
            (0..1000).map(|i| format!("http_requests_total{{handler=\"/api/v1/items\",code=\"{i}\"}}")).collect();
        let lines: Vec<(&str, u8)> = keys.iter().map(|key| (key.as_str(), 0)).collect();
        let (shape, ..) = run(&Shape::default(), &lines, &mut 0);
        assert!(shape.heap_bytes() < 1000 * 16, "{} bytes", shape.heap_bytes());
        assert_eq!(texts(&shape), keys);
    }

    #[test]
    fn any_sequence_of_scrapes_agrees_with_a_plain_set() {
        let mut state = 88_172_645_463_325_252u64;
        let mut random = move |end: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % end
        };
        let keys: Vec<String> = (0..12).map(|i| format!("m{}{{l=\"{}\"}}", i / 4, "x".repeat(i % 4))).collect();
        let mut shape = Shape::default();
        let mut next = 0;
        for _ in 0..3_000 {
            let mut lines: Vec<(&str, u8)> = Vec::new();
            for _ in 0..random(14) {
                lines.push((keys[random(12) as usize].as_str(), 0));
            }
            let before: Vec<u64> = shape.tracked().iter().map(|series| series.0).collect();
            let (made, ended, _) = run(&shape, &lines, &mut next);
            let now: Vec<u64> = made.tracked().iter().map(|series| series.0).collect();
            let mut expected: Vec<u64> = before.iter().copied().filter(|series| !now.contains(series)).collect();
            expected.sort_unstable();
            assert_eq!(ended, expected);
            let mut distinct: Vec<&str> = lines.iter().map(|(key, _)| *key).collect();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(now.len(), distinct.len());
            shape = made;
        }
    }
}
