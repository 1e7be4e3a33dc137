//! Counts.

use super::MemoryUse;
use core::{iter::Sum, ops::AddAssign};

/// What a read gave.
///
/// The rows that were missed stand before the rows that were given out: a read ends at the first gap after a row. So
/// fewer rows than asked for do not mean that there are no more; a read that gave and missed nothing does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Rows that were given out, one after the other without a gap.
    pub steps: usize,
    /// Rows that were dropped between the last row of the read before and the first row of this one.
    pub missed: u64,
}

/// The life of a buffer so far, in rows. `added = retrieved + dropped + len` always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferStats {
    /// Rows pushed.
    pub added: u64,
    /// Rows that went, or were not taken, because the buffer was full of rows that were not drained.
    pub dropped: u64,
    /// Rows drained.
    pub retrieved: u64,
    /// Rows refused because the buffer was closed. They are not among those added.
    pub rejected: u64,
    /// Rows that a drain would find now.
    pub len: usize,
    /// Rows that it can hold.
    pub capacity: usize,
    /// Bytes that its rows take, and where.
    pub memory: MemoryUse,
}

impl BufferStats {
    /// How full it is, from 0 to 1; 0 where there is no buffer at all.
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
