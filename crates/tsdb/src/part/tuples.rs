//! The labels of the series: each says only what differs from the series before it.

use crate::codec::Damage;
use crate::codec::bytes::{Reader, put_ivarint, put_uvarint};

/// Entries read from the front to find one.
pub(super) const TUPLES_IN_GROUP: usize = 16;

/// Shape and value numbers of one series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tuple {
    pub(super) shape: u32,
    pub(super) values: Vec<u32>,
}

/// Labels beyond this many are not marked as changed or not, but always written.
const MARKED: usize = 63;

impl Tuple {
    /// Appends the tuple; `previous` is the one before it in its group.
    pub(super) fn write(&self, previous: Option<&Self>, out: &mut Vec<u8>) {
        put_uvarint(out, u64::from(self.shape));
        match previous.filter(|previous| previous.shape == self.shape) {
            Some(previous) => {
                let differs = |place: usize| place >= MARKED || self.values[place] != previous.values[place];
                let marks = (0..self.values.len().min(MARKED)).filter(|place| differs(*place));
                put_uvarint(out, marks.fold(0, |marks, place| marks | 1 << place));
                for place in (0..self.values.len()).filter(|place| differs(*place)) {
                    put_ivarint(out, i64::from(self.values[place]) - i64::from(previous.values[place]));
                }
            }
            None => {
                for value in &self.values {
                    put_uvarint(out, u64::from(*value));
                }
            }
        }
    }

    /// Reads the next tuple over the one before it; `begins` where it is the first of its group.
    pub(super) fn read_next(
        &mut self,
        reader: &mut Reader<'_>,
        begins: bool,
        shapes: &[Vec<u32>],
    ) -> Result<(), Damage> {
        let shape = reader.count(u32::MAX as usize)?;
        let len = shapes.get(shape).ok_or(Damage("a shape that the part does not have"))?.len();
        if begins || shape != self.shape as usize {
            self.values.clear();
            for _ in 0..len {
                self.values.push(reader.count(u32::MAX as usize)? as u32);
            }
        } else {
            let marks = reader.uvarint()?;
            for (place, value) in self.values.iter_mut().enumerate() {
                if place >= MARKED || marks >> place & 1 == 1 {
                    let changed = i64::from(*value).checked_add(reader.ivarint()?);
                    *value =
                        changed.and_then(|value| u32::try_from(value).ok()).ok_or(Damage("a value out of bounds"))?;
                }
            }
        }
        self.shape = shape as u32;
        Ok(())
    }
}
