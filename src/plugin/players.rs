//! The players of a recording as it sees them, and what may be asked about one of them.

use super::{
    experience::Experience,
    works::{RecordingSlot, Works},
};
use crate::episode::{ControlError, PlayerInfo};
use bevy_ecs::entity::Entity;
use experience_buffer::BufferStats;
use experience_core::transition::{EndReason, Outcome};

/// A living player, as its recording sees it at this moment.
#[derive(Clone, Debug, PartialEq)]
pub struct PlayerState {
    /// Its id in the data.
    pub agent_id: i64,
    /// Its entity.
    pub entity: Entity,
    /// The open episode; `None` between episodes.
    pub episode_id: Option<i64>,
    /// Transitions of the open episode so far; 0 between episodes.
    pub steps: u32,
    /// Whether there was a buffer for it. Without one nothing of it is recorded until it joins again.
    pub is_recorded: bool,
    /// Whether it was [excluded](Experience::exclude).
    pub is_excluded: bool,
    /// The counts of its buffer; `None` for players who share a pool, or have no buffer.
    pub buffer: Option<BufferStats>,
    /// How its last episode ended, if one did since it joined.
    pub last_end: Option<LastEnd>,
}

/// How an episode ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastEnd {
    /// The episode.
    pub episode_id: i64,
    /// Its transitions.
    pub steps: u32,
    /// Whether the world ended it, or watching stopped.
    pub outcome: Outcome,
    /// Why.
    pub reason: EndReason,
}

/// Why something cannot be done about a player's episode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlayerError {
    /// There is no recording of that name.
    #[error("there is no recording `{0}`; `Experience::recordings` names those that there are")]
    NoSuchRecording(String),
    /// No living player of the recording has this agent id.
    #[error("recording `{recording}` has no living player with agent id {agent_id}")]
    NoSuchPlayer {
        /// The recording.
        recording: String,
        /// The agent id.
        agent_id: i64,
    },
    /// The player is between episodes. What has ended is on its way to the sinks, or with them.
    #[error(
        "agent {agent_id} of recording `{recording}` has no open episode; one that has ended is with the sinks, or on its way: \
         tag it, or take it out of the dataset later"
    )]
    NoOpenEpisode {
        /// The recording.
        recording: String,
        /// The agent id.
        agent_id: i64,
    },
    /// The game has ended the episode, and the coming capture publishes that.
    #[error(
        "the game has just ended the episode of agent {agent_id} of recording `{recording}`; the coming capture publishes that"
    )]
    AlreadyEnding {
        /// The recording.
        recording: String,
        /// The agent id.
        agent_id: i64,
    },
}

/// # Players
/// What is asked here is asked of the recording alone: the game is not told and does not notice, as with
/// [pauses](Self::pause). A game ends episodes with [`EndEpisode`](crate::episode::EndEpisode), and keeps a player out of all
/// data, also of what others see, with [`DoNotRecord`](crate::player::DoNotRecord).
///
/// An episode that is ended or thrown away stops at the last capture. What the tick under way brings is in no episode; the next
/// one begins at the coming capture.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// use bevy_experience::prelude::*;
///
/// /// Whoever stood up from the keyboard did not play.
/// fn gone_away(mut experience: ResMut<Experience>) {
///     let away: Vec<i64> = experience.players("fighter").filter(|player| player.steps > 10_000).map(|player| player.agent_id).collect();
///     for agent in away {
///         if let Err(error) = experience.discard_episode("fighter", agent) {
///             println!("{error}");
///         }
///     }
/// }
/// ```
impl Experience {
    /// The living players of the recording called `recording`, in no particular order; none where there is no such recording.
    ///
    /// It copies counts and waits for nobody, so a thousand players may be asked every frame. What their steps hold is in their
    /// [buffers](Self::buffers).
    pub fn players(&self, recording: &str) -> impl Iterator<Item = PlayerState> + '_ {
        let slot = self.works().and_then(|works| works.recording(recording));
        slot.into_iter()
            .flat_map(|slot| slot.recorder.player_infos().map(|info| self.state(slot, info)))
    }

    fn state(&self, slot: &RecordingSlot, info: PlayerInfo) -> PlayerState {
        let id = |episode| self.run().map_or(0, |run| run.episode_id(episode));
        let buffer = slot.recorder.buffers().get(info.agent_id);
        PlayerState {
            agent_id: info.agent_id,
            entity: info.entity,
            episode_id: info.episode.map(id),
            steps: info.steps,
            is_recorded: info.is_recorded,
            is_excluded: info.is_excluded,
            buffer: buffer.map(|buffer| buffer.stats()),
            last_end: info.last_end.map(|(episode, steps, outcome, reason)| LastEnd {
                episode_id: id(episode),
                steps,
                outcome,
                reason,
            }),
        }
    }

    /// Ends the open episode of an agent in one recording: truncated, for this `reason`. The id of the episode.
    ///
    /// # Errors
    /// When there is no such player, or it is between episodes.
    pub fn end_episode(
        &mut self,
        recording: &str,
        agent_id: i64,
        reason: impl Into<EndReason>,
    ) -> Result<i64, PlayerError> {
        let reason = reason.into();
        self.ask(recording, agent_id, |slot| slot.recorder.cut_episode(agent_id, &reason))
    }

    /// Throws the open episode of an agent away in one recording: no sink gets it, and its transitions count as discarded, with
    /// its tags. The id of the episode.
    ///
    /// An episode that has ended cannot be thrown away: it may be in a shard already. [Tag](Self::tag_episode) it, and leave it
    /// out when reading. Readers of the player's buffer, such as samplers, may have seen the steps, and may see them for as long
    /// as the buffer holds them.
    ///
    /// # Errors
    /// When there is no such player, or it is between episodes.
    pub fn discard_episode(&mut self, recording: &str, agent_id: i64) -> Result<i64, PlayerError> {
        let episode_id = self.ask(recording, agent_id, |slot| slot.recorder.discard_episode(agent_id))?;
        if let Some(slot) = self.works().and_then(|works| works.recording(recording)) {
            slot.recorder.counters().untag(episode_id);
        }
        Ok(episode_id)
    }

    /// Marks the open episode of an agent with a word, or its last one where none is open. The id of the episode.
    ///
    /// A dataset keeps tags in the account of the run, [`RunReport::tags`](experience_core::account::RunReport::tags), from its next flush
    /// on. The tag stays with this id: what follows a split or a gap is another episode, which
    /// [`continues`](experience_core::transition::EpisodeInfo::continues) it.
    ///
    /// # Errors
    /// When there is no such player, or it had no episode since it joined.
    pub fn tag_episode(&mut self, recording: &str, agent_id: i64, tag: impl Into<String>) -> Result<i64, PlayerError> {
        let episode_id = self.ask(recording, agent_id, |slot| slot.recorder.latest_episode(agent_id))?;
        if let Some(slot) = self.works().and_then(|works| works.recording(recording)) {
            slot.recorder.counters().tag(episode_id, agent_id, tag.into());
        }
        Ok(episode_id)
    }

    /// Records nothing more of an agent in one recording, until it is [included](Self::include): an open episode ends, truncated
    /// with the reason `excluded`. It holds for the agent id, also while nobody plays under it.
    ///
    /// # Errors
    /// When there is no such recording.
    pub fn exclude(&mut self, recording: &str, agent_id: i64) -> Result<(), PlayerError> {
        self.set_excluded(recording, agent_id, true)
    }

    /// Takes [`exclude`](Self::exclude) back: at the next capture an episode begins.
    ///
    /// # Errors
    /// When there is no such recording.
    pub fn include(&mut self, recording: &str, agent_id: i64) -> Result<(), PlayerError> {
        self.set_excluded(recording, agent_id, false)
    }

    /// Whether an agent was excluded from the recording called `recording`.
    #[must_use]
    pub fn is_excluded(&self, recording: &str, agent_id: i64) -> bool {
        let slot = self.works().and_then(|works| works.recording(recording));
        slot.is_some_and(|slot| slot.recorder.is_excluded(agent_id))
    }

    fn set_excluded(&mut self, recording: &str, agent_id: i64, excluded: bool) -> Result<(), PlayerError> {
        let slot = self.slot_mut(recording)?;
        slot.recorder.set_excluded(agent_id, excluded);
        Ok(())
    }

    fn ask(
        &mut self,
        recording: &str,
        agent_id: i64,
        ask: impl FnOnce(&mut RecordingSlot) -> Result<u32, ControlError>,
    ) -> Result<i64, PlayerError> {
        let run = self.run();
        let answer = ask(self.slot_mut(recording)?);
        let recording = recording.to_owned();
        match answer {
            Ok(episode) => Ok(run.map_or(0, |run| run.episode_id(episode))),
            Err(ControlError::NoSuchPlayer) => Err(PlayerError::NoSuchPlayer { recording, agent_id }),
            Err(ControlError::NoOpenEpisode) => Err(PlayerError::NoOpenEpisode { recording, agent_id }),
            Err(ControlError::AlreadyEnding) => Err(PlayerError::AlreadyEnding { recording, agent_id }),
        }
    }

    fn slot_mut(&mut self, recording: &str) -> Result<&mut RecordingSlot, PlayerError> {
        let slots = self.works_mut().map(Works::slots_mut).unwrap_or_default();
        let slot = slots.iter_mut().find(|slot| slot.recorder.name() == recording);
        slot.ok_or_else(|| PlayerError::NoSuchRecording(recording.to_owned()))
    }
}
