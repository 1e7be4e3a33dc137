//! Per-player chains in a shared ring: updates the [links](crate::ring::links) of rows that were written before.

use crate::{
    ring::{
        links::{self, RowLinks},
        slots::Slots,
    },
    sync::AtomicU64,
};

pub(super) use crate::ring::links::{Link, behind};

/// Links the `End` row `end` to the episode's row before it. Only the ring's writer calls this.
#[inline]
pub(super) fn end(slots: &Slots, last: Link, end: u64) {
    if let Some(found) = links_of(slots, last.number()) {
        links::note_end(found, end);
    }
}

/// Hides row `number` and the earlier rows of its episode. Only the ring's writer calls this.
#[inline]
pub(super) fn hide(slots: &Slots, number: u64) {
    let mut next = Some(number);
    while let Some(found) = next.and_then(|number| links_of(slots, number)) {
        links::hide(found);
        next = RowLinks::of(found).previous;
    }
}

/// The links of a row, unless a later row took its cell.
#[inline]
fn links_of(slots: &Slots, number: u64) -> Option<&[AtomicU64]> {
    slots.holds(number).then(|| slots.view().links(slots.index(number)))
}
