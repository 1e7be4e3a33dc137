//! A ring in a file that another process wrote, or is writing.

use super::{Reader, cursor::Cursor, slots::Slots};
use crate::{
    BufferStats, Drained,
    error::OpenError,
    memory::{Label, Words, file::RingFile, preamble::Preamble},
};
use core::fmt;
use std::path::Path;

/// A ring in a file, opened for reading alone: see [`memory`](crate::memory).
///
/// The process that wrote it may still push; neither process disturbs the other. If it was killed, the file holds every row
/// that it pushed, except one that it was writing at that moment.
///
/// The file may be removed while it is open. It must not be truncated then; this crate never truncates one.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use experience_buffer::{BufferSettings, create_for, Label, Memory, ring::MappedRing};
///
/// let settings = BufferSettings {
///     memory: Memory::File(folder.path().to_owned()),
///     ..BufferSettings::default()
/// };
/// let (mut writer, _buffer) = create_for(&settings, 2, Label { schema_hash: 7, agent_id: 3, ..Label::default() })?;
/// writer.push(&[1, 2])?;
///
/// // In this or another process, now or after this one was killed:
/// let file = std::fs::read_dir(&folder)?.next().expect("a file")?.path();
/// let mut ring = MappedRing::open(&file, 7, 2)?;
/// assert_eq!(ring.label().agent_id, 3);
/// ring.read_undrained(usize::MAX, |row| assert_eq!(row, [1, 2]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MappedRing {
    slots: Slots,
    label: Label,
    cursor: Cursor,
}

impl MappedRing {
    /// Opens the file at `path`, whose rows have `row_words` words and the schema with the hash `schema_hash`.
    ///
    /// # Errors
    /// When the file cannot be read, is not a ring's, is damaged or truncated, or has another version, byte order, schema or
    /// row width.
    pub fn open(path: impl AsRef<Path>, schema_hash: u64, row_words: usize) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let (file, Preamble { shape, label }) = RingFile::open(path)?;
        if label.schema_hash != schema_hash {
            return Err(OpenError::Schema {
                path: path.to_owned(),
                found: label.schema_hash,
                wanted: schema_hash,
            });
        }
        if shape.row_words != row_words {
            return Err(OpenError::Width {
                path: path.to_owned(),
                found: shape.row_words,
                wanted: row_words,
            });
        }
        let slots = Slots::new(Words::of_file(file), shape);
        if !slots.is_consistent() {
            return Err(OpenError::Damaged { path: path.to_owned() });
        }
        Ok(Self {
            cursor: Cursor::new(slots.accounted()),
            slots,
            label,
        })
    }

    /// The origin of its rows.
    #[must_use]
    pub fn label(&self) -> Label {
        self.label
    }

    /// Whether its process closed it, as it does when the writer is dropped. A process that was killed did not.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.slots.was_closed()
    }

    /// The counters, as its process would return them.
    #[must_use]
    pub fn stats(&self) -> BufferStats {
        self.slots.stats()
    }

    /// A reader that begins with the oldest row that the ring still holds, drained or not.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(self.slots.clone())
    }

    /// Goes back to the oldest row that the ring still holds, drained or not, for [`read_undrained`](Self::read_undrained).
    pub fn seek_oldest(&mut self) {
        self.cursor.seek(self.slots.oldest(self.slots.head()));
    }

    /// Calls `each` with at most `max` rows that were not drained when the file was opened, oldest first, and advances. These
    /// are the rows of a [`drain`](crate::TransitionBuffer::drain), including hidden ones. The file is not changed.
    pub fn read_undrained(&mut self, max: usize, each: impl FnMut(&[u64])) -> Drained {
        self.cursor.read::<false>(&self.slots, max, |_, _| (), each)
    }

    /// The number of the next row of [`read_undrained`](Self::read_undrained), counted from 0 since the ring was created.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.cursor.next
    }

    /// The rows before this number are [hidden](super::RingWriter::hide): an episode that was open there was discarded, even
    /// if a full ring refused the row that states so.
    #[must_use]
    pub fn hidden_before(&self) -> u64 {
        self.slots.floor()
    }
}

impl fmt::Debug for MappedRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedRing")
            .field("label", &self.label)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
