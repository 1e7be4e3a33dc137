//! Draws a row uniformly from several rings.

use crate::ring::slots::Slots;
use rand::{Rng, RngExt};

/// Rings, and a uniform distribution over their rows.
#[derive(Default)]
pub(super) struct Sources {
    rings: Vec<Slots>,
    windows: Vec<Window>,
    /// A guide table, by which a draw takes constant time for any number of rings: the window at which the search for a draw
    /// begins, for equal parts of the range of draws. See H. C. Chen and Y. Asau, "On generating random variates from an
    /// empirical distribution" (AIIE Transactions 6, 1974).
    guide: Vec<u32>,
    /// Draws of one part have the same bits above this many.
    shift: u32,
    total: u64,
}

/// The rows of one ring as of the last update.
#[derive(Clone, Copy)]
struct Window {
    ring: u32,
    /// Draws from `start` to before `end` are of this window.
    end: u64,
    /// The row of the draw `start`.
    first: u64,
    start: u64,
    /// The first row that was not pushed yet.
    head: u64,
}

/// A row that was drawn.
#[derive(Clone, Copy)]
pub(super) struct Drawn<'a> {
    pub(super) slots: &'a Slots,
    pub(super) number: u64,
    /// The first row of the ring that could be drawn.
    pub(super) first: u64,
    /// The first row of the ring that was not pushed yet.
    pub(super) head: u64,
}

impl Sources {
    pub(super) fn set(&mut self, rings: impl IntoIterator<Item = Slots>) {
        self.rings.clear();
        self.rings.extend(rings);
        self.windows.clear();
        self.windows.reserve(self.rings.len());
        self.guide.clear();
        self.guide.reserve(2 * self.rings.len());
        self.total = 0;
    }

    /// Updates the windows to the rows that the rings hold now.
    pub(super) fn update(&mut self) {
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
        // Between one and two parts for each window, so that the draws of a part are of about two windows.
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

    /// The number of rows that can be drawn.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Draws one row.
    ///
    /// # Panics
    /// When there are no rows.
    #[inline]
    pub(super) fn draw(&self, rng: &mut (impl Rng + ?Sized)) -> Drawn<'_> {
        // A draw below 2³² takes half of the random numbers.
        let draw = match u32::try_from(self.total) {
            Ok(total) => rng.random_range(0..total).into(),
            Err(_) => rng.random_range(0..self.total),
        };
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
