//! What a ring is like: how many rows, how wide, what stands before each, and so where everything lies.

use super::BufferError;

/// Words before the cells, for what the ring's threads tell each other.
pub(super) const HEADER: usize = 48;

/// What a ring is like.
///
/// Behind its header it has as many cells as rows. Cell `n` starts at word [`first`](Self::first) `+ n *`
/// [`stride`](Self::stride): the links, which belong to whoever made the rows, then the row, at an even word, so that copies 16
/// bytes at a time do not straddle cache lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) row_words: usize,
    /// At least so many rows; there will be the next power of two of them.
    pub(super) capacity: usize,
    pub(super) links: Links,
}

/// The words before each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    None,
    /// One word: how many rows were skipped before this one, in the ring's whole life.
    Skipped,
    /// Two words that tie a player's rows together where several players share a ring; see
    /// [`Chain`](super::ring::links::Chain).
    Chain,
}

impl Links {
    #[cfg(not(loom))]
    pub(super) const ALL: [Self; 3] = [Self::None, Self::Skipped, Self::Chain];

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
    pub(super) fn content(self) -> usize {
        self.links.words() + self.row_words
    }

    /// Words from one cell to the next.
    pub(super) fn stride(self) -> usize {
        self.content().next_multiple_of(2)
    }

    /// The word at which the first cell starts.
    pub(super) fn first(self) -> usize {
        HEADER + (HEADER + self.links.words()) % 2
    }

    /// The words that the ring takes.
    ///
    /// # Errors
    /// When there is nothing to hold, or too much.
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

/// The number of rows that a buffer of at least `capacity` has.
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
