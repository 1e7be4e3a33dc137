//! The numbering of a ring's rows, and what its threads tell each other.

use super::{links, rows::Rows};
use crate::{
    memory::Words,
    prefetch,
    shape::{Links, Shape},
    stats::BufferStats,
    sync::{AtomicU64, Ordering, acquire, fence},
    words,
};

/// The words before the first cell. What the writer writes, and what the one who drains writes, lie 128 bytes apart,
/// because processors fetch lines in pairs.
mod place {
    /// The number of rows ever pushed, which is the number of the next: all before it are written.
    pub const HEAD: usize = 16;
    /// 1 once nothing more may be pushed. Beside the head, because every push looks at it.
    pub const CLOSED: usize = 17;
    /// Rows that were refused because the ring was closed.
    pub const REJECTED: usize = 18;
    /// Rows that were never pushed, because the ring was full of rows that were not drained.
    pub const SKIPPED: usize = 19;
    /// Rows before this one are for the accounting cursor alone.
    pub const FLOOR: usize = 20;
    /// The number of rows that were ever begun. Whoever writes row `r` first makes it more than `r`; so a row that is a
    /// whole capacity behind it is no longer, or not for long, in its cell.
    pub const BEGUN: usize = 21;
    /// The first row that was not drained: the accounting cursor. Who drains writes it.
    pub const ACCOUNTED: usize = 32;
    /// Rows that the accounting cursor came too late for.
    pub const MISSED: usize = 33;
}

/// More rows than any ring will ever be given.
#[cfg(not(loom))]
const MANY: u64 = 1 << 62;

/// A ring's cells, what its threads tell each other, and where everything lies.
///
/// Row `r` (rows are counted from 0 for ever; a 64-bit count does not wrap) lies in cell `r` modulo the capacity. Two
/// counters say which rows are there: row `r` is whole if it is less than `HEAD` and not less than `BEGUN` minus the
/// capacity. The writer raises `BEGUN`, writes one row or a run of them, and raises `HEAD`; a reader looks at `HEAD`, copies as many rows as it
/// likes, and then looks at `BEGUN`, which says how many of the oldest of its copies it must throw away.
///
/// This is a seqlock whose sequence number is that of the whole ring, with the orderings of Hans Boehm, "Can Seqlocks Get
/// Along With Programming Language Memory Models?" (MSPC 2012), figure 6: the words need only be relaxed, between two
/// fences. Two numbers, of which the reader looks first at the one that is written last, are Leslie Lamport's, "Concurrent
/// Reading and Writing" (Communications of the ACM 20, 1977). A stamp in every cell, as is more usual, would have to be
/// looked at twice a row, and would stand between the rows, which could then not be copied together.
pub(crate) struct Slots {
    cells: Rows,
    mask: u64,
    links: Links,
}

impl Slots {
    /// Slots in `words`, which are as many as [`Shape::words`] says.
    pub(crate) fn new(words: Words, shape: Shape) -> Self {
        let capacity = shape.capacity.next_power_of_two();
        debug_assert_eq!(Ok(words.len()), shape.words());
        Self {
            cells: Rows::new(words, shape),
            mask: capacity as u64 - 1,
            links: shape.links,
        }
    }

    #[inline]
    fn word(&self, place: usize) -> &AtomicU64 {
        &self.cells.header()[place]
    }

    pub(crate) fn cells(&self) -> &Rows {
        &self.cells
    }

    pub(crate) fn links(&self) -> Links {
        self.links
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.mask + 1
    }

    /// The account.
    pub(crate) fn stats(&self) -> BufferStats {
        let count = |rows| usize::try_from(rows).expect("slots are addressable");
        // In this order, so that none of the differences below is negative while rows come and go.
        let missed = self.missed();
        let accounted = self.accounted();
        let head = self.head();
        let skipped = self.skipped();
        // Those that are overwritten already, though nobody has come to miss them yet, are among the dropped.
        let len = (head - accounted).min(self.capacity());
        BufferStats {
            added: head + skipped,
            dropped: missed + (head - accounted - len) + skipped,
            retrieved: accounted - missed,
            rejected: self.rejected(),
            len: count(len),
            capacity: count(self.capacity()),
            memory: self.cells.memory(),
        }
    }

    /// Whether what the counters say can be, as it always can unless the words come from a damaged file.
    #[cfg(not(loom))]
    pub(crate) fn is_sound(&self) -> bool {
        // In this order: rows may come meanwhile.
        let (missed, accounted, floor) = (self.missed(), self.accounted(), self.floor());
        let head = self.head();
        missed <= accounted
            && accounted.max(floor) <= head
            && (head..MANY).contains(&acquire(self.word(place::BEGUN)))
            && head.max(self.skipped()).max(self.rejected()) < MANY
            && self.word(place::CLOSED).load(Ordering::Relaxed) <= 1
    }

    /// Whether the ring was closed, for one who may only read its memory.
    pub(crate) fn was_closed(&self) -> bool {
        acquire(self.word(place::CLOSED)) != 0
    }

    #[inline]
    pub(crate) fn head(&self) -> u64 {
        // Acquire: whoever learns of a row sees it written.
        acquire(self.word(place::HEAD))
    }

    /// The oldest row that can still be there when `head` rows were pushed.
    #[inline]
    pub(crate) fn oldest(&self, head: u64) -> u64 {
        head.saturating_sub(self.capacity())
    }

    pub(crate) fn accounted(&self) -> u64 {
        acquire(self.word(place::ACCOUNTED))
    }

    /// Moves the accounting cursor to `next`, having missed `missed` rows before it. Whoever calls holds the lock of
    /// those who drain.
    pub(crate) fn account(&self, next: u64, missed: u64) {
        // In this order, so that whoever loads them in the other never sees more rows missed than passed.
        self.word(place::ACCOUNTED).store(next, Ordering::Release);
        if missed > 0 {
            let before = self.word(place::MISSED).load(Ordering::Relaxed);
            self.word(place::MISSED).store(before + missed, Ordering::Release);
        }
    }

    /// Rows that the accounting cursor came too late for so far.
    pub(crate) fn missed(&self) -> u64 {
        acquire(self.word(place::MISSED))
    }

    pub(crate) fn skipped(&self) -> u64 {
        acquire(self.word(place::SKIPPED))
    }

    pub(crate) fn floor(&self) -> u64 {
        acquire(self.word(place::FLOOR))
    }

    pub(crate) fn raise_floor(&self, floor: u64) {
        self.word(place::FLOOR).fetch_max(floor, Ordering::AcqRel);
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.word(place::CLOSED).load(Ordering::Acquire) != 0
    }

    pub(crate) fn close(&self) {
        self.word(place::CLOSED).store(1, Ordering::Release);
    }

    pub(crate) fn rejected(&self) -> u64 {
        self.word(place::REJECTED).load(Ordering::Relaxed)
    }

    #[cold]
    pub(crate) fn reject(&self, rows: u64) {
        self.word(place::REJECTED).fetch_add(rows, Ordering::Relaxed);
    }

    /// Whether a row, seen with its links, may be seen by others than the accounting cursor.
    #[inline]
    pub(crate) fn is_public(&self, content: &[u64]) -> bool {
        self.links != Links::Chain || !links::is_hidden(content)
    }

    #[inline]
    pub(crate) fn index(&self, number: u64) -> usize {
        usize::try_from(number & self.mask).expect("cells are addressable")
    }

    /// Writes row `number` and says so. Only the one writer calls this, with the numbers from 0 in order.
    #[inline(always)]
    pub(crate) fn append(&self, number: u64, links: &[u64], row: &[u64]) {
        let (counters, cells) = (self.cells.header(), self.cells.view());
        counters[place::BEGUN].store(number + 1, Ordering::Relaxed);
        // Whoever reads one of the words below sees above that its cell is being written.
        fence(Ordering::Release);
        cells.store(self.index(number), links, row);
        counters[place::HEAD].store(number + 1, Ordering::Release);
    }

    /// Writes the rows from `number` on, whose cells lie behind one another in `cells`: not more than the ring holds. They are
    /// there once [`publish_cells`](Self::publish_cells) has said so; until then the oldest rows, so many of them, are there for
    /// nobody. Only the one writer calls this.
    #[inline]
    pub(crate) fn write_cells(&self, number: u64, cells: &[u64], streams: bool) {
        let (counters, view) = (self.cells.header(), self.cells.view());
        let rows = cells.len() / view.stride();
        assert_eq!(rows * view.stride(), cells.len(), "cells of another width");
        debug_assert!(rows as u64 <= self.capacity());
        let after = number + rows as u64;
        counters[place::BEGUN].store(after, Ordering::Relaxed);
        fence(Ordering::Release);
        let index = self.index(number);
        let before_end = usize::try_from(self.capacity()).map_or(rows, |all| rows.min(all - index));
        let (before_end, from_start) = cells.split_at(before_end * view.stride());
        view.store_cells(index, before_end, streams);
        if !from_start.is_empty() {
            view.store_cells(0, from_start, streams);
        }
    }

    /// Says that the rows before `next` are there.
    #[inline]
    pub(crate) fn publish_cells(&self, next: u64) {
        words::settle();
        self.cells.header()[place::HEAD].store(next, Ordering::Release);
    }

    /// Takes the next number, as one of several writers, without writing its row yet.
    pub(super) fn begin(&self) -> u64 {
        // Relaxed: for readers the fence before the row's words orders it, and for writers it is only a number.
        self.word(place::BEGUN).fetch_add(1, Ordering::Relaxed)
    }

    /// Writes row `number`, as one of several writers, who was given it and has its cell to themselves.
    pub(super) fn write(&self, number: u64, row: &[u64]) {
        fence(Ordering::Release);
        self.cells.view().store(self.index(number), &[], row);
    }

    /// Says that row `number` is there, and all before it, unless that was said already.
    pub(super) fn publish(&self, number: u64) {
        let _ = self
            .word(place::HEAD)
            .compare_exchange(number, number + 1, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Says that row `number` will be written soon.
    #[inline(always)]
    pub(crate) fn prefetch(&self, number: u64) {
        /// Of a longer row the processor foresees the rest by itself.
        const WORDS: usize = 64;
        prefetch::slice_for_write(&self.cells.header()[place::HEAD..=place::CLOSED]);
        let content = self.cells.view().content(self.index(number));
        prefetch::slice_for_write(&content[..content.len().min(WORDS)]);
    }

    /// Rows that can be pushed before one goes that was not drained.
    pub(crate) fn free(&self) -> usize {
        // In this order: rows pushed in between make the answer too small, never too large.
        let accounted = self.accounted();
        let behind = self.head() - accounted;
        usize::try_from(self.capacity().saturating_sub(behind)).expect("cells are addressable")
    }

    /// Counts a row that is not pushed, because there is no room for it. Only the one writer calls this.
    #[cold]
    pub(crate) fn skip(&self) -> u64 {
        let skipped = self.word(place::SKIPPED).load(Ordering::Relaxed) + 1;
        self.word(place::SKIPPED).store(skipped, Ordering::Release);
        skipped
    }

    /// Whether row `number`, which was pushed, was in its cell during everything that its caller has loaded from there.
    #[inline(always)]
    pub(crate) fn is_whole(&self, number: u64) -> bool {
        number >= self.oldest_whole()
    }

    /// The oldest row that was still in its cell during everything that its caller has loaded.
    #[inline(always)]
    pub(super) fn oldest_whole(&self) -> u64 {
        // If any of the words loaded before is a later row's, the fence makes that row's beginning visible to the load below.
        fence(Ordering::Acquire);
        self.oldest(self.word(place::BEGUN).load(Ordering::Relaxed))
    }

    /// Copies row `number`, which was pushed, into `copy`: its links, then the row. False if it is no longer there.
    #[inline]
    pub(crate) fn look(&self, number: u64, copy: &mut [u64]) -> bool {
        self.cells.view().load(self.index(number), copy);
        self.is_whole(number)
    }

    /// Whether the cell of row `number`, which was pushed, still has it, for the one writer, who may write the next over it.
    pub(crate) fn holds(&self, number: u64) -> bool {
        number >= self.oldest(self.head())
    }
}

/// The file of a ring goes with the ring, unless it holds rows that were not drained.
impl Drop for Slots {
    fn drop(&mut self) {
        let is_done = |slots: &Self| slots.was_closed() && slots.accounted() >= slots.head();
        if self.cells.memory().file > 0 && is_done(self) {
            self.cells.words_mut().remove_file();
        }
    }
}
