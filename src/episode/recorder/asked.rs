//! What somebody who watches may ask of a recording, between captures.
//!
//! Ends that are asked for here are the recording's alone, and stand at the last capture: what the tick under way brings is
//! in no episode, and the next one begins at the coming capture.

use super::Recorder;
use crate::episode::life::Life;
use bevy_ecs::entity::Entity;
use experience_core::transition::{EndReason, Outcome};

/// Why what was asked cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No living player has this agent id.
    NoSuchPlayer,
    /// The player is between episodes.
    NoOpenEpisode,
    /// The game has ended the episode, and the coming capture publishes that.
    AlreadyEnding,
}

/// A player as the recording sees it at this moment.
#[derive(Clone, Debug)]
pub(crate) struct PlayerView {
    pub(crate) agent_id: i64,
    pub(crate) entity: Entity,
    /// The run's number of the open episode.
    pub(crate) episode: Option<u32>,
    /// Transitions of the open episode so far.
    pub(crate) steps: u32,
    pub(crate) is_recorded: bool,
    pub(crate) is_excluded: bool,
    /// How the last episode ended: its number, its transitions, and why.
    pub(crate) last_end: Option<(u32, u32, Outcome, EndReason)>,
}

impl Recorder {
    /// All players, in no particular order.
    pub(crate) fn views(&self) -> impl ExactSizeIterator<Item = PlayerView> + '_ {
        self.roster.lives().iter().map(|life| PlayerView {
            agent_id: life.agent_id(),
            entity: life.entity,
            episode: life.is_open().then(|| life.episode()),
            steps: if life.is_open() { life.steps() } else { 0 },
            is_recorded: life.is_recorded(),
            is_excluded: life.is_excluded(),
            last_end: life.last_end().map(|ended| {
                let reason = self.context.reasons.reason(ended.reason);
                let reason = reason.unwrap_or_else(|| EndReason::from("unknown"));
                (ended.episode, ended.steps, ended.outcome, reason)
            }),
        })
    }

    /// The agent id of a living player.
    pub(crate) fn agent_id(&self, entity: Entity) -> Option<i64> {
        let place = self.roster.place(entity)?;
        Some(self.roster.lives()[place].agent_id())
    }

    /// Ends an agent's open episode at its last row: truncated. The run's number of the episode.
    pub(crate) fn cut(&mut self, agent_id: i64, reason: &EndReason) -> Result<u32, Refusal> {
        let life = self.roster.agent_mut(agent_id).ok_or(Refusal::NoSuchPlayer)?;
        let episode = open_episode(life)?;
        life.end_where_it_stands(&self.context, Outcome::Truncated, reason);
        Ok(episode)
    }

    /// Throws an agent's open episode away. The run's number of the episode.
    pub(crate) fn throw_away(&mut self, agent_id: i64) -> Result<u32, Refusal> {
        let life = self.roster.agent_mut(agent_id).ok_or(Refusal::NoSuchPlayer)?;
        let episode = open_episode(life)?;
        life.discard(&self.context);
        Ok(episode)
    }

    /// The run's number of an agent's open episode, or of the one before it.
    pub(crate) fn newest_episode(&mut self, agent_id: i64) -> Result<u32, Refusal> {
        let life = self.roster.agent_mut(agent_id).ok_or(Refusal::NoSuchPlayer)?;
        if life.is_open() || life.last_end().is_some() {
            Ok(life.episode())
        } else {
            Err(Refusal::NoOpenEpisode)
        }
    }

    /// Records nothing more of an agent, also when it comes back, or does so again.
    pub(crate) fn set_excluded(&mut self, agent_id: i64, excluded: bool) {
        if excluded {
            self.excluded.insert(agent_id);
        } else {
            self.excluded.remove(&agent_id);
        }
        if let Some(life) = self.roster.agent_mut(agent_id) {
            life.set_excluded(excluded);
            // An end of the game's own that waits for its capture is published like any other.
            if excluded && !life.is_staged() {
                life.end_where_it_stands(&self.context, Outcome::Truncated, &EndReason::EXCLUDED);
            }
        }
    }

    pub(crate) fn is_excluded(&self, agent_id: i64) -> bool {
        self.excluded.contains(&agent_id)
    }
}

fn open_episode(life: &Life) -> Result<u32, Refusal> {
    if !life.is_open() {
        Err(Refusal::NoOpenEpisode)
    } else if life.is_staged() {
        Err(Refusal::AlreadyEnding)
    } else {
        Ok(life.episode())
    }
}
