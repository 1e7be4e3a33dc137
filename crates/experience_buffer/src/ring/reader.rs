//! A reader of a ring with a cursor of its own.

use super::{cursor::Cursor, slots::Slots};
use crate::Drained;
use core::fmt;

/// Reads a [`Ring`](super::Ring) with a cursor of its own. A clone starts at the same row and advances independently.
///
/// Reading removes nothing, and does not change the statistics of the ring.
#[derive(Clone)]
pub struct Reader {
    slots: Slots,
    cursor: Cursor,
}

impl Reader {
    /// A reader at the oldest row.
    pub(super) fn new(slots: Slots) -> Self {
        let mut reader = Self {
            cursor: Cursor::new(0),
            slots,
        };
        reader.seek_oldest();
        reader
    }

    pub(crate) fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Calls `each` with at most `max` rows that this reader has not read, oldest first, and advances. Rows are never torn.
    /// Allocates nothing.
    ///
    /// Rows that were missed come before the rows that were read: see [`Drained`].
    pub fn read(&mut self, max: usize, each: impl FnMut(&[u64])) -> Drained {
        // Rows that were hidden before this reader reached them are skipped, and do not count as missed.
        let floor = self.slots.floor();
        if self.cursor.next < floor {
            self.cursor.seek(floor);
        }
        self.cursor.read::<true>(&self.slots, max, |_, _| (), each)
    }

    /// The number of the next row, counted from 0 since the ring was created.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.cursor.next
    }

    /// Seeks to the oldest row that the ring holds.
    pub fn seek_oldest(&mut self) {
        self.cursor.seek(self.slots.oldest(self.slots.head()));
    }

    /// Seeks to the end: only rows that are pushed from now on are read.
    pub fn seek_newest(&mut self) {
        self.seek_back(0);
    }

    /// Seeks to the newest `rows` rows, or to the oldest row where the ring holds fewer.
    pub fn seek_back(&mut self, rows: u64) {
        let head = self.slots.head();
        self.cursor.seek(head.saturating_sub(rows).max(self.slots.oldest(head)));
    }

    /// Words of a row.
    #[must_use]
    pub fn row_words(&self) -> usize {
        self.slots.view().row_words()
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("next", &self.cursor.next)
            .finish_non_exhaustive()
    }
}
