//! The writer of a ring.

use super::slots::Slots;
use crate::{
    Closed,
    shape::{Links, Shape},
    spill::Spilling,
};
use core::fmt;
use std::sync::Arc;

/// Pushes to a [`Ring`](super::Ring). There is one writer for each ring; dropping it closes the ring.
pub struct Writer {
    slots: Arc<Slots>,
    /// The number of the next row.
    next: u64,
    /// Whether a full ring does anything else than overwrite the oldest row.
    checks_capacity: bool,
    /// Where a full ring puts its oldest rows. A writer that checks the capacity refuses the newest without it.
    spilling: Option<Arc<Spilling>>,
    /// The accounting cursor when it was last loaded; it may have advanced.
    accounted: u64,
    skipped: u64,
}

impl Writer {
    pub(super) fn new(slots: Arc<Slots>, shape: Shape, spilling: Option<Arc<Spilling>>) -> Self {
        Self {
            slots,
            next: 0,
            checks_capacity: shape.links == Links::Skipped || spilling.is_some(),
            spilling,
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

    /// Appends a row. Allocates nothing, and is wait-free unless it must spill.
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
        if self.checks_capacity {
            return self.push_checked(row);
        }
        slots.append(self.next, &[], row);
        self.next += 1;
        Ok(())
    }

    #[inline(never)]
    fn push_checked(&mut self, row: &[u64]) -> Result<(), Closed> {
        let slots = &*self.slots;
        assert_eq!(row.len(), slots.cells().row_words(), "a row of another width");
        if self.next - self.accounted >= slots.capacity() {
            self.accounted = slots.accounted();
        }
        let is_full = self.next - self.accounted >= slots.capacity();
        match &self.spilling {
            Some(spilling) => {
                if is_full && spilling.room() > 0 {
                    spill(spilling, slots, self.next);
                }
                slots.append(self.next, &[], row);
            }
            None if is_full => {
                self.skipped = slots.skip();
                return Ok(());
            }
            None => slots.append(self.next, &[self.skipped], row),
        }
        self.next += 1;
        Ok(())
    }

    /// Rows that can be pushed before one is lost that was not drained.
    #[must_use]
    pub fn free(&self) -> usize {
        super::free(&self.slots, self.spilling.as_deref())
    }

    /// Hides the rows pushed so far from all readers but the accounting cursor.
    ///
    /// For a player that withdraws its consent: its open episode is discarded when it is drained, and must not be sampled or
    /// peeked at until then.
    pub fn hide(&mut self) {
        self.slots.raise_floor(self.next);
    }
}

/// Moves the oldest rows of a full ring to the file, if that can be done.
#[cold]
fn spill(spilling: &Spilling, slots: &Slots, next: u64) {
    let mut chain = spilling.lock();
    let accounted = slots.accounted();
    if next - accounted < slots.capacity() {
        // Somebody drained since it was looked at.
        return;
    }
    let first = accounted.max(slots.oldest(next));
    let stored = spilling.store(&mut chain, first, |index, row| {
        let whole = slots.read(first + index, row);
        debug_assert!(whole, "nobody else writes");
    });
    if stored {
        slots.account(first + spilling.block_rows() as u64, first - accounted);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.slots.close();
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
