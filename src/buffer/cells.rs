//! Cells that hold a row each, and tell a reader whether what it copied is one row.

use super::{
    memory::Words,
    sync::{AtomicU64, Ordering, fence},
    words,
};
use core::ops::Range;

/// Rows in shared words, each behind a stamp.
///
/// Cell `n` is `stride` words from `first + n * stride`: a stamp, then `links` words that belong to whoever made the
/// cells, then the row. The **stamp** of a cell that holds row `r` (rows are counted from 0 for ever) is `2r + 2`. While
/// row `r` is being written into it, it is `2r + 1`. A cell that was never written has 0. So a cell's stamp only grows, and
/// never comes back: a 64-bit count of rows does not wrap.
///
/// This is a seqlock with the orderings of Hans Boehm, "Can Seqlocks Get Along With Programming Language Memory Models?"
/// (MSPC 2012), figure 6: the words need only be relaxed, between two fences.
pub(super) struct Cells {
    words: Words,
    first: usize,
    stride: usize,
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
    /// Cells in all words from `first` on.
    pub(super) fn new(words: Words, first: usize, links: usize, row_words: usize) -> Self {
        Self {
            words,
            first,
            stride: 1 + links + row_words,
            links,
        }
    }

    /// The words before the first cell.
    #[inline]
    pub(super) fn header(&self) -> &[AtomicU64] {
        &self.words[..self.first]
    }

    pub(super) fn row_words(&self) -> usize {
        self.stride - 1 - self.links
    }

    /// Words of a row and its links: what [`look`](Self::look) copies.
    pub(super) fn content_words(&self) -> usize {
        self.stride - 1
    }

    /// Where the row is in what [`look`](Self::look) copies.
    pub(super) fn row(&self) -> Range<usize> {
        self.links..self.stride - 1
    }

    #[inline]
    fn cell(&self, index: usize) -> (&AtomicU64, &[AtomicU64]) {
        let start = self.first + index * self.stride;
        self.words[start..start + self.stride]
            .split_first()
            .expect("a cell has a stamp")
    }

    /// The number of the row in a cell, unless it has none or is being written. Whoever learns of a row here may write
    /// the next one over it.
    pub(super) fn number(&self, index: usize) -> Option<u64> {
        let stamp = self.cell(index).0.load(Ordering::Acquire);
        stamp.is_multiple_of(2).then(|| (stamp / 2).checked_sub(1)).flatten()
    }

    /// Writes row `number`. The cell belongs to the caller, and its earlier rows have lower numbers.
    #[inline]
    pub(super) fn fill(&self, index: usize, number: u64, links: &[u64], row: &[u64]) {
        let (stamp, content) = self.cell(index);
        let (link_words, row_words) = content.split_at(self.links);
        stamp.store(2 * number + 1, Ordering::Relaxed);
        // Whoever reads one of the words below sees the odd stamp above.
        fence(Ordering::Release);
        if !links.is_empty() {
            words::store(link_words, links);
        }
        words::store(row_words, row);
        stamp.store(2 * number + 2, Ordering::Release);
    }

    /// Looks for row `number`, and copies what the cell holds into `copy`: the links, then the row.
    #[inline]
    pub(super) fn look(&self, index: usize, number: u64, copy: &mut [u64]) -> Look {
        let (stamp, content) = self.cell(index);
        let whole = 2 * number + 2;
        // Acquire: the words are read after the stamp that promises them.
        let before = stamp.load(Ordering::Acquire);
        if before != whole {
            return if before > whole {
                Look::Overwritten
            } else {
                Look::Absent
            };
        }
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
