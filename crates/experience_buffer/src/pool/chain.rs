//! A player's rows, tied together by their [links](crate::ring::links) after they were written.

use crate::{
    ring::{
        links::{self, Chain},
        slots::Slots,
    },
    sync::AtomicU64,
};

pub(super) use crate::ring::links::{Link, behind};

/// Says that the `End` row `end` speaks of the row before it. Only the ring's writer calls this.
pub(super) fn end(slots: &Slots, last: Link, end: u64) {
    if let Some(found) = links_of(slots, last.number()) {
        links::note_end(found, end);
    }
}

/// Hides row `number` and those of its episode before it. Only the ring's writer calls this.
pub(super) fn hide(slots: &Slots, number: u64) {
    let mut next = Some(number);
    while let Some(found) = next.and_then(|number| links_of(slots, number)) {
        links::hide(found);
        next = Chain::of(found).previous;
    }
}

/// The links of a row, unless a later one has its place.
fn links_of(slots: &Slots, number: u64) -> Option<&[AtomicU64]> {
    slots
        .holds(number)
        .then(|| slots.cells().view().links(slots.index(number)))
}
