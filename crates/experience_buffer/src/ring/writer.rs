//! The one who pushes.

use super::slots::Slots;
use crate::{
    BufferError, Closed,
    shape::{Links, Shape},
};
use core::fmt;
use std::sync::Arc;

/// The one who pushes to a [`Ring`](super::Ring). Dropping it closes the ring.
pub struct Writer {
    slots: Arc<Slots>,
    /// The number of the next row.
    next: u64,
    /// Whether a full ring refuses the newest row instead of overwriting the oldest.
    refuses_newest: bool,
    /// What the accounting cursor was when it was looked at last; it may be further by now.
    accounted: u64,
    skipped: u64,
    leaves_open: bool,
}

impl Writer {
    pub(super) fn new(slots: Arc<Slots>, shape: Shape) -> Self {
        Self {
            slots,
            next: 0,
            refuses_newest: shape.links == Links::Skipped,
            accounted: 0,
            skipped: 0,
            leaves_open: false,
        }
    }

    /// Whether several may push instead.
    pub(super) fn check_shared(&self) -> Result<(), BufferError> {
        if self.refuses_newest {
            return Err(BufferError::SharedDropNewest);
        }
        Ok(())
    }

    /// Ends this writer for another one.
    pub(super) fn leave_open(&mut self) -> Arc<Slots> {
        self.leaves_open = true;
        self.slots.clone()
    }

    /// Says that a row will be pushed soon. Whoever pushes to many rings calls this for some of them before the first push:
    /// then their memory is on its way at the same time, not one ring's after the other's.
    #[inline]
    pub fn prefetch(&self) {
        self.slots.prefetch(self.next);
    }

    /// Appends a row. No allocation, and wait-free.
    ///
    /// Where there is no room, the oldest row goes, or this one does, as the ring's
    /// [`Overflow`](crate::Overflow) says; both are counted as dropped, and are no error.
    ///
    /// # Errors
    /// When the ring was closed. A push at the very moment of the close may do either.
    ///
    /// # Panics
    /// When `row` is not as long as the ring's rows.
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

    /// Rows that can be pushed before one goes that was not drained.
    #[must_use]
    pub fn free(&self) -> usize {
        self.slots.free()
    }

    /// Hides the rows pushed so far from everybody but the accounting cursor and readers who saw them already.
    ///
    /// For a player who does not want to be recorded: its open episode is discarded on the way to the sinks, and until
    /// then it must not be sampled or peeked at.
    pub fn hide(&mut self) {
        self.slots.raise_floor(self.next);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.leaves_open {
            self.slots.close();
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
