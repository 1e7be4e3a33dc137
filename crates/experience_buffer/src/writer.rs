//! The one who pushes, to whichever kind of buffer.

use super::{
    BufferError, BufferKind, BufferSettings, Closed, Label, MutexBuffer, QueueBuffer, TransitionBuffer, mutex, queue,
    ring, supplies::Supplies,
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
    /// Says that a row will be pushed soon. Whoever pushes to many buffers calls this for some of them before the first
    /// push: then their memory is on its way at the same time, not one buffer's after the other's.
    #[inline]
    pub fn prefetch(&self) {
        if let Kind::Ring(writer) = &self.0 {
            writer.prefetch();
        }
    }

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
/// When the settings or the rows have no size, or one so large that the buffer cannot be made, or the kind cannot lie in
/// the memory that they name.
pub fn create(settings: &BufferSettings, row_words: usize) -> Result<(Writer, Arc<dyn TransitionBuffer>), BufferError> {
    create_for(settings, row_words, Label::default())
}

/// Makes a buffer of rows of `row_words` words for the player on the label, and its writer.
///
/// # Errors
/// As [`create`].
pub fn create_for(
    settings: &BufferSettings,
    row_words: usize,
    label: Label,
) -> Result<(Writer, Arc<dyn TransitionBuffer>), BufferError> {
    let supplies = Supplies {
        label,
        ..Supplies::default()
    };
    create_with(settings, row_words, supplies)
}

/// Makes a buffer with these supplies.
pub(super) fn create_with(
    settings: &BufferSettings,
    row_words: usize,
    supplies: Supplies,
) -> Result<(Writer, Arc<dyn TransitionBuffer>), BufferError> {
    Ok(match settings.kind {
        BufferKind::Ring => {
            let (writer, ring) = ring::Ring::supplied(settings, row_words, supplies)?;
            (writer.into(), ring)
        }
        BufferKind::Queue => {
            let (writer, buffer) = QueueBuffer::supplied(settings, row_words, supplies)?;
            (Writer(Kind::Other(Other::Queue(writer))), buffer)
        }
        BufferKind::Mutex => {
            let (writer, buffer) = MutexBuffer::supplied(settings, row_words, supplies)?;
            (Writer(Kind::Other(Other::Mutex(writer))), buffer)
        }
    })
}

// Here, because it asks every kind.
impl BufferSettings {
    /// Bytes that a buffer of rows of `row_words` words takes: those of its rows and of its counters.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn bytes(&self, row_words: usize) -> Result<usize, BufferError> {
        self.check(row_words)?;
        match self.kind {
            BufferKind::Ring => self.memory.bytes(self.shape(row_words)),
            BufferKind::Queue => queue::bytes(self, row_words),
            BufferKind::Mutex => mutex::bytes(self, row_words),
        }
    }
}
