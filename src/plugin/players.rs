//! Runtime access to players of a recording: [`PlayerState`], and the methods of [`Experience`] that act on their
//! episodes.

use super::{
    experience::Experience,
    refs::{PlayerRef, RecordingRef},
    state::RecordingSlot,
};
use crate::{
    episode::{ControlError, PlayerInfo, Recorder},
    player::AgentId,
};
use bevy_ecs::entity::Entity;
use experience_buffer::BufferStats;
use experience_core::{
    account::DISCARDED_TAG,
    transition::{EndReason, Outcome},
};

/// The state of a living player in one recording.
#[derive(Clone, Debug, PartialEq)]
pub struct PlayerState {
    /// Its agent id in the data.
    pub agent_id: i64,
    /// Its entity.
    pub entity: Entity,
    /// The id of the open episode; `None` between episodes.
    pub episode_id: Option<i64>,
    /// Transitions of the open episode so far; 0 between episodes.
    pub steps: u32,
    /// Whether it has a buffer. Without one it is not recorded until it joins again.
    pub is_recorded: bool,
    /// Whether it is [excluded](Experience::exclude).
    pub is_excluded: bool,
    /// The counts of its buffer; `None` for players that share a pool, or have no buffer.
    pub buffer: Option<BufferStats>,
    /// The end of its last episode since it joined, if one has ended.
    pub last_end: Option<LastEnd>,
}

/// The end of an episode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastEnd {
    /// The id of the episode.
    pub episode_id: i64,
    /// Its number of transitions.
    pub steps: u32,
    /// Whether it was terminated or truncated.
    pub outcome: Outcome,
    /// The reason, as in the `end_reason` column.
    pub reason: EndReason,
}

/// Why an operation on a player's episode failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlayerError {
    /// The recording does not exist.
    #[error("there is no recording `{0}`: `Experience::recordings` lists the names")]
    NoSuchRecording(String),
    /// No living player of the recording has this entity or agent id.
    #[error(
        "recording `{recording}` has no living player with {player}: an entity with its marker is one after the next capture, if it \
         has every component that the recording reads, and not `DoNotRecord`"
    )]
    NoSuchPlayer {
        /// The recording.
        recording: String,
        /// The player.
        player: PlayerRef,
    },
    /// The player is between episodes, and the last one, if there was one, has been passed to the exporter. Or it is not
    /// recorded now: it is excluded, has no buffer, or the recording is paused.
    #[error(
        "agent {agent_id} of recording `{recording}` has no open episode; an episode that has ended can be tagged with \
         `Experience::tag_episode`, and skipped when reading"
    )]
    NoOpenEpisode {
        /// The recording.
        recording: String,
        /// The agent id.
        agent_id: i64,
    },
    /// The player has had no episode since it joined.
    #[error(
        "agent {agent_id} of recording `{recording}` has had no episode since it joined: tag it once an episode has begun, \
         which a capture does"
    )]
    NoEpisode {
        /// The recording.
        recording: String,
        /// The agent id.
        agent_id: i64,
    },
    /// The game has ended the episode since the last capture, and the next capture publishes it.
    #[error(
        "the game has just ended the episode of agent {agent_id} of recording `{recording}`, and the next capture publishes it"
    )]
    AlreadyEnding {
        /// The recording.
        recording: String,
        /// The agent id.
        agent_id: i64,
    },
}

/// # Players
/// Like [pauses](Self::pause), these operations affect a recording and not the game. A game ends episodes with
/// [`EndEpisode`](crate::episode::EndEpisode), and excludes a player from all data, including the observations of
/// others, with [`DoNotRecord`](crate::player::DoNotRecord).
///
/// A player is identified by its entity, its [`AgentId`] or the number of its agent id. An episode that is ended or
/// discarded here stops at the last capture. The tick in progress belongs to no episode, and the next capture starts a
/// new one.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// use bevy_experience::prelude::*;
///
/// # #[derive(Component)] struct Fighter;
/// /// Discards episodes of players that are idle.
/// fn discard_idle(mut experience: ResMut<Experience>) {
///     let Some(fighters) = experience.recording::<Fighter>() else { return };
///     let idle: Vec<Entity> =
///         experience.players(fighters).filter(|player| player.steps > 10_000).map(|player| player.entity).collect();
///     for player in idle {
///         if let Err(error) = experience.discard_episode(fighters, player) {
///             println!("{error}");
///         }
///     }
/// }
/// ```
impl Experience {
    /// The living players of a recording, in no particular order. Empty if the recording does not exist.
    ///
    /// Copies counts and waits for no thread, so it can be called every frame for a thousand players. Their steps are
    /// in their [buffers](Self::buffers).
    pub fn players<'a>(&self, recording: impl Into<RecordingRef<'a>>) -> impl Iterator<Item = PlayerState> {
        let slot = self.slot(recording.into());
        slot.into_iter()
            .flat_map(|slot| slot.recorder.player_infos().map(|info| self.player_state(slot, info)))
    }

    fn player_state(&self, slot: &RecordingSlot, info: PlayerInfo) -> PlayerState {
        let run = self.run();
        let buffer = slot.recorder.buffers().get(info.agent_id);
        PlayerState {
            agent_id: info.agent_id,
            entity: info.entity,
            episode_id: info.episode.map(|episode| run.episode_id(episode)),
            steps: info.steps,
            is_recorded: info.is_recorded,
            is_excluded: info.is_excluded,
            buffer: buffer.map(|buffer| buffer.stats()),
            last_end: info.last_end.map(|(episode, steps, outcome, reason)| LastEnd {
                episode_id: run.episode_id(episode),
                steps,
                outcome,
                reason,
            }),
        }
    }

    /// Ends the open episode of a player in one recording: truncated, with this `reason`. Returns the id of the
    /// episode.
    ///
    /// # Errors
    /// When the recording or the player does not exist, or the player is between episodes.
    pub fn end_episode<'a>(
        &mut self,
        recording: impl Into<RecordingRef<'a>>,
        player: impl Into<PlayerRef>,
        reason: impl Into<EndReason>,
    ) -> Result<i64, PlayerError> {
        let reason = reason.into();
        let cut = |recorder: &mut Recorder, agent_id| recorder.cut_episode(agent_id, &reason);
        let (_, _, episode_id) = self.act_on_episode(recording.into(), player.into(), cut)?;
        Ok(episode_id)
    }

    /// Discards the open episode of a player in one recording: no sink receives it, its transitions count as discarded,
    /// and its tags are dropped. Returns the id of the episode.
    ///
    /// Readers and samplers of live buffers no longer return its steps. If the player has a buffer of its own, they no longer return
    /// its earlier steps either. An episode that has ended may be in a shard: see
    /// [`discard_last_episode`](Self::discard_last_episode).
    ///
    /// # Errors
    /// When the recording or the player does not exist, or the player is between episodes.
    pub fn discard_episode<'a>(
        &mut self,
        recording: impl Into<RecordingRef<'a>>,
        player: impl Into<PlayerRef>,
    ) -> Result<i64, PlayerError> {
        let (recorder, _, episode_id) =
            self.act_on_episode(recording.into(), player.into(), Recorder::discard_episode)?;
        recorder.counters().remove_tags(episode_id);
        Ok(episode_id)
    }

    /// Marks the last episode of a player that has ended as discarded, in one recording: readers of datasets skip it, and
    /// `experience compact` removes it from the files. Returns the id of the episode. See
    /// [`DiscardEpisode`](crate::episode::DiscardEpisode).
    ///
    /// The mark is the tag [`DISCARDED_TAG`]. Until the episode is removed, its transitions count as exported.
    ///
    /// # Errors
    /// When the recording or the player does not exist, or no episode of the player has ended since it joined.
    pub fn discard_last_episode<'a>(
        &mut self,
        recording: impl Into<RecordingRef<'a>>,
        player: impl Into<PlayerRef>,
    ) -> Result<i64, PlayerError> {
        let (recorder, agent_id, episode_id) =
            self.act_on_episode(recording.into(), player.into(), Recorder::last_ended_episode)?;
        recorder
            .counters()
            .add_tag(episode_id, agent_id, DISCARDED_TAG.to_owned());
        Ok(episode_id)
    }

    /// Tags the open episode of a player, or its last episode if none is open. Returns the id of the episode.
    ///
    /// A dataset stores tags in a file of the run from the next flush on, and `RecordingData::tags` reads them back. The
    /// latest are in [`RunReport::tags`](experience_core::account::RunReport::tags). A tag belongs to one episode id: after a split or a gap, the episode that
    /// [`continues`](experience_core::transition::EpisodeInfo::continues) it is not tagged.
    ///
    /// # Errors
    /// When the recording or the player does not exist, or the player has had no episode since it joined.
    pub fn tag_episode<'a>(
        &mut self,
        recording: impl Into<RecordingRef<'a>>,
        player: impl Into<PlayerRef>,
        tag: impl Into<String>,
    ) -> Result<i64, PlayerError> {
        let (recorder, agent_id, episode_id) =
            self.act_on_episode(recording.into(), player.into(), Recorder::latest_episode)?;
        recorder.counters().add_tag(episode_id, agent_id, tag.into());
        Ok(episode_id)
    }

    /// Excludes a player from one recording until it is [included](Self::include) again. An open episode ends:
    /// truncated, with the reason `excluded`. The exclusion applies to the agent id, and persists when the player
    /// leaves and rejoins.
    ///
    /// # Errors
    /// When the recording does not exist, or the player is identified by an entity that is not one of its living
    /// players.
    pub fn exclude<'a>(
        &mut self,
        recording: impl Into<RecordingRef<'a>>,
        player: impl Into<PlayerRef>,
    ) -> Result<(), PlayerError> {
        self.set_excluded(recording.into(), player.into(), true)
    }

    /// Reverts [`exclude`](Self::exclude). The next capture starts an episode.
    ///
    /// # Errors
    /// When the recording does not exist, or the player is identified by an entity that is not one of its living
    /// players.
    pub fn include<'a>(
        &mut self,
        recording: impl Into<RecordingRef<'a>>,
        player: impl Into<PlayerRef>,
    ) -> Result<(), PlayerError> {
        self.set_excluded(recording.into(), player.into(), false)
    }

    /// Whether a player is excluded from a recording.
    #[must_use]
    pub fn is_excluded<'a>(&self, recording: impl Into<RecordingRef<'a>>, player: impl Into<PlayerRef>) -> bool {
        let player = player.into();
        self.slot(recording.into()).is_some_and(|slot| {
            let agent_id = agent_id(&slot.recorder, player);
            agent_id.is_some_and(|agent_id| slot.recorder.is_excluded(agent_id))
        })
    }

    fn set_excluded(
        &mut self,
        recording: RecordingRef<'_>,
        player: PlayerRef,
        excluded: bool,
    ) -> Result<(), PlayerError> {
        let (recorder, agent_id) = self.player_mut(recording, player)?;
        recorder.set_excluded(agent_id, excluded);
        Ok(())
    }

    /// Calls `act` for a player of a recording, which returns the number of an episode in the run. Returns the recorder, the agent
    /// id of the player, and the id of the episode.
    fn act_on_episode(
        &mut self,
        recording: RecordingRef<'_>,
        player: PlayerRef,
        act: impl FnOnce(&mut Recorder, i64) -> Result<u32, ControlError>,
    ) -> Result<(&mut Recorder, i64, i64), PlayerError> {
        let run = self.run();
        let (recorder, agent_id) = self.player_mut(recording, player)?;
        let episode = act(recorder, agent_id).map_err(|error| player_error(recorder, agent_id, error))?;
        Ok((recorder, agent_id, run.episode_id(episode)))
    }

    /// The recorder of a recording, and the agent id of a player.
    fn player_mut(
        &mut self,
        recording: RecordingRef<'_>,
        player: PlayerRef,
    ) -> Result<(&mut Recorder, i64), PlayerError> {
        let Some(slot) = self.slot_mut(recording) else {
            return Err(PlayerError::NoSuchRecording(recording.to_string()));
        };
        let recorder = &mut slot.recorder;
        match agent_id(recorder, player) {
            Some(agent_id) => Ok((recorder, agent_id)),
            None => Err(PlayerError::NoSuchPlayer {
                recording: recorder.name().to_owned(),
                player,
            }),
        }
    }
}

/// The agent id of a player. `None` for an entity that is not a living player of the recording.
fn agent_id(recorder: &Recorder, player: PlayerRef) -> Option<i64> {
    match player {
        PlayerRef::Agent(AgentId(id)) => Some(id),
        PlayerRef::Entity(entity) => recorder.agent_id(entity),
    }
}

/// Adds the names of recording and player to an error of the recorder.
fn player_error(recorder: &Recorder, agent_id: i64, error: ControlError) -> PlayerError {
    let recording = recorder.name().to_owned();
    match error {
        ControlError::NoSuchPlayer => PlayerError::NoSuchPlayer {
            recording,
            player: agent_id.into(),
        },
        ControlError::NoOpenEpisode => PlayerError::NoOpenEpisode { recording, agent_id },
        ControlError::NoEpisode => PlayerError::NoEpisode { recording, agent_id },
        ControlError::AlreadyEnding => PlayerError::AlreadyEnding { recording, agent_id },
    }
}
