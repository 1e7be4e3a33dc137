//! Rings that another process wrote, or writes.

use super::{Reader, cursor::Cursor, slots::Slots};
use crate::{
    BufferStats, Drained,
    error::OpenError,
    memory::{Label, Words, file::RingFile, preamble::Preamble},
};
use core::fmt;
use std::{path::Path, sync::Arc};

/// A ring in a file, opened for reading alone: see [`memory`](crate::memory).
///
/// Its process may live and go on writing, which disturbs neither, or it may be dead: then everything is here that it
/// pushed, but for a row that it was writing at that moment.
///
/// The file must not be shortened while it is open (nothing here does that); it may be removed.
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
/// // Here, or in another process, now or after this one was killed:
/// let file = std::fs::read_dir(&folder)?.next().expect("it lies there")?.path();
/// let mut ring = MappedRing::open(&file, 7, 2)?;
/// assert_eq!(ring.label().agent_id, 3);
/// ring.read_undrained(usize::MAX, |row| assert_eq!(row, [1, 2]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MappedRing {
    slots: Arc<Slots>,
    label: Label,
    cursor: Cursor,
}

impl MappedRing {
    /// Opens the file at `path`, whose rows are `row_words` wide and of the schema with the hash `schema_hash`.
    ///
    /// # Errors
    /// When it cannot be read, is none, is of another version, machine, size, schema or width, is cut, or damaged.
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
        let slots = Arc::new(Slots::new(Words::of_file(file), shape));
        if !slots.is_sound() {
            return Err(OpenError::Damaged { path: path.to_owned() });
        }
        Ok(Self {
            cursor: Cursor::new(slots.accounted()),
            slots,
            label,
        })
    }

    /// Whose rows it holds.
    #[must_use]
    pub fn label(&self) -> Label {
        self.label
    }

    /// Whether its process closed it: the player left, or recording ended. A killed process did not.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.slots.was_closed()
    }

    /// Counts, as its process would give them.
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

    /// Gives out at most `max` rows that were not drained when this was opened, oldest first, and goes on from there the
    /// next time: what a [`drain`](crate::TransitionBuffer::drain) would have given its process, hidden rows and
    /// all. The file stays as it is.
    ///
    /// Where a process with a [`SharedWriter`](super::SharedWriter) was killed while it wrote a row, rows behind that one
    /// are not given out.
    pub fn read_undrained(&mut self, max: usize, each: impl FnMut(&[u64])) -> Drained {
        self.cursor.read(&self.slots, max, |_| true, |_, _| (), each)
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
