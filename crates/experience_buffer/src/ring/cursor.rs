//! A place in a ring, and how rows are read from there.

use super::slots::Slots;
use crate::{Drained, shape::Links};
use core::cell::Cell;

thread_local! {
    /// Where rows are copied to before they are given out: one for all rings that a thread reads, so that it stays in the
    /// processor's first cache.
    static ROOM: Cell<Vec<u64>> = const { Cell::new(Vec::new()) };
}

/// Words that are copied in one go, unless a row has more.
const RUN: usize = 512;

/// A place in a ring.
#[derive(Clone)]
pub(crate) struct Cursor {
    /// The next row to read.
    pub(crate) next: u64,
    skipped: Skipped,
}

/// How many rows were skipped before a cursor's place in the ring's whole life; `None` before it saw a row.
#[derive(Clone, Copy)]
struct Skipped(Option<u64>);

impl Skipped {
    fn before(number: u64) -> Self {
        Self((number == 0).then_some(0))
    }

    fn is_below(self, skipped: u64) -> bool {
        self.0.is_some_and(|known| known < skipped)
    }

    /// How many more they are when `skipped` were.
    fn rise_to(&mut self, skipped: u64) -> u64 {
        let known = self.0.unwrap_or(skipped);
        self.0 = Some(known.max(skipped));
        skipped.saturating_sub(known)
    }
}

impl Cursor {
    /// A cursor at row `next`.
    pub(crate) fn new(next: u64) -> Self {
        Self {
            next,
            skipped: Skipped::before(next),
        }
    }

    /// Goes to row `next`. What lies between is not missed.
    pub(crate) fn seek(&mut self, next: u64) {
        *self = Self::new(next);
    }

    /// Gives out rows of `slots` from here on, at most `max`, up to the first gap after a row that was given out.
    ///
    /// `passed` is told where the cursor is now and how many rows were overwritten since it was told last, before each
    /// row is given out and at each gap. Rows that `wanted` refuses, seen with their links, are passed over.
    // Always inline: as a call, with what it is given behind pointers, it takes more instructions a row.
    #[inline(always)]
    pub(crate) fn read(
        &mut self,
        slots: &Slots,
        max: usize,
        wanted: impl Fn(&[u64]) -> bool,
        mut passed: impl FnMut(u64, u64),
        mut each: impl FnMut(&[u64]),
    ) -> Drained {
        let mut read = Drained::default();
        let mut head = slots.head();
        let mut times = 0;
        let cells = slots.cells().view();
        let (row, stride) = (cells.row(), cells.stride());
        let has_skipped = slots.links() == Links::Skipped;
        let run = (RUN / stride).max(1);
        // Whoever reads another ring while it is given rows of this one finds an empty room, and makes its own.
        let mut room = ROOM.try_with(Cell::take).unwrap_or_default();
        if room.len() < run * stride {
            room.resize(RUN.max(run * stride), 0);
        }
        'runs: while read.steps < max {
            if self.next >= head {
                // In this order: if the head is the same after it, none of these can belong behind a later row.
                let skipped = slots.skipped();
                head = slots.head();
                if self.next >= head {
                    if read.steps == 0 {
                        read.missed = read.missed.saturating_add(self.skipped.rise_to(skipped));
                    }
                    break;
                }
            }
            // As many as lie behind one another, of those that are there and wanted.
            let index = slots.index(self.next);
            let behind = usize::try_from((head - self.next).min(slots.capacity() - index as u64)).unwrap_or(usize::MAX);
            let rows = run.min(max - read.steps).min(behind);
            let copies = &mut room[..rows * stride];
            cells.load(index, copies);
            let oldest = slots.oldest_whole();
            if self.next < oldest {
                // The gap is told of by the next read, so that what is missing is always missing before what was given.
                if read.steps > 0 {
                    break;
                }
                let missed = overtaken(slots, self.next, oldest, &mut head, &mut times);
                self.next += missed;
                read.missed = read.missed.saturating_add(missed);
                passed(self.next, missed);
                continue;
            }
            for copy in copies.chunks_exact(stride) {
                if has_skipped {
                    if read.steps > 0 && self.skipped.is_below(copy[0]) {
                        break 'runs;
                    }
                    // Saturating, here and below: in a damaged file the words may be any.
                    read.missed = read.missed.saturating_add(self.skipped.rise_to(copy[0]));
                }
                self.next += 1;
                passed(self.next, 0);
                if wanted(copy) {
                    read.steps += 1;
                    each(&copy[row.clone()]);
                }
            }
        }
        let _ = ROOM.try_with(|place| place.set(room));
        read
    }
}

/// How many rows one who came to row `next`, and found it overwritten by the time that `oldest` was the oldest, must pass
/// over. `head` is what the head was when it was looked at last, and `times` how often the writer came round while that one
/// read.
#[cold]
fn overtaken(slots: &Slots, next: u64, oldest: u64, head: &mut u64, times: &mut u64) -> u64 {
    // A reader that is overtaken again and again leaves more and more ground, or it would never read a row. A writer that
    // stands still, perhaps for ever, is in the midst of one row or one run, and costs no more than that.
    let before = core::mem::replace(head, slots.head());
    let mut ground = 0;
    if *head != before {
        ground = *times * (slots.capacity() / 8);
        *times += 1;
    }
    (oldest + ground).min(*head).max(next + 1) - next
}
