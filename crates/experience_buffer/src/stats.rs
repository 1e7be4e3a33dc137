//! [`BufferStats`]: rows added, dropped, retrieved, refused and held, and memory in use.

use super::MemoryUse;
use core::{iter::Sum, ops::AddAssign};

/// The result of a drain or a read.
///
/// Missed rows come before the rows that were returned: a read ends at the first gap behind a row. So a read of fewer rows
/// than asked for may leave more; a read with no rows and none missed leaves none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Rows that were returned, consecutive ones.
    pub steps: usize,
    /// Rows that were dropped between the last row of the previous read and the first row of this one.
    pub missed: u64,
}

/// The counters of a buffer since it was created, in rows. `added = retrieved + dropped + len` always holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferStats {
    /// Rows pushed.
    pub added: u64,
    /// Rows that were overwritten before they were drained, or refused because the buffer was full.
    pub dropped: u64,
    /// Rows drained.
    pub retrieved: u64,
    /// Rows refused because the buffer was closed. They do not count as added.
    pub rejected: u64,
    /// Rows that a drain would find now.
    pub len: usize,
    /// Rows that it can hold.
    pub capacity: usize,
    /// Bytes of its rows, by kind of memory.
    pub memory: MemoryUse,
}

impl BufferStats {
    /// The part of its memory that is in use, from 0 to 1; 0 for the sum of no buffers.
    #[must_use]
    pub fn utilisation(&self) -> f64 {
        if self.capacity == 0 {
            return 0.0;
        }
        self.len as f64 / self.capacity as f64
    }
}

impl AddAssign for BufferStats {
    fn add_assign(&mut self, other: Self) {
        self.added += other.added;
        self.dropped += other.dropped;
        self.retrieved += other.retrieved;
        self.rejected += other.rejected;
        self.len += other.len;
        self.capacity += other.capacity;
        self.memory += other.memory;
    }
}

impl Sum for BufferStats {
    fn sum<I: Iterator<Item = Self>>(stats: I) -> Self {
        stats.fold(Self::default(), |mut sum, stats| {
            sum += stats;
            sum
        })
    }
}
