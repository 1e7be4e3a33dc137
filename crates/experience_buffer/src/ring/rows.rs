//! Row storage of a ring: rows of atomic words at a fixed stride, in any kind of memory.

use crate::{
    atomic_copy,
    memory::{MemoryUse, Words},
    prefetch,
    shape::Shape,
    sync::{AtomicU64, Ordering},
};
use core::ops::Range;

/// Shared words with the layout of a [`Shape`]: a header, and the rows.
///
/// There is no sequence number between the rows, so consecutive rows can be copied at once. The ring's counters
/// define which of them are valid: see [`Slots`](super::slots::Slots).
pub(crate) struct Rows {
    words: Words,
    first: usize,
    stride: usize,
    /// Words of a cell without padding.
    len: usize,
    links: usize,
}

impl Rows {
    /// Rows in `words`, which are [`Shape::words`] words.
    #[inline]
    pub(super) fn new(words: Words, shape: Shape) -> Self {
        Self {
            words,
            first: shape.first(),
            stride: shape.stride(),
            len: shape.content(),
            links: shape.links.words(),
        }
    }

    /// The words before the first cell.
    #[inline]
    pub(super) fn header(&self) -> &[AtomicU64] {
        &self.words[..self.first]
    }

    /// Maps all pages now, unless they are of a file.
    #[inline]
    pub(crate) fn prefault(&self) {
        self.words.prefault();
    }

    /// Bytes, by kind of memory.
    #[inline]
    pub(crate) fn memory(&self) -> MemoryUse {
        self.words.memory()
    }

    #[inline]
    pub(super) fn words_mut(&mut self) -> &mut Words {
        &mut self.words
    }

    #[inline]
    pub(crate) fn row_words(&self) -> usize {
        self.len - self.links
    }

    /// Words of a row and its links: what [`RowsView::load`] copies.
    #[inline]
    pub(crate) fn content_words(&self) -> usize {
        self.len
    }

    /// A copy of the dimensions, for code that accesses several cells: the compiler cannot know that a write to a cell leaves
    /// this struct unchanged.
    #[inline]
    pub(crate) fn view(&self) -> RowsView<'_> {
        RowsView {
            words: &self.words[self.first..],
            stride: self.stride,
            len: self.len,
            links: self.links,
        }
    }
}

/// See [`Rows::view`].
#[derive(Clone, Copy)]
pub(crate) struct RowsView<'a> {
    words: &'a [AtomicU64],
    stride: usize,
    len: usize,
    links: usize,
}

impl<'a> RowsView<'a> {
    /// The links and the row of a cell.
    #[inline(always)]
    pub(crate) fn content(self, index: usize) -> &'a [AtomicU64] {
        &self.words[index * self.stride..][..self.len]
    }

    /// The row in a cell's content.
    #[inline(always)]
    pub(crate) fn row(self) -> Range<usize> {
        self.links..self.len
    }

    /// Words from one cell to the next.
    #[inline(always)]
    pub(crate) fn stride(self) -> usize {
        self.stride
    }

    /// The links of a cell, each of which can be read and written at any time.
    #[inline]
    pub(crate) fn links(self, index: usize) -> &'a [AtomicU64] {
        &self.content(index)[..self.links]
    }

    /// Copies cells from `first` on into `copy`, [`stride`](Self::stride) words each; padding of the last may be left out.
    #[inline(always)]
    pub(super) fn load(self, first: usize, copy: &mut [u64]) {
        atomic_copy::load(copy, &self.words[first * self.stride..][..copy.len()]);
    }

    /// Prefetches `words` words from the beginning of cell `first`, or as many as follow.
    #[inline(always)]
    pub(crate) fn prefetch(self, first: usize, words: usize) {
        let rest = &self.words[first * self.stride..];
        prefetch::slice(&rest[..words.min(rest.len())]);
    }

    /// Stores a row and its links.
    ///
    /// # Panics
    /// When `row` or `links` has another length than the ring's.
    #[inline(always)]
    pub(super) fn store(self, index: usize, links: &[u64], row: &[u64]) {
        let content = self.content(index);
        assert!(links.len() + row.len() == content.len(), "a row of another width");
        let (link_words, row_words) = content.split_at(links.len());
        for (to, &from) in link_words.iter().zip(links) {
            to.store(from, Ordering::Relaxed);
        }
        atomic_copy::store(row_words, row);
    }

    /// Stores whole cells, [`stride`](Self::stride) words each, from cell `first` on; with non-temporal stores if `streams`.
    #[inline(always)]
    pub(super) fn store_cells(self, first: usize, cells: &[u64], streams: bool) {
        let to = &self.words[first * self.stride..][..cells.len()];
        if streams {
            atomic_copy::stream(to, cells);
        } else {
            atomic_copy::store(to, cells);
        }
    }
}
