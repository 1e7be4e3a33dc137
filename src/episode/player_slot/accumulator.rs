//! Accumulator of ticks and rewards over the captures of one transition.

use crate::episode::context::CaptureTime;
use experience_core::{schema::RowLayout, transition::StepHeader};

/// Sums over the captures since the transition began.
#[derive(Clone, Debug, Default)]
pub(super) struct StepAccumulator {
    pub(super) ticks: u32,
    pub(super) reward: f64,
    /// One sum for each declared reward term.
    pub(super) terms: Box<[f64]>,
    /// The last capture that added a tick.
    pub(super) until: CaptureTime,
}

impl StepAccumulator {
    pub(super) fn new(terms: usize) -> Self {
        Self {
            terms: vec![0.0; terms].into(),
            ..Self::default()
        }
    }

    pub(super) fn clear(&mut self) {
        self.ticks = 0;
        self.reward = 0.0;
        self.terms.fill(0.0);
    }

    pub(super) fn add_tick(&mut self, time: CaptureTime) {
        self.ticks += 1;
        self.until = time;
    }

    /// Moves the sums of `other` into this accumulator. Leaves `other` cleared.
    pub(super) fn absorb(&mut self, other: &mut Self) {
        self.ticks += other.ticks;
        self.reward += other.reward;
        for (sum, term) in self.terms.iter_mut().zip(&other.terms) {
            *sum += term;
        }
        self.until = other.until;
        other.clear();
    }

    /// Writes the reward and its terms to a row.
    pub(super) fn write_reward(&self, layout: &RowLayout, row: &mut [u64]) {
        StepHeader::of_mut(row).reward = self.reward;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(row);
        let columns: &mut [f32] = bytemuck::cast_slice_mut(&mut bytes[layout.reward_terms()]);
        for (column, sum) in columns.iter_mut().zip(&self.terms) {
            *column = *sum as f32;
        }
    }
}
