//! Operator controls: inspect players, cut or discard an open episode, exclude an agent.
//!
//! A control affects the recording only: no event is triggered, and the player stays in its episode of the game. An
//! episode that a control ends stops at its last row. The ticks since then belong to no episode, and the next one
//! begins at the next capture.

use super::Recorder;
use crate::episode::player_slot::PlayerSlot;
use bevy_ecs::entity::Entity;
use experience_core::transition::{EndReason, Outcome};

/// Why a control cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlError {
    /// No living player has this agent id.
    NoSuchPlayer,
    /// The player is between episodes.
    NoOpenEpisode,
    /// The player has had no episode since it joined.
    NoEpisode,
    /// The game has ended the episode, and the next capture publishes the end.
    AlreadyEnding,
}

/// The state of a player between two captures.
#[derive(Clone, Debug)]
pub(crate) struct PlayerInfo {
    pub(crate) agent_id: i64,
    pub(crate) entity: Entity,
    /// The run's number of the open episode.
    pub(crate) episode: Option<u32>,
    /// Transitions of the open episode; 0 between episodes.
    pub(crate) steps: u32,
    pub(crate) is_recorded: bool,
    pub(crate) is_excluded: bool,
    /// The end of the last episode: its number, transitions, outcome and reason.
    pub(crate) last_end: Option<(u32, u32, Outcome, EndReason)>,
}

impl Recorder {
    /// All living players, in no particular order.
    pub(crate) fn player_infos(&self) -> impl Iterator<Item = PlayerInfo> + '_ {
        let living = self.players.slots().iter().filter(|slot| !slot.has_departed());
        living.map(|slot| PlayerInfo {
            agent_id: slot.agent_id,
            entity: slot.entity,
            episode: slot.is_open().then(|| slot.episode()),
            steps: if slot.is_open() { slot.steps() } else { 0 },
            is_recorded: slot.is_recorded(),
            is_excluded: slot.is_excluded(),
            last_end: slot.last_end().map(|end| {
                let reason = self.context.words.reason(end.reason_code);
                let reason = reason.unwrap_or_else(|| EndReason::from("unknown"));
                (end.episode, end.steps, end.outcome, reason)
            }),
        })
    }

    /// The agent id of a living player.
    pub(crate) fn agent_id(&self, entity: Entity) -> Option<i64> {
        let position = self.players.position(entity)?;
        Some(self.players.slots()[position].agent_id)
    }

    /// The entity of a living player with this agent id.
    pub(crate) fn agent_entity(&self, agent_id: i64) -> Option<Entity> {
        self.players.agent_entity(agent_id)
    }

    /// Ends an agent's open episode at its last row, truncated. Returns the run's number of the episode.
    pub(crate) fn cut_episode(&mut self, agent_id: i64, reason: &EndReason) -> Result<u32, ControlError> {
        let slot = self.players.agent_mut(agent_id).ok_or(ControlError::NoSuchPlayer)?;
        let episode = open_episode(slot)?;
        slot.end_at_last_row(&self.context, Outcome::Truncated, reason);
        Ok(episode)
    }

    /// Discards an agent's open episode. Returns the run's number of the episode.
    pub(crate) fn discard_episode(&mut self, agent_id: i64) -> Result<u32, ControlError> {
        let slot = self.players.agent_mut(agent_id).ok_or(ControlError::NoSuchPlayer)?;
        let episode = open_episode(slot)?;
        slot.discard_episode(&self.context);
        Ok(episode)
    }

    /// The run's number of the last episode of an agent that has ended since it joined.
    pub(crate) fn last_ended_episode(&mut self, agent_id: i64) -> Result<u32, ControlError> {
        let slot = self.players.agent_mut(agent_id).ok_or(ControlError::NoSuchPlayer)?;
        let end = slot.last_end().ok_or(ControlError::NoEpisode)?;
        Ok(end.episode)
    }

    /// The run's number of an agent's open episode, or of the previous one.
    pub(crate) fn latest_episode(&mut self, agent_id: i64) -> Result<u32, ControlError> {
        let slot = self.players.agent_mut(agent_id).ok_or(ControlError::NoSuchPlayer)?;
        if slot.is_open() || slot.last_end().is_some() {
            Ok(slot.episode())
        } else {
            Err(ControlError::NoEpisode)
        }
    }

    /// Excludes an agent from the recording, or includes it again. An exclusion persists when the agent leaves and
    /// rejoins.
    pub(crate) fn set_excluded(&mut self, agent_id: i64, excluded: bool) {
        if excluded {
            self.excluded_agents.insert(agent_id);
        } else {
            self.excluded_agents.remove(&agent_id);
        }
        if let Some(slot) = self.players.agent_mut(agent_id) {
            slot.set_excluded(excluded);
            // A pending end is published as usual.
            if excluded && !slot.has_pending_end() {
                slot.end_at_last_row(&self.context, Outcome::Truncated, &EndReason::EXCLUDED);
            }
        }
    }

    pub(crate) fn is_excluded(&self, agent_id: i64) -> bool {
        self.excluded_agents.contains(&agent_id)
    }
}

fn open_episode(slot: &PlayerSlot) -> Result<u32, ControlError> {
    if !slot.is_open() {
        Err(ControlError::NoOpenEpisode)
    } else if slot.has_pending_end() {
        Err(ControlError::AlreadyEnding)
    } else {
        Ok(slot.episode())
    }
}
