//! Messages of the domain name system (RFC 1035): a question out, records in.
//!
//! Promise: no bytes panic, loop or cost more than their own length; a name that points in circles is an error.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::RecordKind;

/// A name is at most 255 bytes, each label at most 63.
const NAME_BYTES_MAX: usize = 255;
const LABEL_BYTES_MAX: usize = 63;
/// What we can take over UDP (EDNS0); 1232 passes every path without fragments.
pub(super) const UDP_BYTES_MAX: u16 = 1232;

const CLASS_IN: u16 = 1;
const OPT: u16 = 41;

/// A record that names a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Address(IpAddr),
    Srv {
        target: String,
        port: u16,
    },
    Mx(String),
    Ns(String),
    /// A CNAME on the way, or something nobody asked for.
    Other,
}

/// An answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// 0: answered, 3: no such name.
    pub(super) code: u8,
    /// It did not fit; to be asked for again over TCP.
    pub(super) truncated: bool,
    pub(super) records: Vec<Record>,
}

/// Not an answer to the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadMessage {
    #[error("the answer ends too early")]
    Short,
    #[error("the answer has a broken name")]
    Name,
    #[error("the answer is to another question")]
    Other,
    #[error("the name is not one that can be asked for")]
    Question,
}

/// The numbers that IANA gave the kinds.
fn type_of(kind: RecordKind) -> u16 {
    match kind {
        RecordKind::A => 1,
        RecordKind::Ns => 2,
        RecordKind::Mx => 15,
        RecordKind::Aaaa => 28,
        RecordKind::Srv => 33,
    }
}

/// The message that asks for `name`, which ends with a dot.
pub(super) fn question(id: u16, name: &str, kind: RecordKind) -> Result<Vec<u8>, BadMessage> {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend(id.to_be_bytes());
    // Recursion desired; one question, one additional record (EDNS0).
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    let begin = bytes.len();
    for label in name.strip_suffix('.').unwrap_or(name).split('.') {
        let length = u8::try_from(label.len()).map_err(|_| BadMessage::Question)?;
        if length == 0 || usize::from(length) > LABEL_BYTES_MAX {
            return Err(BadMessage::Question);
        }
        bytes.push(length);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    if bytes.len() - begin > NAME_BYTES_MAX {
        return Err(BadMessage::Question);
    }
    bytes.extend(type_of(kind).to_be_bytes());
    bytes.extend(CLASS_IN.to_be_bytes());
    bytes.push(0);
    bytes.extend(OPT.to_be_bytes());
    bytes.extend(UDP_BYTES_MAX.to_be_bytes());
    bytes.extend([0; 6]);
    Ok(bytes)
}

/// Reads the answer to a question that [`question`] made.
pub(super) fn reply(bytes: &[u8], id: u16, name: &str, kind: RecordKind) -> Result<Reply, BadMessage> {
    let mut reader = Reader { bytes, at: 0 };
    let seen = reader.u16()?;
    let flags = reader.u16()?;
    let [questions, answers, _authorities, _additional] = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
    if seen != id || flags & 0x8000 == 0 || questions > 1 {
        return Err(BadMessage::Other);
    }
    for _ in 0..questions {
        let asked = reader.name()?;
        let (asked_kind, _class) = (reader.u16()?, reader.u16()?);
        if !asked.eq_ignore_ascii_case(name) || asked_kind != type_of(kind) {
            return Err(BadMessage::Other);
        }
    }
    let truncated = flags & 0x0200 != 0;
    let mut records = Vec::new();
    for _ in 0..answers {
        match reader.record() {
            Ok(record) => records.push(record),
            // A truncated message may end anywhere; it is asked for again.
            Err(_) if truncated => break,
            Err(error) => return Err(error),
        }
    }
    records.retain(|record| *record != Record::Other);
    Ok(Reply { code: (flags & 15) as u8, truncated, records })
}

/// Walks a message; every step checks that there is something.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn u8(&mut self) -> Result<u8, BadMessage> {
        let byte = *self.bytes.get(self.at).ok_or(BadMessage::Short)?;
        self.at += 1;
        Ok(byte)
    }

    fn u16(&mut self) -> Result<u16, BadMessage> {
        Ok(u16::from_be_bytes([self.u8()?, self.u8()?]))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BadMessage> {
        let slice = self.bytes.get(self.at..self.at + N).ok_or(BadMessage::Short)?;
        self.at += N;
        slice.try_into().map_err(|_| BadMessage::Short)
    }

    /// A name with a dot at its end. Pointers lead backwards only, so that there is no circle.
    fn name(&mut self) -> Result<String, BadMessage> {
        let (mut name, mut at, mut end) = (String::new(), self.at, None);
        loop {
            let length = usize::from(*self.bytes.get(at).ok_or(BadMessage::Short)?);
            if length & 0xc0 == 0xc0 {
                let low = usize::from(*self.bytes.get(at + 1).ok_or(BadMessage::Short)?);
                let to = (length & 0x3f) << 8 | low;
                end.get_or_insert(at + 2);
                if to >= at {
                    return Err(BadMessage::Name);
                }
                at = to;
                continue;
            }
            if length > LABEL_BYTES_MAX || name.len() + length + 1 > NAME_BYTES_MAX {
                return Err(BadMessage::Name);
            }
            at += 1;
            if length == 0 {
                break;
            }
            let label = self.bytes.get(at..at + length).ok_or(BadMessage::Short)?;
            name.push_str(std::str::from_utf8(label).map_err(|_| BadMessage::Name)?);
            name.push('.');
            at += length;
        }
        self.at = end.unwrap_or(at);
        if name.is_empty() {
            name.push('.');
        }
        Ok(name)
    }

    /// One record; its data is skipped where it is of a kind nobody asked for.
    fn record(&mut self) -> Result<Record, BadMessage> {
        let _owner = self.name()?;
        let (kind, _class) = (self.u16()?, self.u16()?);
        let _time_to_live: [u8; 4] = self.array()?;
        let length = usize::from(self.u16()?);
        let end = self.at + length;
        if end > self.bytes.len() {
            return Err(BadMessage::Short);
        }
        let record = match kind {
            1 => Record::Address(Ipv4Addr::from(self.array::<4>()?).into()),
            28 => Record::Address(Ipv6Addr::from(self.array::<16>()?).into()),
            2 => Record::Ns(self.name()?),
            15 => {
                let _preference = self.u16()?;
                Record::Mx(self.name()?)
            }
            33 => {
                let [_priority, _weight, port] = [self.u16()?, self.u16()?, self.u16()?];
                Record::Srv { target: self.name()?, port }
            }
            _ => Record::Other,
        };
        if self.at > end {
            return Err(BadMessage::Short);
        }
        self.at = end;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer to `a.example. SRV` with two records, the second's names written as pointers.
    fn answer() -> Vec<u8> {
        let mut bytes = question(7, "a.example.", RecordKind::Srv).expect("a name");
        bytes.truncate(bytes.len() - 11);
        bytes[2..4].copy_from_slice(&[0x81, 0x80]);
        bytes[4..12].copy_from_slice(&[0, 1, 0, 2, 0, 0, 0, 0]);
        bytes.extend(b"\xc0\x0c\0\x21\0\x01\0\0\0\x3c\0\x0e\0\x01\0\x02\x23\x8c\x05first\xc0\x0e");
        bytes.extend(b"\xc0\x0c\0\x21\0\x01\0\0\0\x3c\0\x08\0\x01\0\x02\x00\x50\xc0\x0c");
        bytes
    }

    #[test]
    fn records_are_read_with_names_that_are_pointers() {
        let read = reply(&answer(), 7, "A.example.", RecordKind::Srv).expect("an answer");
        let srv = |target: &str, port| Record::Srv { target: target.to_owned(), port };
        assert_eq!(read.records, [srv("first.example.", 9100), srv("a.example.", 80)]);
        assert_eq!((read.code, read.truncated), (0, false));
        for (id, name, kind) in
            [(8, "a.example.", RecordKind::Srv), (7, "b.example.", RecordKind::Srv), (7, "a.example.", RecordKind::A)]
        {
            assert_eq!(reply(&answer(), id, name, kind), Err(BadMessage::Other));
        }
    }

    #[test]
    fn a_name_that_cannot_be_asked_for_is_refused() {
        let long = format!("{}.", ["x".repeat(60).as_str(); 5].join("."));
        for name in ["a..b.", &format!("{}.", "x".repeat(64)), &long, "."] {
            assert_eq!(question(1, name, RecordKind::A), Err(BadMessage::Question), "{name}");
        }
    }

    #[test]
    fn no_bytes_panic_or_loop() {
        let whole = answer();
        for end in 0..whole.len() {
            assert!(reply(&whole[..end], 7, "a.example.", RecordKind::Srv).is_err(), "cut at {end}");
        }
        // A pointer to itself.
        let mut circle = whole.clone();
        circle[28..30].copy_from_slice(&[0xc0, 28]);
        let _no_hang = reply(&circle, 7, "a.example.", RecordKind::Srv);
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let rounds = ::tests::depth::pick(20_000, 500_000);
        for _ in 0..rounds {
            let mut broken = whole.clone();
            for _ in 0..3 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (seed >> 33) as usize % broken.len();
                broken[at] = (seed >> 20) as u8;
            }
            let _whatever = reply(&broken, 7, "a.example.", RecordKind::Srv);
        }
    }
}
