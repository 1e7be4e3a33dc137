//! Players' lives: joining, leaving, ending, and what a game says about them.
//!
//! A game says when an episode ends by triggering [`EndEpisode`] on the player. That is all it has to do; joining,
//! leaving and rejoining are seen by the recording itself.
//!
//! # Where to reset
//! The final observation is read when the trigger is *applied*: at once with `World::trigger`, at the next sync point
//! with `Commands::trigger`. So a player may be reset
//! - in an observer of [`EpisodeEnded`], which is triggered right after the snapshot. This is the idiom;
//! - in a system that is ordered after the one that triggers;
//! - in commands that are queued after the trigger.
//!
//! Resetting in the triggering system itself, before its commands are applied, records the reset state as the final
//! observation.

mod life;
mod recorder;
mod roster;

pub(crate) use life::{Clock, Rules};
pub(crate) use recorder::{Crowd, EndRequest, PlayerView, Recorder, RecorderParts, Refusal, Staged};

use bevy_ecs::{entity::Entity, event::EntityEvent};
use bevy_reflect::Reflect;
use experience_core::transition::{EndReason, Outcome};

/// Ends the player's episode.
///
/// The final observation is taken when this is applied; [`EpisodeEnded`] follows at once. The episode itself is
/// published by the capture of the same tick, with all reward given until then. A later word in the same tick may
/// upgrade the end: terminated over truncated over having left.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// use bevy_experience::prelude::*;
///
/// # #[derive(Component)] struct Health(f32);
/// fn die(fighters: Query<(Entity, &Health)>, mut commands: Commands) {
///     for (fighter, health) in &fighters {
///         if health.0 <= 0.0 {
///             commands.trigger(EndEpisode::terminated(fighter, "death"));
///         }
///     }
/// }
/// ```
#[derive(EntityEvent, Clone, Debug)]
pub struct EndEpisode {
    /// The player.
    pub entity: Entity,
    /// Whether the world ended the episode, or watching stops.
    pub outcome: Outcome,
    /// Why, in one word.
    pub reason: EndReason,
    /// The one recording that this is for; all that watch the player where `None`.
    pub recording: Option<&'static str>,
}

impl EndEpisode {
    /// The world ended the episode: a death, a goal. A trainer does not bootstrap.
    pub fn terminated(entity: Entity, reason: impl Into<EndReason>) -> Self {
        Self {
            entity,
            outcome: Outcome::Terminated,
            reason: reason.into(),
            recording: None,
        }
    }

    /// Watching stops though the world would go on: a time limit. A trainer bootstraps from the final observation.
    pub fn truncated(entity: Entity, reason: impl Into<EndReason>) -> Self {
        Self {
            outcome: Outcome::Truncated,
            ..Self::terminated(entity, reason)
        }
    }

    /// Narrows the end to the recording called `name`.
    #[must_use]
    pub fn in_recording(mut self, name: &'static str) -> Self {
        self.recording = Some(name);
        self
    }
}

/// The player's final observation has been taken: this is the moment to reset it.
///
/// Triggered right after an [`EndEpisode`] that ended an episode; not for ends that found none open, and not for
/// players that are being despawned. It is triggered whether recording is enabled or not.
#[derive(EntityEvent, Clone, Debug)]
pub struct EpisodeEnded {
    /// The player.
    pub entity: Entity,
    /// As in the [`EndEpisode`].
    pub outcome: Outcome,
    /// As in the [`EndEpisode`].
    pub reason: EndReason,
    /// As in the [`EndEpisode`].
    pub recording: Option<&'static str>,
}

/// Begins the player's next episode at the coming capture, in recordings that wait for it
/// ([`EpisodeStart::OnEvent`]).
#[derive(EntityEvent, Clone, Debug)]
pub struct BeginEpisode {
    /// The player.
    pub entity: Entity,
}

/// When a player who is between episodes begins the next one.
///
/// The first episode begins when the player joins, in both cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect)]
pub enum EpisodeStart {
    /// At the capture that publishes the end: the reset has run by then.
    #[default]
    AtOnce,
    /// At the capture after a [`BeginEpisode`]: a corpse that waits three seconds to respawn is not an episode.
    OnEvent,
}

/// When the final observation is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect)]
pub enum FinalObservation {
    /// When the [`EndEpisode`] is applied, before anything resets the player.
    #[default]
    AtTrigger,
    /// At the capture of the tick, for games that reset later and compute their sensors late.
    AtCapture,
}

/// What is done with a value that is NaN or infinite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Reflect)]
pub enum NonFinite {
    /// The transition is dropped and counted, and the episode ends before it: truncated, reason `non_finite`.
    #[default]
    EndEpisode,
    /// It is recorded as it is.
    Keep,
    /// It is replaced by this value.
    Replace(f32),
}

/// Which captures write a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect)]
pub enum RecordMode {
    /// Every decision.
    #[default]
    EveryTick,
    /// Only those at which the observation, the action or the mask changed, or the episode ended. Skipped ticks add to
    /// `ticks` and their rewards sum.
    OnChange,
}

/// Which tick of a decision interval gives the action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect)]
pub enum DecisionTick {
    /// The first.
    #[default]
    First,
    /// The last.
    Last,
}
