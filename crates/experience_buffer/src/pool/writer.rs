//! Those who push to a pool.

use super::{
    LINKS,
    chain::{self, Link},
};
use crate::{Closed, ring::slots::Slots};
use core::{fmt, ops::Range};
use experience_core::transition::{StepHeader, StepKind};
use std::sync::Arc;

/// The one who pushes to a [`BufferPool`](super::BufferPool), for all players. Dropping it closes the pool.
///
/// The default is one without a pool, for no players.
#[derive(Debug, Default)]
pub struct PoolWriter {
    shards: Vec<ShardWriter>,
    /// The shard whose last run is written, but not there for readers.
    unpublished: Option<usize>,
}

impl PoolWriter {
    pub(super) fn new(shards: Vec<ShardWriter>) -> Self {
        Self {
            shards,
            unpublished: None,
        }
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
        self.publish();
        self.shards[player.shard as usize].append(player, row)
    }

    /// Begins a [`Run`] of rows for the shard of `player`, of which the first is put together in cell `cell`.
    ///
    /// # Panics
    /// When the handle is another pool's.
    #[inline]
    pub fn begin_run(&self, player: &PoolHandle, cell: usize) -> Run {
        self.shards[player.shard as usize].begin_run(player, cell)
    }

    /// Appends the rows of a run: [transitions](StepKind::Transition) that lie in `cells`, each behind its links, as many words
    /// apart as is even. Nothing else was pushed to their shard since the run was begun.
    ///
    /// Readers find them after the next [`publish`](Self::publish), or whatever else is called here: by then the rows have left
    /// the processor, which nobody should wait for. Until then they find so many of the shard's oldest rows less.
    ///
    /// # Errors
    /// When the pool was closed.
    ///
    /// # Panics
    /// When the run has cells that are not in `cells`.
    #[inline]
    pub fn push_run(&mut self, run: &Run, cells: &[u64]) -> Result<(), Closed> {
        self.publish();
        self.unpublished = Some(run.shard as usize);
        self.shards[run.shard as usize].append_run(run, cells)
    }

    /// Says that all rows that were pushed are there.
    #[inline]
    pub fn publish(&mut self) {
        if let Some(shard) = self.unpublished.take() {
            self.shards[shard].publish();
        }
    }

    /// The shards' writers, to be given to as many tasks. A player's is that at [`PoolHandle::shard`].
    pub fn shards_mut(&mut self) -> &mut [ShardWriter] {
        self.publish();
        &mut self.shards
    }

    /// All shards in `parts` parts, to be given to as many tasks. Some are empty, where there are fewer shards.
    pub fn parts(&mut self, parts: usize) -> impl Iterator<Item = PoolPart<'_>> {
        let all = self.shards.len();
        let mut first = 0;
        let mut rest = self.shards_mut();
        (1..=parts).map(move |part| {
            let end = part * all / parts;
            let (shards, after) = core::mem::take(&mut rest).split_at_mut(end - first);
            rest = after;
            let begins = core::mem::replace(&mut first, end);
            PoolPart {
                shards,
                first: begins,
                unpublished: None,
            }
        })
    }
}

impl Drop for PoolWriter {
    fn drop(&mut self) {
        self.publish();
    }
}

/// The one who pushes runs to some of a pool's shards, that stand side by side, while others push to other ones.
///
/// Dropping it publishes what was pushed, and closes nothing.
#[derive(Debug)]
pub struct PoolPart<'a> {
    shards: &'a mut [ShardWriter],
    /// The number of the first of them in the pool.
    first: usize,
    /// As in the [`PoolWriter`].
    unpublished: Option<usize>,
}

impl PoolPart<'_> {
    /// Whether the shard of `player` is among these.
    #[inline]
    #[must_use]
    pub fn has(&self, player: &PoolHandle) -> bool {
        player.shard().wrapping_sub(self.first) < self.shards.len()
    }

    /// As [`PoolWriter::begin_run`].
    ///
    /// # Panics
    /// When the shard of `player` is not among these.
    #[inline]
    #[must_use]
    pub fn begin_run(&self, player: &PoolHandle, cell: usize) -> Run {
        self.shards[player.shard().wrapping_sub(self.first)].begin_run(player, cell)
    }

    /// As [`PoolWriter::push_run`].
    ///
    /// # Errors
    /// When the pool was closed.
    ///
    /// # Panics
    /// When the run has cells that are not in `cells`, or its shard is not among these.
    #[inline]
    pub fn push_run(&mut self, run: &Run, cells: &[u64]) -> Result<(), Closed> {
        self.publish();
        let shard = (run.shard as usize).wrapping_sub(self.first);
        self.unpublished = Some(shard);
        self.shards[shard].append_run(run, cells)
    }

    /// As [`PoolWriter::publish`].
    #[inline]
    pub fn publish(&mut self) {
        if let Some(shard) = self.unpublished.take() {
            self.shards[shard].publish();
        }
    }
}

impl Drop for PoolPart<'_> {
    fn drop(&mut self) {
        self.publish();
    }
}

/// The one who pushes to one shard.
pub struct ShardWriter {
    slots: Arc<Slots>,
    next: u64,
    /// Whether rows are written past the caches.
    streams: bool,
}

impl ShardWriter {
    pub(super) fn new(slots: Arc<Slots>, streams: bool) -> Self {
        Self {
            slots,
            next: 0,
            streams,
        }
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
    fn begin_run(&self, player: &PoolHandle, cell: usize) -> Run {
        Run {
            shard: player.shard,
            number: self.next,
            cells: cell..cell,
        }
    }

    #[inline]
    fn publish(&self) {
        self.slots.publish_cells(self.next);
    }

    fn append_run(&mut self, run: &Run, cells: &[u64]) -> Result<(), Closed> {
        /// Fewer rows than this are not worth waiting for the caches before and behind them.
        const MANY: u64 = 8;
        let slots = &*self.slots;
        let stride = slots.cells().view().stride();
        let cells = &cells[run.cells.start * stride..run.cells.end * stride];
        if slots.is_closed() {
            slots.reject(run.cells.len() as u64);
            return Err(Closed);
        }
        debug_assert_eq!(run.number, self.next + run.cells.len() as u64, "rows came in between");
        let most = usize::try_from(slots.capacity()).unwrap_or(usize::MAX);
        for cells in cells.chunks(most.saturating_mul(stride)) {
            let rows = (cells.len() / stride) as u64;
            if self.next != slots.head() {
                // The run is longer than the ring.
                slots.publish_cells(self.next);
            }
            slots.write_cells(self.next, cells, self.streams && rows >= MANY);
            self.next += rows;
        }
        Ok(())
    }

    #[inline]
    fn append(&mut self, player: &mut PoolHandle, row: &[u64]) -> Result<(), Closed> {
        let slots = &*self.slots;
        if slots.is_closed() {
            slots.reject(1);
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

/// Rows that lie behind one another where they are put together, in cells as a shard's, and so are written in one go.
///
/// The default is one without a shard, which takes nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    shard: u32,
    /// The number of the next row.
    number: u64,
    cells: Range<usize>,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            shard: u32::MAX,
            number: 0,
            cells: 0..0,
        }
    }
}

impl Run {
    /// Whether the row of `player` in cell `cell` can be the next of this run.
    #[inline]
    #[must_use]
    pub fn takes(&self, player: &PoolHandle, cell: usize) -> bool {
        self.shard == player.shard && self.cells.end == cell
    }

    /// Whether it has no rows.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// How many rows it has.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Takes the next cell to the run, for a row of `player`. The links, which belong in front of that row.
    #[inline]
    pub fn add(&mut self, player: &mut PoolHandle) -> [u64; LINKS] {
        let links = chain::behind(player.last);
        player.last = Some(Link::to(self.number));
        self.number += 1;
        self.cells.end += 1;
        links
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
