//! Row storage of a ring: rows of atomic words at a fixed stride, in any kind of memory.

use crate::{
    atomic_copy, prefetch,
    sync::{AtomicU64, Ordering},
};
use core::ops::Range;

/// The cells of a ring, and their dimensions. A copy of what the [`Slab`](super::slab::Slab) knows, because the compiler cannot
/// know that a write to a cell leaves that unchanged.
///
/// There is no sequence number between the rows, so consecutive rows can be copied at once. The ring's counters
/// define which of them are valid: see [`Slots`](super::slots::Slots).
#[derive(Clone, Copy)]
pub(crate) struct RowsView<'a> {
    words: &'a [AtomicU64],
    stride: usize,
    len: usize,
    links: usize,
}

impl<'a> RowsView<'a> {
    /// Cells from the beginning of `words` on, `stride` words apart, each of `len` words of which the first `links` are links.
    #[inline(always)]
    pub(super) fn new(words: &'a [AtomicU64], stride: usize, len: usize, links: usize) -> Self {
        Self {
            words,
            stride,
            len,
            links,
        }
    }

    #[inline]
    pub(crate) fn row_words(self) -> usize {
        self.len - self.links
    }

    /// Words of a row and its links: what [`load`](Self::load) copies.
    #[inline]
    pub(crate) fn content_words(self) -> usize {
        self.len
    }

    /// The links and the row of a cell.
    #[inline(always)]
    pub(crate) fn content(self, index: usize) -> &'a [AtomicU64] {
        &self.words[index * self.stride..][..self.len]
    }

    /// The links and the row of the cell that begins at word `first`.
    #[inline(always)]
    pub(super) fn content_at(self, first: usize) -> &'a [AtomicU64] {
        &self.words[first..][..self.len]
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
