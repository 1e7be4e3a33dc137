//! The words that tie a player's rows together in a ring that several players share.
//!
//! They stand before each row, and can be read and written at any time, unlike the row: each is whole for itself.

use crate::sync::{AtomicU64, Ordering, acquire};
use core::num::NonZeroU64;

/// The number of the episode's row before this one, plus one; 0 for the first. Written with the row.
const PREVIOUS: usize = 0;
/// The number of the `End` row that speaks of this one, plus one; 0 where there is none; [`HIDDEN`] for a row that nobody
/// but the accounting cursor may see any more. Written with the row, and later over it.
const END: usize = 1;
const HIDDEN: u64 = u64::MAX;

/// What a row's links say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) previous: Option<u64>,
    pub(crate) end: Option<u64>,
    pub(crate) hidden: bool,
}

impl Chain {
    /// The links of a row, or those at the beginning of what was copied of one.
    #[inline]
    pub(crate) fn of(links: &[AtomicU64]) -> Self {
        // Acquire: an `End` row that is spoken of is there.
        let end = acquire(&links[END]);
        Self {
            previous: links[PREVIOUS].load(Ordering::Relaxed).checked_sub(1),
            end: end.checked_sub(1).filter(|_| end != HIDDEN),
            hidden: end == HIDDEN,
        }
    }
}

/// Whether the row that was copied with these links is hidden.
#[inline]
pub(crate) fn is_hidden(links: &[u64]) -> bool {
    links[END] == HIDDEN
}

/// The number of a row, plus one: so that there is a word for none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link(NonZeroU64);

impl Link {
    pub(crate) fn to(number: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(number))
    }

    pub(crate) fn number(self) -> u64 {
        self.0.get() - 1
    }
}

/// The links of a row that is written behind `previous`.
#[inline]
pub(crate) fn behind(previous: Option<Link>) -> [u64; 2] {
    [previous.map_or(0, |link| link.0.get()), 0]
}

/// Says in the links of a row that the `End` row `end` speaks of it.
pub(crate) fn note_end(links: &[AtomicU64], end: u64) {
    links[END].store(end + 1, Ordering::Release);
}

/// Says in the links of a row that nobody but the accounting cursor may see it.
pub(crate) fn hide(links: &[AtomicU64]) {
    links[END].store(HIDDEN, Ordering::Release);
}
