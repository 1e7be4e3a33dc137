//! [`BufferSettings`]: kind, capacity, overflow rule and memory of one buffer.

use super::{
    BufferError, Memory,
    shape::{Links, Shape},
};
use core::time::Duration;

/// What happens when a buffer is full of rows that the exporter has not taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The oldest row is overwritten. Lost rows are counted, and end their episode with the reason `gap`.
    #[default]
    DropOldest,
    /// The new row is refused. Lost rows are counted, and end their episode with the reason `gap`. For recordings in which the
    /// beginning of an episode matters more than its end.
    DropNewest,
    /// Capture waits for the exporter, at most this long a tick for all players together; then the oldest row is overwritten.
    /// For headless runs, which prefer a slow tick to lost rows.
    Block(Duration),
}

/// The implementation of a buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BufferKind {
    /// A lock-free ring: see [`ring`](super::ring).
    #[default]
    Ring,
    /// A FIFO queue whose rows go to one consumer each: see [`queue`](super::queue).
    Queue,
    /// A `VecDeque` behind a mutex, as a reference.
    Mutex,
}

/// The settings of a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferSettings {
    /// The implementation.
    pub kind: BufferKind,
    /// Capacity in rows, rounded up to a power of two.
    pub capacity: usize,
    /// What happens when it is full.
    pub overflow: Overflow,
    /// The kind of memory. Rings support all kinds, queues all but files, and [`BufferKind::Mutex`] the heap.
    pub memory: Memory,
    /// Whether to request transparent huge pages, which cause fewer TLB misses. For rings and queues of at least 2 MiB that are
    /// not in files. [`MemoryUse::huge_pages`](super::MemoryUse::huge_pages) counts the bytes for which the operating system
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
    /// Checks the settings for rows of `row_words` words.
    ///
    /// # Errors
    /// When the capacity or the row has no size, the buffer does not fit in the address space, or the kind does not support the
    /// memory.
    pub fn check(&self, row_words: usize) -> Result<(), BufferError> {
        self.shape(row_words).words()?;
        self.unsupported_memory().map_or(Ok(()), |memory| {
            Err(BufferError::UnsupportedMemory {
                kind: self.kind,
                memory,
            })
        })
    }

    /// The dimensions of a ring with these settings.
    pub(super) fn shape(&self, row_words: usize) -> Shape {
        Shape {
            row_words,
            capacity: self.capacity,
            links: match self.overflow {
                Overflow::DropNewest => Links::Skipped,
                _ => Links::None,
            },
        }
    }

    /// The requested kind of memory, if the buffer does not support it.
    fn unsupported_memory(&self) -> Option<&'static str> {
        match (self.kind, &self.memory) {
            (_, Memory::File(_)) if self.huge_pages => Some("huge pages in a file"),
            (BufferKind::Queue | BufferKind::Mutex, Memory::File(_)) => Some("a file"),
            (BufferKind::Mutex, Memory::Numa) => Some("NUMA-bound memory"),
            (BufferKind::Mutex, Memory::Heap) if self.huge_pages => Some("huge pages"),
            _ => None,
        }
    }
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
        let checked = settings(Overflow::DropOldest).check(row_words);
        assert_eq!(settings(Overflow::DropNewest).check(row_words), checked);
        checked
    }

    #[test]
    fn sizes_of_zero_and_beyond_the_address_space_are_refused() {
        assert_eq!(check(4, 0), Err(BufferError::ZeroCapacity));
        assert_eq!(check(0, 4), Err(BufferError::ZeroWidth));
        for (words, rows) in [(4, usize::MAX), (usize::MAX, 2), (1 << 40, 1 << 40), (1, (1 << 63) + 1)] {
            assert_eq!(check(words, rows), Err(BufferError::TooLarge { rows, words }));
        }
        assert_eq!(check(4, 1), Ok(()));
    }
}
