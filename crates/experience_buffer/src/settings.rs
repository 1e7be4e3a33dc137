//! How buffers are made.

use super::{
    BufferError, Memory,
    shape::{Links, Shape},
};
use core::time::Duration;

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
        self.shape(row_words).words()?;
        self.wish_beyond_the_kind()
            .map_or(Ok(()), |wish| Err(BufferError::Unplaceable { kind: self.kind, wish }))
    }

    /// What a ring with these settings is like.
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
    fn what_has_no_size_or_too_much_is_refused() {
        assert_eq!(check(4, 0), Err(BufferError::ZeroCapacity));
        assert_eq!(check(0, 4), Err(BufferError::ZeroWidth));
        for (words, rows) in [(4, usize::MAX), (usize::MAX, 2), (1 << 40, 1 << 40), (1, (1 << 63) + 1)] {
            assert_eq!(check(words, rows), Err(BufferError::TooLarge { rows, words }));
        }
        assert_eq!(check(4, 1), Ok(()));
    }
}
