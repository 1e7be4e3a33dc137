//! The contract between a game and a trainer, in code and in words.
//!
//! What a buffer holds is a row per **step**: what one capture added to an episode. An episode of T transitions is
//! T + 1 rows. The first ([`StepKind::Begin`]) holds only the first observation; every other
//! ([`StepKind::Transition`]) holds the action that led to it, what came of it, and the observation that it led to:
//!
//! ```text
//! row      Begin       Transition          Transition              Transition
//! holds    o₀ m₀       a₀ r₀ → o₁ m₁       a₁ r₁ → o₂ m₂           a₂ r₂ → o₃ m₃, terminated, "death"
//! ```
//!
//! So transition *t* is the observation of row *t* and everything of row *t* + 1: no observation is stored twice, a
//! transition is complete the moment it is pushed, and its flags speak of the observation that they stand beside.
//!
//! # The rules
//! - `reward[t]` is what came of `action[t]` taken in `observation[t]`; `terminated[t]` and `truncated[t]` speak of
//!   `next_observation[t]`. An action mask belongs to the observation that it was seen with, info to the action.
//! - `terminated` means that the world ended the episode: no bootstrap. `truncated` means that watching stopped: bootstrap
//!   from the final observation. The [`EndReason`] is kept beside them.
//! - Each episode's rows are contiguous in its buffer. A row that is missing (the buffer overflowed) ends the episode
//!   at its last transition with a real successor: truncated, reason [`EndReason::GAP`].

mod episode;
mod reason;

pub use episode::values;
pub use episode::{Episode, EpisodeInfo, StepBytes, Transition};
pub use reason::{EndReason, ReasonTable};

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

/// What one row of a buffer adds to its episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum StepKind {
    /// The first observation of an episode. No action led to it.
    Begin = 0,
    /// An action, what came of it, and the observation that it led to.
    Transition = 1,
    /// The episode ended where its last row stands: the flags and the reason are here, the reward adds to the last
    /// transition's, and there is no observation.
    End = 2,
    /// The open episode must leave no trace: its player opted out.
    Discard = 3,
}

/// How an episode ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Watching stopped; the world would have gone on. Bootstrap from the final observation.
    Truncated,
    /// The world ended it. There is nothing to bootstrap from.
    Terminated,
}

/// The fixed part of a row: 64 bytes, which is one cache line.
///
/// [`StepHeader::default`] is a `Begin` of episode 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct StepHeader {
    /// The tick of this row's observation.
    pub tick: i64,
    /// Seconds from the start of the run to this row's observation.
    pub timestamp: f64,
    /// The reward of the transition that this row closes.
    pub reward: f64,
    /// Whose row it is.
    pub agent_id: i64,
    /// Which match of the process the player is in; read it through [`match_id`](Self::match_id).
    pub match_id: i64,
    /// The episode, counted from 0 within the run.
    pub episode: u32,
    /// The episode that this one was split from, plus one; 0 where it was not. Only in a `Begin` row.
    pub continues: u32,
    /// How many transitions the buffer was given up to and including this row, modulo 2³²: what a reader who missed
    /// rows needs to know how many of them were transitions.
    pub ordinal: u32,
    /// How many ticks the transition lasted.
    pub ticks: u32,
    /// The code of the [`EndReason`] in the recording's [`ReasonTable`]; 0 where nothing ended.
    pub reason: u16,
    kind: u8,
    flags: u8,
    /// Which player's rows these are, where players share a buffer: a new number each time that somebody joins. 0 in a
    /// buffer of one player's own.
    pub stream: u32,
}

const _: () = assert!(size_of::<StepHeader>() == crate::schema::HEADER_BYTES);

/// Which word of a row says what, for those who do not read the whole header.
pub mod word {
    use super::StepHeader;
    use core::mem::offset_of;

    pub const REWARD: usize = offset_of!(StepHeader, reward) / 8;
    pub const EPISODE: usize = offset_of!(StepHeader, episode) / 8;
    pub const ORDINAL: usize = offset_of!(StepHeader, ordinal) / 8;
    /// The kind and the outcome.
    pub const KIND: usize = offset_of!(StepHeader, kind) / 8;
    const _: () = assert!(offset_of!(StepHeader, flags) / 8 == KIND);
}

const TERMINATED: u8 = 1;
const TRUNCATED: u8 = 2;
const HAS_MATCH: u8 = 4;

impl StepHeader {
    /// A header of the given kind, all else zero.
    #[must_use]
    pub fn new(kind: StepKind) -> Self {
        Self {
            kind: kind as u8,
            ..Self::zeroed()
        }
    }

    /// Reads the header of an encoded row.
    ///
    /// # Panics
    /// When the row is shorter than a header.
    #[must_use]
    pub fn of(row: &[u64]) -> &Self {
        bytemuck::from_bytes(&bytemuck::cast_slice(row)[..size_of::<Self>()])
    }

    /// The header of an encoded row, for writing.
    ///
    /// # Panics
    /// When the row is shorter than a header.
    #[must_use]
    pub fn of_mut(row: &mut [u64]) -> &mut Self {
        bytemuck::from_bytes_mut(&mut bytemuck::cast_slice_mut(row)[..size_of::<Self>()])
    }

    /// What the row adds to its episode.
    #[must_use]
    pub fn kind(&self) -> StepKind {
        match self.kind {
            0 => StepKind::Begin,
            1 => StepKind::Transition,
            2 => StepKind::End,
            _ => StepKind::Discard,
        }
    }

    /// Turns the row into another kind.
    pub fn set_kind(&mut self, kind: StepKind) {
        self.kind = kind as u8;
    }

    /// How the episode ended at this row, if it did.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        if self.flags & TERMINATED != 0 {
            Some(Outcome::Terminated)
        } else if self.flags & TRUNCATED != 0 {
            Some(Outcome::Truncated)
        } else {
            None
        }
    }

    /// Says that the episode ended at this row, or that it did not.
    pub fn set_outcome(&mut self, outcome: Option<Outcome>, reason: u16) {
        self.flags &= !(TERMINATED | TRUNCATED);
        self.flags |= match outcome {
            Some(Outcome::Terminated) => TERMINATED,
            Some(Outcome::Truncated) => TRUNCATED,
            None => 0,
        };
        self.reason = reason;
    }

    /// Which match of the process the player is in, where the recording knows.
    #[must_use]
    pub fn match_id(&self) -> Option<i64> {
        (self.flags & HAS_MATCH != 0).then_some(self.match_id)
    }

    /// Sets the match.
    pub fn set_match_id(&mut self, id: Option<i64>) {
        self.flags &= !HAS_MATCH;
        if id.is_some() {
            self.flags |= HAS_MATCH;
        }
        self.match_id = id.unwrap_or(0);
    }
}

/// The identity of one process's life: 31 random bits.
///
/// With a counter it makes episode ids that are unique across runs and merges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(u32);

impl RunId {
    /// A new random identity.
    #[must_use]
    pub fn random() -> Self {
        Self::from_bits(rand::random())
    }

    /// The identity with the lowest 31 of these bits.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & 0x7fff_ffff)
    }

    /// The identity as the `run` column stores it.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0 as i64
    }

    /// The `episode_id` of the run's `counter`-th episode.
    #[must_use]
    pub const fn episode_id(self, counter: u32) -> i64 {
        ((self.0 as i64) << 32) | counter as i64
    }
}

impl core::fmt::Display for RunId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_do_not_disturb_each_other() {
        let mut header = StepHeader::new(StepKind::Transition);
        header.set_match_id(Some(-3));
        header.set_outcome(Some(Outcome::Terminated), 7);
        assert_eq!(header.match_id(), Some(-3));
        assert_eq!(header.outcome(), Some(Outcome::Terminated));
        header.set_outcome(Some(Outcome::Truncated), 2);
        assert_eq!((header.outcome(), header.reason), (Some(Outcome::Truncated), 2));
        header.set_match_id(None);
        assert_eq!(header.match_id(), None);
        assert_eq!(header.kind(), StepKind::Transition);
    }

    #[test]
    fn episode_ids_of_one_run_are_positive_and_distinct() {
        let run = RunId::from_bits(u32::MAX);
        assert!(run.episode_id(0) > 0);
        assert_ne!(run.episode_id(0), run.episode_id(1));
        assert_ne!(run.episode_id(0), RunId::from_bits(1).episode_id(0));
    }
}
