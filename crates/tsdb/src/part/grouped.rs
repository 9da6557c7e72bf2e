//! Tables of entries of any length, found by number.
//!
//! A fixed number of entries make a group, which is read from its front so that entries may lean on the ones before;
//! a page holds whole groups and knows where each begins. The key of a page is the number of its first entry.

use std::sync::Arc;

use crate::codec::Damage;
use crate::error::TsdbError;
use crate::part::page::{PageFile, PageKind, PageSink, TABLE_PAGE_BYTES};

/// Writes one table.
pub(super) struct GroupedWriter {
    kind: PageKind,
    group_len: usize,
    entries: u64,
    /// The number of the open page's first entry.
    first: u64,
    starts: Vec<u32>,
    bytes: Vec<u8>,
}

impl GroupedWriter {
    pub(super) const fn new(kind: PageKind, group_len: usize) -> Self {
        Self { kind, group_len, entries: 0, first: 0, starts: Vec::new(), bytes: Vec::new() }
    }

    /// Where to append the next entry, and whether it is the first of its group.
    pub(super) fn next(&mut self, sink: &mut PageSink) -> Result<(&mut Vec<u8>, bool), TsdbError> {
        let begins = self.entries.is_multiple_of(self.group_len as u64);
        if begins {
            if self.bytes.len() >= TABLE_PAGE_BYTES {
                self.close(sink)?;
            }
            self.starts.push(self.bytes.len() as u32);
        }
        self.entries += 1;
        Ok((&mut self.bytes, begins))
    }

    fn close(&mut self, sink: &mut PageSink) -> Result<(), TsdbError> {
        if self.starts.is_empty() {
            return Ok(());
        }
        let mut page = Vec::with_capacity(4 + self.starts.len() * 4 + self.bytes.len());
        page.extend_from_slice(&(self.starts.len() as u32).to_le_bytes());
        for start in &self.starts {
            page.extend_from_slice(&start.to_le_bytes());
        }
        page.extend_from_slice(&self.bytes);
        sink.put(self.kind, self.first, &page)?;
        self.first = self.entries;
        self.starts.clear();
        self.bytes.clear();
        Ok(())
    }

    pub(super) fn finish(mut self, sink: &mut PageSink) -> Result<(), TsdbError> {
        self.close(sink)
    }
}

/// A page of a table.
pub(super) struct GroupedPage {
    page: Arc<[u8]>,
    /// The number of the first entry.
    pub(super) first: u64,
    group_len: usize,
    groups: usize,
}

impl GroupedPage {
    /// The page that holds entry `number`.
    pub(super) fn holding(file: &PageFile, kind: PageKind, group_len: usize, number: u64) -> Result<Self, TsdbError> {
        Self::open(file, kind, group_len, file.page_of_key(kind, number))
    }

    /// The page at place `at`.
    pub(super) fn open(file: &PageFile, kind: PageKind, group_len: usize, at: usize) -> Result<Self, TsdbError> {
        let page = file.page(kind, at)?;
        let first = file.table.of(kind)[at].key;
        let groups = page.first_chunk().map_or(0, |count| u32::from_le_bytes(*count)) as usize;
        if groups == 0 || page.len() / 4 <= groups {
            return Err(file.damaged(kind, 0, Damage("a table page without its groups")));
        }
        Ok(Self { page, first, group_len, groups })
    }

    pub(super) const fn groups(&self) -> usize {
        self.groups
    }

    /// The group of entry `number`, and its place within it.
    pub(super) fn locate(&self, number: u64) -> Result<(usize, usize), Damage> {
        let at = number.checked_sub(self.first).ok_or(Damage("an entry before its page"))? as usize;
        let group = at / self.group_len;
        if group >= self.groups { Err(Damage("an entry behind its page")) } else { Ok((group, at % self.group_len)) }
    }

    /// The bytes of a group.
    pub(super) fn group(&self, group: usize) -> Result<&[u8], Damage> {
        let (table, bytes) = self.page.split_at(4 + self.groups * 4);
        let start = |at: usize| {
            table.get(4 + at * 4..).and_then(<[u8]>::first_chunk).map(|start| u32::from_le_bytes(*start) as usize)
        };
        let from = start(group).ok_or(Damage("a group that is not there"))?;
        let to = if group + 1 < self.groups { start(group + 1).unwrap_or(0) } else { bytes.len() };
        bytes.get(from..to).ok_or(Damage("a group outside its page"))
    }
}
