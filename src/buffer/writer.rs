//! The one who pushes, to whichever kind of buffer.

use super::{
    BufferError, BufferKind, BufferSettings, Closed, MutexBuffer, QueueBuffer, TransitionBuffer, mutex, queue, ring,
    spill::{self, SpillFile},
};
use std::sync::Arc;

/// The one who pushes. Dropping it closes the buffer.
#[derive(Debug)]
pub struct Writer(Kind);

#[derive(Debug)]
enum Kind {
    Ring(ring::Writer),
    // Together, so that a push to a ring asks one question only.
    Other(Other),
}

#[derive(Debug)]
enum Other {
    Queue(queue::Writer),
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
        match &mut self.0 {
            Kind::Ring(writer) => writer.push(row),
            Kind::Other(other) => other.push(row),
        }
    }

    /// Rows that can be pushed before one goes that was not drained.
    #[must_use]
    pub fn free(&self) -> usize {
        match &self.0 {
            Kind::Ring(writer) => writer.free(),
            Kind::Other(Other::Queue(writer)) => writer.free(),
            Kind::Other(Other::Mutex(writer)) => writer.free(),
        }
    }

    /// Hides the rows pushed so far from everybody but the accounting cursor, and readers who saw them already.
    ///
    /// For a player who does not want to be recorded: its open episode is discarded on the way to the sinks, and until
    /// then it must not be sampled or peeked at.
    pub fn hide(&mut self) {
        match &mut self.0 {
            Kind::Ring(writer) => writer.hide(),
            Kind::Other(Other::Queue(writer)) => writer.hide(),
            Kind::Other(Other::Mutex(writer)) => writer.hide(),
        }
    }
}

impl Other {
    #[inline(never)]
    fn push(&mut self, row: &[u64]) -> Result<(), Closed> {
        match self {
            Self::Queue(writer) => writer.push(row),
            Self::Mutex(writer) => writer.push(row),
        }
    }
}

impl From<ring::Writer> for Writer {
    fn from(writer: ring::Writer) -> Self {
        Self(Kind::Ring(writer))
    }
}

/// Makes a buffer of rows of `row_words` words, and its writer.
///
/// # Errors
/// When the settings or the rows have no size, or one so large that the buffer cannot be made; or when no file can be
/// made where rows are to be spilled.
pub fn create(settings: &BufferSettings, row_words: usize) -> Result<(Writer, Arc<dyn TransitionBuffer>), BufferError> {
    create_in(spill::file(settings, row_words)?, settings, row_words)
}

/// Makes a buffer that shares a spill file with others.
pub(super) fn create_in(
    file: Option<Arc<SpillFile>>,
    settings: &BufferSettings,
    row_words: usize,
) -> Result<(Writer, Arc<dyn TransitionBuffer>), BufferError> {
    Ok(match settings.kind {
        BufferKind::Ring => {
            let (writer, ring) = ring::Ring::in_file(file, settings, row_words)?;
            (writer.into(), ring)
        }
        BufferKind::Queue => {
            let (writer, buffer) = QueueBuffer::in_file(file, settings, row_words)?;
            (Writer(Kind::Other(Other::Queue(writer))), buffer)
        }
        BufferKind::Mutex => {
            let (writer, buffer) = MutexBuffer::in_file(file, settings, row_words)?;
            (Writer(Kind::Other(Other::Mutex(writer))), buffer)
        }
    })
}
