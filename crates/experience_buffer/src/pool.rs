//! Rings that many players share, for more players than there is memory for buffers.
//!
//! A pool has a fixed number of rings, its **shards**, and takes the same memory for ten players as for a hundred thousand.
//! A player's rows all go to one shard, which is decided when it gets its handle; so they stay in order, and the newest rows of all
//! players are kept, instead of each player's newest. Every row carries its agent and episode in its header, and
//! the place of the row before it: that is how [`Sampler`](super::Sampler) finds a transition's two halves.
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

/// Words before each row of a pool: its links.
pub const LINKS: usize = Links::Chain.words();

/// A pool of so many bytes does not stay in the caches until it is drained, so its rows are written past them.
const STREAMED: usize = 16 << 20;

/// How large a pool is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Bytes that all shards together take, at most.
    pub bytes: usize,
    /// Shards that there are at least. Those who capture or drain in parallel share them out, so a few times as many as
    /// threads is right; there will be more, if that uses the bytes better.
    pub shards: usize,
    /// Where each shard lies.
    pub memory: Memory,
    /// Whether the system is asked for transparent huge pages, for shards of 2 MiB and more that do not lie in files. Without
    /// [`prefault`](BufferPool::prefault), whoever writes one first waits for it, which can take longer than a tick.
    pub huge_pages: bool,
}

impl Default for PoolSettings {
    /// 256 MiB in at least 16 shards, on the heap.
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
    /// Whether a pool of rows of `row_words` words can be made so.
    ///
    /// # Errors
    /// When there are no shards, a row has no header, or a shard has no room for a row.
    pub fn check(&self, row_words: usize) -> Result<(), BufferError> {
        self.split(row_words).map(|_| ())
    }

    /// Shards, and rows of each.
    fn split(&self, row_words: usize) -> Result<(usize, Shape), BufferError> {
        if self.shards == 0 {
            return Err(BufferError::ZeroCapacity);
        }
        if self.huge_pages && matches!(self.memory, Memory::File(_)) {
            return Err(BufferError::Unplaceable {
                kind: BufferKind::Ring,
                wish: "huge pages in a file",
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
        // As many rows as fit, a power of two of them.
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

    fn shard_bytes(&self, shape: Shape) -> Result<usize, BufferError> {
        self.memory.bytes(shape)
    }
}

/// The rows of a player who shared a pool, from when it joined until it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The shard that they went to.
    pub shard: usize,
    /// Their [`StepHeader::stream`].
    pub number: u32,
    /// How many transitions were pushed, modulo 2³².
    pub transitions: u32,
}

/// The shards of a pool, as everybody but capture sees them.
pub struct BufferPool {
    shards: Vec<Arc<Ring>>,
    bytes: usize,
}

impl BufferPool {
    /// A pool of rows of `row_words` words, and its writer. Where there is no room, a shard's oldest row goes.
    ///
    /// # Errors
    /// When there are no shards, a row has no header, or a shard has no room for a row.
    pub fn new(settings: &PoolSettings, row_words: usize) -> Result<(PoolWriter, Arc<Self>), BufferError> {
        Self::with_label(settings, row_words, Label::default())
    }

    /// A pool of rows of `row_words` words, and its writer. Where its shards lie in files, those say whose rows they are,
    /// and number the shards where the label has an agent.
    ///
    /// # Errors
    /// When there are no shards, a row has no header, a shard has no room for a row, or the system refuses the memory.
    pub fn with_label(
        settings: &PoolSettings,
        row_words: usize,
        label: Label,
    ) -> Result<(PoolWriter, Arc<Self>), BufferError> {
        Self::within(settings, row_words, label, None)
    }

    /// A pool that keeps its share of a budget for as long as its memory is there.
    pub(super) fn within(
        settings: &PoolSettings,
        row_words: usize,
        label: Label,
        budget: Option<&Arc<Budget>>,
    ) -> Result<(PoolWriter, Arc<Self>), BufferError> {
        let (shards, shape) = settings.split(row_words)?;
        let shard_bytes = settings.shard_bytes(shape)?;
        // All or nothing, before any memory is taken.
        let shares = (0..shards).map(|_| budget.map(|budget| budget.take(shard_bytes)).transpose());
        let shares: Vec<_> = shares.collect::<Result<_, _>>()?;
        let streams = shards * shard_bytes >= STREAMED;
        let mut writers = Vec::with_capacity(shards);
        let mut rings = Vec::with_capacity(shards);
        for (agent_id, share) in (0..).zip(shares) {
            let label = Label { agent_id, ..label };
            let words = ring::words(&settings.memory, settings.huge_pages, shape, label)?;
            let slots = Arc::new(Slots::new(words.holding(share), shape));
            rings.push(Arc::new(Ring::of(slots.clone())));
            writers.push(ShardWriter::new(slots, streams));
        }
        let pool = Arc::new(Self {
            shards: rings,
            bytes: shards * shard_bytes,
        });
        Ok((PoolWriter::new(writers), pool))
    }

    /// The shards. Each has an accounting cursor of its own; what it gives out are rows of many players, each player's in
    /// order.
    #[must_use]
    pub fn shards(&self) -> &[Arc<Ring>] {
        &self.shards
    }

    /// What a player pushes with.
    ///
    /// An agent has one handle at a time.
    #[must_use]
    pub fn handle(&self, agent_id: i64) -> PoolHandle {
        // Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4): neighbouring ids go to different shards.
        let hash = agent_id.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let shard = (u128::from(hash) * self.shards.len() as u128) >> 64;
        PoolHandle::new(shard as u32)
    }

    /// What a player pushes with whose rows are to go to shard `shard`, modulo the number of shards: for those who know
    /// better which players belong together than their ids do.
    #[must_use]
    pub fn handle_in(&self, shard: usize) -> PoolHandle {
        PoolHandle::new((shard % self.shards.len()) as u32)
    }

    /// A reader of every shard, each with a cursor of its own: what a [`Sampler`](super::Sampler) watches.
    ///
    /// Rows of an episode that was discarded are no longer given out, sampled or peeked at.
    pub fn readers(&self) -> impl Iterator<Item = Reader> + '_ {
        self.shards.iter().map(|shard| shard.reader())
    }

    /// Takes all of the memory now, unless it lies in files. Otherwise the system gives a page when it is first written, and
    /// whoever writes waits for it.
    pub fn prefault(&self) {
        self.shards.iter().for_each(|shard| shard.prefault());
    }

    /// Bytes that all shards together take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The sum of all shards' counts.
    #[must_use]
    pub fn stats(&self) -> BufferStats {
        self.shards.iter().map(|shard| shard.stats()).sum()
    }

    /// Refuses further pushes.
    pub fn close(&self) {
        self.shards.iter().for_each(|shard| shard.close());
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPool")
            .field("shards", &self.shards.len())
            .field("bytes", &self.bytes)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
