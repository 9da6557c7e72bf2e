//! Making a request.
//!
//! Promise: what is written reads back as the same labels, samples and histograms, in either version.
//! Not here: what goes into which request, compression, HTTP (`remote::send`).

use std::collections::HashMap;

use model::labels::Labels;
use model::storage::{Exemplar, Metadata, SampleValue};

use crate::protobuf::Writer;
use crate::remote_write::{Version, histogram, kind_number};

/// Collects one request.
#[derive(Debug)]
pub struct RequestWriter {
    version: Version,
    /// Series (and metadata of version 1.0), as fields of the request.
    body: Vec<u8>,
    symbols: Symbols,
}

impl RequestWriter {
    #[must_use]
    pub fn new(version: Version) -> Self {
        Self { version, body: Vec::new(), symbols: Symbols::default() }
    }

    /// Adds a series; `write` adds what it has.
    pub fn series(&mut self, labels: &Labels, write: impl FnOnce(&mut SeriesWriter<'_, '_>)) {
        let Self { version, body, symbols } = self;
        let version = *version;
        let field = if version == Version::V1 { 1 } else { 5 };
        Writer::new(body).message(field, |writer| {
            write_labels(writer, version, labels, symbols);
            write(&mut SeriesWriter { version, writer, symbols });
        });
    }

    /// Adds what is known about a family. Version 2.0 says that with each series, so there it does nothing.
    pub fn metadata(&mut self, metadata: &Metadata) {
        if self.version == Version::V2 {
            return;
        }
        Writer::new(&mut self.body).message(3, |writer| {
            writer.uint64(1, kind_number(&metadata.kind));
            writer.str(2, &metadata.family);
            writer.str(4, &metadata.help);
            writer.str(5, &metadata.unit);
        });
    }

    /// The uncompressed message.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        match self.version {
            Version::V1 => self.body,
            Version::V2 => self.symbols.finish(&self.body),
        }
    }
}

/// Adds what one series has.
#[derive(Debug)]
pub struct SeriesWriter<'w, 'b> {
    version: Version,
    writer: &'w mut Writer<'b>,
    symbols: &'w mut Symbols,
}

impl SeriesWriter<'_, '_> {
    /// A sample of any kind; times in milliseconds. Version 1.0 has no start times.
    pub fn value(&mut self, time: i64, value: &SampleValue, start_time: i64) {
        let start_time = if self.version == Version::V1 { 0 } else { start_time };
        if let SampleValue::Float(value) = value {
            self.writer.message(2, |writer| {
                writer.double(1, *value);
                writer.int64(2, time);
                writer.int64(3, start_time);
            });
            return;
        }
        let field = if self.version == Version::V1 { 4 } else { 3 };
        self.writer.message(field, |writer| histogram::write(writer, value, time, start_time));
    }

    pub fn exemplar(&mut self, exemplar: &Exemplar) {
        let Self { version, writer, symbols } = self;
        let field = if *version == Version::V1 { 3 } else { 4 };
        writer.message(field, |writer| {
            write_labels(writer, *version, &exemplar.labels, symbols);
            writer.double(2, exemplar.value);
            writer.int64(3, exemplar.time.millis());
        });
    }

    /// What is known about the family of the series. Version 1.0 says that with the request, so there it does nothing.
    pub fn metadata(&mut self, metadata: &Metadata) {
        if self.version == Version::V1 {
            return;
        }
        let (help, unit) = (self.symbols.of(&metadata.help), self.symbols.of(&metadata.unit));
        self.writer.message(5, |writer| {
            writer.uint64(1, kind_number(&metadata.kind));
            writer.uint64(3, help);
            writer.uint64(4, unit);
        });
    }
}

fn write_labels(writer: &mut Writer<'_>, version: Version, labels: &Labels, symbols: &mut Symbols) {
    if version == Version::V2 {
        writer.packed_varints(1, labels.iter().flat_map(|(name, value)| [symbols.of(name), symbols.of(value)]));
        return;
    }
    for (name, value) in labels {
        writer.message(1, |writer| {
            writer.str(1, name);
            writer.str(2, value);
        });
    }
}

/// The texts of a request of version 2.0, each once. The empty one is always the first, so 0 means "none".
#[derive(Debug)]
struct Symbols {
    numbers: HashMap<Box<str>, u64>,
    /// The texts as fields of the request.
    fields: Vec<u8>,
}

impl Default for Symbols {
    fn default() -> Self {
        let mut fields = Vec::new();
        Writer::new(&mut fields).bytes_always(4, b"");
        Self { numbers: HashMap::from([("".into(), 0)]), fields }
    }
}

impl Symbols {
    fn of(&mut self, text: &str) -> u64 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.numbers.len() as u64;
        Writer::new(&mut self.fields).bytes_always(4, text.as_bytes());
        self.numbers.insert(text.into(), number);
        number
    }

    fn finish(mut self, body: &[u8]) -> Vec<u8> {
        self.fields.extend_from_slice(body);
        self.fields
    }
}
