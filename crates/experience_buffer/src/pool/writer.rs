//! Producers of a pool: pushes rows of many players to a shard, one at a time or in runs of neighbours.

use super::{
    LINKS,
    chain::{self, Link},
};
use crate::{Closed, ring::slots::Slots};
use core::{fmt, ops::Range};
use experience_core::transition::{StepHeader, StepKind};

/// Pushes to a [`BufferPool`](super::BufferPool) for all players. Dropping it closes the pool.
///
/// The default has no pool, and accepts no players.
#[derive(Debug, Default)]
pub struct PoolWriter {
    shards: Vec<ShardWriter>,
    /// The shard whose last run is written but not published.
    unpublished: Option<usize>,
}

impl PoolWriter {
    #[inline]
    pub(super) fn new(shards: Vec<ShardWriter>) -> Self {
        Self {
            shards,
            unpublished: None,
        }
    }

    /// Appends a player's row; a full shard overwrites its oldest row, of whichever player. Wait-free, and allocates nothing.
    ///
    /// # Errors
    /// When the pool was closed.
    ///
    /// # Panics
    /// When `row` has another length than the pool's rows, or the handle is of another pool.
    #[inline]
    pub fn push(&mut self, player: &mut PoolHandle, row: &[u64]) -> Result<(), Closed> {
        self.publish();
        self.shards[player.shard as usize].append(player, row)
    }

    /// Begins a [`Run`] of rows for the shard of `player`, the first of which is in cell `cell`.
    ///
    /// # Panics
    /// When the handle is of another pool.
    #[inline]
    pub fn begin_run(&self, player: &PoolHandle, cell: usize) -> Run {
        self.shards[player.shard as usize].begin_run(player, cell)
    }

    /// Appends the rows of a run, which are [transitions](StepKind::Transition). Each cell of `cells` is the links, the row,
    /// and padding to an even number of words. Nothing else may have been pushed to the shard since the run was begun.
    ///
    /// Readers find the rows after the next [`publish`](Self::publish) or the next call of another method, by which time the
    /// stores have left the processor. Until then the shard holds as many of its oldest rows less.
    ///
    /// # Errors
    /// When the pool was closed.
    ///
    /// # Panics
    /// When `cells` is shorter than the run's cells.
    #[inline]
    pub fn push_run(&mut self, run: &Run, cells: &[u64]) -> Result<(), Closed> {
        self.publish();
        self.unpublished = Some(run.shard as usize);
        self.shards[run.shard as usize].append_run(run, cells)
    }

    /// Publishes all rows that were pushed.
    #[inline]
    pub fn publish(&mut self) {
        if let Some(shard) = self.unpublished.take() {
            self.shards[shard].publish();
        }
    }

    /// The writers of the shards, for as many tasks. A player's is at [`PoolHandle::shard`].
    #[inline]
    pub fn shards_mut(&mut self) -> &mut [ShardWriter] {
        self.publish();
        &mut self.shards
    }

    /// Divides the shards into `parts` parts for as many tasks. Some are empty where there are fewer shards.
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
    #[inline]
    fn drop(&mut self) {
        self.publish();
    }
}

/// Pushes runs to consecutive shards of a pool, while other tasks push to others.
///
/// Dropping it publishes what was pushed, and does not close the pool.
#[derive(Debug)]
pub struct PoolPart<'a> {
    shards: &'a mut [ShardWriter],
    /// The index of the first of them in the pool.
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
    /// When `cells` is shorter than the run's cells, or its shard is not among these.
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
    #[inline]
    fn drop(&mut self) {
        self.publish();
    }
}

/// Pushes to one shard.
pub struct ShardWriter {
    slots: Slots,
    next: u64,
    /// Whether runs are written with non-temporal stores.
    streams: bool,
}

impl ShardWriter {
    #[inline]
    pub(super) fn new(slots: Slots, streams: bool) -> Self {
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
    #[inline]
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
        /// Minimum rows for which non-temporal stores are worth their two fences.
        const MIN_STREAMED_ROWS: u64 = 8;
        let slots = &self.slots;
        let stride = slots.view().stride();
        let cells = &cells[run.cells.start * stride..run.cells.end * stride];
        if slots.is_closed() {
            slots.reject(run.cells.len() as u64);
            return Err(Closed);
        }
        debug_assert_eq!(
            run.number,
            self.next + run.cells.len() as u64,
            "rows were pushed in between"
        );
        let most = usize::try_from(slots.capacity()).unwrap_or(usize::MAX);
        for cells in cells.chunks(most.saturating_mul(stride)) {
            let rows = (cells.len() / stride) as u64;
            if self.next != slots.head() {
                // The run is longer than the ring.
                slots.publish_cells(self.next);
            }
            slots.write_cells(self.next, cells, self.streams && rows >= MIN_STREAMED_ROWS);
            self.next += rows;
        }
        Ok(())
    }

    #[inline]
    fn append(&mut self, player: &mut PoolHandle, row: &[u64]) -> Result<(), Closed> {
        let slots = &self.slots;
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
    #[inline]
    fn drop(&mut self) {
        self.slots.close();
    }
}

impl fmt::Debug for ShardWriter {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardWriter")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// Consecutive rows of one shard, laid out in cells like the shard's, that are written at once.
///
/// The default has no shard, and accepts no player.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    shard: u32,
    /// The number of the next row.
    number: u64,
    cells: Range<usize>,
}

impl Default for Run {
    #[inline]
    fn default() -> Self {
        Self {
            shard: u32::MAX,
            number: 0,
            cells: 0..0,
        }
    }
}

impl Run {
    /// Whether the row of `player` in cell `cell` can be added to this run.
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

    /// The number of rows.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Adds the next cell, which holds a row of `player`. Returns the links to store in front of that row.
    #[inline]
    pub fn add(&mut self, player: &mut PoolHandle) -> [u64; LINKS] {
        let links = chain::behind(player.last);
        player.last = Some(Link::to(self.number));
        self.number += 1;
        self.cells.end += 1;
        links
    }
}

/// The state of a player in a pool: its shard, and its last row.
#[derive(Debug)]
pub struct PoolHandle {
    // Handles are small because every capture iterates over all of them.
    shard: u32,
    /// The link to the last row of the open episode.
    last: Option<Link>,
}

impl PoolHandle {
    #[inline]
    pub(super) fn new(shard: u32) -> Self {
        Self { shard, last: None }
    }

    /// The shard of its rows.
    #[must_use]
    #[inline]
    pub fn shard(&self) -> usize {
        self.shard as usize
    }
}
