//! Wait-free producer of a ring: appends rows, and drops the oldest or the newest one when the ring is full.

use super::slots::Slots;
use crate::{
    Closed,
    shape::{Links, Shape},
};
use core::fmt;
use std::sync::Arc;

/// Pushes to a [`Ring`](super::Ring). There is one writer for each ring; dropping it closes the ring.
pub struct RingWriter {
    slots: Arc<Slots>,
    /// The number of the next row.
    next: u64,
    /// Whether a full ring refuses the newest row, in place of overwriting the oldest.
    refuses_newest: bool,
    /// The accounting cursor when it was last loaded; it may have advanced.
    accounted: u64,
    skipped: u64,
}

impl RingWriter {
    #[inline]
    pub(super) fn new(slots: Arc<Slots>, shape: Shape) -> Self {
        Self {
            slots,
            next: 0,
            refuses_newest: shape.links == Links::Skipped,
            accounted: 0,
            skipped: 0,
        }
    }

    /// Prefetches the memory of the next push. A thread that pushes to many rings calls this for a few of them before the first
    /// push, so that their cache misses overlap.
    #[inline]
    pub fn prefetch(&self) {
        self.slots.prefetch(self.next);
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
        let slots = &*self.slots;
        if slots.is_closed() {
            slots.reject(1);
            return Err(Closed);
        }
        if self.refuses_newest {
            return self.push_or_skip(row);
        }
        slots.append(self.next, &[], row);
        self.next += 1;
        Ok(())
    }

    #[inline(never)]
    fn push_or_skip(&mut self, row: &[u64]) -> Result<(), Closed> {
        let slots = &*self.slots;
        assert_eq!(row.len(), slots.cells().row_words(), "a row of another width");
        if self.next - self.accounted >= slots.capacity() {
            self.accounted = slots.accounted();
        }
        if self.next - self.accounted >= slots.capacity() {
            self.skipped = slots.skip();
            return Ok(());
        }
        slots.append(self.next, &[self.skipped], row);
        self.next += 1;
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
        self.slots.raise_floor(self.next);
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
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
