//! Cells that hold a row each, and tell a reader whether what it copied is one row.

use super::{
    memory::{MemoryUse, Words},
    sync::{AtomicU64, Ordering, acquire, fence},
    words,
};
use crate::{cache, transition::StepHeader};
use core::ops::Range;

/// Rows in shared words, each behind a stamp.
///
/// Cell `n` starts at word `first + n * stride`: a stamp, then `links` words that belong to whoever made the cells, then
/// the row, at an even word, so that copies 16 bytes at a time do not straddle cache lines. The **stamp** of a cell that
/// holds row `r` (rows are counted from 0 for ever) is `2r + 2`. While row `r` is being written into it, it is `2r + 1`.
/// A cell that was never written has 0. So a cell's stamp only grows, and never comes back: a 64-bit count of rows does
/// not wrap.
///
/// This is a seqlock with the orderings of Hans Boehm, "Can Seqlocks Get Along With Programming Language Memory Models?"
/// (MSPC 2012), figure 6: the words need only be relaxed, between two fences.
pub(super) struct Cells {
    words: Words,
    first: usize,
    stride: usize,
    /// Words of a cell that are used.
    len: usize,
    links: usize,
}

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
    /// The words that so many cells take, with room for `header` words before them. `None` when they are too many.
    pub(super) fn words_needed(header: usize, links: usize, row_words: usize, cells: usize) -> Option<usize> {
        let stride = row_words.checked_add(1 + links)?.checked_next_multiple_of(2)?;
        let words = stride.checked_mul(cells)?.checked_add(Self::first(header, links))?;
        isize::try_from(words.checked_mul(size_of::<u64>())?).ok()?;
        Some(words)
    }

    fn first(header: usize, links: usize) -> usize {
        header + (header + links + 1) % 2
    }

    /// As many cells as `words` has room for, behind a header of so many words.
    pub(super) fn new(words: Words, header: usize, links: usize, row_words: usize) -> Self {
        let len = 1 + links + row_words;
        Self {
            words,
            first: Self::first(header, links),
            stride: len.next_multiple_of(2),
            len,
            links,
        }
    }

    /// The words before the first cell.
    #[inline]
    pub(super) fn header(&self) -> &[AtomicU64] {
        &self.words[..self.first]
    }

    /// Where the words lie.
    pub(super) fn memory(&self) -> MemoryUse {
        self.words.memory()
    }

    pub(super) fn words_mut(&mut self) -> &mut Words {
        &mut self.words
    }

    pub(super) fn row_words(&self) -> usize {
        self.len - 1 - self.links
    }

    /// Words of a row and its links: what [`View::look`] copies.
    pub(super) fn content_words(&self) -> usize {
        self.len - 1
    }

    /// The cells, for one who works on several: the compiler cannot know that writing to a cell leaves this struct alone.
    #[inline]
    pub(super) fn view(&self) -> View<'_> {
        View {
            words: &self.words[self.first..],
            stride: self.stride,
            len: self.len,
            links: self.links,
        }
    }
}

/// See [`Cells::view`].
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    words: &'a [AtomicU64],
    stride: usize,
    len: usize,
    links: usize,
}

impl<'a> View<'a> {
    #[inline]
    fn cell(self, index: usize) -> (&'a AtomicU64, &'a [AtomicU64]) {
        let cell = &self.words[index * self.stride..][..self.len];
        (&cell[0], &cell[1..])
    }

    /// Where the row is in what [`look`](Self::look) copies.
    #[inline]
    pub(super) fn row(self) -> Range<usize> {
        self.links..self.len - 1
    }

    /// Words from one cell to the next.
    #[inline(always)]
    pub(super) fn stride(self) -> usize {
        self.stride
    }

    /// The links of a cell, for its one writer: to be read and written at any time, whole for themselves.
    pub(super) fn links(self, index: usize) -> &'a [AtomicU64] {
        &self.cell(index).1[..self.links]
    }

    /// The number of the row in a cell, unless it has none or is being written. Whoever learns of a row here may write
    /// the next one over it.
    pub(super) fn number(self, index: usize) -> Option<u64> {
        let stamp = acquire(self.cell(index).0);
        stamp.is_multiple_of(2).then(|| (stamp / 2).checked_sub(1)).flatten()
    }

    /// Has cells brought near: as many words from the beginning of the first, or to the end of all.
    #[inline(always)]
    pub(super) fn prefetch(self, first: usize, words: usize) {
        let rest = &self.words[first * self.stride..];
        cache::prefetch_all(&rest[..words.min(rest.len())]);
    }

    /// Writes row `number`. The cell belongs to the caller, and its earlier rows have lower numbers.
    ///
    /// # Panics
    /// When `row` is not as long as the cells' rows, or `links` as their links.
    #[inline(always)]
    pub(super) fn fill(self, index: usize, number: u64, links: &[u64], row: &[u64]) {
        self.fill_with(index, number, links.len() + row.len(), |content| {
            let (link_words, row_words) = content.split_at(links.len());
            if !links.is_empty() {
                words::store(link_words, links);
            }
            words::store(row_words, row);
        });
    }

    /// The same for a row whose `header` is not in its place yet.
    ///
    /// # Panics
    /// As [`fill`](Self::fill), or when the row has no room for a header.
    #[inline(always)]
    pub(super) fn fill_step<const LINKS: usize>(
        self,
        index: usize,
        number: u64,
        links: [u64; LINKS],
        header: &StepHeader,
        row: &[u64],
    ) {
        const HEADER: usize = size_of::<StepHeader>() / size_of::<u64>();
        self.fill_with(index, number, LINKS + row.len(), |content| {
            let content = words::store_few(content, links);
            let content = words::store_few::<HEADER>(content, bytemuck::cast(*header));
            words::store(content, &row[HEADER..]);
        });
    }

    /// Writes row `number` with `write`, which is given the words of its links and of itself, `len` together.
    #[inline(always)]
    fn fill_with(self, index: usize, number: u64, len: usize, write: impl FnOnce(&[AtomicU64])) {
        let (stamp, content) = self.cell(index);
        assert!(len == content.len(), "a row of another width");
        stamp.store(2 * number + 1, Ordering::Relaxed);
        // Whoever reads one of the words below sees the odd stamp above.
        fence(Ordering::Release);
        write(content);
        stamp.store(2 * number + 2, Ordering::Release);
    }

    /// Looks for row `number`, and copies what the cell holds into `copy`: the links, then the row.
    #[inline(always)]
    pub(super) fn look(self, index: usize, number: u64, copy: &mut [u64]) -> Look {
        match self.inspect(index, number, |content| words::load(copy, content)) {
            Ok(()) => Look::Whole,
            Err(look) => look,
        }
    }

    /// Looks for row `number`, and lets `read` load what it wants of the links and the row. What it returns is given on
    /// only if all that it loaded was of that row.
    #[inline(always)]
    pub(super) fn inspect<T>(
        self,
        index: usize,
        number: u64,
        read: impl FnOnce(&'a [AtomicU64]) -> T,
    ) -> Result<T, Look> {
        let (stamp, content) = self.cell(index);
        let whole = 2 * number + 2;
        let before = stamp.load(Ordering::Relaxed);
        if before != whole {
            return Err(if before > whole {
                Look::Overwritten
            } else {
                Look::Absent
            });
        }
        // The words are read after the stamp that promises them.
        fence(Ordering::Acquire);
        let found = read(content);
        // If any of these words is a later row's, the fence makes that row's odd stamp visible to the load below.
        fence(Ordering::Acquire);
        if stamp.load(Ordering::Relaxed) == whole {
            Ok(found)
        } else {
            Err(Look::Overwritten)
        }
    }
}
