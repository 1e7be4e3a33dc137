//! Arguments that identify recordings and players in methods of [`Experience`](super::Experience): [`RecordingRef`] and
//! [`PlayerRef`].

use crate::player::AgentId;
use bevy_ecs::entity::Entity;
use core::fmt;

/// Identifies a recording in its app: see [`Experience::recording`](super::Experience::recording) and
/// [`recording_named`](super::Experience::recording_named).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordingId(usize);

impl RecordingId {
    pub(super) fn new(index: usize) -> Self {
        Self(index)
    }

    pub(super) fn index(self) -> usize {
        self.0
    }
}

/// A recording, by id or by name. Methods take `impl Into<RecordingRef>`, so both can be passed directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordingRef<'a> {
    /// By id.
    Id(RecordingId),
    /// By the name given to [`Recording::new`](crate::recording::Recording::new).
    Name(&'a str),
}

impl From<RecordingId> for RecordingRef<'_> {
    fn from(id: RecordingId) -> Self {
        Self::Id(id)
    }
}

impl<'a> From<&'a str> for RecordingRef<'a> {
    fn from(name: &'a str) -> Self {
        Self::Name(name)
    }
}

impl<'a> From<&'a String> for RecordingRef<'a> {
    fn from(name: &'a String) -> Self {
        Self::Name(name)
    }
}

impl fmt::Display for RecordingRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(RecordingId(index)) => write!(f, "#{index}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A player of a recording, by entity or by agent id. Methods take `impl Into<PlayerRef>`, so an [`Entity`], an
/// [`AgentId`] or its number can be passed directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlayerRef {
    /// The entity of a living player.
    Entity(Entity),
    /// The agent id in the data, which every player has, with or without the component [`AgentId`].
    Agent(AgentId),
}

impl From<Entity> for PlayerRef {
    fn from(entity: Entity) -> Self {
        Self::Entity(entity)
    }
}

impl From<AgentId> for PlayerRef {
    fn from(agent: AgentId) -> Self {
        Self::Agent(agent)
    }
}

impl From<i64> for PlayerRef {
    fn from(agent_id: i64) -> Self {
        Self::Agent(AgentId(agent_id))
    }
}

impl fmt::Display for PlayerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entity(entity) => write!(f, "entity {entity}"),
            Self::Agent(AgentId(id)) => write!(f, "agent id {id}"),
        }
    }
}
