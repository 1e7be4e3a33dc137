//! Readers with a cursor of their own.

use super::{cursor::Cursor, slots::Slots};
use crate::Drained;
use core::fmt;
use std::sync::Arc;

/// Reads a [`Ring`](super::Ring) with a cursor of its own. Clones go on from the same place, each by itself.
///
/// A reader takes nothing from anybody: rows that it reads stay, and the buffer's account does not know of it.
#[derive(Clone)]
pub struct Reader {
    slots: Arc<Slots>,
    cursor: Cursor,
}

impl Reader {
    /// A reader at the oldest row.
    pub(super) fn new(slots: Arc<Slots>) -> Self {
        let mut reader = Self {
            cursor: Cursor::new(0),
            slots,
        };
        reader.seek_oldest();
        reader
    }

    pub(crate) fn slots(&self) -> &Arc<Slots> {
        &self.slots
    }

    /// Gives out at most `max` rows that this reader has not seen, oldest first, each of them whole. No allocation.
    ///
    /// The rows missed stand before the rows given out, as [`Drained`] says.
    pub fn read(&mut self, max: usize, each: impl FnMut(&[u64])) -> Drained {
        // What was hidden before this reader came to it, it does not see, and does not miss.
        let floor = self.slots.floor();
        if self.cursor.next < floor {
            self.cursor.seek(floor);
        }
        let slots = &*self.slots;
        self.cursor
            .read(slots, max, |content| slots.is_public(content), |_, _| (), each)
    }

    /// The number of the next row, counted from 0 over the ring's whole life.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.cursor.next
    }

    /// Goes to the oldest row that the ring still holds.
    pub fn seek_oldest(&mut self) {
        self.cursor.seek(self.slots.oldest(self.slots.head()));
    }

    /// Goes to the end: only rows that are pushed from now on are read.
    pub fn seek_newest(&mut self) {
        self.seek_back(0);
    }

    /// Goes to the newest `rows` rows, or to the oldest where the ring holds fewer.
    pub fn seek_back(&mut self, rows: u64) {
        let head = self.slots.head();
        self.cursor.seek(head.saturating_sub(rows).max(self.slots.oldest(head)));
    }

    /// Words of a row.
    #[must_use]
    pub fn row_words(&self) -> usize {
        self.slots.cells().row_words()
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("next", &self.cursor.next)
            .finish_non_exhaustive()
    }
}
