//! Several who push to one ring.

use super::{Writer, slots::Slots};
use crate::{
    BufferError, Closed,
    sync::{AtomicU64, Ordering, fence, wait},
};
use core::fmt;
use std::sync::Arc;

/// Pushes to a [`Ring`](super::Ring) from any number of threads. When the last clone goes, the ring is closed.
///
/// For code outside the schedule: capture has one [`Writer`] per player, which is cheaper. A push takes the next number
/// and writes its row into the cell of that number, at the same time as others write theirs. It waits in one case only:
/// when the others have gone once around the ring while the row that had the cell before is still being written. Readers
/// stop at a row that is still being written, and see it and those behind it later; until then, those do not count as
/// pushed.
///
/// ```
/// use experience_buffer::{ring::Ring, TransitionBuffer};
///
/// let (writer, ring) = Ring::new(1, 64)?;
/// let writer = writer.into_shared()?;
/// std::thread::scope(|scope| {
///     for thread in 0..4 {
///         let writer = writer.clone();
///         scope.spawn(move || (0..8).try_for_each(|n| writer.push(&[thread * 8 + n])));
///     }
/// });
/// assert_eq!(ring.stats().added, 32);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SharedWriter(Arc<Closing>);

/// What the writers of a ring share. Closes it when it goes.
struct Closing {
    slots: Arc<Slots>,
    /// For each cell, the number of the last row that was written to it, plus one. Rows are finished in any order, but
    /// become visible in theirs; numbered slots of this kind go back to Dmitry Vyukov's bounded MPMC queue (2010).
    finished: Box<[AtomicU64]>,
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.slots.close();
    }
}

impl SharedWriter {
    pub(super) fn new(slots: Arc<Slots>) -> Self {
        let head = slots.head();
        let finished: Box<[_]> = (0..slots.capacity()).map(|_| AtomicU64::new(0)).collect();
        for number in slots.oldest(head)..head {
            finished[slots.index(number)].store(number + 1, Ordering::Relaxed);
        }
        Self(Arc::new(Closing { slots, finished }))
    }

    fn slots(&self) -> &Slots {
        &self.0.slots
    }

    fn finished(&self, number: u64) -> &AtomicU64 {
        &self.0.finished[self.slots().index(number)]
    }

    fn append(&self, row: &[u64]) {
        let slots = self.slots();
        let number = slots.begin();
        let finished = self.finished(number);
        let mut turns = 0;
        // The cell's last row, if there was one, must be finished: two who wrote to one cell would tear both.
        let before = (number + 1).saturating_sub(slots.capacity());
        // Acquire: this row's words come after that one's.
        while finished.load(Ordering::Acquire) < before {
            wait(turns);
            turns = turns.saturating_add(1);
        }
        slots.write(number, row);
        finished.store(number + 1, Ordering::Release);
        // Whoever finishes a row that others wait behind makes all of them visible. Of two who finish at once, the one whose
        // fence is the later one sees both, so no row is left behind.
        loop {
            fence(Ordering::SeqCst);
            let head = slots.head();
            if self.finished(head).load(Ordering::Acquire) <= head {
                break;
            }
            slots.publish(head);
        }
    }

    /// Appends a row; the oldest makes room for it. No allocation.
    ///
    /// # Errors
    /// When the ring was closed. A push at the very moment of the close may do either.
    ///
    /// # Panics
    /// When `row` is not as long as the ring's rows.
    pub fn push(&self, row: &[u64]) -> Result<(), Closed> {
        let slots = self.slots();
        // Before a number is taken: a row that is never written would stop every reader.
        assert_eq!(row.len(), slots.cells().row_words(), "a row of another width");
        if slots.is_closed() {
            slots.reject(1);
            return Err(Closed);
        }
        self.append(row);
        Ok(())
    }

    /// Rows that could be pushed, if nobody else pushed, before one goes that was not drained.
    #[must_use]
    pub fn free(&self) -> usize {
        self.slots().free()
    }
}

impl fmt::Debug for SharedWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedWriter")
            .field("next", &self.slots().head())
            .finish_non_exhaustive()
    }
}

impl Writer {
    /// Lets several push to the ring.
    ///
    /// # Errors
    /// When the ring refuses the newest rows: that needs one writer, who knows which these are.
    pub fn into_shared(mut self) -> Result<SharedWriter, BufferError> {
        self.check_shared()?;
        Ok(SharedWriter::new(self.leave_open()))
    }
}
