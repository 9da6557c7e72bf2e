//! Protobuf at its lowest: varints, tags and fields over a byte slice, read without copying and written into a `Vec`.
//!
//! Promises: reading never looks beyond the slice, never allocates and never recurses; a length is checked against
//! what is left before anything is taken. A field that the reader does not know is skipped by its wire type; groups
//! (wire types 3 and 4, gone since proto3) are refused.
//! Not here: any message. Each message's module walks its own fields.

/// A varint has at most so many bytes: 10 × 7 bits hold 64.
const VARINT_BYTES_MAX: usize = 10;

/// What is wrong with the bytes, and where: an offset into the slice given to [`Reader::new`], plus its base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    #[error("byte {at}: the message ends inside {what}")]
    Truncated { at: usize, what: &'static str },
    #[error("byte {at}: a varint is longer than 64 bits")]
    Varint { at: usize },
    #[error("byte {at}: field number {number} is not between 1 and 536870911")]
    FieldNumber { at: usize, number: u64 },
    #[error("byte {at}: wire type {wire_type} of field {field} is not one of 0, 1, 2, 5")]
    WireType { at: usize, field: u32, wire_type: u8 },
    #[error("byte {at}: field {field} is {found}, expected {expected}")]
    Unexpected { at: usize, field: u32, found: &'static str, expected: &'static str },
    #[error("byte {at}: field {field} is not valid UTF-8")]
    Utf8 { at: usize, field: u32 },
}

/// One field's value as it lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// One field: its number, its value, and where the value begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field<'a> {
    pub number: u32,
    pub value: Value<'a>,
    pub at: usize,
}

/// Walks the fields of one message.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Added to every position in errors, so that a message inside another names the place in the whole.
    base: usize,
}

impl<'a> Reader<'a> {
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, base: 0 }
    }

    /// A reader of a message that lies at `base` of something bigger.
    #[must_use]
    pub const fn nested(bytes: &'a [u8], base: usize) -> Self {
        Self { bytes, at: 0, base }
    }

    /// Where the next read begins, counted as errors count.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.base + self.at
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next field; `None` at the end of the message.
    #[inline]
    pub fn field(&mut self) -> Result<Option<Field<'a>>, ProtobufError> {
        if self.is_empty() {
            return Ok(None);
        }
        let start = self.position();
        let tag = self.varint()?;
        let number = tag >> 3;
        // The highest number the language allows, 2^29 - 1.
        if number == 0 || number > 0x1fff_ffff {
            return Err(ProtobufError::FieldNumber { at: start, number });
        }
        let number = number as u32;
        let (value, at) = match (tag & 7) as u8 {
            0 => {
                let at = self.position();
                (Value::Varint(self.varint()?), at)
            }
            1 => (Value::Fixed64(u64::from_le_bytes(self.array("a 64-bit field")?)), self.position() - 8),
            2 => {
                let bytes = self.delimited()?;
                (Value::Bytes(bytes), self.position() - bytes.len())
            }
            5 => (Value::Fixed32(u32::from_le_bytes(self.array("a 32-bit field")?)), self.position() - 4),
            wire_type => return Err(ProtobufError::WireType { at: start, field: number, wire_type }),
        };
        Ok(Some(Field { number, value, at }))
    }

    /// A varint by itself: the length in front of a delimited message, an element of a packed field.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, ProtobufError> {
        // Most varints on the wire are one byte.
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, ProtobufError> {
        let start = self.position();
        let mut value = 0u64;
        for index in 0..VARINT_BYTES_MAX {
            let Some(&byte) = self.bytes.get(self.at + index) else {
                return Err(ProtobufError::Truncated { at: start, what: "a varint" });
            };
            // The tenth byte has room for one bit.
            if index == VARINT_BYTES_MAX - 1 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.at += index + 1;
                return Ok(value);
            }
        }
        Err(ProtobufError::Varint { at: start })
    }

    /// A length and so many bytes: one message of a delimited stream.
    #[inline]
    pub fn delimited(&mut self) -> Result<&'a [u8], ProtobufError> {
        let start = self.position();
        let len = self.varint()?;
        let rest = &self.bytes[self.at..];
        let Some(bytes) = usize::try_from(len).ok().and_then(|len| rest.get(..len)) else {
            return Err(ProtobufError::Truncated { at: start, what: "a field with a length" });
        };
        self.at += bytes.len();
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], ProtobufError> {
        let Some(bytes) = self.bytes[self.at..].first_chunk::<N>() else {
            return Err(ProtobufError::Truncated { at: self.position(), what });
        };
        self.at += N;
        Ok(*bytes)
    }
}

impl<'a> Field<'a> {
    pub const fn uint64(&self) -> Result<u64, ProtobufError> {
        match self.value {
            Value::Varint(value) => Ok(value),
            _ => Err(self.unexpected("a varint")),
        }
    }

    /// As protobuf truncates: the low 32 bits.
    pub fn uint32(&self) -> Result<u32, ProtobufError> {
        self.uint64().map(|value| value as u32)
    }

    pub fn int64(&self) -> Result<i64, ProtobufError> {
        self.uint64().map(u64::cast_signed)
    }

    pub fn int32(&self) -> Result<i32, ProtobufError> {
        self.uint64().map(|value| value as i32)
    }

    pub fn sint64(&self) -> Result<i64, ProtobufError> {
        self.uint64().map(unzigzag)
    }

    pub fn sint32(&self) -> Result<i32, ProtobufError> {
        self.uint64().map(|value| unzigzag(u64::from(value as u32)) as i32)
    }

    pub fn bool(&self) -> Result<bool, ProtobufError> {
        self.uint64().map(|value| value != 0)
    }

    pub const fn double(&self) -> Result<f64, ProtobufError> {
        match self.value {
            Value::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(self.unexpected("a double")),
        }
    }

    pub const fn bytes(&self) -> Result<&'a [u8], ProtobufError> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(self.unexpected("bytes with a length")),
        }
    }

    pub fn str(&self) -> Result<&'a str, ProtobufError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| ProtobufError::Utf8 { at: self.at, field: self.number })
    }

    /// A reader of the message this field holds.
    pub fn message(&self) -> Result<Reader<'a>, ProtobufError> {
        Ok(Reader::nested(self.bytes()?, self.at))
    }

    /// The numbers of a repeated varint field, packed or one by one.
    pub fn varints(&self, mut each: impl FnMut(u64)) -> Result<(), ProtobufError> {
        match self.value {
            Value::Varint(value) => each(value),
            Value::Bytes(bytes) => {
                let mut packed = Reader::nested(bytes, self.at);
                while !packed.is_empty() {
                    each(packed.varint()?);
                }
            }
            Value::Fixed64(_) | Value::Fixed32(_) => return Err(self.unexpected("varints")),
        }
        Ok(())
    }

    /// The numbers of a repeated double field, packed or one by one.
    pub fn doubles(&self, mut each: impl FnMut(f64)) -> Result<(), ProtobufError> {
        match self.value {
            Value::Fixed64(bits) => each(f64::from_bits(bits)),
            Value::Bytes(bytes) => {
                let (chunks, rest) = bytes.as_chunks::<8>();
                if !rest.is_empty() {
                    return Err(ProtobufError::Truncated { at: self.at + bytes.len(), what: "a packed double" });
                }
                for chunk in chunks {
                    each(f64::from_le_bytes(*chunk));
                }
            }
            Value::Varint(_) | Value::Fixed32(_) => return Err(self.unexpected("doubles")),
        }
        Ok(())
    }

    const fn unexpected(&self, expected: &'static str) -> ProtobufError {
        let found = match self.value {
            Value::Varint(_) => "a varint",
            Value::Fixed64(_) => "64 bits",
            Value::Bytes(_) => "bytes with a length",
            Value::Fixed32(_) => "32 bits",
        };
        ProtobufError::Unexpected { at: self.at, field: self.number, found, expected }
    }
}

/// Small negative numbers as small varints, back.
#[must_use]
pub const fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

/// Small negative numbers as small varints.
#[must_use]
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Writes fields to the end of a buffer. Like proto3 encoders it leaves out zero and empty fields, except where
/// `_always` says otherwise.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    #[must_use]
    pub const fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    pub fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    fn tag(&mut self, field: u32, wire_type: u8) {
        self.varint(u64::from(field) << 3 | u64::from(wire_type));
    }

    pub fn uint64(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.tag(field, 0);
            self.varint(value);
        }
    }

    pub fn int64(&mut self, field: u32, value: i64) {
        self.uint64(field, value.cast_unsigned());
    }

    pub fn sint64(&mut self, field: u32, value: i64) {
        self.uint64(field, zigzag(value));
    }

    /// A double; only +0 is left out, -0 is not.
    pub fn double(&mut self, field: u32, value: f64) {
        if value.to_bits() != 0 {
            self.double_always(field, value);
        }
    }

    /// A double that is written even where it is zero: one of a oneof, an element of a repeated field.
    pub fn double_always(&mut self, field: u32, value: f64) {
        self.tag(field, 1);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub fn bytes(&mut self, field: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.bytes_always(field, bytes);
        }
    }

    /// Bytes that are written even where they are empty: an element of a repeated field.
    pub fn bytes_always(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, 2);
        self.varint(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    pub fn str(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    /// A message inside this one, also where it is empty.
    pub fn message(&mut self, field: u32, write: impl FnOnce(&mut Writer<'_>)) {
        self.tag(field, 2);
        self.delimited(write);
    }

    /// A repeated varint field, packed; nothing where there are no numbers.
    pub fn packed_varints(&mut self, field: u32, values: impl Iterator<Item = u64>) {
        let mut values = values.peekable();
        if values.peek().is_some() {
            self.message(field, |writer| values.for_each(|value| writer.varint(value)));
        }
    }

    /// A repeated double field, packed; nothing where there are no numbers.
    pub fn packed_doubles(&mut self, field: u32, values: &[f64]) {
        if values.is_empty() {
            return;
        }
        self.tag(field, 2);
        self.varint(values.len() as u64 * 8);
        values.iter().for_each(|value| self.out.extend_from_slice(&value.to_le_bytes()));
    }

    /// A length and a message: one of a delimited stream.
    pub fn delimited(&mut self, write: impl FnOnce(&mut Writer<'_>)) {
        let start = self.out.len();
        write(&mut Writer { out: self.out });
        // The length is only known now; it is put behind and turned to the front, which needs no second buffer.
        let len = self.out.len() - start;
        self.varint(len as u64);
        self.out[start..].rotate_left(len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut Writer::new(&mut out));
        out
    }

    #[test]
    fn what_is_written_reads_back() {
        let bytes = written(|w| {
            w.uint64(1, u64::MAX);
            w.uint64(2, 0);
            w.sint64(3, -1);
            w.int64(4, -1);
            w.double(5, -0.0);
            w.double(6, 0.0);
            w.str(7, "é");
            w.message(8, |w| w.message(1, |w| w.uint64(1, 300)));
            w.packed_varints(9, [0, 1, 1 << 40].into_iter());
            w.packed_doubles(10, &[0.0, 1.5]);
            w.message(536_870_911, |_| {});
        });
        let mut reader = Reader::new(&bytes);
        let mut fields = Vec::new();
        while let Some(field) = reader.field().unwrap() {
            fields.push(field);
        }
        let numbers: Vec<u32> = fields.iter().map(|field| field.number).collect();
        assert_eq!(numbers, [1, 3, 4, 5, 7, 8, 9, 10, 536_870_911]);
        assert_eq!(fields[0].uint64(), Ok(u64::MAX));
        assert_eq!(fields[1].sint64(), Ok(-1));
        assert_eq!(fields[1].sint32(), Ok(-1));
        assert_eq!((fields[2].int64(), fields[2].int32()), (Ok(-1), Ok(-1)));
        assert_eq!(fields[3].double().map(f64::to_bits), Ok((-0.0f64).to_bits()));
        assert_eq!(fields[4].str(), Ok("é"));
        let inner = fields[5].message().unwrap().field().unwrap().unwrap();
        assert_eq!(inner.message().unwrap().field().unwrap().unwrap().uint32(), Ok(300));
        let (mut ints, mut doubles) = (Vec::new(), Vec::new());
        fields[6].varints(|value| ints.push(value)).unwrap();
        fields[7].doubles(|value| doubles.push(value)).unwrap();
        assert_eq!((ints, doubles), (vec![0, 1, 1 << 40], vec![0.0, 1.5]));
        assert_eq!(fields[8].bytes(), Ok(&[][..]));
    }

    #[test]
    fn a_length_in_front_is_right_whatever_its_size() {
        for len in [0, 1, 127, 128, 16_384] {
            let text = "x".repeat(len);
            let bytes = written(|w| w.delimited(|w| w.bytes_always(1, text.as_bytes())));
            let mut stream = Reader::new(&bytes);
            let message = stream.delimited().unwrap();
            assert!(stream.is_empty());
            assert_eq!(Reader::new(message).field().unwrap().unwrap().bytes(), Ok(text.as_bytes()));
        }
    }

    #[test]
    fn broken_bytes_are_refused_with_their_place() {
        let cases: &[(&[u8], &str)] = &[
            (&[0x08], "byte 1: the message ends inside a varint"),
            (&[0x08, 0xff], "byte 1: the message ends inside a varint"),
            (
                &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
                "byte 1: a varint is longer than 64 bits",
            ),
            (&[0x00], "byte 0: field number 0 is not between 1 and 536870911"),
            (&[0x0b], "byte 0: wire type 3 of field 1 is not one of 0, 1, 2, 5"),
            (&[0x0a, 0x02, 0x00], "byte 1: the message ends inside a field with a length"),
            (
                &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                "byte 1: the message ends inside a field with a length",
            ),
            (&[0x09, 1, 2, 3], "byte 1: the message ends inside a 64-bit field"),
            (&[0x0d, 1, 2, 3], "byte 1: the message ends inside a 32-bit field"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Reader::new(bytes).field().map_err(|e| e.to_string()), Err((*expected).to_owned()));
        }
        let field = Reader::nested(&[0x0a, 0x01, 0xff], 100).field().unwrap().unwrap();
        assert_eq!(field.str(), Err(ProtobufError::Utf8 { at: 102, field: 1 }));
        assert_eq!(field.double().map_err(|e| e.to_string()).unwrap_err(), {
            "byte 102: field 1 is bytes with a length, expected a double"
        });
        assert!(field.doubles(|_| {}).is_err());
    }
}
