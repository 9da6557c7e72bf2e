//! The label values of a part, sorted within their label, each with its series.
//!
//! Values are numbered through all labels; a value's bytes that it shares with the one before are left out, but for the
//! first of each group. Postings lie in a stream of their own, in the order of the values.
//! Not here: which series has which labels (`tuples`).

use std::collections::HashMap;

use crate::codec::Damage;
use crate::codec::bytes::{Reader, put_text, put_uvarint};
use crate::error::TsdbError;
use crate::index::{Ids, IdsBuilder};
use crate::part::footer::NameEntry;
use crate::part::grouped::{GroupedPage, GroupedWriter};
use crate::part::page::{PAGE_BYTES_TARGET, PageFile, PageKind, PageSink};

pub(super) const SYMBOLS_IN_GROUP: usize = 16;
/// Longer values are refused long before.
pub(super) const VALUE_BYTES_MAX: usize = 64 << 20;
/// Up to so many ids are written one by one if that is smaller.
const LIST_MAX: usize = 1024;

/// How the ids of a posting are written.
const ONE: u8 = 0;
const RUN: u8 = 1;
const LIST: u8 = 2;
const ROARING: u8 = 3;

/// Appends sorted ids.
pub(super) fn put_ids(ids: &[u32], out: &mut Vec<u8>) {
    let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return out.push(LIST) };
    if ids.len() == 1 {
        out.push(ONE);
        return put_uvarint(out, u64::from(*first));
    }
    if (last - first) as usize == ids.len() - 1 {
        out.push(RUN);
        put_uvarint(out, u64::from(*first));
        return put_uvarint(out, ids.len() as u64);
    }
    let mut list = vec![LIST];
    if ids.len() <= LIST_MAX {
        let mut next = 0;
        for id in ids {
            put_uvarint(&mut list, u64::from(id - next));
            next = id + 1;
        }
    }
    let mut set: Ids = ids.iter().copied().collect();
    set.optimize();
    if ids.len() <= LIST_MAX && list.len() <= set.serialized_size() {
        return out.extend_from_slice(&list);
    }
    out.push(ROARING);
    set.serialize_into(out).expect("invariant: writing to memory does not fail");
}

/// Adds what [`put_ids`] wrote; all must be below `series`.
pub(super) fn add_ids(bytes: &[u8], series: u32, into: &mut IdsBuilder<'_>) -> Result<(), Damage> {
    const OUTSIDE: Damage = Damage("a series that the part does not have");
    let mut reader = Reader::new(bytes);
    match reader.u8()? {
        ONE => match reader.uvarint()? {
            id if id < u64::from(series) => into.push(id as u32),
            _ => return Err(OUTSIDE),
        },
        RUN => {
            let (first, len) = (reader.count(series as usize)? as u32, reader.count(series as usize)? as u32);
            if first.checked_add(len).is_none_or(|end| end > series) {
                return Err(OUTSIDE);
            }
            into.push_run(first, len);
        }
        LIST => {
            let mut ids = Vec::with_capacity(reader.remaining());
            let mut next = 0u64;
            while reader.remaining() > 0 {
                let id = next.saturating_add(reader.uvarint()?);
                if id >= u64::from(series) {
                    return Err(OUTSIDE);
                }
                ids.push(id as u32);
                next = id + 1;
            }
            into.extend(ids);
        }
        ROARING => {
            let set = Ids::deserialize_from(&bytes[1..]).map_err(|_| Damage("not a bitmap"))?;
            if set.max().is_some_and(|last| last >= series) {
                return Err(OUTSIDE);
            }
            into.union_owned(set);
        }
        _ => return Err(Damage("an unknown form of postings")),
    }
    Ok(())
}

/// Names and values as they come, numbered by first sight.
#[derive(Debug, Default)]
pub(super) struct Interner {
    names: HashMap<String, u32>,
    /// By name: its values and their numbers.
    values: Vec<HashMap<String, u32>>,
    /// By number: the name.
    of_name: Vec<u32>,
}

/// Names and values in their final order.
pub(super) struct SortedSymbols {
    /// Name, and its values in order with the numbers they had.
    pub(super) names: Vec<(String, Vec<(String, u32)>)>,
    /// By old number: the new one.
    pub(super) renumbered: Vec<u32>,
    /// By old name: the new place.
    pub(super) renamed: Vec<u32>,
}

impl Interner {
    /// The numbers of a name and of its value.
    pub(super) fn intern(&mut self, name: &str, value: &str) -> (u32, u32) {
        let name = match self.names.get(name) {
            Some(name) => *name,
            None => {
                let next = self.values.len() as u32;
                self.names.insert(name.to_owned(), next);
                self.values.push(HashMap::new());
                next
            }
        };
        let values = &mut self.values[name as usize];
        if let Some(number) = values.get(value) {
            return (name, *number);
        }
        let number = self.of_name.len() as u32;
        values.insert(value.to_owned(), number);
        self.of_name.push(name);
        (name, number)
    }

    pub(super) fn into_sorted(self) -> SortedSymbols {
        let mut names: Vec<(String, u32)> = self.names.into_iter().collect();
        names.sort_unstable();
        let mut values = self.values;
        let mut sorted = SortedSymbols {
            names: Vec::with_capacity(names.len()),
            renumbered: vec![0; self.of_name.len()],
            renamed: vec![0; names.len()],
        };
        let mut next = 0;
        for (place, (name, old)) in names.into_iter().enumerate() {
            sorted.renamed[old as usize] = place as u32;
            let mut own: Vec<(String, u32)> = std::mem::take(&mut values[old as usize]).into_iter().collect();
            own.sort_unstable();
            for (_, number) in &own {
                sorted.renumbered[*number as usize] = next;
                next += 1;
            }
            sorted.names.push((name, own));
        }
        sorted
    }
}

/// Writes values and postings; `postings[n]` are the series of value n. Gives the names for the footer.
pub(super) fn write(
    symbols: &SortedSymbols,
    postings: &[Vec<u32>],
    sink: &mut PageSink,
) -> Result<Vec<NameEntry>, TsdbError> {
    let mut table = GroupedWriter::new(PageKind::Symbols, SYMBOLS_IN_GROUP);
    let mut stream = PostingSink::default();
    let mut names = Vec::new();
    let mut aside = Vec::new();
    let mut number = 0;
    let mut previous = String::new();
    for (name, values) in &symbols.names {
        let first = number as u32;
        let mut present: Vec<u32> = Vec::new();
        for (value, _) in values {
            let ids = &postings[number];
            let mut encoded = Vec::new();
            put_ids(ids, &mut encoded);
            let (out, begins) = table.next(sink)?;
            if begins {
                previous.clear();
                put_uvarint(out, stream.offset);
            }
            let shared = shared_prefix(&previous, value);
            put_uvarint(out, shared as u64);
            put_text(out, &value.as_bytes()[shared..]);
            put_uvarint(out, ids.len() as u64);
            put_uvarint(out, encoded.len() as u64);
            stream.put(&encoded, sink)?;
            present.extend_from_slice(ids);
            value.clone_into(&mut previous);
            number += 1;
        }
        present.sort_unstable();
        // Behind the postings of all values, since those of a group follow each other.
        let mut encoded = Vec::new();
        put_ids(&present, &mut encoded);
        names.push(NameEntry {
            name: name.clone(),
            first,
            values: values.len() as u32,
            series: present.len() as u32,
            postings: (aside.len() as u64, encoded.len() as u32),
        });
        aside.extend_from_slice(&encoded);
    }
    table.finish(sink)?;
    let base = stream.offset;
    stream.put(&aside, sink)?;
    stream.finish(sink)?;
    for entry in &mut names {
        entry.postings.0 += base;
    }
    Ok(names)
}

/// How many bytes two texts share at the front, up to the border of a character.
fn shared_prefix(a: &str, b: &str) -> usize {
    let mut shared = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    while !b.is_char_boundary(shared) {
        shared -= 1;
    }
    shared
}

/// The stream of postings, cut into pages anywhere.
#[derive(Default)]
struct PostingSink {
    offset: u64,
    page: Vec<u8>,
}

impl PostingSink {
    fn put(&mut self, bytes: &[u8], sink: &mut PageSink) -> Result<(), TsdbError> {
        self.offset += bytes.len() as u64;
        self.page.extend_from_slice(bytes);
        while self.page.len() >= PAGE_BYTES_TARGET {
            sink.put(PageKind::Postings, 0, &self.page[..PAGE_BYTES_TARGET])?;
            self.page.drain(..PAGE_BYTES_TARGET);
        }
        Ok(())
    }

    fn finish(self, sink: &mut PageSink) -> Result<(), TsdbError> {
        if self.page.is_empty() { Ok(()) } else { sink.put(PageKind::Postings, 0, &self.page) }
    }
}

/// One value of a group.
#[derive(Debug, Default)]
pub(super) struct Symbol {
    pub(super) value: String,
    pub(super) series: u64,
    /// Its postings in their stream.
    pub(super) postings: (u64, usize),
}

/// Reads the values of a group one after the other.
pub(super) struct SymbolGroup<'g> {
    reader: Reader<'g>,
    pub(super) symbol: Symbol,
}

impl<'g> SymbolGroup<'g> {
    pub(super) fn new(group: &'g [u8]) -> Result<Self, Damage> {
        let mut reader = Reader::new(group);
        let offset = reader.uvarint()?;
        Ok(Self { reader, symbol: Symbol { postings: (offset, 0), ..Symbol::default() } })
    }

    /// Moves on; false at the end of the group.
    pub(super) fn next(&mut self) -> Result<bool, Damage> {
        if self.reader.remaining() == 0 {
            return Ok(false);
        }
        let symbol = &mut self.symbol;
        let shared = self.reader.count(symbol.value.len())?;
        if !symbol.value.is_char_boundary(shared) {
            return Err(Damage("a value cut within a character"));
        }
        symbol.value.truncate(shared);
        symbol.value.push_str(self.reader.str(VALUE_BYTES_MAX)?);
        symbol.series = self.reader.uvarint()?;
        symbol.postings.0 = symbol.postings.0.wrapping_add(symbol.postings.1 as u64);
        symbol.postings.1 = self.reader.count(u32::MAX as usize)?;
        Ok(true)
    }
}

/// Calls `visit` for the values `from..to` in order, until it says false. Pages that are damaged are passed over and
/// told to `damaged`.
pub(super) fn visit(
    file: &PageFile,
    range: std::ops::Range<u32>,
    damaged: &dyn Fn(TsdbError),
    visit: &mut dyn FnMut(u32, &Symbol) -> bool,
) -> Result<(), TsdbError> {
    if range.is_empty() {
        return Ok(());
    }
    let pages = file.table.of(PageKind::Symbols);
    let mut at = file.page_of_key(PageKind::Symbols, u64::from(range.start));
    while at < pages.len() && pages[at].key < u64::from(range.end) {
        match GroupedPage::open(file, PageKind::Symbols, SYMBOLS_IN_GROUP, at) {
            Ok(page) => {
                let outcome = visit_page(&page, &range, visit);
                match outcome {
                    Ok(true) => {}
                    Ok(false) => return Ok(()),
                    Err(damage) => damaged(file.damaged(PageKind::Symbols, pages[at].offset, damage)),
                }
            }
            Err(error) if error.is_damage() => damaged(error),
            Err(error) => return Err(error),
        }
        at += 1;
    }
    Ok(())
}

fn visit_page(
    page: &GroupedPage,
    range: &std::ops::Range<u32>,
    visit: &mut dyn FnMut(u32, &Symbol) -> bool,
) -> Result<bool, Damage> {
    let skipped = u64::from(range.start).saturating_sub(page.first) as usize / SYMBOLS_IN_GROUP;
    for group in skipped..page.groups() {
        let mut number = page.first + (group * SYMBOLS_IN_GROUP) as u64;
        if number >= u64::from(range.end) {
            break;
        }
        let mut symbols = SymbolGroup::new(page.group(group)?)?;
        while symbols.next()? {
            let inside = number >= u64::from(range.start) && number < u64::from(range.end);
            if inside && !visit(number as u32, &symbols.symbol) {
                return Ok(false);
            }
            number += 1;
        }
    }
    Ok(true)
}

/// The value with this number.
pub(super) fn value(file: &PageFile, number: u32) -> Result<Symbol, TsdbError> {
    let page = GroupedPage::holding(file, PageKind::Symbols, SYMBOLS_IN_GROUP, u64::from(number))?;
    let find = || {
        let (group, place) = page.locate(u64::from(number))?;
        let mut symbols = SymbolGroup::new(page.group(group)?)?;
        for _ in 0..=place {
            if !symbols.next()? {
                return Err(Damage("a value that is not there"));
            }
        }
        Ok(symbols.symbol)
    };
    find().map_err(|damage| file.damaged(PageKind::Symbols, 0, damage))
}

/// The first number within `range` whose group may hold `value` or what is behind it.
pub(super) fn seek(file: &PageFile, range: &std::ops::Range<u32>, value: &str) -> Result<u32, TsdbError> {
    // Compares with the first values of groups; both ends of the label lie within groups of others.
    let group_len = SYMBOLS_IN_GROUP as u32;
    let (mut low, mut high) = (range.start.div_ceil(group_len), range.end.div_ceil(group_len));
    while low < high {
        let middle = low + (high - low) / 2;
        match self::value(file, middle * group_len) {
            Ok(head) if head.value.as_str() <= value => low = middle + 1,
            Ok(_) => high = middle,
            // What cannot be read cannot be compared: look through all.
            Err(error) if error.is_damage() => return Ok(range.start),
            Err(error) => return Err(error),
        }
    }
    Ok((low.saturating_sub(1) * group_len).max(range.start))
}
