//! How buffers are made.

use super::Memory;
use core::time::Duration;
use std::path::PathBuf;

/// What happens when a buffer is full of rows that the exporter has not taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The oldest row makes room. What is lost is counted, and ends its episode with the reason `gap`.
    #[default]
    DropOldest,
    /// The new row is not taken. What is lost is counted, and ends its episode with the reason `gap`. For those who
    /// would rather keep how a fight began than how it ended.
    DropNewest,
    /// Capture waits for the exporter, at most so long a tick, once for all players together. Then the oldest row makes
    /// room. For runs without a screen, which would rather be slow than lose.
    Block(Duration),
    /// The oldest rows go to a file, and come back in order when they are drained. Where the file is full, or fails, the
    /// oldest row in memory goes, and is counted. For a disk that is as slow as the sink's only now and then, and a game
    /// that should not be told to wait.
    ///
    /// A push that finds the memory full writes 16 KiB of rows, or half the buffer, at once. That is a copy to the
    /// system's memory unless the system is behind with its own writing.
    Spill {
        /// Where the file is to be. It has no name there, and goes with the process. Not a folder that is itself in
        /// memory, as the system's folder for temporary files often is.
        folder: PathBuf,
        /// The most that the file may take, for all buffers of a recording together.
        bytes: u64,
    },
}

/// Which implementation a buffer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BufferKind {
    /// A lock-free ring: see [`ring`](super::ring).
    #[default]
    Ring,
    /// A queue whose rows go to one consumer each: see [`queue`](super::queue).
    Queue,
    /// A `VecDeque` behind a mutex: the plain reference.
    Mutex,
}

/// How each player's buffer is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferSettings {
    /// Which implementation.
    pub kind: BufferKind,
    /// Rows that it holds; rounded up to a power of two.
    pub capacity: usize,
    /// What happens when it is full.
    pub overflow: Overflow,
    /// Where it lies. Rings can lie anywhere, queues anywhere but in files, and a [`BufferKind::Mutex`] on the heap.
    pub memory: Memory,
    /// Whether the system is asked for transparent huge pages, which take fewer entries of the processor's page tables: for
    /// rings and queues of 2 MiB and more that do not lie in files. [`MemoryUse`](super::MemoryUse) says for how much it
    /// agreed.
    pub huge_pages: bool,
}

impl Default for BufferSettings {
    /// A ring of 512 rows, eight seconds at 60 ticks a second, that drops the oldest.
    fn default() -> Self {
        Self {
            kind: BufferKind::default(),
            capacity: 512,
            overflow: Overflow::default(),
            memory: Memory::default(),
            huge_pages: false,
        }
    }
}

impl BufferSettings {
    /// Whether buffers of rows of `row_words` words can be made so.
    ///
    /// # Errors
    /// When there is nothing to hold, or too much, or the kind cannot lie in this memory.
    pub fn check(&self, row_words: usize) -> Result<(), BufferError> {
        super::ring::shape(self, row_words).words()?;
        super::spill::check(self, row_words)?;
        self.wish_beyond_the_kind()
            .map_or(Ok(()), |wish| Err(BufferError::Unplaceable { kind: self.kind, wish }))
    }

    /// Bytes that a buffer of rows of `row_words` words takes: those of its rows and of its counters.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn bytes(&self, row_words: usize) -> Result<usize, BufferError> {
        self.check(row_words)?;
        match self.kind {
            BufferKind::Ring => super::ring::bytes(&self.memory, super::ring::shape(self, row_words)),
            BufferKind::Queue => super::queue::bytes(self, row_words),
            BufferKind::Mutex => super::mutex::bytes(self, row_words),
        }
    }

    /// What of the memory that is asked for this kind cannot have.
    fn wish_beyond_the_kind(&self) -> Option<&'static str> {
        match (self.kind, &self.memory) {
            (_, Memory::File(_)) if self.huge_pages => Some("huge pages in a file"),
            (BufferKind::Queue | BufferKind::Mutex, Memory::File(_)) => Some("a file"),
            (BufferKind::Mutex, Memory::Numa) => Some("NUMA-bound memory"),
            (BufferKind::Mutex, Memory::Heap) if self.huge_pages => Some("huge pages"),
            _ => None,
        }
    }
}

/// Why a buffer cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BufferError {
    /// No rows.
    #[error("a buffer of 0 rows holds nothing: give it a capacity of at least 1")]
    ZeroCapacity,
    /// Rows without words.
    #[error("rows of 0 words hold nothing")]
    ZeroWidth,
    /// More than can be addressed.
    #[error("a buffer of {rows} rows of {words} words is larger than the address space: give it a smaller capacity")]
    TooLarge {
        /// Rows asked for.
        rows: usize,
        /// Words of each.
        words: usize,
    },
    /// Several writers cannot agree on what is the newest.
    #[error("a ring that several push to cannot refuse the newest row: choose `Overflow::DropOldest`")]
    SharedDropNewest,
    /// Several writers cannot agree on what is the oldest.
    #[error("a ring that several push to cannot spill: choose `Overflow::DropOldest`")]
    SharedSpill,
    /// A file with no room for a block of rows.
    #[error("a spill file of {bytes} bytes has no room for a block of rows: give it at least {needed}")]
    SmallSpill {
        /// Bytes that the file was to take.
        bytes: u64,
        /// Bytes that it takes at least.
        needed: u64,
    },
    /// A folder in which no file can be made.
    #[error("no spill file can be made in `{}`: {reason}; name a folder that is there and can be written", folder.display())]
    SpillFolder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A pool's rows have headers, by which players are told apart.
    #[error("a pool's rows begin with a `StepHeader` of 8 words, and these have {words} words in all")]
    NoHeader {
        /// Words of a row.
        words: usize,
    },
    /// A pool with no room for a row in each shard.
    #[error("a pool of {bytes} bytes has no room for a row in each shard: give it {needed}, or fewer shards")]
    SmallPool {
        /// Bytes that the pool was to take.
        bytes: usize,
        /// Bytes that it takes at least.
        needed: usize,
    },
    /// Players share one pool.
    #[error("there is a pool already: players who share share one")]
    SecondPool,
    /// The rows are another schema's.
    #[error("the schema's rows are {wanted} words wide and the buffer's {found}: they are of different recordings")]
    OtherRows {
        /// Words of a row, by the schema.
        wanted: usize,
        /// Words of a row of the buffer.
        found: usize,
    },
    /// This kind cannot lie there.
    #[error(
        "a buffer of the kind `{kind:?}` cannot have {wish}: rings can lie anywhere, queues anywhere but in files, all on the \
         heap, and huge pages are for rings and queues outside of files"
    )]
    Unplaceable {
        /// The kind.
        kind: BufferKind,
        /// What it cannot have.
        wish: &'static str,
    },
    /// The system refuses a file for it.
    #[error("no buffer can be made in the folder `{}`: {reason}; name another, or make room there", folder.display())]
    File {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// More than the buffers may take together.
    #[error(
        "a buffer of {bytes} bytes does not fit the memory budget, of which {left} of {limit} bytes are left: give it more \
         (`ExperiencePlugin::memory_budget`), or each buffer a smaller capacity"
    )]
    OverBudget {
        /// Bytes that the buffer takes.
        bytes: usize,
        /// Bytes of the budget that are left.
        left: usize,
        /// Bytes of the budget.
        limit: usize,
    },
    /// More than there is.
    #[error("there is no memory for a buffer of {bytes} bytes: give it a smaller capacity")]
    OutOfMemory {
        /// Bytes asked for.
        bytes: usize,
    },
}

/// The number of rows that a buffer of at least `capacity` has.
pub(super) fn checked_capacity(row_words: usize, capacity: usize) -> Result<usize, BufferError> {
    if capacity == 0 {
        return Err(BufferError::ZeroCapacity);
    }
    if row_words == 0 {
        return Err(BufferError::ZeroWidth);
    }
    capacity.checked_next_power_of_two().ok_or(BufferError::TooLarge {
        rows: capacity,
        words: row_words,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(row_words: usize, capacity: usize) -> Result<(), BufferError> {
        let settings = |overflow| BufferSettings {
            capacity,
            overflow,
            ..BufferSettings::default()
        };
        let spill = Overflow::Spill {
            folder: PathBuf::new(),
            bytes: u64::MAX,
        };
        let checked = settings(Overflow::DropOldest).check(row_words);
        assert_eq!(settings(spill).check(row_words), checked);
        checked
    }

    #[test]
    fn what_has_no_size_or_too_much_is_refused() {
        assert_eq!(check(4, 0), Err(BufferError::ZeroCapacity));
        assert_eq!(check(0, 4), Err(BufferError::ZeroWidth));
        for (words, rows) in [(4, usize::MAX), (usize::MAX, 2), (1 << 40, 1 << 40), (1, (1 << 63) + 1)] {
            assert_eq!(check(words, rows), Err(BufferError::TooLarge { rows, words }));
        }
        assert_eq!(check(4, 1), Ok(()));
    }
}
