//! A vector that can be pinned: a clone is cheap and stays as it was while the original goes on changing.
//!
//! Elements stand behind two levels of counted references, 64 to a group. A write copies an element (and the list of
//! its group) only while a clone still holds it, so without readers nothing is ever copied.

use std::sync::Arc;

const GROUP: usize = 64;

/// The vector.
#[derive(Debug)]
pub(crate) struct CowVec<T> {
    groups: Vec<Arc<Vec<Arc<T>>>>,
    len: usize,
}

impl<T> Clone for CowVec<T> {
    fn clone(&self) -> Self {
        Self { groups: self.groups.clone(), len: self.len }
    }
}

impl<T> Default for CowVec<T> {
    fn default() -> Self {
        Self { groups: Vec::new(), len: 0 }
    }
}

impl<T: Clone> CowVec<T> {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.groups.get(index / GROUP)?.get(index % GROUP).map(|element| &**element)
    }

    /// The element to change; copied first if a clone of the vector holds it.
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let group = Arc::make_mut(self.groups.get_mut(index / GROUP)?);
        group.get_mut(index % GROUP).map(Arc::make_mut)
    }

    pub(crate) fn push(&mut self, element: T) {
        if self.len.is_multiple_of(GROUP) {
            self.groups.push(Arc::new(Vec::with_capacity(GROUP)));
        }
        if let Some(group) = self.groups.last_mut() {
            Arc::make_mut(group).push(Arc::new(element));
            self.len += 1;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.groups.iter().flat_map(|group| group.iter()).map(|element| &**element)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_keeps_what_it_saw() {
        let mut vector = CowVec::default();
        for n in 0..200 {
            vector.push(n);
        }
        let pinned = vector.clone();
        if let Some(element) = vector.get_mut(70) {
            *element = -1;
        }
        vector.push(200);
        assert_eq!((vector.get(70), vector.len()), (Some(&-1), 201));
        assert_eq!((pinned.get(70), pinned.len()), (Some(&70), 200));
        assert!(pinned.iter().copied().eq(0..200));
        assert_eq!(pinned.get(200), None);
    }
}
