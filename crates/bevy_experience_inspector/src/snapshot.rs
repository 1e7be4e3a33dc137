//! What one frame shows of a recording.

use super::{InspectorSettings, watch::Watch};
use bevy_experience::buffer::{BufferSettings, BufferStats};
use bevy_experience::plugin::{Experience, PauseReason, PlayerState, RecordingProgress, SinkProgress};
use bevy_experience::schema::Schema;
use std::sync::Arc;

/// What one frame shows of a recording.
pub(super) struct Snapshot {
    pub(super) name: String,
    pub(super) schema: Arc<Schema>,
    pub(super) tick: i64,
    pub(super) progress: RecordingProgress,
    pub(super) pause: Option<PauseReason>,
    /// All recordings are paused.
    pub(super) all_paused: bool,
    /// Anything may be recorded at all: the plugin is enabled, and nothing was closed.
    pub(super) is_over: bool,
    pub(super) sinks: Vec<SinkProgress>,
    pub(super) players: Vec<Player>,
    pub(super) buffers: BufferStats,
    pub(super) buffer_settings: BufferSettings,
    /// Players share a pool, whose steps cannot be looked at one player at a time.
    pub(super) is_pooled: bool,
    /// Transitions a second.
    pub(super) rate: f64,
    /// Transitions were dropped in the last seconds.
    pub(super) drops_rise: bool,
}

/// A player, and what its steps so far say.
pub(super) struct Player {
    pub(super) state: PlayerState,
    /// The sum of the open episode's rewards.
    pub(super) total_reward: f64,
    /// All of the open episode was seen, so `total_reward` is of all of it.
    pub(super) is_whole: bool,
}

impl Snapshot {
    pub(super) fn take(
        experience: &Experience,
        name: &str,
        watch: &mut Watch,
        settings: &InspectorSettings,
    ) -> Option<Self> {
        let schema = experience.schema(name)?.clone();
        let buffers = experience.buffers(name)?;
        let progress = experience.progress(name)?;
        let all_paused = experience.is_paused();
        let states: Vec<PlayerState> = experience.players(name).collect();
        watch.look(&schema, buffers, &states, progress, settings);
        let mut players: Vec<Player> = states
            .into_iter()
            .map(|state| {
                let (total_reward, is_whole) = watch.total_reward(&state);
                Player {
                    state,
                    total_reward,
                    is_whole,
                }
            })
            .collect();
        players.sort_unstable_by_key(|player| player.state.agent_id);
        Some(Self {
            name: name.to_owned(),
            schema,
            tick: experience.tick(),
            progress,
            pause: experience.pause_reason(name),
            all_paused,
            is_over: !experience.is_recording() && !all_paused,
            sinks: experience.sinks(name),
            players,
            buffers: buffers.stats(),
            buffer_settings: buffers.settings().clone(),
            is_pooled: buffers.pool().is_some(),
            rate: watch.rate(),
            drops_rise: watch.drops_rise(),
        })
    }

    pub(super) fn player(&self, agent_id: i64) -> Option<&Player> {
        let place = self
            .players
            .binary_search_by_key(&agent_id, |player| player.state.agent_id);
        place.ok().map(|place| &self.players[place])
    }
}
