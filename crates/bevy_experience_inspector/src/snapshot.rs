//! Per-frame snapshot of one recording's state, which all tabs show.

use super::{InspectorSettings, metrics::RecordingMetrics, policies::Acting};
use bevy_ecs::world::World;
use bevy_experience::buffer::{BufferSettings, BufferStats};
use bevy_experience::plugin::{Experience, PauseReason, PlayerState, RecordingProgress, SinkProgress};
use bevy_experience::policy::PolicyStatus;
use bevy_experience::schema::Schema;
use std::sync::Arc;

/// The state of one recording in one frame.
pub(super) struct RecordingSnapshot {
    pub(super) name: String,
    pub(super) schema: Arc<Schema>,
    /// Captures so far.
    pub(super) tick: i64,
    pub(super) progress: RecordingProgress,
    pub(super) pause: Option<PauseReason>,
    /// All recordings are paused.
    pub(super) all_paused: bool,
    /// Nothing is recorded and nothing can be resumed: the plugin is disabled, or `Experience` was closed.
    pub(super) is_stopped: bool,
    pub(super) sinks: Vec<SinkProgress>,
    /// In the order in which they were added.
    pub(super) policies: Vec<PolicyStatus>,
    /// Sorted by agent id.
    pub(super) players: Vec<PlayerSnapshot>,
    pub(super) buffers: BufferStats,
    pub(super) buffer_settings: BufferSettings,
    /// Players share a pool, whose rows cannot be read by player.
    pub(super) is_pooled: bool,
    pub(super) transitions_per_second: f64,
    /// Transitions were dropped within the last seconds.
    pub(super) drops_are_rising: bool,
}

/// A player, with the return of its open episode.
pub(super) struct PlayerSnapshot {
    pub(super) state: PlayerState,
    pub(super) acting: Acting,
    /// The sum of the rewards of the open episode that were read from the buffer; 0 between episodes.
    pub(super) total_reward: f64,
    /// Every row of the open episode was read, so that `total_reward` is its return so far.
    pub(super) is_complete: bool,
}

impl RecordingSnapshot {
    /// Reads the recording called `name` and updates `metrics` with its new rows. `None` if there is no such
    /// recording.
    pub(super) fn new(
        world: &World,
        experience: &Experience,
        name: &str,
        metrics: &mut RecordingMetrics,
        settings: &InspectorSettings,
    ) -> Option<Self> {
        let schema = experience.schema(name)?.clone();
        let buffers = experience.buffers(name)?;
        let progress = experience.progress(name)?;
        let all_paused = experience.is_paused();
        let states: Vec<PlayerState> = experience.players(name).collect();
        metrics.update(&schema, buffers, &states, progress, settings);
        let policies: Vec<_> = experience.policies(name).cloned().collect();
        let mut players: Vec<PlayerSnapshot> = states
            .into_iter()
            .map(|state| {
                let (total_reward, is_complete) = metrics.total_reward(&state);
                PlayerSnapshot {
                    acting: Acting::new(world, state.entity, &policies),
                    state,
                    total_reward,
                    is_complete,
                }
            })
            .collect();
        players.sort_unstable_by_key(|player| player.state.agent_id);
        Some(Self {
            name: name.to_owned(),
            schema,
            tick: experience.tick(name).unwrap_or_default(),
            progress,
            pause: experience.pause_reason(name),
            all_paused,
            is_stopped: !experience.is_recording() && !all_paused,
            sinks: experience.sinks(name),
            policies,
            players,
            buffers: buffers.stats(),
            buffer_settings: buffers.settings().clone(),
            is_pooled: buffers.pool().is_some(),
            transitions_per_second: metrics.transitions_per_second(),
            drops_are_rising: metrics.drops_are_rising(),
        })
    }

    pub(super) fn player(&self, agent_id: i64) -> Option<&PlayerSnapshot> {
        let index = self
            .players
            .binary_search_by_key(&agent_id, |player| player.state.agent_id);
        index.ok().map(|index| &self.players[index])
    }
}
