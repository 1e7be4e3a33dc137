//! [`EpisodeRules`]: when episodes of a recording start, end and are split.

use crate::episode::{EpisodeStart, FinalObservation, NonFinite};
use experience_core::transition::Outcome;

/// Rules for the start, the end and the length of episodes of a recording.
///
/// Given to [`Recording::episodes`](super::Recording::episodes).
///
/// ```
/// # use bevy_ecs::prelude::*;
/// # use bevy_experience::prelude::*;
/// # #[derive(Component)] struct Fighter;
/// let recording = Recording::<Fighter>::new("fighter").episodes(EpisodeRules {
///     start: EpisodeStart::OnEvent,
///     max_steps: 1_000,
///     ..Default::default()
/// });
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct EpisodeRules {
    /// When a player that has no open episode starts the next one.
    pub start: EpisodeStart,
    /// When the final observation is read.
    pub final_observation: FinalObservation,
    /// The outcome of an episode whose player is despawned while it is open: [`Truncated`](Outcome::Truncated) (the
    /// player left, the default) or [`Terminated`](Outcome::Terminated) (the player died).
    pub on_despawn: Outcome,
    /// How to handle a transition with a NaN or infinite value.
    pub non_finite: NonFinite,
    /// The longest episode, in transitions; at least 1. A longer episode is split, and
    /// [`continues`](experience_core::transition::EpisodeInfo::continues) links the parts.
    pub max_steps: u32,
}

impl Default for EpisodeRules {
    /// The next episode starts immediately, despawns truncate, and an episode has at most 65,536 transitions.
    fn default() -> Self {
        Self {
            start: EpisodeStart::default(),
            final_observation: FinalObservation::default(),
            on_despawn: Outcome::Truncated,
            non_finite: NonFinite::default(),
            max_steps: 65_536,
        }
    }
}
