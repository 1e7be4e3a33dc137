//! Those who push to a pool.

use super::chain;
use crate::{
    buffer::{Closed, ring::slots::Slots},
    transition::{StepHeader, StepKind},
};
use core::fmt;
use std::sync::Arc;

/// The one who pushes to a [`BufferPool`](super::BufferPool), for all players. Dropping it closes the pool.
///
/// The default is one without a pool, for no players.
#[derive(Debug, Default)]
pub struct PoolWriter(Vec<ShardWriter>);

impl PoolWriter {
    pub(super) fn new(shards: Vec<ShardWriter>) -> Self {
        Self(shards)
    }

    /// Appends a player's row; the shard's oldest makes room for it, whosever that is. Wait-free, and no allocation.
    ///
    /// # Errors
    /// When the pool was closed.
    ///
    /// # Panics
    /// When `row` is not as long as the pool's rows, or the handle is another pool's.
    #[inline]
    pub fn push(&mut self, player: &mut PoolHandle, row: &[u64]) -> Result<(), Closed> {
        self.0[player.shard].append(player, row)
    }

    /// Says that a row of this player will be pushed soon.
    #[inline]
    pub fn prefetch(&self, player: &PoolHandle) {
        let shard = &self.0[player.shard];
        shard.slots.prefetch(shard.next);
    }

    /// The shards' writers, to be given to as many tasks. A player's is that at [`PoolHandle::shard`].
    pub fn shards_mut(&mut self) -> &mut [ShardWriter] {
        &mut self.0
    }
}

/// The one who pushes to one shard.
pub struct ShardWriter {
    slots: Arc<Slots>,
    next: u64,
}

impl ShardWriter {
    pub(super) fn new(slots: Arc<Slots>) -> Self {
        Self { slots, next: 0 }
    }

    /// Appends a row of a player of this shard, as [`PoolWriter::push`] does.
    ///
    /// # Errors
    /// When the pool was closed.
    ///
    /// # Panics
    /// When `row` is not as long as the pool's rows.
    pub fn push(&mut self, player: &mut PoolHandle, row: &[u64]) -> Result<(), Closed> {
        self.append(player, row)
    }

    #[inline]
    fn append(&mut self, player: &mut PoolHandle, row: &[u64]) -> Result<(), Closed> {
        let slots = &*self.slots;
        if slots.is_closed() {
            slots.reject();
            return Err(Closed);
        }
        let number = self.next;
        let kind = StepHeader::of(row).kind();
        let previous = player.previous.filter(|_| kind != StepKind::Begin);
        slots.append(number, &chain::behind(previous), row);
        self.next += 1;
        player.previous = Some(number);
        match (kind, previous) {
            (StepKind::Begin | StepKind::Transition, _) => {}
            (StepKind::End, previous) => {
                if let Some(last) = previous {
                    chain::end(slots, last, number);
                }
                player.previous = None;
            }
            (StepKind::Discard, _) => {
                chain::hide(slots, number);
                player.previous = None;
            }
        }
        Ok(())
    }
}

impl Drop for ShardWriter {
    fn drop(&mut self) {
        self.slots.close();
    }
}

impl fmt::Debug for ShardWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardWriter")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// A player's place in a pool: which shard it pushes to, and where its last row is.
#[derive(Debug)]
pub struct PoolHandle {
    shard: usize,
    previous: Option<u64>,
}

impl PoolHandle {
    pub(super) fn new(shard: usize) -> Self {
        Self { shard, previous: None }
    }

    /// Which shard its rows go to.
    #[must_use]
    pub fn shard(&self) -> usize {
        self.shard
    }
}
