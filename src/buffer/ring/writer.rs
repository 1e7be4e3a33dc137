//! The one who pushes.

use super::slots::{Links, Shape, Slots};
use crate::{buffer::Closed, transition::StepHeader};
use core::fmt;
use std::sync::Arc;

/// The one who pushes to a [`Ring`](super::Ring). Dropping it closes the ring.
pub struct Writer {
    slots: Arc<Slots>,
    /// The number of the next row.
    next: u64,
    /// Whether a full ring refuses the row, instead of overwriting the oldest.
    drops_newest: bool,
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
            drops_newest: shape.links == Links::Skipped,
            accounted: 0,
            skipped: 0,
            leaves_open: false,
        }
    }

    pub(super) fn drops_newest(&self) -> bool {
        self.drops_newest
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

    /// Appends a row. Wait-free, and no allocation.
    ///
    /// Where there is no room, the oldest row goes, or this one does, as the ring's
    /// [`Overflow`](crate::buffer::Overflow) says; both are counted as dropped, and are no error.
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
            slots.reject();
            return Err(Closed);
        }
        if self.drops_newest {
            return self.push_or_skip(row);
        }
        slots.append(self.next, &[], row);
        self.next += 1;
        Ok(())
    }

    /// Appends a row whose header is not in its place yet. Otherwise as [`push`](Self::push).
    ///
    /// # Errors
    /// When the ring was closed.
    ///
    /// # Panics
    /// When `row` is not as long as the ring's rows, or has no room for a header.
    #[inline]
    pub(in crate::buffer) fn push_step(&mut self, header: &StepHeader, row: &mut [u64]) -> Result<(), Closed> {
        if self.drops_newest || self.slots.is_closed() {
            *StepHeader::of_mut(row) = *header;
            return self.push(row);
        }
        self.slots.append_step(self.next, [], header, row);
        self.next += 1;
        Ok(())
    }

    #[inline(never)]
    fn push_or_skip(&mut self, row: &[u64]) -> Result<(), Closed> {
        let slots = &*self.slots;
        assert_eq!(row.len(), slots.cells().row_words(), "a row of another width");
        if self.next - self.accounted == slots.capacity() {
            self.accounted = slots.accounted();
        }
        if self.next - self.accounted == slots.capacity() {
            self.skipped = slots.skip();
        } else {
            slots.append(self.next, &[self.skipped], row);
            self.next += 1;
        }
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
