//! A position in a ring, and the read loop of the accounting cursor and of readers.

use super::slots::Slots;
use crate::{Drained, shape::Links};
use core::cell::Cell;

thread_local! {
    /// Rows are copied here before the caller sees them. One for all rings that a thread reads, so that it stays in the
    /// first-level cache.
    static SCRATCH: Cell<Vec<u64>> = const { Cell::new(Vec::new()) };
}

/// Words that are copied at once, unless a row has more.
const RUN_WORDS: usize = 512;

/// A position in a ring.
#[derive(Clone)]
pub(crate) struct Cursor {
    /// The next row to read.
    pub(crate) next: u64,
    skipped: Skipped,
}

/// How many rows the ring refused before the cursor's row; `None` before the cursor has read a row.
#[derive(Clone, Copy)]
struct Skipped(Option<u64>);

impl Skipped {
    #[inline]
    fn before(number: u64) -> Self {
        Self((number == 0).then_some(0))
    }

    #[inline]
    fn is_below(self, skipped: u64) -> bool {
        self.0.is_some_and(|known| known < skipped)
    }

    /// Raises the count to `skipped`, and returns the difference.
    #[inline]
    fn rise_to(&mut self, skipped: u64) -> u64 {
        let known = self.0.unwrap_or(skipped);
        self.0 = Some(known.max(skipped));
        skipped.saturating_sub(known)
    }
}

impl Cursor {
    /// A cursor at row `next`.
    #[inline]
    pub(crate) fn new(next: u64) -> Self {
        Self {
            next,
            skipped: Skipped::before(next),
        }
    }

    /// Seeks to row `next`. Rows in between do not count as missed.
    #[inline]
    pub(crate) fn seek(&mut self, next: u64) {
        *self = Self::new(next);
    }

    /// Calls `each` with at most `max` rows from here on, up to the first gap behind a row.
    ///
    /// `passed` is called before each row and at each gap with the cursor's position, and the number of rows that were
    /// overwritten since the last call. With `SKIPS_HIDDEN`, rows that are hidden from readers are skipped.
    // Always inline: a call with closures behind pointers takes more instructions a row.
    #[inline(always)]
    pub(crate) fn read<const SKIPS_HIDDEN: bool>(
        &mut self,
        slots: &Slots,
        max: usize,
        mut passed: impl FnMut(u64, u64),
        mut each: impl FnMut(&[u64]),
    ) -> Drained {
        let mut read = Drained::default();
        let mut head = slots.head();
        let mut times = 0;
        let cells = slots.view();
        let (row, stride) = (cells.row(), cells.stride());
        let has_skipped = slots.links() == Links::Skipped;
        let run = (RUN_WORDS / stride).max(1);
        // A read of another ring inside of `each` finds no scratch memory, and allocates its own.
        let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
        if scratch.len() < run * stride {
            scratch.resize(RUN_WORDS.max(run * stride), 0);
        }
        'runs: while read.steps < max {
            if self.next >= head {
                // In this order: if the head is unchanged after it, no row follows the refused ones.
                let skipped = slots.skipped();
                head = slots.head();
                if self.next >= head {
                    if read.steps == 0 {
                        read.missed = read.missed.saturating_add(self.skipped.rise_to(skipped));
                    }
                    break;
                }
            }
            // As many rows as are pushed, wanted and consecutive in memory.
            let index = slots.index(self.next);
            let behind = usize::try_from((head - self.next).min(slots.capacity() - index as u64)).unwrap_or(usize::MAX);
            let rows = run.min(max - read.steps).min(behind);
            let copies = &mut scratch[..rows * stride];
            cells.load(index, copies);
            let oldest = slots.oldest_whole();
            if self.next < oldest {
                // The next read reports the gap, so that missed rows always come before the rows of a read.
                if read.steps > 0 {
                    break;
                }
                let missed = rows_to_skip(slots, self.next, oldest, &mut head, &mut times);
                self.next += missed;
                read.missed = read.missed.saturating_add(missed);
                passed(self.next, missed);
                continue;
            }
            // Loaded once a run, because the writer writes to the same cache line. Rows that are hidden while a long read is
            // in progress are skipped from the next run on.
            let floor = if SKIPS_HIDDEN { slots.floor() } else { 0 };
            for copy in copies.chunks_exact(stride) {
                if has_skipped {
                    if read.steps > 0 && self.skipped.is_below(copy[0]) {
                        break 'runs;
                    }
                    // Saturating, here and below: the words of a damaged file are arbitrary.
                    read.missed = read.missed.saturating_add(self.skipped.rise_to(copy[0]));
                }
                let number = self.next;
                self.next += 1;
                passed(self.next, 0);
                if !SKIPS_HIDDEN || (number >= floor && slots.is_public(copy)) {
                    read.steps += 1;
                    each(&copy[row.clone()]);
                }
            }
        }
        let _ = SCRATCH.try_with(|place| place.set(scratch));
        read
    }
}

/// How many rows a reader skips that found row `next` overwritten when `oldest` was the oldest row. `head` is the head at the
/// last check, and `times` how often the writer overtook this read.
#[cold]
fn rows_to_skip(slots: &Slots, next: u64, oldest: u64, head: &mut u64, times: &mut u64) -> u64 {
    // A reader that is overtaken again skips more rows each time, or it might never read one. A writer that has stopped in
    // the middle of a row or a run, perhaps forever, costs no more than that.
    let before = core::mem::replace(head, slots.head());
    let mut margin = 0;
    if *head != before {
        margin = *times * (slots.capacity() / 8);
        *times += 1;
    }
    (oldest + margin).min(*head).max(next + 1) - next
}
