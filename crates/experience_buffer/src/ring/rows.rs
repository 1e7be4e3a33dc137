//! Where a ring's rows lie.

use crate::{
    memory::{MemoryUse, Words},
    prefetch,
    shape::Shape,
    sync::{AtomicU64, Ordering},
    words,
};
use core::ops::Range;

/// Rows in shared words, behind a header.
///
/// They lie as [`Shape`] says. Nothing between the rows says whose they are or whether they are whole, so neighbours can be
/// copied in one go; that is told by the ring's counters, see [`Slots`](super::slots::Slots).
pub(crate) struct Rows {
    words: Words,
    first: usize,
    stride: usize,
    /// Words of a cell that are used.
    len: usize,
    links: usize,
}

impl Rows {
    /// As many cells as there are rows, in `words`, which are as many as [`Shape::words`] says.
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

    /// Has the system give all of their memory now, unless they lie in a file.
    pub(crate) fn prefault(&self) {
        self.words.prefault();
    }

    /// Where the words lie.
    pub(crate) fn memory(&self) -> MemoryUse {
        self.words.memory()
    }

    pub(super) fn words_mut(&mut self) -> &mut Words {
        &mut self.words
    }

    pub(crate) fn row_words(&self) -> usize {
        self.len - self.links
    }

    /// Words of a row and its links: what [`View::load`] copies.
    pub(crate) fn content_words(&self) -> usize {
        self.len
    }

    /// The cells, for one who works on several: the compiler cannot know that writing to a cell leaves this struct alone.
    #[inline]
    pub(crate) fn view(&self) -> View<'_> {
        View {
            words: &self.words[self.first..],
            stride: self.stride,
            len: self.len,
            links: self.links,
        }
    }
}

/// See [`Rows::view`].
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    words: &'a [AtomicU64],
    stride: usize,
    len: usize,
    links: usize,
}

impl<'a> View<'a> {
    /// The links and the row of a cell.
    #[inline(always)]
    pub(crate) fn content(self, index: usize) -> &'a [AtomicU64] {
        &self.words[index * self.stride..][..self.len]
    }

    /// Where the row is in a cell's content.
    #[inline(always)]
    pub(crate) fn row(self) -> Range<usize> {
        self.links..self.len
    }

    /// Words from one cell to the next.
    #[inline(always)]
    pub(crate) fn stride(self) -> usize {
        self.stride
    }

    /// The links of a cell: to be read and written at any time, each whole for itself.
    pub(crate) fn links(self, index: usize) -> &'a [AtomicU64] {
        &self.content(index)[..self.links]
    }

    /// Copies the cells from `first` on that fit into `copy`, [`stride`](Self::stride) words each; of the last, its content
    /// is enough.
    #[inline(always)]
    pub(super) fn load(self, first: usize, copy: &mut [u64]) {
        words::load(copy, &self.words[first * self.stride..][..copy.len()]);
    }

    /// Has cells brought near: as many words from the beginning of the first, or to the end of all.
    #[inline(always)]
    pub(crate) fn prefetch(self, first: usize, words: usize) {
        let rest = &self.words[first * self.stride..];
        prefetch::slice(&rest[..words.min(rest.len())]);
    }

    /// Stores a row and its links.
    ///
    /// # Panics
    /// When `row` is not as long as the rows, or `links` as their links.
    #[inline(always)]
    pub(super) fn store(self, index: usize, links: &[u64], row: &[u64]) {
        let content = self.content(index);
        assert!(links.len() + row.len() == content.len(), "a row of another width");
        let (link_words, row_words) = content.split_at(links.len());
        for (to, &from) in link_words.iter().zip(links) {
            to.store(from, Ordering::Relaxed);
        }
        words::store(row_words, row);
    }

    /// Stores whole cells, [`stride`](Self::stride) words each, from cell `first` on; past the caches if `streams`.
    #[inline(always)]
    pub(super) fn store_cells(self, first: usize, cells: &[u64], streams: bool) {
        let to = &self.words[first * self.stride..][..cells.len()];
        if streams {
            words::stream(to, cells);
        } else {
            words::store(to, cells);
        }
    }
}
