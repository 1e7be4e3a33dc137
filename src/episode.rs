//! Episodes of players: how a game ends and begins them, and how a capture turns players into rows.
//!
//! A game triggers [`EndEpisode`] on a player when its episode ends, and nothing else: the recording itself finds players who
//! join, leave and rejoin.
//!
//! # Where to reset
//! The final observation is read when the trigger is *applied*: at once with `World::trigger`, at the next sync point
//! with `Commands::trigger`. So a player may be reset
//! - in an observer of [`EpisodeEnded`], which is triggered right after the observation was read. This is the idiom;
//! - in a system that is ordered after the one that triggers;
//! - in commands that are queued after the trigger.
//!
//! Resetting in the triggering system itself, before its commands are applied, records the reset state as the final
//! observation.
//!
//! # The contract
//! Rows keep the rules of [`transition`](experience_core::transition), and these. Comments in this module refer to them by name.
//! - **Alignment**: `reward[t]` is what came of `action[t]` taken in `observation[t]`.
//! - **Timing**: a capture closes the transition of its tick. The action is the one that the tick consumed. With a decision
//!   interval or [`RecordMode::OnChange`], rewards sum and `ticks` counts.
//! - **True final observation**: an observer stages an end together with the observation at that moment; the next capture
//!   publishes it, with all reward given until then. The stronger of several ends wins. Without a tick since the last capture,
//!   the last row is the final observation.
//! - **Beginnings**: players join at a capture, in the order of their agent ids. A pending end is published before the next
//!   episode begins. Between episodes no rows are written, further ends are ignored and counted, and rewards are counted as
//!   orphaned.
//! - **Termination**: a player who leaves truncates its episode, unless the recording says that it terminates it. A player who
//!   left without an observer seeing it is found by the next capture.
//! - **Change detection**: encoded rows are compared bit by bit. Change ticks are trusted only on request.
//! - **The game comes first**: nothing is inserted on players during the game, a capture never waits, and once warm a capture
//!   by one thread allocates nothing.
//! - **Consent**: a player with `DoNotRecord` has no rows; its open episode is discarded.

mod context;
mod player_slot;
mod player_table;
mod recorder;

pub(crate) use context::{CaptureRules, CaptureTime};
pub(crate) use recorder::{ControlError, EndDisposition, EndRequest, PlayerInfo, PoolPolicy, Recorder, RecorderParts};

use bevy_ecs::{entity::Entity, event::EntityEvent};
use bevy_reflect::Reflect;
use experience_core::transition::{EndReason, Outcome};

/// Ends the player's episode.
///
/// The final observation is read when this is applied; [`EpisodeEnded`] is triggered right after. The episode itself is
/// published by the capture of the same tick, with all reward given until then. If several ends are triggered in one tick, the
/// strongest is published: terminated over truncated over having left. If the player is between episodes, the end is ignored
/// and counted.
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
    /// Whether the world ended the episode, or recording stops.
    pub outcome: Outcome,
    /// The reason, stored in the `end_reason` column.
    pub reason: EndReason,
    /// The name of the only recording that this is for; `None` for all recordings of the player.
    pub recording: Option<&'static str>,
}

impl EndEpisode {
    /// The world ended the episode, as with a death or a goal. A trainer does not bootstrap.
    pub fn terminated(entity: Entity, reason: impl Into<EndReason>) -> Self {
        Self {
            entity,
            outcome: Outcome::Terminated,
            reason: reason.into(),
            recording: None,
        }
    }

    /// Recording stops while the world goes on, as with a time limit. A trainer bootstraps from the final observation.
    pub fn truncated(entity: Entity, reason: impl Into<EndReason>) -> Self {
        Self {
            outcome: Outcome::Truncated,
            ..Self::terminated(entity, reason)
        }
    }

    /// Limits the end to the recording called `name`.
    #[must_use]
    pub fn in_recording(mut self, name: &'static str) -> Self {
        self.recording = Some(name);
        self
    }
}

/// The player's final observation has been read: an observer of this event resets the player.
///
/// Triggered right after an [`EndEpisode`] that ended an episode. Not triggered if the player was between episodes, or is being
/// despawned. Triggered whether or not recording is enabled.
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

/// Begins the player's next episode at the next capture, in recordings with [`EpisodeStart::OnEvent`].
#[derive(EntityEvent, Clone, Debug)]
pub struct BeginEpisode {
    /// The player.
    pub entity: Entity,
}

/// When the next episode of a player begins.
///
/// The first episode begins when the player joins, in both cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect)]
pub enum EpisodeStart {
    /// At the capture that publishes the end, by which time the reset has run.
    #[default]
    AtOnce,
    /// At the capture after a [`BeginEpisode`]: for players who wait to respawn, so that the wait is in no episode.
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

/// What a recording does with NaN and infinite values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Reflect)]
pub enum NonFinite {
    /// Drops and counts the transition, and ends the episode before it: truncated, reason `non_finite`.
    #[default]
    EndEpisode,
    /// Records the value as it is.
    Keep,
    /// Records this value instead.
    Replace(f32),
}

/// Which captures write a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect)]
pub enum RecordMode {
    /// The last capture of every decision interval.
    #[default]
    EveryTick,
    /// Only captures at which the observation, the action or the mask changed, or the episode ended. Skipped ticks add to
    /// `ticks`, and their rewards are summed.
    OnChange,
}

/// Which tick of a decision interval provides the recorded action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect)]
pub enum DecisionTick {
    /// The first.
    #[default]
    First,
    /// The last.
    Last,
}
