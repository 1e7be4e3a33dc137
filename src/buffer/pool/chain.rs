//! The words that tie a player's rows together in a ring that several players share.
//!
//! They stand before each row, and can be read and written at any time, unlike the row: each is whole for itself.

use crate::buffer::{
    ring::slots::Slots,
    sync::{AtomicU64, Ordering, acquire},
};
use core::num::NonZeroU64;

/// The number of the episode's row before this one, plus one; 0 for the first. Written with the row.
const PREVIOUS: usize = 0;
/// The number of the `End` row that speaks of this one, plus one; 0 where there is none; [`HIDDEN`] for a row that nobody
/// but the accounting cursor may see any more. Written with the row, and later over it.
const END: usize = 1;
const HIDDEN: u64 = u64::MAX;

/// What a row's links say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::buffer) struct Chain {
    pub(in crate::buffer) previous: Option<u64>,
    pub(in crate::buffer) end: Option<u64>,
    pub(in crate::buffer) hidden: bool,
}

impl Chain {
    /// The links of a row, or those at the beginning of what was copied of one.
    #[inline]
    pub(in crate::buffer) fn of(links: &[AtomicU64]) -> Self {
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
pub(in crate::buffer) fn is_hidden(links: &[u64]) -> bool {
    links[END] == HIDDEN
}

/// The number of a row, plus one: so that there is a word for none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link(NonZeroU64);

impl Link {
    pub(super) fn to(number: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(number))
    }
}

/// The links of a row that is written behind `previous`.
#[inline]
pub(super) fn behind(previous: Option<Link>) -> [u64; 2] {
    [previous.map_or(0, |link| link.0.get()), 0]
}

/// Says that the `End` row `end` speaks of the row before it. Only the ring's writer calls this.
pub(super) fn end(slots: &Slots, last: Link, end: u64) {
    if let Some(links) = links(slots, last.0.get() - 1) {
        links[END].store(end + 1, Ordering::Release);
    }
}

/// Hides row `number` and those of its episode before it. Only the ring's writer calls this.
pub(super) fn hide(slots: &Slots, number: u64) {
    let mut next = Some(number);
    while let Some(links) = next.and_then(|number| links(slots, number)) {
        links[END].store(HIDDEN, Ordering::Release);
        next = Chain::of(links).previous;
    }
}

/// The links of a row, unless a later one has its place.
fn links(slots: &Slots, number: u64) -> Option<&[AtomicU64]> {
    slots
        .holds(number)
        .then(|| slots.cells().view().links(slots.index(number)))
}
