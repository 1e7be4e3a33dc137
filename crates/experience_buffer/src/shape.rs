//! The dimensions of a ring, and the layout of its words.

use super::BufferError;

/// Words before the cells: the ring's counters.
pub(super) const HEADER: usize = 48;

/// The dimensions of a ring.
///
/// A ring is a header of counters and a cell for each row. Cell `n` starts at word [`first`](Self::first) `+ n *`
/// [`stride`](Self::stride) with the row's links, and the row follows at an even word, so that copies of 16 bytes do not
/// straddle cache lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) row_words: usize,
    /// Minimum number of rows; the ring has the next power of two.
    pub(super) capacity: usize,
    pub(super) links: Links,
}

/// The words before each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    None,
    /// One word: the number of rows refused before this one since the ring was created.
    Skipped,
    /// Two words that link the rows of a player where several players share a ring; see
    /// [`RowLinks`](super::ring::links::RowLinks).
    Chain,
}

impl Links {
    #[cfg(not(loom))]
    pub(super) const ALL: [Self; 3] = [Self::None, Self::Skipped, Self::Chain];

    #[inline]
    pub(super) const fn words(self) -> usize {
        match self {
            Self::None => 0,
            Self::Skipped => 1,
            Self::Chain => 2,
        }
    }
}

impl Shape {
    /// Words of a cell that are used: a row and its links.
    #[inline]
    pub(super) fn content(self) -> usize {
        self.links.words() + self.row_words
    }

    /// Words from one cell to the next.
    #[inline]
    pub(super) fn stride(self) -> usize {
        self.content().next_multiple_of(2)
    }

    /// The word at which the first cell starts.
    #[inline]
    pub(super) fn first(self) -> usize {
        HEADER + (HEADER + self.links.words()) % 2
    }

    /// Words of the ring.
    ///
    /// # Errors
    /// When a dimension is 0, or the ring does not fit in the address space.
    pub(super) fn words(self) -> Result<usize, BufferError> {
        let capacity = checked_capacity(self.row_words, self.capacity)?;
        let stride = self.row_words.checked_add(self.links.words());
        stride
            .and_then(|words| {
                words
                    .checked_next_multiple_of(2)?
                    .checked_mul(capacity)?
                    .checked_add(self.first())
            })
            .filter(|words| {
                words
                    .checked_mul(size_of::<u64>())
                    .is_some_and(|bytes| isize::try_from(bytes).is_ok())
            })
            .ok_or(BufferError::TooLarge {
                rows: self.capacity,
                words: self.row_words,
            })
    }
}

/// The rows of a buffer that is to hold at least `capacity`.
#[inline]
pub(super) fn checked_capacity(row_words: usize, capacity: usize) -> Result<usize, BufferError> {
    if capacity == 0 {
        return Err(BufferError::ZeroCapacity);
    }
    if row_words == 0 {
        return Err(BufferError::ZeroWidth);
    }
    capacity.checked_next_power_of_two().ok_or(BufferError::TooLarge {
        rows: capacity,
        words: row_words,
    })
}
