//! [`RandomModel`]: random actions, for smoke tests.

use crate::{ActionBatch, HeadKind, ObservationBatch, PolicyError, PolicyModel, rng::DecisionRng};

/// A model that chooses among all alternatives and within all bounds with equal probability, and numbers without bounds from a
/// standard Gaussian.
///
/// It needs [`Sampling::Stochastic`](crate::Sampling::Stochastic) for its alternatives; [`Sampling::Greedy`](crate::Sampling::Greedy)
/// takes the first.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomModel {
    seed: u64,
}

impl RandomModel {
    /// A model with this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }
}

impl PolicyModel for RandomModel {
    fn act(&mut self, observations: &ObservationBatch, actions: &mut ActionBatch) -> Result<(), PolicyError> {
        let layout = actions.layout().clone();
        for (index, head) in layout.heads().iter().enumerate() {
            match head.kind {
                HeadKind::Discrete { .. } => actions.logits_mut(index).fill(0.0),
                HeadKind::Continuous {
                    low: Some(low),
                    high: Some(high),
                } if low < high => {
                    for (player, &agent_id) in observations.agent_ids().iter().enumerate() {
                        let mut rng = DecisionRng::new(self.seed, agent_id, observations.tick(), 1 + index as u64);
                        for element in 0..head.elements {
                            actions.set(player, index, element, low + rng.uniform() * (high - low));
                            actions.add_log_prob(player, -(high - low).ln());
                        }
                    }
                }
                HeadKind::Continuous { low, .. } => {
                    // One bound is a mean as good as any.
                    actions.means_mut(index).fill(low.unwrap_or(0.0));
                    actions.log_stds_mut(index).fill(0.0);
                }
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        "random actions".to_owned()
    }
}
