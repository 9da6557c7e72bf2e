//! Exemplars: a ring of the newest ones, in memory, in the log and in checkpoints.

use std::collections::HashMap;

use model::storage::Exemplar;

use crate::head::cow::CowVec;

/// The ring.
#[derive(Debug)]
pub(crate) struct Exemplars {
    ring: CowVec<(u32, Exemplar)>,
    /// At the bound the oldest exemplar makes room for the new one.
    max: usize,
    next: usize,
    /// For each series in the ring: its newest time, and how many it has there.
    newest: HashMap<u32, (i64, u32)>,
}

/// The ring as a reader sees it.
#[derive(Clone, Debug)]
pub(crate) struct ExemplarsView {
    ring: CowVec<(u32, Exemplar)>,
    /// The oldest entry.
    first: usize,
}

impl Exemplars {
    pub(crate) fn new(max: usize) -> Self {
        Self { ring: CowVec::default(), max, next: 0, newest: HashMap::new() }
    }

    /// Keeps an exemplar if it is newer than the last of its series.
    pub(crate) fn push(&mut self, id: u32, exemplar: &Exemplar) {
        let time = exemplar.time.millis();
        if self.max == 0 || self.newest.get(&id).is_some_and(|(newest, _)| time <= *newest) {
            return;
        }
        let entry = self.newest.entry(id).or_insert((time, 0));
        *entry = (time, entry.1 + 1);
        if self.ring.len() < self.max {
            self.ring.push((id, exemplar.clone()));
            return;
        }
        if let Some(slot) = self.ring.get_mut(self.next) {
            let (gone, _) = std::mem::replace(slot, (id, exemplar.clone()));
            if let Some(entry) = self.newest.get_mut(&gone) {
                entry.1 -= 1;
                if entry.1 == 0 {
                    self.newest.remove(&gone);
                }
            }
        }
        self.next = (self.next + 1) % self.max;
    }

    /// Gives the series new ids; those without one lose their exemplars.
    pub(crate) fn renumber(&mut self, id_of: &dyn Fn(u32) -> Option<u32>) {
        let view = self.view();
        *self = Self::new(self.max);
        for (id, exemplar) in view.iter() {
            if let Some(id) = id_of(*id) {
                self.push(id, exemplar);
            }
        }
    }

    pub(crate) fn view(&self) -> ExemplarsView {
        let first = if self.ring.len() < self.max { 0 } else { self.next };
        ExemplarsView { ring: self.ring.clone(), first }
    }

    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }
}

impl ExemplarsView {
    /// Oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(u32, Exemplar)> {
        let len = self.ring.len();
        (0..len).filter_map(move |at| self.ring.get((self.first + at) % len))
    }
}

#[cfg(test)]
mod tests {
    use model::labels::Labels;
    use model::time::Timestamp;

    use super::*;

    fn exemplar(time: i64) -> Exemplar {
        Exemplar { labels: Labels::empty(), value: 1.0, time: Timestamp(time) }
    }

    fn held(exemplars: &Exemplars) -> Vec<(u32, i64)> {
        exemplars.view().iter().map(|(id, exemplar)| (*id, exemplar.time.millis())).collect()
    }

    #[test]
    fn the_oldest_makes_room_and_repetitions_are_left_out() {
        let mut exemplars = Exemplars::new(3);
        for (id, time) in [(1, 10), (2, 10), (1, 10), (1, 9), (1, 20), (3, 5)] {
            exemplars.push(id, &exemplar(time));
        }
        assert_eq!(held(&exemplars), [(2, 10), (1, 20), (3, 5)]);
        exemplars.push(2, &exemplar(11));
        exemplars.push(9, &exemplar(1));
        assert_eq!(held(&exemplars), [(3, 5), (2, 11), (9, 1)]);
        // Nothing of series 1 is left, so anything of it is new again.
        exemplars.push(1, &exemplar(2));
        exemplars.renumber(&|id| (id != 9).then_some(id + 100));
        assert_eq!(held(&exemplars), [(102, 11), (101, 2)]);
    }
}
