//! [`PolicyControlled`]: the players that a policy acts for, and what it did for them.

use bevy_ecs::component::Component;
use experience_core::schema::{Column, DType, Space};
use std::borrow::Cow;

/// A policy acts for this player, from the next capture on. Remove it, and a person or a script does again.
///
/// Systems of the game that decide actions leave such players out, with the filter `Without<PolicyControlled>`. The components of
/// the player stay as they are when it is inserted or removed.
///
/// A player with [`DoNotRecord`](crate::player::DoNotRecord) is not observed, so no policy acts for it.
///
/// Inserted and removed between two ticks, the data says of each transition who acted: see
/// [`policy_info`](crate::recording::Recording::policy_info).
#[derive(Component, Clone, Debug, Default, PartialEq)]
pub struct PolicyControlled {
    /// Empty for the first policy of the recording.
    name: Cow<'static, str>,
    decision: Option<Decision>,
}

/// The last decision of a policy for a player.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Decision {
    version: i64,
    log_prob: f32,
}

impl PolicyControlled {
    /// The player acts by the policy with this [name](super::Policy::named); one of several of its recording.
    pub fn by(name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            decision: None,
        }
    }

    /// The name of the policy; empty for the first of the recording.
    #[must_use]
    pub fn policy(&self) -> &str {
        &self.name
    }

    /// The version of the model that decided the present action. `None` if the policy has not acted yet, or its last decision
    /// failed.
    #[must_use]
    pub fn version(&self) -> Option<i64> {
        self.decision.map(|decision| decision.version)
    }

    /// The logarithm of the probability with which the present action was chosen.
    #[must_use]
    pub fn log_prob(&self) -> Option<f32> {
        self.decision.map(|decision| decision.log_prob)
    }

    pub(crate) fn is_by(&self, policy: &str) -> bool {
        self.name.is_empty() || self.name == policy
    }

    pub(super) fn set_decision(&mut self, version: i64, log_prob: f64) {
        self.decision = Some(Decision {
            version,
            log_prob: log_prob as f32,
        });
    }

    pub(super) fn clear_decision(&mut self) {
        self.decision = None;
    }

    /// Writes the columns of [`info_columns`].
    pub(crate) fn encode_info(controlled: Option<&Self>, bytes: &mut [u8]) {
        let decision = controlled.and_then(|controlled| controlled.decision);
        let version = decision.map_or(0, |decision| decision.version);
        let log_prob = decision.map_or(f32::NAN, |decision| decision.log_prob);
        let (versions, log_probs) = bytes.split_at_mut(size_of::<i64>());
        versions.copy_from_slice(&version.to_ne_bytes());
        log_probs.copy_from_slice(&log_prob.to_ne_bytes());
    }
}

/// The columns of [`policy_info`](crate::recording::Recording::policy_info).
pub(crate) fn info_columns() -> Vec<Column> {
    vec![
        Column::scalar(
            "policy_version",
            DType::I64,
            Space::Box {
                low: Some(0.0),
                high: None,
            },
        ),
        Column::feature("behavior_logp"),
    ]
}
