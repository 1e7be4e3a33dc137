//! Which row of which ring.

use crate::ring::slots::Slots;
use rand::{Rng, RngExt};
use std::sync::Arc;

/// Rings, of whose rows each can be drawn with the same probability.
#[derive(Default)]
pub(super) struct Sources {
    rings: Vec<Arc<Slots>>,
    windows: Vec<Window>,
    /// In which window the search for a draw's begins, for equal parts of all draws: the guide table of H. C. Chen and
    /// Y. Asau, "On generating random variates from an empirical distribution" (AIIE Transactions 6, 1974). It makes a
    /// draw take the same time however many rings there are.
    guide: Vec<u32>,
    /// The draws of a part are those with the same bits above these.
    shift: u32,
    total: u64,
}

/// The rows of one ring that can be drawn now.
#[derive(Clone, Copy)]
struct Window {
    ring: u32,
    /// Draws below this one, and not below the window before's, are for this window.
    end: u64,
    /// The row of the lowest of them.
    first: u64,
    /// The lowest of them.
    start: u64,
    /// The first row that is not there yet.
    head: u64,
}

/// A row that was drawn.
#[derive(Clone, Copy)]
pub(super) struct Drawn<'a> {
    pub(super) slots: &'a Slots,
    pub(super) number: u64,
    /// The ring's first row that could be drawn.
    pub(super) first: u64,
    /// The ring's first row that was not there yet.
    pub(super) head: u64,
}

impl Sources {
    pub(super) fn set(&mut self, rings: impl IntoIterator<Item = Arc<Slots>>) {
        self.rings.clear();
        self.rings.extend(rings);
        self.windows.clear();
        self.windows.reserve(self.rings.len());
        self.guide.clear();
        self.guide.reserve(2 * self.rings.len());
        self.total = 0;
    }

    /// Looks at what every ring holds now.
    pub(super) fn look(&mut self) {
        self.windows.clear();
        let mut end = 0;
        for (ring, slots) in (0..).zip(&self.rings) {
            let head = slots.head();
            let first = slots.oldest(head).max(slots.floor()).min(head);
            if first == head {
                continue;
            }
            let start = end;
            end += head - first;
            self.windows.push(Window {
                ring,
                end,
                first,
                start,
                head,
            });
        }
        self.total = end;
        self.guide.clear();
        let Some(last) = end.checked_sub(1) else { return };
        // As many parts as there are windows, or up to twice as many: so that a part's draws are of two windows or so.
        self.shift = (last / self.windows.len() as u64).checked_ilog2().unwrap_or(0);
        while (last >> self.shift) + 1 > 2 * self.windows.len() as u64 {
            self.shift += 1;
        }
        let mut window = 0;
        for part in 0..=last >> self.shift {
            while self.windows[window].end <= part << self.shift {
                window += 1;
            }
            self.guide.push(window as u32);
        }
    }

    /// How many rows can be drawn.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Draws one row.
    ///
    /// # Panics
    /// When there is none.
    #[inline]
    pub(super) fn draw(&self, rng: &mut (impl Rng + ?Sized)) -> Drawn<'_> {
        let draw = rng.random_range(0..self.total);
        let mut window = self.guide[(draw >> self.shift) as usize];
        while self.windows[window as usize].end <= draw {
            window += 1;
        }
        let window = &self.windows[window as usize];
        Drawn {
            slots: &self.rings[window.ring as usize],
            number: window.first + (draw - window.start),
            first: window.first,
            head: window.head,
        }
    }
}
