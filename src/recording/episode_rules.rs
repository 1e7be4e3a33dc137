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
    /// Captures after the end of an episode in which rewards of its player still count to its last step; 0 by default.
    ///
    /// The team can win after the player died. Applies to players that leave, and with [`EpisodeStart::OnEvent`] to all; the next
    /// episode of the player closes the window. The last step is written when the window closes, with the observation, the
    /// action and the time of the end. A process that dies before loses it: the episode is `truncated` at the step before, with
    /// the reason `crash`.
    ///
    /// A player that was despawned has no [`Reward`](crate::player::Reward): give it with
    /// [`GiveReward`](crate::player::GiveReward) or [`GiveTeamReward`](crate::player::GiveTeamReward).
    pub reward_window: u32,
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
            reward_window: 0,
            max_steps: 65_536,
        }
    }
}
