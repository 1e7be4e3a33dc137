//! Those who push to a pool.

use super::chain::{self, Link};
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
        self.0[player.shard as usize].append(player, row)
    }

    /// Appends the row of a [transition](StepKind::Transition) whose header is not in its place yet, which saves a copy of
    /// it. Otherwise as [`push`](Self::push).
    ///
    /// # Errors
    /// When the pool was closed.
    ///
    /// # Panics
    /// When `row` is not as long as the pool's rows, or the handle is another pool's.
    #[inline]
    pub fn push_step(&mut self, player: &mut PoolHandle, header: &StepHeader, row: &[u64]) -> Result<(), Closed> {
        self.0[player.shard as usize].append_step(player, header, row)
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
    fn append_step(&mut self, player: &mut PoolHandle, header: &StepHeader, row: &[u64]) -> Result<(), Closed> {
        /// Rows that are on their way while one is written.
        const AHEAD: u64 = 8;
        debug_assert_eq!(header.kind(), StepKind::Transition);
        let slots = &*self.slots;
        if slots.is_closed() {
            slots.reject();
            return Err(Closed);
        }
        slots.prefetch_cell(self.next + AHEAD);
        slots.append_step(self.next, chain::behind(player.last), header, row);
        player.last = Some(Link::to(self.next));
        self.next += 1;
        Ok(())
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
        let last = player.last.filter(|_| kind != StepKind::Begin);
        slots.append(number, &chain::behind(last), row);
        self.next += 1;
        player.last = match kind {
            StepKind::Begin | StepKind::Transition => Some(Link::to(number)),
            StepKind::End => {
                if let Some(last) = last {
                    chain::end(slots, last, number);
                }
                None
            }
            StepKind::Discard => {
                chain::hide(slots, number);
                None
            }
        };
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
    // There are very many handles, and every capture goes over all of them: so they are small.
    shard: u32,
    /// The link to the episode's last row, where it has any.
    last: Option<Link>,
}

impl PoolHandle {
    pub(super) fn new(shard: u32) -> Self {
        Self { shard, last: None }
    }

    /// Which shard its rows go to.
    #[must_use]
    pub fn shard(&self) -> usize {
        self.shard as usize
    }
}
