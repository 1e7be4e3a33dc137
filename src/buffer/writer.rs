//! The one who pushes, to whichever kind of buffer.

use super::{
    BufferError, BufferKind, BufferSettings, Closed, MutexBuffer, QueueBuffer, TransitionBuffer, mutex, queue, ring,
};
use std::sync::Arc;

/// The one who pushes. Dropping it closes the buffer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Writer {
    /// To a [`ring::Ring`].
    Ring(ring::Writer),
    /// To a [`QueueBuffer`].
    Queue(queue::Writer),
    /// To a [`MutexBuffer`].
    Mutex(mutex::Writer),
}

impl Writer {
    /// Appends a row. No allocation.
    ///
    /// Where there is no room, the oldest row goes, or this one does, as the buffer's [`Overflow`](super::Overflow)
    /// says; both are counted as dropped, and are no error.
    ///
    /// # Errors
    /// When the buffer was closed.
    ///
    /// # Panics
    /// When `row` is not as long as the buffer's rows.
    #[inline]
    pub fn push(&mut self, row: &[u64]) -> Result<(), Closed> {
        match self {
            Self::Ring(writer) => writer.push(row),
            Self::Queue(writer) => writer.push(row),
            Self::Mutex(writer) => writer.push(row),
        }
    }

    /// Rows that can be pushed before one goes that was not drained.
    #[must_use]
    pub fn free(&self) -> usize {
        match self {
            Self::Ring(writer) => writer.free(),
            Self::Queue(writer) => writer.free(),
            Self::Mutex(writer) => writer.free(),
        }
    }

    /// Hides the rows pushed so far from everybody but the accounting cursor, and readers who saw them already.
    ///
    /// For a player who does not want to be recorded: its open episode is discarded on the way to the sinks, and until
    /// then it must not be sampled or peeked at.
    pub fn hide(&mut self) {
        match self {
            Self::Ring(writer) => writer.hide(),
            Self::Queue(writer) => writer.hide(),
            Self::Mutex(writer) => writer.hide(),
        }
    }
}

/// Makes a buffer of rows of `row_words` words, and its writer.
///
/// # Errors
/// When the settings or the rows have no size, or one so large that the buffer cannot be made.
pub fn create(settings: &BufferSettings, row_words: usize) -> Result<(Writer, Arc<dyn TransitionBuffer>), BufferError> {
    Ok(match settings.kind {
        BufferKind::Ring => {
            let (writer, ring) = ring::Ring::with_settings(settings, row_words)?;
            (Writer::Ring(writer), ring)
        }
        BufferKind::Queue => {
            let (writer, buffer) = QueueBuffer::new(settings, row_words)?;
            (Writer::Queue(writer), buffer)
        }
        BufferKind::Mutex => {
            let (writer, buffer) = MutexBuffer::new(settings, row_words)?;
            (Writer::Mutex(writer), buffer)
        }
    })
}
