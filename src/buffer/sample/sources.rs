//! Which row of which ring.

use crate::buffer::ring::slots::Slots;
use rand::{Rng, RngExt};
use std::sync::Arc;

/// Rings, of whose rows each can be drawn with the same probability.
#[derive(Default)]
pub(super) struct Sources {
    rings: Vec<Arc<Slots>>,
    windows: Vec<Window>,
    /// Where the search for the window of a draw begins, for equal parts of all draws: the guide table of H. C. Chen and
    /// Y. Asau, "On generating random variates from an empirical distribution" (AIIE Transactions 6, 1974). It makes a
    /// draw take the same time however many rings there are.
    guide: Vec<u32>,
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
        self.guide.reserve(self.rings.len());
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
        let parts = self.windows.len() as u64;
        let mut window = 0;
        for part in 0..parts {
            // The first draw of this part, or a little before it.
            let draw = (u128::from(part) * u128::from(end) / u128::from(parts)) as u64;
            while self.windows[window].end <= draw {
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
        let part = (u128::from(draw) * self.guide.len() as u128 / u128::from(self.total)) as usize;
        let mut window = self.guide[part] as usize;
        while self.windows[window].end <= draw {
            window += 1;
        }
        let window = self.windows[window];
        Drawn {
            slots: &self.rings[window.ring as usize],
            number: window.first + (draw - window.start),
            first: window.first,
            head: window.head,
        }
    }
}
