//! Shared state of a ring: row storage, the head, the accounting cursor, and the counters of lost rows.

use super::{
    links,
    rows::RowsView,
    slab::{Counter, Slab},
};
use crate::{
    atomic_copy,
    memory::{MemoryUse, Words},
    prefetch,
    shape::{Links, Shape},
    stats::BufferStats,
    sync::{AtomicU64, Ordering, acquire, fence},
};
use std::sync::Arc;

/// Greater than any count of rows in a file that is not damaged.
#[cfg(not(loom))]
const MAX_COUNT: u64 = 1 << 62;

/// The rows and the counters of a ring, which its writer and its readers share.
///
/// Row `r` (rows are counted from 0, and a 64-bit count does not wrap) is in cell `r` modulo the capacity. Two counters tell
/// which rows are valid: row `r` is if it is less than `HEAD` and not less than `BEGUN` minus the capacity. The writer raises
/// `BEGUN`, writes one row or a run of rows, and raises `HEAD`. A reader loads `HEAD`, copies any number of rows, and then
/// loads `BEGUN`, which tells how many of the oldest copies it must discard.
///
/// This is a seqlock with one pair of sequence numbers for the whole ring, with the orderings of Hans Boehm, "Can Seqlocks
/// Get Along With Programming Language Memory Models?" (MSPC 2012), figure 6: between two fences, the accesses to the words
/// may be relaxed. Two numbers, of which the reader loads first the one that is written last, are Leslie Lamport's,
/// "Concurrent Reading and Writing" (Communications of the ACM 20, 1977). A sequence number in every cell, as is more usual,
/// would be loaded twice a row, and consecutive rows could not be copied at once.
///
/// This is a handle: its clones are the same ring. The last one frees the ring's lane of its [`Slab`].
pub(crate) struct Slots {
    slab: Arc<Slab>,
    lane: u32,
}

impl Clone for Slots {
    #[inline]
    fn clone(&self) -> Self {
        self.slab.hold(self.lane());
        Self {
            slab: self.slab.clone(),
            lane: self.lane,
        }
    }
}

impl Drop for Slots {
    #[inline]
    fn drop(&mut self) {
        self.slab.release(self.lane());
    }
}

impl Slots {
    /// A ring in `words`, which are [`Shape::words`] words.
    #[inline]
    pub(crate) fn new(words: Words, shape: Shape) -> Self {
        Self {
            slab: Arc::new(Slab::single(words, shape)),
            lane: 0,
        }
    }

    /// A ring in a free lane of a slab. `None` if there is none.
    pub(crate) fn in_lane(slab: &Arc<Slab>) -> Option<Self> {
        let lane = slab.take_lane()?;
        slab.hold(lane as usize);
        Some(Self {
            slab: slab.clone(),
            lane,
        })
    }

    #[inline(always)]
    pub(super) fn slab(&self) -> &Slab {
        &self.slab
    }

    #[inline(always)]
    pub(super) fn lane(&self) -> usize {
        self.lane as usize
    }

    #[inline(always)]
    fn counter(&self, counter: Counter) -> &AtomicU64 {
        self.slab.counter(self.lane(), counter)
    }

    /// The cells.
    #[inline(always)]
    pub(crate) fn view(&self) -> RowsView<'_> {
        self.slab.view(self.lane())
    }

    /// Bytes, by kind of memory.
    pub(crate) fn memory(&self) -> MemoryUse {
        self.slab.memory()
    }

    /// Maps all pages now, unless they are of a file.
    pub(crate) fn prefault(&self) {
        self.slab.prefault();
    }

    #[inline]
    pub(crate) fn links(&self) -> Links {
        self.slab.links()
    }

    #[inline]
    pub(crate) fn capacity(&self) -> u64 {
        self.slab.mask() + 1
    }

    /// The counters as statistics.
    pub(crate) fn stats(&self) -> BufferStats {
        let count = |rows| usize::try_from(rows).expect("slots are addressable");
        // Loaded in this order, none of the differences below is negative while rows are pushed and drained.
        let missed = self.missed();
        let accounted = self.accounted();
        let head = self.head();
        let skipped = self.skipped();
        // Rows that are overwritten count as dropped before the accounting cursor reaches them.
        let len = (head - accounted).min(self.capacity());
        BufferStats {
            added: head + skipped,
            dropped: missed + (head - accounted - len) + skipped,
            retrieved: accounted - missed,
            rejected: self.rejected(),
            len: count(len),
            capacity: count(self.capacity()),
            memory: self.memory(),
        }
    }

    /// Whether the counters are consistent, as they are unless the words are of a damaged file.
    #[cfg(not(loom))]
    #[inline]
    pub(crate) fn is_consistent(&self) -> bool {
        // In this order: rows may be pushed meanwhile.
        let (missed, accounted, floor) = (self.missed(), self.accounted(), self.floor());
        let head = self.head();
        missed <= accounted
            && accounted.max(floor) <= head
            && (head..MAX_COUNT).contains(&acquire(self.counter(Counter::Begun)))
            && head.max(self.skipped()).max(self.rejected()) < MAX_COUNT
            && self.counter(Counter::Closed).load(Ordering::Relaxed) <= 1
    }

    /// Whether the ring was closed. Also sound on read-only memory.
    #[cfg(not(loom))]
    #[inline]
    pub(crate) fn was_closed(&self) -> bool {
        acquire(self.counter(Counter::Closed)) != 0
    }

    #[inline]
    pub(crate) fn head(&self) -> u64 {
        // Acquire: a thread that learns of a row sees its words.
        acquire(self.counter(Counter::Head))
    }

    /// The number of the next row. Only the writer calls this: it has stored the count itself.
    #[inline(always)]
    pub(crate) fn next(&self) -> u64 {
        self.counter(Counter::Head).load(Ordering::Relaxed)
    }

    /// The oldest row that can be valid when `head` rows were pushed.
    #[inline]
    pub(crate) fn oldest(&self, head: u64) -> u64 {
        head.saturating_sub(self.capacity())
    }

    #[inline]
    pub(crate) fn accounted(&self) -> u64 {
        acquire(self.counter(Counter::Accounted))
    }

    /// Moves the accounting cursor to `next`, having missed `missed` rows before it. The caller holds the lock of the cursor.
    #[inline]
    pub(crate) fn account(&self, next: u64, missed: u64) {
        // In this order: a thread that loads them in the other order never sees more rows missed than passed.
        self.counter(Counter::Accounted).store(next, Ordering::Release);
        if missed > 0 {
            let before = self.counter(Counter::Missed).load(Ordering::Relaxed);
            self.counter(Counter::Missed).store(before + missed, Ordering::Release);
        }
    }

    /// Rows that were overwritten before the accounting cursor reached them.
    #[inline]
    pub(crate) fn missed(&self) -> u64 {
        acquire(self.counter(Counter::Missed))
    }

    #[inline]
    pub(crate) fn skipped(&self) -> u64 {
        acquire(self.counter(Counter::Skipped))
    }

    #[inline]
    pub(crate) fn floor(&self) -> u64 {
        acquire(self.counter(Counter::Floor))
    }

    #[inline]
    pub(crate) fn raise_floor(&self, floor: u64) {
        self.counter(Counter::Floor).fetch_max(floor, Ordering::AcqRel);
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.counter(Counter::Closed).load(Ordering::Acquire) != 0
    }

    #[inline]
    pub(crate) fn close(&self) {
        self.counter(Counter::Closed).store(1, Ordering::Release);
    }

    #[inline]
    pub(crate) fn rejected(&self) -> u64 {
        self.counter(Counter::Rejected).load(Ordering::Relaxed)
    }

    #[cold]
    pub(crate) fn reject(&self, rows: u64) {
        self.counter(Counter::Rejected).fetch_add(rows, Ordering::Relaxed);
    }

    /// Whether readers other than the accounting cursor may read a row, given its links and words.
    #[inline]
    pub(crate) fn is_public(&self, content: &[u64]) -> bool {
        self.links() != Links::Chain || !links::is_hidden(content)
    }

    #[inline]
    pub(crate) fn index(&self, number: u64) -> usize {
        usize::try_from(number & self.slab.mask()).expect("cells are addressable")
    }

    /// Writes and publishes row `number`. Only the writer calls this, with the numbers from 0 in order.
    #[inline(always)]
    pub(crate) fn append(&self, number: u64, links: &[u64], row: &[u64]) {
        let cells = self.view();
        self.counter(Counter::Begun).store(number + 1, Ordering::Relaxed);
        // A reader that reads one of the words below also sees the count above.
        fence(Ordering::Release);
        cells.store(self.index(number), links, row);
        self.counter(Counter::Head).store(number + 1, Ordering::Release);
    }

    /// Writes the rows from `number` on, whose cells are consecutive in `cells`, and at most as many as the ring holds. Readers
    /// find them after [`publish_cells`](Self::publish_cells); until then the ring holds as many of its oldest rows less. Only
    /// the writer calls this.
    #[inline]
    pub(crate) fn write_cells(&self, number: u64, cells: &[u64], streams: bool) {
        let view = self.view();
        let rows = cells.len() / view.stride();
        assert_eq!(rows * view.stride(), cells.len(), "cells of another width");
        debug_assert!(rows as u64 <= self.capacity());
        let after = number + rows as u64;
        self.counter(Counter::Begun).store(after, Ordering::Relaxed);
        fence(Ordering::Release);
        let index = self.index(number);
        let before_end = usize::try_from(self.capacity()).map_or(rows, |all| rows.min(all - index));
        let (before_end, from_start) = cells.split_at(before_end * view.stride());
        view.store_cells(index, before_end, streams);
        if !from_start.is_empty() {
            view.store_cells(0, from_start, streams);
        }
    }

    /// Publishes the rows before `next`.
    #[inline]
    pub(crate) fn publish_cells(&self, next: u64) {
        atomic_copy::flush_streamed();
        self.counter(Counter::Head).store(next, Ordering::Release);
    }

    /// Prefetches the memory that [`append`](Self::append) of row `number` will write.
    #[inline(always)]
    pub(crate) fn prefetch(&self, number: u64) {
        /// The hardware prefetcher follows longer rows.
        const WORDS: usize = 64;
        prefetch::slice_for_write(core::slice::from_ref(self.counter(Counter::Head)));
        let content = self.view().content(self.index(number));
        prefetch::slice_for_write(&content[..content.len().min(WORDS)]);
    }

    /// Rows that can be pushed before one is overwritten that was not drained.
    #[inline]
    pub(crate) fn free(&self) -> usize {
        // In this order: rows pushed in between make the result too small, never too large.
        let accounted = self.accounted();
        let behind = self.head() - accounted;
        usize::try_from(self.capacity().saturating_sub(behind)).expect("cells are addressable")
    }

    /// Counts a row that is refused because the ring is full. Only the writer calls this.
    #[cold]
    pub(crate) fn skip(&self) {
        let skipped = self.counter(Counter::Skipped).load(Ordering::Relaxed) + 1;
        self.counter(Counter::Skipped).store(skipped, Ordering::Release);
    }

    /// Whether row `number`, which was pushed, was in its cell during all of the caller's loads from there.
    #[inline(always)]
    pub(crate) fn is_whole(&self, number: u64) -> bool {
        number >= self.oldest_whole()
    }

    /// The oldest row that was in its cell during all of the caller's loads from there.
    #[inline(always)]
    pub(super) fn oldest_whole(&self) -> u64 {
        // If one of the words loaded before is of a later row, the fence makes that row's `BEGUN` visible to the load below.
        fence(Ordering::Acquire);
        self.oldest(self.counter(Counter::Begun).load(Ordering::Relaxed))
    }

    /// Copies the links and the words of row `number`, which was pushed, into `copy`. False if it was overwritten.
    #[inline]
    pub(crate) fn read(&self, number: u64, copy: &mut [u64]) -> bool {
        self.view().load(self.index(number), copy);
        self.is_whole(number)
    }

    /// Whether row `number`, which was pushed, is still in its cell. Only the writer calls this: no other thread overwrites it.
    #[inline]
    pub(crate) fn holds(&self, number: u64) -> bool {
        number >= self.oldest(self.head())
    }
}
