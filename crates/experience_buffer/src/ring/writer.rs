//! Wait-free producer of a ring: appends rows, and drops the oldest or the newest one when the ring is full.

use super::slots::Slots;
use crate::{Closed, shape::Links};
use core::fmt;

/// Pushes to a [`Ring`](super::Ring). There is one writer for each ring; dropping it closes the ring.
pub struct RingWriter {
    slots: Slots,
}

impl RingWriter {
    #[inline]
    pub(super) fn new(slots: Slots) -> Self {
        Self { slots }
    }

    /// Prefetches the memory of the next push. A thread that pushes to many rings calls this for a few of them before the first
    /// push, so that their cache misses overlap.
    #[inline]
    pub fn prefetch(&self) {
        self.slots.prefetch(self.slots.next());
    }

    /// Appends a row. Allocates nothing, and is wait-free.
    ///
    /// A full ring drops its oldest row or this one, by its [`Overflow`](crate::Overflow). Either counts as dropped, and is
    /// not an error.
    ///
    /// # Errors
    /// When the ring was closed. A push that is concurrent with the close may succeed.
    ///
    /// # Panics
    /// When `row` has another length than the ring's rows.
    #[inline(always)]
    pub fn push(&mut self, row: &[u64]) -> Result<(), Closed> {
        self.append(row)
    }

    #[inline(always)]
    pub(super) fn slots(&self) -> &Slots {
        &self.slots
    }

    /// As [`push`](Self::push), by the thread that has the writer for itself.
    #[inline(always)]
    pub(super) fn append(&self, row: &[u64]) -> Result<(), Closed> {
        let slots = &self.slots;
        if slots.is_closed() {
            slots.reject(1);
            return Err(Closed);
        }
        if slots.links() == Links::Skipped {
            return self.push_or_skip(row);
        }
        slots.append(slots.next(), &[], row);
        Ok(())
    }

    /// As [`push`](Self::push), where a full ring refuses the newest row in place of overwriting the oldest.
    #[inline(never)]
    fn push_or_skip(&self, row: &[u64]) -> Result<(), Closed> {
        let slots = &self.slots;
        assert_eq!(row.len(), slots.view().row_words(), "a row of another width");
        if slots.free() == 0 {
            slots.skip();
            return Ok(());
        }
        slots.append(slots.next(), &[slots.skipped()], row);
        Ok(())
    }

    /// Rows that can be pushed before one is lost that was not drained.
    #[must_use]
    #[inline]
    pub fn free(&self) -> usize {
        self.slots.free()
    }

    /// Hides the rows pushed so far from all readers but the accounting cursor.
    ///
    /// For a player that withdraws its consent: its open episode is discarded when it is drained, and must not be sampled or
    /// peeked at until then.
    #[inline]
    pub fn hide(&mut self) {
        self.slots.raise_floor(self.slots.next());
    }
}

impl Drop for RingWriter {
    #[inline]
    fn drop(&mut self) {
        self.slots.close();
    }
}

impl fmt::Debug for RingWriter {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingWriter")
            .field("next", &self.slots.next())
            .finish_non_exhaustive()
    }
}
