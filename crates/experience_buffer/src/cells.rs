//! Seqlock cells: the memory of a queue's rows, in any order. A reader can tell whether what it copied is one row.

use super::{
    atomic_copy,
    memory::{MemoryUse, Words},
    sync::{AtomicU64, Ordering, acquire, fence},
};

/// Rows in shared words, each with a sequence number in front.
///
/// Cell `n` starts at word `1 + n * stride` with its stamp, and the row follows at an even word, so that copies of 16 bytes do
/// not straddle cache lines. The **stamp** is `2r + 2` where the cell holds row `r` (rows are counted from 0), `2r + 1` while
/// row `r` is being written, and 0 where it was never written. A stamp only grows, and a 64-bit count of rows does not wrap.
///
/// This is a seqlock with the orderings of Hans Boehm, "Can Seqlocks Get Along With Programming Language Memory Models?"
/// (MSPC 2012), figure 6: between two fences, the accesses to the words may be relaxed.
pub(super) struct Cells {
    words: Words,
    stride: usize,
    /// Words of a cell without padding.
    len: usize,
}

/// Words before the first cell.
const FIRST: usize = 1;

/// The result of reading a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadOutcome {
    /// The row was copied.
    Copied,
    /// A later row took its cell before or during the copy.
    Overwritten,
    /// The cell does not hold the row, or not yet.
    Absent,
}

impl Cells {
    /// Words of `cells` cells. `None` when they do not fit in the address space.
    pub(super) fn words_needed(row_words: usize, cells: usize) -> Option<usize> {
        let stride = row_words.checked_add(1)?.checked_next_multiple_of(2)?;
        let words = stride.checked_mul(cells)?.checked_add(FIRST)?;
        isize::try_from(words.checked_mul(size_of::<u64>())?).ok()?;
        Some(words)
    }

    /// As many cells as fit in `words`.
    pub(super) fn new(words: Words, row_words: usize) -> Self {
        let len = 1 + row_words;
        Self {
            words,
            stride: len.next_multiple_of(2),
            len,
        }
    }

    /// Bytes, by kind of memory.
    pub(super) fn memory(&self) -> MemoryUse {
        self.words.memory()
    }

    pub(super) fn row_words(&self) -> usize {
        self.len - 1
    }

    /// A copy of the dimensions, for code that accesses several cells: the compiler cannot know that a write to a cell leaves
    /// this struct unchanged.
    #[inline]
    pub(super) fn view(&self) -> CellsView<'_> {
        CellsView {
            words: &self.words[FIRST..],
            stride: self.stride,
            len: self.len,
        }
    }
}

/// See [`Cells::view`].
#[derive(Clone, Copy)]
pub(super) struct CellsView<'a> {
    words: &'a [AtomicU64],
    stride: usize,
    len: usize,
}

impl<'a> CellsView<'a> {
    #[inline]
    fn cell(self, index: usize) -> (&'a AtomicU64, &'a [AtomicU64]) {
        let cell = &self.words[index * self.stride..][..self.len];
        (&cell[0], &cell[1..])
    }

    /// The number of the row in a cell, unless the cell is empty or being written. Acquire, so that the caller may write the
    /// next row into the cell.
    pub(super) fn number(self, index: usize) -> Option<u64> {
        let stamp = acquire(self.cell(index).0);
        stamp.is_multiple_of(2).then(|| (stamp / 2).checked_sub(1)).flatten()
    }

    /// Writes row `number`. The caller owns the cell, and its earlier rows have lower numbers.
    ///
    /// # Panics
    /// When `row` is not as long as the cells' rows.
    #[inline(always)]
    pub(super) fn write(self, index: usize, number: u64, row: &[u64]) {
        let (stamp, content) = self.cell(index);
        stamp.store(2 * number + 1, Ordering::Relaxed);
        // A reader that reads one of the words below also sees the odd stamp above.
        fence(Ordering::Release);
        atomic_copy::store(content, row);
        stamp.store(2 * number + 2, Ordering::Release);
    }

    /// Copies row `number` into `copy`, whose content is unspecified unless the row was copied.
    #[inline(always)]
    pub(super) fn read(self, index: usize, number: u64, copy: &mut [u64]) -> ReadOutcome {
        let (stamp, content) = self.cell(index);
        let whole = 2 * number + 2;
        let before = stamp.load(Ordering::Relaxed);
        if before != whole {
            return if before > whole {
                ReadOutcome::Overwritten
            } else {
                ReadOutcome::Absent
            };
        }
        // The words are loaded after the stamp.
        fence(Ordering::Acquire);
        atomic_copy::load(copy, content);
        // If one of these words is of a later row, the fence makes that row's odd stamp visible to the load below.
        fence(Ordering::Acquire);
        if stamp.load(Ordering::Relaxed) == whole {
            ReadOutcome::Copied
        } else {
            ReadOutcome::Overwritten
        }
    }
}
