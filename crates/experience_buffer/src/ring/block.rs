//! Pushes of one row to each of many rings, with what the rings of a slab share kept in registers.

use super::{
    RingWriter,
    rows::RowsView,
    slab::{Counter, Slab},
    slots::Slots,
};
use crate::{
    Closed, atomic_copy, prefetch,
    shape::Links,
    sync::{AtomicU64, Ordering, fence},
};

/// Pushes rows to rings in turn. A ring's own writer loads the dimensions of the ring for each row, because the compiler cannot
/// know that the copy of the row before has left them unchanged.
#[derive(Default)]
pub(crate) struct BlockWriter<'a> {
    slab: Option<SlabView<'a>>,
}

/// What the lanes of a slab share.
#[derive(Clone, Copy)]
struct SlabView<'a> {
    slab: &'a Slab,
    heads: &'a [AtomicU64],
    begun: &'a [AtomicU64],
    closed: &'a [AtomicU64],
    /// The cells of lane 0, and those of the lanes behind it.
    cells: RowsView<'a>,
    lane_words: usize,
    mask: u64,
}

impl<'a> SlabView<'a> {
    #[inline(never)]
    fn of(slab: &'a Slab) -> Self {
        Self {
            slab,
            heads: slab.counters(Counter::Head),
            begun: slab.counters(Counter::Begun),
            closed: slab.counters(Counter::Closed),
            cells: slab.view(0),
            lane_words: slab.lane_words(),
            mask: slab.mask(),
        }
    }

    /// The cell of row `number` in a lane.
    #[inline(always)]
    fn cell(&self, lane: usize, number: u64) -> &'a [AtomicU64] {
        let index = (number & self.mask) as usize;
        self.cells
            .content_at(lane * self.lane_words + index * self.cells.stride())
    }
}

impl<'a> BlockWriter<'a> {
    /// What the ring shares with the others of its slab; `None` if it is alone, or may refuse a row.
    #[inline(always)]
    fn view(&mut self, slots: &'a Slots) -> Option<SlabView<'a>> {
        match self.slab {
            Some(view) if core::ptr::eq(view.slab, slots.slab()) => Some(view),
            _ if slots.slab().is_single() || slots.links() != Links::None => None,
            _ => Some(*self.slab.insert(SlabView::of(slots.slab()))),
        }
    }

    /// As [`RingWriter::prefetch`].
    #[inline(always)]
    pub(crate) fn prefetch(&mut self, writer: &'a RingWriter) {
        /// The hardware prefetcher follows longer rows.
        const WORDS: usize = 64;
        let Some(view) = self.view(writer.slots()) else {
            return writer.prefetch();
        };
        let lane = writer.slots().lane();
        let head = &view.heads[lane];
        let cell = view.cell(lane, head.load(Ordering::Relaxed));
        prefetch::slice_for_write(&cell[..cell.len().min(WORDS)]);
    }

    /// As [`RingWriter::push`].
    #[inline(always)]
    pub(crate) fn push(&mut self, writer: &'a mut RingWriter, row: &[u64]) -> Result<(), Closed> {
        let writer = &*writer;
        let lane = writer.slots().lane();
        let view = match self.view(writer.slots()) {
            Some(view) if view.closed[lane].load(Ordering::Acquire) == 0 => view,
            _ => return writer.append(row),
        };
        let head = &view.heads[lane];
        let number = head.load(Ordering::Relaxed);
        view.begun[lane].store(number + 1, Ordering::Relaxed);
        // As in `Slots::append`.
        fence(Ordering::Release);
        atomic_copy::store(view.cell(lane, number), row);
        head.store(number + 1, Ordering::Release);
        Ok(())
    }
}
