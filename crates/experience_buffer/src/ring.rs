//! A lock-free ring buffer of rows with one wait-free writer and any number of independent readers.
//!
//! The ring is a *seqlock* with two sequence numbers: the rows begun, and the rows written. Row words are atomics. The writer
//! never waits for readers. A reader copies written rows, many at once, then loads how many rows were begun, and discards the
//! copies that may be torn. The orderings are those of Hans Boehm, "Can Seqlocks Get Along With Programming Language Memory
//! Models?" (MSPC 2012), figure 6. Since the sequence numbers count rows, a reader also knows *how many* rows it missed.
//!
//! A ring keeps its newest rows whether or not they were drained: [`Reader`]s and
//! [`peek_all`](TransitionBuffer::peek_all) find them until later rows overwrite them.
//!
//! ```
//! use experience_buffer::{ring::Ring, TransitionBuffer};
//!
//! let (mut writer, ring) = Ring::new(2, 4)?;
//! let mut reader = ring.reader();
//! for n in 0..6 {
//!     writer.push(&[n, n])?;
//! }
//! // Four rows fit, so this reader missed the first two.
//! let mut seen = Vec::new();
//! let read = reader.read(usize::MAX, |row| seen.push(row[0]));
//! assert_eq!((read.missed, seen), (2, vec![2, 3, 4, 5]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(super) mod block;
mod cursor;
pub(super) mod links;
#[cfg(not(loom))]
mod mapped;
mod reader;
mod rows;
pub(super) mod slab;
pub(super) mod slots;
mod writer;

#[cfg(not(loom))]
pub use super::error::OpenError;
#[cfg(not(loom))]
pub use mapped::MappedRing;
pub use reader::Reader;
pub use writer::RingWriter;

use super::{
    BufferError, BufferKind, BufferStats, Drained, TransitionBuffer,
    memory::{Label, Memory, Words},
    resources::BufferResources,
    settings::BufferSettings,
    shape::Shape,
    sync::{Mutex, lock},
};
use core::fmt;
use cursor::Cursor;
use slab::Slab;
use slots::Slots;
use std::sync::Arc;

/// A ring of rows.
pub struct Ring {
    slots: Slots,
    /// The accounting cursor. The writer never takes this lock.
    drain: Mutex<Cursor>,
}

impl Ring {
    /// A ring of at least `capacity` rows of `row_words` words that drops the oldest, and its writer.
    ///
    /// # Errors
    /// When `capacity` or `row_words` is 0, or so large that the ring cannot be made.
    #[inline]
    pub fn new(row_words: usize, capacity: usize) -> Result<(RingWriter, Arc<Self>), BufferError> {
        Self::with_settings(
            &BufferSettings {
                capacity,
                ..BufferSettings::default()
            },
            row_words,
        )
    }

    /// A ring of rows of `row_words` words, and its writer.
    ///
    /// # Errors
    /// When the settings or the rows have no size, or one so large that the ring cannot be made.
    #[inline]
    pub fn with_settings(settings: &BufferSettings, row_words: usize) -> Result<(RingWriter, Arc<Self>), BufferError> {
        Self::with_resources(settings, row_words, BufferResources::default())
    }

    /// A ring of rows of `row_words` words, and its writer. A ring in a file stores the label there.
    ///
    /// # Errors
    /// When the settings or the rows have no size, or one so large that the ring cannot be made, or the system refuses the
    /// file.
    #[inline]
    pub fn with_label(
        settings: &BufferSettings,
        row_words: usize,
        label: Label,
    ) -> Result<(RingWriter, Arc<Self>), BufferError> {
        let resources = BufferResources {
            label,
            ..BufferResources::default()
        };
        Self::with_resources(settings, row_words, resources)
    }

    #[inline]
    pub(super) fn with_resources(
        settings: &BufferSettings,
        row_words: usize,
        resources: BufferResources,
    ) -> Result<(RingWriter, Arc<Self>), BufferError> {
        settings.check(row_words)?;
        let shape = settings.shape(row_words);
        let words = words(&settings.memory, settings.huge_pages, shape, resources.label)?;
        Ok(Self::on(Slots::new(words.holding(resources.share), shape)))
    }

    /// A ring in a free lane of a slab, and its writer. `None` if there is none.
    pub(super) fn in_lane(slab: &Arc<Slab>) -> Option<(RingWriter, Arc<Self>)> {
        Slots::in_lane(slab).map(Self::on)
    }

    fn on(slots: Slots) -> (RingWriter, Arc<Self>) {
        let ring = Arc::new(Self::of(slots.clone()));
        (RingWriter::new(slots), ring)
    }

    #[inline]
    pub(super) fn of(slots: Slots) -> Self {
        Self {
            drain: Mutex::new(Cursor::new(0)),
            slots,
        }
    }

    /// A reader at the oldest row that the ring holds.
    #[must_use]
    #[inline]
    pub fn reader(&self) -> Reader {
        Reader::new(self.slots.clone())
    }

    /// Rows pushed since the ring was created, which is the number of the next row.
    #[must_use]
    #[inline]
    pub fn pushed(&self) -> u64 {
        self.slots.head()
    }

    /// The accounting cursor: all rows before it were drained or dropped.
    #[must_use]
    #[inline]
    pub fn drained_to(&self) -> u64 {
        self.slots.accounted()
    }

    /// Maps all of its memory now, unless it is a file.
    #[inline]
    pub(super) fn prefault(&self) {
        self.slots.prefault();
    }

    #[inline]
    fn count(rows: u64) -> usize {
        usize::try_from(rows).expect("slots are addressable")
    }
}

/// Words for a ring of this shape in memory of this kind.
#[inline]
pub(super) fn words(memory: &Memory, huge_pages: bool, shape: Shape, label: Label) -> Result<Words, BufferError> {
    match memory {
        Memory::File(folder) => Words::file(folder, shape, label),
        _ => Words::new(memory, huge_pages, shape.words()?),
    }
}

impl TransitionBuffer for Ring {
    #[inline]
    fn kind(&self) -> BufferKind {
        BufferKind::Ring
    }

    #[inline]
    fn row_words(&self) -> usize {
        self.slots.view().row_words()
    }

    #[inline]
    fn capacity(&self) -> usize {
        Self::count(self.slots.capacity())
    }

    #[inline]
    fn len(&self) -> usize {
        // In this order: a drain in between makes the result too small by what it took, never negative.
        let accounted = self.slots.accounted();
        Self::count((self.slots.head() - accounted).min(self.slots.capacity()))
    }

    #[inline]
    fn free(&self) -> usize {
        self.slots.free()
    }

    #[inline]
    fn close(&self) {
        self.slots.close();
    }

    #[inline]
    fn is_closed(&self) -> bool {
        self.slots.is_closed()
    }

    #[inline]
    fn drain(&self, max: usize, each: &mut dyn FnMut(&[u64])) -> Drained {
        let mut cursor = lock(&self.drain);
        let slots = &self.slots;
        cursor.read::<false>(slots, max, |next, missed| slots.account(next, missed), each)
    }

    #[inline]
    fn peek_newest(&self, max: usize, each: &mut dyn FnMut(&[u64])) {
        let slots = &self.slots;
        let head = slots.head();
        let mut row = vec![0; slots.view().content_words()];
        let wanted = head.saturating_sub(max as u64);
        for number in wanted.max(slots.oldest(head)).max(slots.floor())..head {
            // The floor is loaded again for each row, because it may rise while `each` runs.
            if slots.read(number, &mut row) && slots.is_public(&row) && number >= slots.floor() {
                each(&row[slots.view().row()]);
            }
        }
    }

    #[inline]
    fn reader(&self) -> Option<Reader> {
        Some(self.reader())
    }

    #[inline]
    fn stats(&self) -> BufferStats {
        self.slots.stats()
    }
}

impl fmt::Debug for Ring {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
