//! [`Position`]: a place in the stream of a recording, from which a subscriber resumes.

use core::fmt;
use experience_core::transition::RunId;
use serde::{Deserialize, Serialize};

/// The unit of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Whole episodes, when they have ended.
    #[default]
    Episodes,
    /// Transitions as they happen, of episodes that may be open.
    Transitions,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Episodes => "episodes",
            Self::Transitions => "transitions",
        })
    }
}

/// A place in the stream of a recording: what precedes it, counted from the start of the run and before all filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The run that records. Another run has another stream.
    pub run: RunId,
    /// The unit of the stream: each has a stream of its own.
    pub unit: Unit,
    /// Number of transitions.
    pub transitions: u64,
    /// Number of episodes whose last transition is among them.
    pub episodes: u64,
}

/// A number of transitions, and of the episodes whose last transition is among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Transitions.
    pub transitions: u64,
    /// Episodes whose last transition is among them.
    pub episodes: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: Self) {
        self.transitions = self.transitions.saturating_add(other.transitions);
        self.episodes = self.episodes.saturating_add(other.episodes);
    }

    /// What is between `earlier` and this place.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            transitions: self.transitions.saturating_sub(earlier.transitions),
            episodes: self.episodes.saturating_sub(earlier.episodes),
        }
    }

    pub(crate) fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// The `app_metadata` of each batch, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchMetadata {
    /// The place after the batch. A ticket with it continues exactly there.
    pub position: Position,
    /// What the subscriber has missed since the batch before, counted before all filters: it was too slow, or away for too long.
    #[serde(default, skip_serializing_if = "Counts::is_zero")]
    pub missed: Counts,
    /// Ids of episodes that are discarded, of which transitions may have been sent. A subscriber forgets them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withdrawn: Vec<i64>,
    /// The position that the subscriber named is of another run: the stream begins with the oldest transition of this one.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub restarted: bool,
    /// The recording is closed: nothing follows.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub closed: bool,
}
