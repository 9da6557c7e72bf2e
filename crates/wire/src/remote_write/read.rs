//! Pulling series out of a request, one after the other, without copying.
//!
//! Promises: nothing is allocated for a sample, a label or a series but the caller's own scratch buffer; fields may come
//! in any order, as protobuf allows; what is not known is skipped.
//! Not here: whether labels are good ones and what becomes of samples (`remote::receive`).

use crate::protobuf::{Field, Reader, Writer};
use crate::remote_write::histogram::HistogramMessage;
use crate::remote_write::{RemoteWriteError, SYMBOLS_MAX, Version, kind_of};

/// Walks a request.
#[derive(Debug)]
pub struct RequestReader<'a> {
    version: Version,
    fields: Reader<'a>,
    symbols: Vec<&'a [u8]>,
}

/// What a request holds.
#[derive(Debug)]
pub enum Entry<'r, 'a> {
    Series(Series<'r, 'a>),
    /// About a family as a whole; only in version 1.0.
    Metadata(FamilyMetadata<'a>),
}

/// What version 1.0 says about a family, as bytes that need not be UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FamilyMetadata<'a> {
    pub family: &'a [u8],
    pub kind: &'static str,
    pub help: &'a [u8],
    pub unit: &'a [u8],
}

impl<'a> RequestReader<'a> {
    /// Begins with an uncompressed message. Version 2.0 may put its symbols anywhere, so they are collected first.
    pub fn new(version: Version, message: &'a [u8]) -> Result<Self, RemoteWriteError> {
        let mut symbols = Vec::new();
        if version == Version::V2 {
            let mut fields = Reader::new(message);
            while let Some(field) = fields.field()? {
                if field.number == 4 {
                    if symbols.len() == SYMBOLS_MAX {
                        return Err(RemoteWriteError::TooManySymbols { max: SYMBOLS_MAX });
                    }
                    symbols.push(field.bytes()?);
                }
            }
        }
        Ok(Self { version, fields: Reader::new(message), symbols })
    }

    /// The next series or metadata; `None` at the end.
    #[inline]
    pub fn next_entry(&mut self) -> Result<Option<Entry<'_, 'a>>, RemoteWriteError> {
        while let Some(field) = self.fields.field()? {
            match (self.version, field.number) {
                (Version::V1, 1) | (Version::V2, 5) => {
                    let series = Series::new(self.version, &field, &self.symbols)?;
                    return Ok(Some(Entry::Series(series)));
                }
                (Version::V1, 3) => return family_metadata(&field).map(|entry| Some(Entry::Metadata(entry))),
                _ => {}
            }
        }
        Ok(None)
    }
}

fn family_metadata<'a>(field: &Field<'a>) -> Result<FamilyMetadata<'a>, RemoteWriteError> {
    let mut metadata = FamilyMetadata::default();
    let mut fields = field.message()?;
    while let Some(field) = fields.field()? {
        match field.number {
            1 => metadata.kind = kind_of(field.uint64()?),
            2 => metadata.family = field.bytes()?,
            4 => metadata.help = field.bytes()?,
            5 => metadata.unit = field.bytes()?,
            _ => {}
        }
    }
    Ok(metadata)
}

/// One series of a request.
#[derive(Clone, Debug)]
pub struct Series<'r, 'a> {
    version: Version,
    symbols: &'r [&'a [u8]],
    bytes: &'a [u8],
    /// Where `bytes` lies in the request.
    base: usize,
    /// The label fields within `bytes`.
    labels: (usize, usize),
    /// Whether something else stands between label fields.
    scattered: bool,
}

impl<'r, 'a> Series<'r, 'a> {
    /// Looks through the fields once, by number and length only, for where the labels stand.
    fn new(version: Version, field: &Field<'a>, symbols: &'r [&'a [u8]]) -> Result<Self, RemoteWriteError> {
        let bytes = field.bytes()?;
        let mut fields = Reader::new(bytes);
        let mut labels: Option<(usize, usize)> = None;
        let mut scattered = false;
        loop {
            let start = fields.position();
            let Some(field) = fields.field().map_err(|error| at_base(&error, bytes, field.at))? else { break };
            if field.number == 1 {
                let first = labels.map_or(start, |(first, end)| {
                    scattered |= end != start;
                    first
                });
                labels = Some((first, fields.position()));
            }
        }
        Ok(Self { version, symbols, bytes, base: field.at, labels: labels.unwrap_or((0, 0)), scattered })
    }

    /// The label fields as version 1.0 writes them: the same bytes are the same labels. Made in `scratch` where the
    /// request does not already hold them so.
    #[inline]
    pub fn key<'s>(&self, scratch: &'s mut Vec<u8>) -> Result<&'s [u8], RemoteWriteError>
    where
        'a: 's,
    {
        if self.version == Version::V1 && !self.scattered {
            return Ok(&self.bytes[self.labels.0..self.labels.1]);
        }
        scratch.clear();
        let mut refs = LabelRefs { symbols: self.symbols, out: scratch, name: None, count: 0 };
        let mut fields = Reader::nested(&self.bytes[self.labels.0..self.labels.1], self.base + self.labels.0);
        while let Some(field) = fields.field()? {
            match (self.version, field.number) {
                (Version::V1, 1) => Writer::new(refs.out).bytes_always(1, field.bytes()?),
                (Version::V2, 1) => refs.take(&field)?,
                _ => {}
            }
        }
        if refs.name.is_some() {
            return Err(RemoteWriteError::OddLabels { at: self.base, count: refs.count });
        }
        Ok(scratch)
    }

    /// Everything but the labels, in the order in which it was sent.
    #[inline]
    #[must_use]
    pub fn items(&self) -> Items<'r, 'a> {
        // Where labels come first, as they do, they need not be looked at again.
        let skip = if self.labels.0 == 0 && !self.scattered { self.labels.1 } else { 0 };
        let fields = Reader::nested(&self.bytes[skip..], self.base + skip);
        Items { version: self.version, symbols: self.symbols, fields }
    }
}

/// The error again, with its place counted from the beginning of the request.
fn at_base(error: &crate::protobuf::ProtobufError, bytes: &[u8], base: usize) -> RemoteWriteError {
    let mut fields = Reader::nested(bytes, base);
    while let Ok(Some(_)) = fields.field() {}
    fields.field().err().map_or_else(|| (*error).into(), Into::into)
}

/// Turns references of version 2.0 into label fields of version 1.0.
struct LabelRefs<'r, 'a, 's> {
    symbols: &'r [&'a [u8]],
    out: &'s mut Vec<u8>,
    /// A name that waits for its value.
    name: Option<&'a [u8]>,
    count: usize,
}

impl LabelRefs<'_, '_, '_> {
    fn take(&mut self, field: &Field<'_>) -> Result<(), RemoteWriteError> {
        let mut wrong = None;
        field.varints(|index| {
            self.count += 1;
            let Some(symbol) = usize::try_from(index).ok().and_then(|index| self.symbols.get(index)).copied() else {
                wrong.get_or_insert(index);
                return;
            };
            match self.name.take() {
                None => self.name = Some(symbol),
                Some(name) => push_label(self.out, name, symbol),
            }
        })?;
        match wrong {
            Some(index) => Err(RemoteWriteError::Symbol { at: field.at, index, symbols: self.symbols.len() }),
            None => Ok(()),
        }
    }
}

/// One label field of version 1.0.
fn push_label(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let inner = 2 + varint_len(name.len()) + name.len() + varint_len(value.len()) + value.len();
    let mut writer = Writer::new(out);
    writer.varint(0x0a);
    writer.varint(inner as u64);
    writer.bytes_always(1, name);
    writer.bytes_always(2, value);
}

const fn varint_len(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// The pairs behind a key, in the order sent and as bytes: nothing is known of them yet.
pub fn key_labels(key: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8]), RemoteWriteError>> {
    let mut fields = Reader::new(key);
    std::iter::from_fn(move || next_label(&mut fields).transpose())
}

/// A name and its value, as they were sent.
type LabelBytes<'a> = (&'a [u8], &'a [u8]);

fn next_label<'a>(fields: &mut Reader<'a>) -> Result<Option<LabelBytes<'a>>, RemoteWriteError> {
    while let Some(field) = fields.field()? {
        if field.number != 1 {
            continue;
        }
        let (mut name, mut value): LabelBytes<'_> = (&[], &[]);
        let mut label = field.message()?;
        while let Some(field) = label.field()? {
            match field.number {
                1 => name = field.bytes()?,
                2 => value = field.bytes()?,
                _ => {}
            }
        }
        return Ok(Some((name, value)));
    }
    Ok(None)
}

/// A sample as it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    pub value: f64,
    /// Milliseconds.
    pub time: i64,
    /// When counting began, in milliseconds; 0 where unknown. Only in version 2.0.
    pub start_time: i64,
}

/// One thing a series has.
#[derive(Clone, Debug)]
pub enum Item<'r, 'a> {
    Sample(Sample),
    Histogram(HistogramMessage<'a>),
    Exemplar(ExemplarMessage<'r, 'a>),
    Metadata(SeriesMetadata<'a>),
}

/// Walks the items of a series.
#[derive(Clone, Debug)]
pub struct Items<'r, 'a> {
    version: Version,
    symbols: &'r [&'a [u8]],
    fields: Reader<'a>,
}

impl<'r, 'a> Items<'r, 'a> {
    /// The next item; `None` at the end.
    #[inline]
    pub fn next_item(&mut self) -> Result<Option<Item<'r, 'a>>, RemoteWriteError> {
        while let Some(field) = self.fields.field()? {
            let item = match (self.version, field.number) {
                (_, 2) => Item::Sample(sample(&field)?),
                (Version::V1, 4) | (Version::V2, 3) => Item::Histogram(HistogramMessage::new(&field)?),
                (Version::V1, 3) | (Version::V2, 4) => {
                    let message = field.message()?;
                    Item::Exemplar(ExemplarMessage { version: self.version, symbols: self.symbols, message })
                }
                (Version::V2, 5) => Item::Metadata(series_metadata(&field, self.symbols)?),
                _ => continue,
            };
            return Ok(Some(item));
        }
        Ok(None)
    }
}

#[inline]
fn sample(field: &Field<'_>) -> Result<Sample, RemoteWriteError> {
    let mut sample = Sample::default();
    let mut fields = field.message()?;
    while let Some(field) = fields.field()? {
        match field.number {
            1 => sample.value = field.double()?,
            2 => sample.time = field.int64()?,
            3 => sample.start_time = field.int64()?,
            _ => {}
        }
    }
    Ok(sample)
}

/// What version 2.0 says about the family of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SeriesMetadata<'a> {
    pub kind: &'static str,
    pub help: &'a [u8],
    pub unit: &'a [u8],
}

fn series_metadata<'a>(field: &Field<'a>, symbols: &[&'a [u8]]) -> Result<SeriesMetadata<'a>, RemoteWriteError> {
    let symbol = |field: &Field<'_>| {
        let index = field.uint64()?;
        let found = usize::try_from(index).ok().and_then(|index| symbols.get(index)).copied();
        // Nothing at all is also how a request without symbols says "no help".
        let found = found.or(if index == 0 { Some(&[][..]) } else { None });
        found.ok_or(RemoteWriteError::Symbol { at: field.at, index, symbols: symbols.len() })
    };
    let mut metadata = SeriesMetadata::default();
    let mut fields = field.message()?;
    while let Some(field) = fields.field()? {
        match field.number {
            1 => metadata.kind = kind_of(field.uint64()?),
            3 => metadata.help = symbol(&field)?,
            4 => metadata.unit = symbol(&field)?,
            _ => {}
        }
    }
    Ok(metadata)
}

/// An exemplar that has not been looked into.
#[derive(Clone, Debug)]
pub struct ExemplarMessage<'r, 'a> {
    version: Version,
    symbols: &'r [&'a [u8]],
    message: Reader<'a>,
}

/// Value and time of an exemplar; its labels are in the scratch buffer, as a key.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ExemplarPoint {
    pub value: f64,
    pub time: i64,
}

impl ExemplarMessage<'_, '_> {
    /// Puts the labels into `labels` as [`key_labels`] reads them.
    pub fn decode(&self, labels: &mut Vec<u8>) -> Result<ExemplarPoint, RemoteWriteError> {
        labels.clear();
        let mut refs = LabelRefs { symbols: self.symbols, out: labels, name: None, count: 0 };
        let mut point = ExemplarPoint::default();
        let mut fields = self.message.clone();
        let at = fields.position();
        while let Some(field) = fields.field()? {
            match (self.version, field.number) {
                (Version::V1, 1) => Writer::new(refs.out).bytes_always(1, field.bytes()?),
                (Version::V2, 1) => refs.take(&field)?,
                (_, 2) => point.value = field.double()?,
                (_, 3) => point.time = field.int64()?,
                _ => {}
            }
        }
        if refs.name.is_some() {
            return Err(RemoteWriteError::OddLabels { at, count: refs.count });
        }
        Ok(point)
    }
}
