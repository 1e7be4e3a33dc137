//! Several who push to one ring.

use super::{Writer, slots::Slots};
use crate::buffer::{BufferError, Closed};
use core::fmt;
use std::sync::Arc;

/// Pushes to a [`Ring`](super::Ring) from any number of threads. When the last clone goes, the ring is closed.
///
/// For code outside the schedule: capture has one [`Writer`] per player, which is cheaper. A push takes the next number
/// and writes its row into the cell of that number, at the same time as others write theirs. It waits in one case only:
/// when the others have gone once around the ring while the row that had the cell before is still being written. Readers
/// stop at a row that is still being written, and see it and those behind it later.
///
/// ```
/// use bevy_experience::buffer::{TransitionBuffer, ring::Ring};
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

/// Closes the ring when it goes.
struct Closing(Arc<Slots>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl SharedWriter {
    pub(super) fn new(slots: Arc<Slots>) -> Self {
        Self(Arc::new(Closing(slots)))
    }

    fn slots(&self) -> &Slots {
        &self.0.0
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
            slots.reject();
            return Err(Closed);
        }
        slots.append_shared(row);
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
    /// When the ring refuses the newest rows, or spills the oldest: that needs one writer, who knows which these are.
    pub fn into_shared(mut self) -> Result<SharedWriter, BufferError> {
        self.check_shared()?;
        Ok(SharedWriter::new(self.leave_open()))
    }
}
