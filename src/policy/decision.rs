//! [`PolicyDecision`]: the outputs of a model for one player, which are kept while something shows them.

use super::PolicyFailure;
use bevy_ecs::entity::Entity;
use experience_policy::{ActionBatch, HeadKind, ObservationBatch, Sampling};

/// The last decision of a policy for one player, with the outputs that it was chosen from:
/// [`Experience::policy_decision`](crate::plugin::Experience::policy_decision).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PolicyDecision {
    /// The name of the policy.
    pub policy: String,
    /// The version of its model, as in `info.policy_version`.
    pub version: i64,
    /// The tick of the observation that the model was called with: that of the row with which the transition of the action begins.
    pub tick: i64,
    /// How the action was chosen from the outputs.
    pub sampling: Sampling,
    /// The logarithm of the probability of the action, as in `info.behavior_logp`.
    pub log_prob: f64,
    /// Why the player has kept the action that it had. `None` if the action was written.
    pub failure: Option<PolicyFailure>,
    /// The outputs for each column of the action, in the order of
    /// [`Schema::action`](experience_core::schema::Schema::action). Empty if the model returned none: if it failed, or was late.
    pub heads: Vec<HeadDecision>,
}

/// The outputs of a model for one column of the action, and what was chosen from them.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct HeadDecision {
    /// The value of each element, `[elements]`. That of a choice is its index.
    pub values: Vec<f64>,
    /// The probability of each alternative of a discrete column, `[elements, n]`: under the action mask, and at the temperature
    /// of [`Sampling::Stochastic`], or 1. Empty for a continuous column.
    pub probabilities: Vec<f64>,
    /// The mean of each element of a continuous column, `[elements]`. Empty for a discrete one.
    pub means: Vec<f64>,
    /// The standard deviation of each element of a continuous column, `[elements]`: NaN where the model gives none. Empty for a
    /// discrete column.
    pub deviations: Vec<f64>,
}

/// The player whose decisions are kept.
pub(crate) struct DecisionWatch {
    player: Entity,
    /// The game requests each decision, in the tick that it acts in. Other decisions are made on the observation of the tick before.
    is_on_demand: bool,
    /// Decisions after which nothing is kept, unless the watch is renewed.
    remaining: u32,
    decision: Option<PolicyDecision>,
}

impl DecisionWatch {
    /// Decisions of the policies of a recording for which a watch lasts, which is more than a frame has.
    const DURATION: u32 = 256;

    /// A watch without a decision.
    pub(crate) fn new(player: Entity, is_on_demand: bool) -> Self {
        Self {
            player,
            is_on_demand,
            remaining: Self::DURATION,
            decision: None,
        }
    }

    pub(crate) fn player(&self) -> Entity {
        self.player
    }

    /// Keeps further decisions. Returns the last one.
    pub(crate) fn renew(&mut self) -> Option<&PolicyDecision> {
        self.remaining = Self::DURATION;
        self.decision.as_ref()
    }

    /// The index of the player among those of a decision. `None` if it is not among them, or the watch has ended.
    pub(super) fn find(&mut self, players: &[Entity]) -> Option<usize> {
        self.remaining = self.remaining.checked_sub(1)?;
        players.iter().position(|&player| player == self.player)
    }

    /// Nothing was decided for the player.
    pub(super) fn clear(&mut self) {
        self.decision = None;
    }

    /// The tick of the observation of a decision for `acting_tick`.
    fn observation_tick(&self, acting_tick: i64) -> i64 {
        acting_tick - i64::from(!self.is_on_demand)
    }

    /// Begins a decision for `acting_tick`, without its outputs. Keeps the memory of the one before.
    fn begin(&mut self, (policy, version): (&str, i64), sampling: Sampling, acting_tick: i64) -> &mut PolicyDecision {
        let tick = self.observation_tick(acting_tick);
        let decision = self.decision.get_or_insert_default();
        policy.clone_into(&mut decision.policy);
        decision.version = version;
        decision.tick = tick;
        decision.sampling = sampling;
        decision
    }

    /// The model gave no outputs at a decision for `acting_tick`.
    pub(super) fn fail(&mut self, policy: (&str, i64), sampling: Sampling, acting_tick: i64, failure: PolicyFailure) {
        let decision = self.begin(policy, sampling, acting_tick);
        decision.log_prob = f64::NAN;
        decision.failure = Some(failure);
        decision.heads.clear();
    }

    /// Keeps the outputs for the player with this index.
    pub(super) fn keep(
        &mut self,
        policy: (&str, i64),
        sampling: Sampling,
        index: usize,
        (observations, actions): (&ObservationBatch, &ActionBatch),
        failure: Option<PolicyFailure>,
    ) {
        let decision = self.begin(policy, sampling, observations.tick());
        decision.log_prob = actions.log_prob(index);
        decision.failure = failure;
        let mask = observations.mask(index);
        let temperature = match sampling {
            Sampling::Greedy => 1.0,
            Sampling::Stochastic { temperature } => temperature,
        };
        let layout = actions.layout();
        decision.heads.resize_with(layout.heads().len(), HeadDecision::default);
        for (head, (described, kept)) in layout.heads().iter().zip(&mut decision.heads).enumerate() {
            let values = &actions.values(index)[described.first_value()..][..described.elements];
            kept.values.clear();
            kept.values.extend_from_slice(values);
            kept.probabilities.clear();
            if matches!(described.kind, HeadKind::Discrete { .. }) {
                actions.probabilities(index, head, mask, temperature, &mut kept.probabilities);
            }
            kept.means.clear();
            kept.means.extend_from_slice(actions.means(index, head));
            kept.deviations.clear();
            let deviations = actions.log_stds(index, head).iter();
            kept.deviations
                .extend(deviations.map(|&log_std| f64::from(log_std).exp() * f64::from(temperature)));
        }
    }
}
