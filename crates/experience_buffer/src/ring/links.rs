//! The words that link the rows of a player in a ring that several players share.
//!
//! They are in front of each row. Unlike the row, each of them can be read and written at any time, since it is one atomic.

use crate::sync::{AtomicU64, Ordering, acquire};
use core::num::NonZeroU64;

/// The number of the episode's row before this one, plus one; 0 for the first. Written with the row.
const PREVIOUS: usize = 0;
/// The number of the `End` row that follows this one in its episode, plus one; 0 where there is none; [`HIDDEN`] for a row
/// that only the accounting cursor may still read. Written with the row, and again later.
const END: usize = 1;
const HIDDEN: u64 = u64::MAX;

/// The decoded links of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowLinks {
    pub(crate) previous: Option<u64>,
    pub(crate) end: Option<u64>,
    pub(crate) hidden: bool,
}

impl RowLinks {
    /// Loads the links of a row.
    #[inline]
    pub(crate) fn of(links: &[AtomicU64]) -> Self {
        // Acquire: the `End` row was written before.
        let end = acquire(&links[END]);
        Self {
            previous: links[PREVIOUS].load(Ordering::Relaxed).checked_sub(1),
            end: end.checked_sub(1).filter(|_| end != HIDDEN),
            hidden: end == HIDDEN,
        }
    }
}

/// Whether a row with these links is hidden.
#[inline]
pub(crate) fn is_hidden(links: &[u64]) -> bool {
    links[END] == HIDDEN
}

/// The number of a row, plus one, so that `Option<Link>` takes one word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link(NonZeroU64);

impl Link {
    #[inline]
    pub(crate) fn to(number: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(number))
    }

    #[inline]
    pub(crate) fn number(self) -> u64 {
        self.0.get() - 1
    }
}

/// The links of a row that follows the row `previous` in its episode.
#[inline]
pub(crate) fn behind(previous: Option<Link>) -> [u64; 2] {
    [previous.map_or(0, |link| link.0.get()), 0]
}

/// Stores in the links of a row that the `End` row `end` follows it.
#[inline]
pub(crate) fn note_end(links: &[AtomicU64], end: u64) {
    links[END].store(end + 1, Ordering::Release);
}

/// Stores in the links of a row that only the accounting cursor may still read it.
#[inline]
pub(crate) fn hide(links: &[AtomicU64]) {
    links[END].store(HIDDEN, Ordering::Release);
}
