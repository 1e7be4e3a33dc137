//! The numbering of a ring's rows, and what its threads tell each other.

use crate::{
    buffer::{
        BufferError, Drained,
        cells::{Cells, Look},
        memory::Words,
        pool::chain,
        settings::checked_capacity,
        stats::BufferStats,
        sync::{AtomicU64, Ordering, acquire, wait},
    },
    cache,
    transition::StepHeader,
};

/// The words before the first cell. What the writer writes, and what the one who drains writes, lie 128 bytes apart,
/// because processors fetch lines in pairs.
mod place {
    /// The number of rows ever pushed, which is the number of the next. With one writer this counts rows that are
    /// written; with several, rows that were given out to be written.
    pub const HEAD: usize = 16;
    /// 1 once nothing more may be pushed. Beside the head, because every push looks at it.
    pub const CLOSED: usize = 17;
    /// Rows that were refused because the ring was closed.
    pub const REJECTED: usize = 18;
    /// Rows that were never pushed, because the ring was full of rows that were not drained.
    pub const SKIPPED: usize = 19;
    /// Rows before this one are for the accounting cursor alone.
    pub const FLOOR: usize = 20;
    /// The first row that was not drained: the accounting cursor. Who drains writes it.
    pub const ACCOUNTED: usize = 32;
    /// Rows that the accounting cursor came too late for.
    pub const MISSED: usize = 33;
    /// How many words stand before the cells.
    pub const HEADER: usize = 48;
}

/// More rows than any ring will ever be given.
#[cfg(not(loom))]
const MANY: u64 = 1 << 62;

/// A ring's cells, what its threads tell each other, and where everything lies.
///
/// Row `r` (rows are counted from 0 for ever) lies in cell `r` modulo the capacity.
pub(in crate::buffer) struct Slots {
    cells: Cells,
    mask: u64,
    links: Links,
}

/// What a ring is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::buffer) struct Shape {
    pub(in crate::buffer) row_words: usize,
    /// At least so many rows; there will be the next power of two of them.
    pub(in crate::buffer) capacity: usize,
    pub(in crate::buffer) links: Links,
}

/// The words between a row's stamp and the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::buffer) enum Links {
    None,
    /// One word: how many rows were skipped before this one, in the ring's whole life.
    Skipped,
    /// Two words that tie a player's rows together where several players share a ring; see
    /// [`chain`](crate::buffer::pool::chain).
    Chain,
}

impl Links {
    #[cfg(not(loom))]
    pub(in crate::buffer) const ALL: [Self; 3] = [Self::None, Self::Skipped, Self::Chain];

    pub(in crate::buffer) const fn words(self) -> usize {
        match self {
            Self::None => 0,
            Self::Skipped => 1,
            Self::Chain => 2,
        }
    }
}

impl Shape {
    /// The words that a ring takes.
    ///
    /// # Errors
    /// When there is nothing to hold, or too much.
    pub(in crate::buffer) fn words(self) -> Result<usize, BufferError> {
        let capacity = checked_capacity(self.row_words, self.capacity)?;
        Cells::words_needed(place::HEADER, self.links.words(), self.row_words, capacity).ok_or(BufferError::TooLarge {
            rows: self.capacity,
            words: self.row_words,
        })
    }
}

impl Slots {
    /// Slots in `words`, which are as many as [`Shape::words`] says.
    pub(in crate::buffer) fn new(words: Words, shape: Shape) -> Self {
        let capacity = shape.capacity.next_power_of_two();
        debug_assert_eq!(Ok(words.len()), shape.words());
        Self {
            cells: Cells::new(words, place::HEADER, shape.links.words(), shape.row_words),
            mask: capacity as u64 - 1,
            links: shape.links,
        }
    }

    #[inline]
    fn word(&self, place: usize) -> &AtomicU64 {
        &self.cells.header()[place]
    }

    pub(in crate::buffer) fn cells(&self) -> &Cells {
        &self.cells
    }

    pub(in crate::buffer) fn links(&self) -> Links {
        self.links
    }

    pub(in crate::buffer) fn capacity(&self) -> u64 {
        self.mask + 1
    }

    /// The account.
    pub(in crate::buffer) fn stats(&self) -> BufferStats {
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
            ..BufferStats::default()
        }
    }

    /// Whether what the counters say can be, as it always can unless the words come from a damaged file.
    #[cfg(not(loom))]
    pub(in crate::buffer) fn is_sound(&self) -> bool {
        // In this order: rows may come meanwhile.
        let (missed, accounted, floor) = (self.missed(), self.accounted(), self.floor());
        let head = self.head();
        missed <= accounted
            && accounted.max(floor) <= head
            && head.max(self.skipped()).max(self.rejected()) < MANY
            && self.word(place::CLOSED).load(Ordering::Relaxed) <= 1
    }

    /// Whether the ring was closed, for one who may only read its memory.
    pub(in crate::buffer) fn was_closed(&self) -> bool {
        acquire(self.word(place::CLOSED)) != 0
    }

    #[inline]
    pub(in crate::buffer) fn head(&self) -> u64 {
        // Acquire: whoever learns of a row sees it written.
        acquire(self.word(place::HEAD))
    }

    /// The oldest row that can still be there when `head` rows were pushed.
    #[inline]
    pub(in crate::buffer) fn oldest(&self, head: u64) -> u64 {
        head.saturating_sub(self.capacity())
    }

    pub(in crate::buffer) fn accounted(&self) -> u64 {
        acquire(self.word(place::ACCOUNTED))
    }

    /// Moves the accounting cursor to `next`, having missed `missed` rows before it. Whoever calls holds the lock of
    /// those who drain.
    pub(in crate::buffer) fn account(&self, next: u64, missed: u64) {
        // In this order, so that whoever loads them in the other never sees more rows missed than passed.
        self.word(place::ACCOUNTED).store(next, Ordering::Release);
        if missed > 0 {
            let before = self.word(place::MISSED).load(Ordering::Relaxed);
            self.word(place::MISSED).store(before + missed, Ordering::Release);
        }
    }

    /// Rows that the accounting cursor came too late for so far.
    pub(in crate::buffer) fn missed(&self) -> u64 {
        acquire(self.word(place::MISSED))
    }

    pub(in crate::buffer) fn skipped(&self) -> u64 {
        acquire(self.word(place::SKIPPED))
    }

    pub(in crate::buffer) fn floor(&self) -> u64 {
        acquire(self.word(place::FLOOR))
    }

    pub(in crate::buffer) fn raise_floor(&self, floor: u64) {
        self.word(place::FLOOR).fetch_max(floor, Ordering::AcqRel);
    }

    #[inline]
    pub(in crate::buffer) fn is_closed(&self) -> bool {
        self.word(place::CLOSED).load(Ordering::Acquire) != 0
    }

    pub(in crate::buffer) fn close(&self) {
        self.word(place::CLOSED).store(1, Ordering::Release);
    }

    pub(in crate::buffer) fn rejected(&self) -> u64 {
        self.word(place::REJECTED).load(Ordering::Relaxed)
    }

    #[cold]
    pub(in crate::buffer) fn reject(&self) {
        self.word(place::REJECTED).fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a row, seen with its links, may be seen by others than the accounting cursor.
    #[inline]
    pub(in crate::buffer) fn is_public(&self, content: &[u64]) -> bool {
        self.links != Links::Chain || !chain::is_hidden(content)
    }

    #[inline]
    pub(in crate::buffer) fn index(&self, number: u64) -> usize {
        usize::try_from(number & self.mask).expect("cells are addressable")
    }

    /// Writes row `number` and says so. Only the one writer calls this, with the numbers from 0 in order.
    #[inline(always)]
    pub(in crate::buffer) fn append(&self, number: u64, links: &[u64], row: &[u64]) {
        let head = self.word(place::HEAD);
        self.cells.view().fill(self.index(number), number, links, row);
        head.store(number + 1, Ordering::Release);
    }

    /// The same for a row whose header is not in its place yet.
    #[inline(always)]
    pub(in crate::buffer) fn append_step<const LINKS: usize>(
        &self,
        number: u64,
        links: [u64; LINKS],
        header: &StepHeader,
        row: &[u64],
    ) {
        let head = self.word(place::HEAD);
        let cells = self.cells.view();
        cells.fill_step(self.index(number), number, links, header, row);
        head.store(number + 1, Ordering::Release);
    }

    /// Says that row `number` will be written soon.
    #[inline(always)]
    pub(in crate::buffer) fn prefetch(&self, number: u64) {
        cache::prefetch_all(&self.cells.header()[place::HEAD..=place::CLOSED]);
        self.prefetch_cell(number);
    }

    /// The same for one who writes to this ring all the time.
    #[inline(always)]
    pub(in crate::buffer) fn prefetch_cell(&self, number: u64) {
        /// Of a longer row the processor foresees the rest by itself.
        const WORDS: usize = 64;
        let cells = self.cells.view();
        cells.prefetch(self.index(number), cells.stride().min(WORDS));
    }

    /// Takes the next number and writes its row, as one of several writers. None of the ring's rows have links.
    pub(in crate::buffer) fn append_shared(&self, row: &[u64]) {
        // Relaxed: it is the stamps that tell readers what is written.
        let number = self.word(place::HEAD).fetch_add(1, Ordering::Relaxed);
        let index = self.index(number);
        let before = number.checked_sub(self.capacity());
        let mut turns = 0;
        while self.cells.view().number(index) != before {
            wait(turns);
            turns = turns.saturating_add(1);
        }
        self.cells.view().fill(index, number, &[], row);
    }

    /// Rows that can be pushed before one goes that was not drained.
    pub(in crate::buffer) fn free(&self) -> usize {
        // In this order: rows pushed in between make the answer too small, never too large.
        let accounted = self.accounted();
        let behind = self.head() - accounted;
        usize::try_from(self.capacity().saturating_sub(behind)).expect("cells are addressable")
    }

    /// Counts a row that is not pushed, because there is no room for it. Only the one writer calls this.
    #[cold]
    pub(in crate::buffer) fn skip(&self) -> u64 {
        let skipped = self.word(place::SKIPPED).load(Ordering::Relaxed) + 1;
        self.word(place::SKIPPED).store(skipped, Ordering::Release);
        skipped
    }

    /// Looks at row `number`, and copies what it holds into `copy`: its links, then the row.
    #[inline]
    pub(in crate::buffer) fn look(&self, number: u64, copy: &mut [u64]) -> Look {
        self.cells.view().look(self.index(number), number, copy)
    }

    /// Gives out rows from `cursor` on, at most `max`, up to the first gap after a row that was given out.
    ///
    /// `passed` is told where the cursor is now and how many rows were overwritten since it was told last, before each
    /// row is given out and at each gap. Rows that `wanted` refuses, seen with their links, are passed over.
    // Always inline: as a call, with what it is given behind pointers, it takes more instructions a row.
    #[inline(always)]
    pub(in crate::buffer) fn read(
        &self,
        cursor: &mut Cursor,
        max: usize,
        wanted: impl Fn(&[u64]) -> bool,
        mut passed: impl FnMut(u64, u64),
        mut each: impl FnMut(&[u64]),
    ) -> Drained {
        let mut read = Drained::default();
        let mut head = self.head();
        let mut times = 0;
        let cells = self.cells.view();
        let (row, copy) = (cells.row(), &mut *cursor.copy);
        let mut next = cursor.next;
        while read.steps < max {
            if next >= head {
                // In this order: if the head is the same after it, none of these can belong behind a later row.
                let skipped = self.skipped();
                head = self.head();
                if next >= head {
                    if read.steps == 0 {
                        read.missed = read.missed.saturating_add(cursor.skipped.rise_to(skipped));
                    }
                    break;
                }
            }
            match cells.look(self.index(next), next, copy) {
                Look::Whole => {
                    if self.links == Links::Skipped {
                        if read.steps > 0 && cursor.skipped.is_below(copy[0]) {
                            break;
                        }
                        // Saturating, here and below: in a damaged file the words may be any.
                        read.missed = read.missed.saturating_add(cursor.skipped.rise_to(copy[0]));
                    }
                    next += 1;
                    cursor.next = next;
                    passed(next, 0);
                    if wanted(copy) {
                        read.steps += 1;
                        each(&copy[row.clone()]);
                    }
                }
                // Another writer was given the number and is still at it.
                Look::Absent => break,
                // The gap is told of by the next read, so that what is missing is always missing before what was given.
                Look::Overwritten if read.steps > 0 => break,
                Look::Overwritten => {
                    let missed = self.overtaken(next, &mut head, &mut times);
                    next += missed;
                    cursor.next = next;
                    read.missed = read.missed.saturating_add(missed);
                    passed(next, missed);
                }
            }
        }
        read
    }

    /// How many rows one who came to row `next`, and found a later one in its place, must pass over. `head` is what the
    /// head was when it was looked at last, and `times` how often the writer came round while that one read.
    #[cold]
    fn overtaken(&self, next: u64, head: &mut u64, times: &mut u64) -> u64 {
        // How far the writer is by now only it knows. A reader that it overtakes again and again leaves more and more
        // ground, or it would never read a row. A writer that stands still, perhaps for ever, is in the midst of one row,
        // and costs no more than that.
        let before = core::mem::replace(head, self.head());
        let mut ground = 0;
        if *head != before {
            ground = *times * (self.capacity() / 8);
            *times += 1;
        }
        (self.oldest(*head) + ground).min(*head).max(next + 1) - next
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

/// A place in a ring, and room for one row and its links.
#[derive(Clone)]
pub(in crate::buffer) struct Cursor {
    /// The next row to read.
    pub(in crate::buffer) next: u64,
    skipped: Skipped,
    copy: Box<[u64]>,
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
    pub(in crate::buffer) fn new(slots: &Slots, next: u64) -> Self {
        Self {
            next,
            skipped: Skipped::before(next),
            copy: vec![0; slots.cells.content_words()].into(),
        }
    }

    /// Goes to row `next`. What lies between is not missed.
    pub(in crate::buffer) fn seek(&mut self, next: u64) {
        self.next = next;
        self.skipped = Skipped::before(next);
    }
}
