//! A sharded pool of rings that many players share, in a fixed amount of memory.
//!
//! A pool has a fixed number of rings, its **shards**, and takes the same memory for ten players as for a hundred thousand.
//! All rows of a player go to one shard, which its handle determines, so they stay in order. The pool keeps the newest rows
//! of all players together, instead of the newest of each. Every row has its agent and episode in its header, and a link to
//! the episode's row before it, by which a [`Sampler`](super::Sampler) finds both observations of a transition.
//!
//! ```
//! use experience_buffer::{BufferPool, pool::PoolSettings, TransitionBuffer};
//! use experience_core::transition::{StepHeader, StepKind};
//!
//! let (mut writer, pool) = BufferPool::new(&PoolSettings { bytes: 1 << 20, shards: 4, ..PoolSettings::default() }, 8)?;
//! assert!(pool.bytes() <= 1 << 20);
//! let mut player = pool.handle(42);
//! let mut row = [0; 8];
//! *StepHeader::of_mut(&mut row) = StepHeader::new(StepKind::Begin);
//! StepHeader::of_mut(&mut row).agent_id = 42;
//! writer.push(&mut player, &row)?;
//! assert_eq!(pool.stats().added, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(super) mod chain;
mod writer;

pub use writer::{PoolHandle, PoolPart, PoolWriter, Run, ShardWriter};

use super::{
    Budget, BufferError, BufferKind, BufferStats, Label, Memory, TransitionBuffer,
    ring::{self, Reader, Ring, slots::Slots},
    shape::{Links, Shape},
};
use core::fmt;
use experience_core::transition::StepHeader;
use std::sync::Arc;

/// Link words in front of each row of a pool.
pub const LINKS: usize = Links::Chain.words();

/// Minimum bytes of a pool whose rows are written with non-temporal stores: it does not fit in the caches.
const STREAMED_BYTES: usize = 16 << 20;

/// The settings of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Maximum bytes of all shards together.
    pub bytes: usize,
    /// Minimum number of shards. The pool has more where that uses the bytes better. Threads that capture or drain in parallel
    /// divide the shards, so a few times the number of threads is appropriate.
    pub shards: usize,
    /// The kind of memory of each shard.
    pub memory: Memory,
    /// Whether to request transparent huge pages, for shards of at least 2 MiB that are not in files. Without
    /// [`prefault`](BufferPool::prefault), the first write to a page waits for it, which can take longer than a tick.
    pub huge_pages: bool,
}

impl Default for PoolSettings {
    /// 256 MiB in at least 16 shards, on the heap.
    #[inline]
    fn default() -> Self {
        Self {
            bytes: 256 << 20,
            shards: 16,
            memory: Memory::default(),
            huge_pages: false,
        }
    }
}

impl PoolSettings {
    /// Checks the settings for rows of `row_words` words.
    ///
    /// # Errors
    /// When there are no shards, a row has no header, or a shard is too small for a row.
    #[inline]
    pub fn check(&self, row_words: usize) -> Result<(), BufferError> {
        self.split(row_words).map(|_| ())
    }

    /// The number of shards, and their dimensions.
    fn split(&self, row_words: usize) -> Result<(usize, Shape), BufferError> {
        if self.shards == 0 {
            return Err(BufferError::ZeroCapacity);
        }
        if self.huge_pages && matches!(self.memory, Memory::File(_)) {
            return Err(BufferError::UnsupportedMemory {
                kind: BufferKind::Ring,
                memory: "huge pages in a file",
            });
        }
        if row_words < size_of::<StepHeader>() / 8 {
            return Err(BufferError::NoHeader { words: row_words });
        }
        let shape = |capacity| Shape {
            row_words,
            capacity,
            links: Links::Chain,
        };
        // The largest power of two of rows that fits.
        let share = self.bytes / self.shards;
        let fits = |capacity: usize| self.shard_bytes(shape(capacity)).is_ok_and(|bytes| bytes <= share);
        let capacity = (0..usize::BITS - 1)
            .map(|bit| 1 << bit)
            .take_while(|&rows| fits(rows))
            .last();
        let capacity = capacity.ok_or_else(|| BufferError::SmallPool {
            bytes: self.bytes,
            needed: self
                .shard_bytes(shape(1))
                .map_or(usize::MAX, |bytes| bytes.saturating_mul(self.shards)),
        })?;
        Ok((self.bytes / self.shard_bytes(shape(capacity))?, shape(capacity)))
    }

    #[inline]
    fn shard_bytes(&self, shape: Shape) -> Result<usize, BufferError> {
        self.memory.bytes(shape)
    }
}

/// The rows of a player in a pool, from the time it joined until it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The shard of its rows.
    pub shard: usize,
    /// The [`StepHeader::stream`] of its rows.
    pub number: u32,
    /// Transitions pushed, modulo 2³².
    pub transitions: u32,
}

/// The shards of a pool, for all threads but the one that pushes.
pub struct BufferPool {
    shards: Vec<Arc<Ring>>,
    bytes: usize,
}

impl BufferPool {
    /// A pool of rows of `row_words` words, and its writer. A full shard overwrites its oldest row.
    ///
    /// # Errors
    /// When there are no shards, a row has no header, or a shard is too small for a row.
    #[inline]
    pub fn new(settings: &PoolSettings, row_words: usize) -> Result<(PoolWriter, Arc<Self>), BufferError> {
        Self::with_label(settings, row_words, Label::default())
    }

    /// A pool of rows of `row_words` words, and its writer. Shards in files store the label there, with the number of the shard
    /// in place of the agent.
    ///
    /// # Errors
    /// When there are no shards, a row has no header, a shard has no room for a row, or the memory cannot be allocated.
    #[inline]
    pub fn with_label(
        settings: &PoolSettings,
        row_words: usize,
        label: Label,
    ) -> Result<(PoolWriter, Arc<Self>), BufferError> {
        Self::within(settings, row_words, label, None)
    }

    /// A pool that holds its share of a budget until its memory is freed.
    pub(super) fn within(
        settings: &PoolSettings,
        row_words: usize,
        label: Label,
        budget: Option<&Arc<Budget>>,
    ) -> Result<(PoolWriter, Arc<Self>), BufferError> {
        let (shards, shape) = settings.split(row_words)?;
        let shard_bytes = settings.shard_bytes(shape)?;
        // All shares are taken before any memory is allocated.
        let shares = (0..shards).map(|_| budget.map(|budget| budget.take(shard_bytes)).transpose());
        let shares: Vec<_> = shares.collect::<Result<_, _>>()?;
        let streams = shards * shard_bytes >= STREAMED_BYTES;
        let mut writers = Vec::with_capacity(shards);
        let mut rings = Vec::with_capacity(shards);
        for (agent_id, share) in (0..).zip(shares) {
            let label = Label { agent_id, ..label };
            let words = ring::words(&settings.memory, settings.huge_pages, shape, label)?;
            let slots = Slots::new(words.holding(share), shape);
            rings.push(Arc::new(Ring::of(slots.clone())));
            writers.push(ShardWriter::new(slots, streams));
        }
        let pool = Arc::new(Self {
            shards: rings,
            bytes: shards * shard_bytes,
        });
        Ok((PoolWriter::new(writers), pool))
    }

    /// The shards. Each has its own accounting cursor, and holds rows of many players, those of each player in order.
    #[must_use]
    #[inline]
    pub fn shards(&self) -> &[Arc<Ring>] {
        &self.shards
    }

    /// The handle with which a player's rows are pushed. An agent has one handle at a time.
    #[must_use]
    #[inline]
    pub fn handle(&self, agent_id: i64) -> PoolHandle {
        // Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4): consecutive ids go to different shards.
        let hash = agent_id.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let shard = (u128::from(hash) * self.shards.len() as u128) >> 64;
        PoolHandle::new(shard as u32)
    }

    /// A handle for shard `shard`, modulo the number of shards, for callers that group players better than by their ids.
    #[must_use]
    #[inline]
    pub fn handle_in(&self, shard: usize) -> PoolHandle {
        PoolHandle::new((shard % self.shards.len()) as u32)
    }

    /// A reader of every shard, for [`Sampler::watch`](super::Sampler::watch).
    ///
    /// Rows of a discarded episode are not read, sampled or peeked at.
    pub fn readers(&self) -> impl Iterator<Item = Reader> + '_ {
        self.shards.iter().map(|shard| shard.reader())
    }

    /// Maps all of the memory now, unless it is in files. Otherwise the first write to a page waits for it.
    #[inline]
    pub fn prefault(&self) {
        self.shards.iter().for_each(|shard| shard.prefault());
    }

    /// Bytes of all shards together.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The sum of all shards' statistics.
    #[must_use]
    #[inline]
    pub fn stats(&self) -> BufferStats {
        self.shards.iter().map(|shard| shard.stats()).sum()
    }

    /// Refuses further pushes.
    #[inline]
    pub fn close(&self) {
        self.shards.iter().for_each(|shard| shard.close());
    }
}

impl fmt::Debug for BufferPool {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPool")
            .field("shards", &self.shards.len())
            .field("bytes", &self.bytes)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
