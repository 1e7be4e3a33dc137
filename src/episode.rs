//! Episode boundaries: the events and rules by which episodes of players begin and end.
//!
//! A game triggers [`EndEpisode`] on a player when its episode ends. Players that join, leave or rejoin are detected by
//! the recording.
//!
//! # Where to reset
//! The final observation is read when the trigger is *applied*: at once with `World::trigger`, at the next sync point
//! with `Commands::trigger`. So a player may be reset
//! - in an observer of [`EpisodeEnded`], which is triggered right after the observation was read. This is the
//!   recommended place;
//! - in a system that is ordered after the one that triggers;
//! - in commands that are queued after the trigger.
//!
//! Resetting in the triggering system itself, before its commands are applied, records the reset state as the final
//! observation.
//!
//! With [`FinalObservation::AtCapture`] the final observation is read at the capture, for games that end an episode before they
//! move the player. Then a player is reset in an observer of [`EpisodeEnded`].
//!
//! # The contract
//! Rows follow the rules of [`transition`](experience_core::transition) and the rules below. Comments in this module
//! refer to them by name.
//! - **Alignment**: `reward[t]` is the reward for taking `action[t]` in `observation[t]`.
//! - **Timing**: a capture closes the transition of its tick. The action is the one that the tick consumed. With a
//!   decision interval or [`RecordMode::OnChange`], rewards sum and `ticks` counts.
//! - **True final observation**: an observer stages an end together with the observation at that moment; the next
//!   capture publishes it, with all reward given until then. The strongest of several ends is published. If no tick has
//!   begun since the last capture, the last row is the final observation. With a reward window the end stays staged, and
//!   rewards count to its transition.
//! - **Beginnings**: players join at a capture, in the order of their agent ids. A pending end is published before the
//!   next episode begins. Between episodes no rows are written, further ends are ignored and counted, and rewards are
//!   counted as orphaned.
//! - **Termination**: when a player leaves, its episode is truncated, or terminated, as `EpisodeRules::on_despawn`
//!   specifies. A player that left without triggering an observer is detected by the next capture.
//! - **Change detection**: encoded rows are compared bit by bit. Change ticks are used only with
//!   `Recording::trust_change_ticks`.
//! - **The game comes first**: no component is inserted on players during the game, a capture does not block, and a
//!   single-threaded capture does not allocate after warm-up.
//! - **Consent**: a player with `DoNotRecord` has no rows, and its open episode is discarded.

mod context;
mod decision;
mod outcome_log;
mod player_slot;
mod player_table;
mod recorder;

pub(crate) use context::{ActionRead, CaptureRules, CaptureTime};
pub use decision::{DecisionMade, RequestDecision};
pub(crate) use recorder::{
    ControlError, EndDisposition, EndRequest, PlayerInfo, PoolPolicy, Recorder, RecorderParts, RequestDisposition,
};

use bevy_ecs::{entity::Entity, event::EntityEvent};
use bevy_reflect::Reflect;
use experience_core::transition::{EndReason, Outcome};

/// Ends the player's episode.
///
/// The final observation is read when this is applied, and [`EpisodeEnded`] is triggered right after; or both at the capture, with
/// [`FinalObservation::AtCapture`]. The episode itself is
/// published by the capture of the same tick, with all reward given until then. If several ends are triggered in one
/// tick, the strongest is published: terminated over truncated over having left. If the player is between episodes, the
/// end is ignored and counted.
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
    /// The name of the recording that this applies to; `None` for all recordings of the player.
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

    /// Recording stops while the game continues, as with a time limit. A trainer bootstraps from the final observation.
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

/// The player's final observation has been read. Observers of this event can reset the player.
///
/// Triggered right after an [`EndEpisode`] that ended an episode; with [`FinalObservation::AtCapture`] by the capture, before the
/// next episode begins. Not triggered if the player was between episodes, or
/// is being despawned. Triggered whether or not recording is enabled.
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

/// Discards an episode of the player, for example because a person who records has made a mistake.
///
/// The open episode reaches no sink, and no reader or sampler returns it: its transitions count as discarded. The next one begins at the
/// next capture. No [`EpisodeEnded`] is triggered, and the player stays where it is in the game, unless the game resets it.
///
/// An episode that has ended may already be in a buffer, a journal, a file, or a trainer that reads while the game runs. So it
/// is tagged with [`DISCARDED_TAG`](experience_core::account::DISCARDED_TAG), which the journal and the dataset store as
/// any tag. Readers of datasets skip it, and `experience compact` removes its rows from the files, where they count as exported
/// until then. It is no means for [consent](crate::player::DoNotRecord).
///
/// A player that is not recorded, or has no such episode, is ignored, and a warning is logged.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// use bevy_experience::prelude::*;
///
/// # #[derive(Component)] struct Human;
/// # #[derive(Resource)] struct Keyboard { backspace: bool, delete: bool }
/// /// Backspace discards the episode that is being recorded, and Delete the one before it.
/// fn discard_mistakes(keyboard: Res<Keyboard>, human: Single<Entity, With<Human>>, mut commands: Commands) {
///     if keyboard.backspace {
///         commands.trigger(DiscardEpisode::running(*human));
///     }
///     if keyboard.delete {
///         commands.trigger(DiscardEpisode::last(*human));
///     }
/// }
/// ```
#[derive(EntityEvent, Clone, Debug)]
pub struct DiscardEpisode {
    /// The player.
    pub entity: Entity,
    /// The episode.
    pub which: DiscardedEpisode,
    /// The name of the recording that this applies to; `None` for all recordings of the player.
    pub recording: Option<&'static str>,
}

/// The episode that a [`DiscardEpisode`] discards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscardedEpisode {
    /// The one that is open.
    Running,
    /// The last one that has ended since the player joined. After a split, that is the part before the split.
    Last,
}

impl DiscardEpisode {
    /// Discards the open episode.
    #[must_use]
    pub fn running(entity: Entity) -> Self {
        Self {
            entity,
            which: DiscardedEpisode::Running,
            recording: None,
        }
    }

    /// Discards the last episode that has ended.
    #[must_use]
    pub fn last(entity: Entity) -> Self {
        Self {
            which: DiscardedEpisode::Last,
            ..Self::running(entity)
        }
    }

    /// Limits the event to the recording called `name`.
    #[must_use]
    pub fn in_recording(mut self, name: &'static str) -> Self {
        self.recording = Some(name);
        self
    }
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
    /// At the capture after a [`BeginEpisode`]: for players that wait to respawn. The wait belongs to no episode.
    OnEvent,
}

/// When the final observation is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect)]
pub enum FinalObservation {
    /// When the [`EndEpisode`] is applied, before anything resets the player. If the player moves later in the tick, as with
    /// physics, it repeats the observation before, which is logged.
    #[default]
    AtTrigger,
    /// At the capture of the tick, for games that end an episode before physics moves the player, or compute sensors in
    /// [`ExperienceSystems::Stage`](crate::plugin::ExperienceSystems::Stage).
    ///
    /// [`EpisodeEnded`] is triggered then, and its observers reset the player: the capture reads the first observation of the
    /// next episode after them. A reset elsewhere in the tick comes too early. If there are systems in
    /// `ExperienceSystems::Stage`, which have run before the reset, the next episode begins one capture later.
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
    /// Only captures at which the observation, the action or the mask changed, or the episode ended. Skipped ticks add
    /// to `ticks`, and their rewards are summed.
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
