//! [`Writer`]: the producer of a ring, queue or mutex buffer, and functions that create a buffer by its settings.

use super::{
    BufferError, BufferKind, BufferSettings, Closed, Label, MutexBuffer, QueueBuffer, TransitionBuffer, mutex, queue,
    resources::BufferResources, ring,
};
use std::sync::Arc;

/// Pushes to a buffer of any kind. There is one writer for each buffer; dropping it closes the buffer.
#[derive(Debug)]
pub struct Writer(Kind);

#[derive(Debug)]
enum Kind {
    Ring(ring::RingWriter),
    // One variant for the others, so that a push to a ring has one branch. Boxed, so that a writer is small: a capture visits
    // those of all players.
    Other(Box<Other>),
}

const _: () = assert!(size_of::<Writer>() <= 16);

#[derive(Debug)]
enum Other {
    Queue(queue::QueueWriter),
    Mutex(mutex::MutexWriter),
}

impl Writer {
    /// Prefetches the memory of the next push. A thread that pushes to many buffers calls this for a few of them before the
    /// first push, so that their cache misses overlap.
    #[inline]
    pub fn prefetch(&self) {
        if let Kind::Ring(writer) = &self.0 {
            writer.prefetch();
        }
    }

    /// Appends a row. Allocates nothing.
    ///
    /// A full buffer drops its oldest row or this one, by its [`Overflow`](super::Overflow). Either counts as dropped, and is
    /// not an error.
    ///
    /// # Errors
    /// When the buffer was closed.
    ///
    /// # Panics
    /// When `row` has another length than the buffer's rows.
    #[inline]
    pub fn push(&mut self, row: &[u64]) -> Result<(), Closed> {
        match &mut self.0 {
            Kind::Ring(writer) => writer.push(row),
            Kind::Other(other) => other.push(row),
        }
    }

    /// Rows that can be pushed before one is lost that was not drained.
    #[must_use]
    #[inline]
    pub fn free(&self) -> usize {
        match &self.0 {
            Kind::Ring(writer) => writer.free(),
            Kind::Other(other) => other.free(),
        }
    }

    /// Hides the rows pushed so far from all readers but the accounting cursor.
    ///
    /// For a player that withdraws its consent: its open episode is discarded when it is drained, and must not be sampled or
    /// peeked at until then.
    #[inline]
    pub fn hide(&mut self) {
        match &mut self.0 {
            Kind::Ring(writer) => writer.hide(),
            Kind::Other(other) => other.hide(),
        }
    }
}

/// Pushes rows to many buffers in turn, as the [`Writer`] of each of them would, in fewer instructions where the memory of the
/// buffers was [reserved](super::PlayerBuffers::reserve).
#[derive(Default)]
pub struct BlockWriter<'a>(ring::block::BlockWriter<'a>);

impl<'a> BlockWriter<'a> {
    /// As [`Writer::prefetch`].
    #[inline(always)]
    pub fn prefetch(&mut self, writer: &'a Writer) {
        if let Kind::Ring(writer) = &writer.0 {
            self.0.prefetch(writer);
        }
    }

    /// As [`Writer::push`].
    ///
    /// # Errors
    /// When the buffer was closed.
    ///
    /// # Panics
    /// When `row` has another length than the buffer's rows.
    #[inline(always)]
    pub fn push(&mut self, writer: &'a mut Writer, row: &[u64]) -> Result<(), Closed> {
        match &mut writer.0 {
            Kind::Ring(writer) => self.0.push(writer, row),
            Kind::Other(other) => other.push(row),
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

    fn free(&self) -> usize {
        match self {
            Self::Queue(writer) => writer.free(),
            Self::Mutex(writer) => writer.free(),
        }
    }

    fn hide(&mut self) {
        match self {
            Self::Queue(writer) => writer.hide(),
            Self::Mutex(writer) => writer.hide(),
        }
    }
}

impl From<ring::RingWriter> for Writer {
    #[inline]
    fn from(writer: ring::RingWriter) -> Self {
        Self(Kind::Ring(writer))
    }
}

/// Creates a buffer of rows of `row_words` words, and its writer.
///
/// # Errors
/// When the settings are invalid for such rows: see [`BufferSettings::check`]; or when the memory or a file cannot be
/// allocated.
#[inline]
pub fn create(settings: &BufferSettings, row_words: usize) -> Result<(Writer, Arc<dyn TransitionBuffer>), BufferError> {
    create_for(settings, row_words, Label::default())
}

/// Creates a buffer of rows of `row_words` words with this origin, and its writer.
///
/// # Errors
/// As [`create`].
#[inline]
pub fn create_for(
    settings: &BufferSettings,
    row_words: usize,
    label: Label,
) -> Result<(Writer, Arc<dyn TransitionBuffer>), BufferError> {
    let resources = BufferResources {
        label,
        ..BufferResources::default()
    };
    create_with(settings, row_words, resources)
}

/// Makes a buffer with these resources.
pub(super) fn create_with(
    settings: &BufferSettings,
    row_words: usize,
    resources: BufferResources,
) -> Result<(Writer, Arc<dyn TransitionBuffer>), BufferError> {
    Ok(match settings.kind {
        BufferKind::Ring => {
            let (writer, ring) = ring::Ring::with_resources(settings, row_words, resources)?;
            (writer.into(), ring)
        }
        BufferKind::Queue => {
            let (writer, buffer) = QueueBuffer::with_resources(settings, row_words, resources)?;
            (Writer(Kind::Other(Box::new(Other::Queue(writer)))), buffer)
        }
        BufferKind::Mutex => {
            let (writer, buffer) = MutexBuffer::with_resources(settings, row_words, resources)?;
            (Writer(Kind::Other(Box::new(Other::Mutex(writer)))), buffer)
        }
    })
}

impl BufferSettings {
    /// Bytes that a buffer of rows of `row_words` words takes: those of its rows and of its counters.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    #[inline]
    pub fn bytes(&self, row_words: usize) -> Result<usize, BufferError> {
        self.check(row_words)?;
        match self.kind {
            BufferKind::Ring => self.memory.bytes(self.shape(row_words)),
            BufferKind::Queue => queue::bytes(self, row_words),
            BufferKind::Mutex => mutex::bytes(self, row_words),
        }
    }
}
