//! A set of episode ids.

use std::collections::HashMap;

/// A set of integers, in blocks of 64 bits. The ids of a run's episodes are consecutive, so that each takes a few bits.
#[derive(Default)]
pub(super) struct IdSet {
    /// By the upper 58 bits of the ids.
    blocks: HashMap<i64, u64>,
}

impl IdSet {
    /// Adds an id. Returns `false` if it is in the set already.
    pub(super) fn insert(&mut self, id: i64) -> bool {
        let (block, bit) = place(id);
        let bits = self.blocks.entry(block).or_default();
        let is_new = *bits & bit == 0;
        *bits |= bit;
        is_new
    }

    pub(super) fn contains(&self, id: i64) -> bool {
        let (block, bit) = place(id);
        self.blocks.get(&block).is_some_and(|bits| bits & bit != 0)
    }
}

fn place(id: i64) -> (i64, u64) {
    (id >> 6, 1 << (id & 63))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_in_the_set_from_their_insertion_on() {
        let (mut set, mut reference) = (IdSet::default(), HashSet::new());
        for id in [
            0,
            1,
            63,
            64,
            -1,
            -64,
            -65,
            i64::MIN,
            i64::MAX,
            7 << 32,
            (7 << 32) + 1,
            63,
            i64::MIN,
        ] {
            assert_eq!(set.contains(id), reference.contains(&id), "{id}");
            assert_eq!(set.insert(id), reference.insert(id), "{id}");
            assert!(set.contains(id) && !set.contains(id ^ 2), "{id}");
        }
    }
}
