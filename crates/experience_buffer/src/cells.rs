//! Cells that hold a queue's rows, in any order, and tell a reader whether what it copied is one row.

use super::{
    memory::{MemoryUse, Words},
    sync::{AtomicU64, Ordering, acquire, fence},
    words,
};

/// Rows in shared words, each behind a stamp.
///
/// Cell `n` starts at word `1 + n * stride`: a stamp, then the row, at an even word, so that copies 16 bytes at a time do
/// not straddle cache lines. The **stamp** of a cell that holds row `r` (rows are counted from 0 for ever) is `2r + 2`.
/// While row `r` is being written into it, it is `2r + 1`. A cell that was never written has 0. So a cell's stamp only
/// grows, and never comes back: a 64-bit count of rows does not wrap.
///
/// This is a seqlock with the orderings of Hans Boehm, "Can Seqlocks Get Along With Programming Language Memory Models?"
/// (MSPC 2012), figure 6: the words need only be relaxed, between two fences.
pub(super) struct Cells {
    words: Words,
    stride: usize,
    /// Words of a cell that are used.
    len: usize,
}

/// Words before the first cell.
const FIRST: usize = 1;

/// What came of an attempt to read a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It was copied whole.
    Whole,
    /// A later row has its place.
    Overwritten,
    /// It is not there, or not yet.
    Absent,
}

impl Cells {
    /// The words that so many cells take. `None` when they are too many.
    pub(super) fn words_needed(row_words: usize, cells: usize) -> Option<usize> {
        let stride = row_words.checked_add(1)?.checked_next_multiple_of(2)?;
        let words = stride.checked_mul(cells)?.checked_add(FIRST)?;
        isize::try_from(words.checked_mul(size_of::<u64>())?).ok()?;
        Some(words)
    }

    /// As many cells as `words` has room for.
    pub(super) fn new(words: Words, row_words: usize) -> Self {
        let len = 1 + row_words;
        Self {
            words,
            stride: len.next_multiple_of(2),
            len,
        }
    }

    /// Where the words lie.
    pub(super) fn memory(&self) -> MemoryUse {
        self.words.memory()
    }

    pub(super) fn row_words(&self) -> usize {
        self.len - 1
    }

    /// The cells, for one who works on several: the compiler cannot know that writing to a cell leaves this struct alone.
    #[inline]
    pub(super) fn view(&self) -> View<'_> {
        View {
            words: &self.words[FIRST..],
            stride: self.stride,
            len: self.len,
        }
    }
}

/// See [`Cells::view`].
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    words: &'a [AtomicU64],
    stride: usize,
    len: usize,
}

impl<'a> View<'a> {
    #[inline]
    fn cell(self, index: usize) -> (&'a AtomicU64, &'a [AtomicU64]) {
        let cell = &self.words[index * self.stride..][..self.len];
        (&cell[0], &cell[1..])
    }

    /// The number of the row in a cell, unless it has none or is being written. Whoever learns of a row here may write
    /// the next one over it.
    pub(super) fn number(self, index: usize) -> Option<u64> {
        let stamp = acquire(self.cell(index).0);
        stamp.is_multiple_of(2).then(|| (stamp / 2).checked_sub(1)).flatten()
    }

    /// Writes row `number`. The cell belongs to the caller, and its earlier rows have lower numbers.
    ///
    /// # Panics
    /// When `row` is not as long as the cells' rows.
    #[inline(always)]
    pub(super) fn fill(self, index: usize, number: u64, row: &[u64]) {
        let (stamp, content) = self.cell(index);
        stamp.store(2 * number + 1, Ordering::Relaxed);
        // Whoever reads one of the words below sees the odd stamp above.
        fence(Ordering::Release);
        words::store(content, row);
        stamp.store(2 * number + 2, Ordering::Release);
    }

    /// Looks for row `number`, and copies what the cell holds into `copy`.
    #[inline(always)]
    pub(super) fn look(self, index: usize, number: u64, copy: &mut [u64]) -> Look {
        let (stamp, content) = self.cell(index);
        let whole = 2 * number + 2;
        let before = stamp.load(Ordering::Relaxed);
        if before != whole {
            return if before > whole {
                Look::Overwritten
            } else {
                Look::Absent
            };
        }
        // The words are read after the stamp that promises them.
        fence(Ordering::Acquire);
        words::load(copy, content);
        // If any of these words is a later row's, the fence makes that row's odd stamp visible to the load below.
        fence(Ordering::Acquire);
        if stamp.load(Ordering::Relaxed) == whole {
            Look::Whole
        } else {
            Look::Overwritten
        }
    }
}
