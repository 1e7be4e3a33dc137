//! Ticks that add up to a transition.

use super::Clock;

/// Some ticks of a transition that is under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Span {
    pub(super) ticks: u32,
    pub(super) reward: f64,
    pub(super) terms: Box<[f64]>,
    /// The last capture that added to it.
    pub(super) until: Clock,
}

impl Span {
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

    /// Takes over everything in `other`, which is clear afterwards.
    pub(super) fn absorb(&mut self, other: &mut Self) {
        self.ticks += other.ticks;
        self.reward += other.reward;
        for (sum, term) in self.terms.iter_mut().zip(&other.terms) {
            *sum += term;
        }
        self.until = other.until;
        other.clear();
    }
}
