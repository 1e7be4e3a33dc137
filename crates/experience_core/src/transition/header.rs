//! The header of a row: kind, outcome, ids, time and reward of a step.

use bytemuck::{Pod, Zeroable};
use core::mem::offset_of;
use serde::{Deserialize, Serialize};

/// What a row adds to its episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum StepKind {
    /// The first observation of an episode. The row has no action.
    Begin = 0,
    /// An action, its reward, and the observation that it led to.
    Transition = 1,
    /// The end of an episode whose final observation is its last row. Outcome and reason are those of this row, its
    /// reward is added to the last transition's, and it has no observation.
    End = 2,
    /// The open episode is withdrawn: its player opted out. No reader returns its rows.
    Discard = 3,
}

/// How an episode ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Recording stopped; the world would have continued. A trainer bootstraps from the final observation.
    Truncated,
    /// The world ended the episode. A trainer does not bootstrap.
    Terminated,
}

/// The fixed part of a row: 64 bytes, one cache line.
///
/// [`StepHeader::default`] is a [`StepKind::Begin`] of episode 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct StepHeader {
    /// The tick of this row's observation.
    pub tick: i64,
    /// Seconds from the start of the run to this row's observation.
    pub timestamp: f64,
    /// The reward of the transition that this row closes.
    pub reward: f64,
    /// The agent that the row belongs to.
    pub agent_id: i64,
    /// The match that the player is in, 0 where there is none. [`match_id`](Self::match_id) tells the two apart.
    pub match_id: i64,
    /// The episode, counted from 0 within the run.
    pub episode: u32,
    /// What [`continues`](Self::continues) returns of a `Begin` row, and [`controller`](Self::controller) of a `Transition`.
    origin: u32,
    /// Transitions pushed to the buffer up to and including this row, modulo 2³². The difference between two rows that
    /// were read is the number of transitions between them, missed ones included.
    pub ordinal: u32,
    /// Length of the transition in ticks.
    pub ticks: u32,
    /// Code of the [`EndReason`](super::EndReason) in the recording's [`WordTable`](super::WordTable), 0 where the
    /// episode goes on.
    pub reason: u16,
    kind: u8,
    flags: u8,
    /// The player that the row belongs to, in a buffer that several share: a new number at each join. 0 in a buffer of
    /// a single player.
    pub stream: u32,
}

const _: () = assert!(size_of::<StepHeader>() == crate::schema::HEADER_BYTES);

/// Words of a header.
const HEADER_WORDS: usize = size_of::<StepHeader>() / 8;

/// Indices of the 64-bit words of a row that hold header fields, for readers that load single words.
pub mod header_words {
    use super::StepHeader;
    use core::mem::offset_of;

    /// The reward.
    pub const REWARD: usize = offset_of!(StepHeader, reward) / 8;
    /// The episode number.
    pub const EPISODE: usize = offset_of!(StepHeader, episode) / 8;
    /// The count of transitions.
    pub const ORDINAL: usize = offset_of!(StepHeader, ordinal) / 8;
    /// Kind and outcome.
    pub const KIND: usize = offset_of!(StepHeader, kind) / 8;
    const _: () = assert!(offset_of!(StepHeader, flags) / 8 == KIND);
}

const TERMINATED: u8 = 1;
const TRUNCATED: u8 = 2;
const HAS_MATCH: u8 = 4;

impl StepHeader {
    /// A header of the given kind with all other fields 0.
    #[must_use]
    #[inline]
    pub fn new(kind: StepKind) -> Self {
        Self {
            kind: kind as u8,
            ..Self::zeroed()
        }
    }

    /// The header of an encoded row.
    ///
    /// # Panics
    /// When the row is shorter than a header.
    #[must_use]
    #[inline]
    pub fn of(row: &[u64]) -> &Self {
        bytemuck::from_bytes(&bytemuck::cast_slice(row)[..size_of::<Self>()])
    }

    /// The header of an encoded row, for writing.
    ///
    /// # Panics
    /// When the row is shorter than a header.
    #[must_use]
    #[inline]
    pub fn of_mut(row: &mut [u64]) -> &mut Self {
        bytemuck::from_bytes_mut(&mut bytemuck::cast_slice_mut(row)[..size_of::<Self>()])
    }

    /// Makes this the header of a [`StepKind::Transition`] within an episode: with the fields of `of`, except for the match, which
    /// stays, and without outcome and reason. In whole words, so that a capture of many players makes few stores.
    #[inline(always)]
    pub fn set_transition(&mut self, of: &Self) {
        let kind = u32::from_ne_bytes([0, 0, StepKind::Transition as u8, self.flags & HAS_MATCH]);
        let words: &mut [u64; HEADER_WORDS] = bytemuck::cast_mut(self);
        words[offset_of!(Self, tick) / 8] = of.tick.cast_unsigned();
        words[offset_of!(Self, timestamp) / 8] = of.timestamp.to_bits();
        words[offset_of!(Self, reward) / 8] = of.reward.to_bits();
        words[offset_of!(Self, agent_id) / 8] = of.agent_id.cast_unsigned();
        words[offset_of!(Self, episode) / 8] = bytemuck::cast([of.episode, of.origin]);
        words[offset_of!(Self, ordinal) / 8] = bytemuck::cast([of.ordinal, of.ticks]);
        words[offset_of!(Self, reason) / 8] = bytemuck::cast([kind, of.stream]);
    }

    /// What the row adds to its episode.
    #[must_use]
    #[inline]
    pub fn kind(&self) -> StepKind {
        match self.kind {
            0 => StepKind::Begin,
            1 => StepKind::Transition,
            2 => StepKind::End,
            _ => StepKind::Discard,
        }
    }

    /// Sets what the row adds to its episode.
    #[inline]
    pub fn set_kind(&mut self, kind: StepKind) {
        self.kind = kind as u8;
    }

    /// How the episode ended at this row, or `None` where it goes on.
    #[must_use]
    #[inline]
    pub fn outcome(&self) -> Option<Outcome> {
        if self.flags & TERMINATED != 0 {
            Some(Outcome::Terminated)
        } else if self.flags & TRUNCATED != 0 {
            Some(Outcome::Truncated)
        } else {
            None
        }
    }

    /// Sets how the episode ended at this row, and the code of the reason.
    #[inline]
    pub fn set_outcome(&mut self, outcome: Option<Outcome>, reason: u16) {
        self.flags &= !(TERMINATED | TRUNCATED);
        self.flags |= match outcome {
            Some(Outcome::Terminated) => TERMINATED,
            Some(Outcome::Truncated) => TRUNCATED,
            None => 0,
        };
        self.reason = reason;
    }

    /// The episode that this one continues after a split, counted from 0 within the run. `None` in rows other than
    /// [`StepKind::Begin`].
    #[must_use]
    #[inline]
    pub fn continues(&self) -> Option<u32> {
        match self.kind() {
            StepKind::Begin => self.origin.checked_sub(1),
            _ => None,
        }
    }

    /// Sets the episode that this one continues, in a [`StepKind::Begin`] row.
    #[inline]
    pub fn set_continues(&mut self, episode: Option<u32>) {
        self.origin = episode.map_or(0, |episode| episode.wrapping_add(1));
    }

    /// Code in the recording's [`WordTable`](super::WordTable) of what controlled the player when the action of this row
    /// was read. 0 where nothing says so, as in all rows other than [`StepKind::Transition`].
    #[must_use]
    #[inline]
    pub fn controller(&self) -> u16 {
        match self.kind() {
            StepKind::Transition => self.action_controller(),
            _ => 0,
        }
    }

    /// As [`controller`](Self::controller), of a row whose kind is not set yet.
    #[must_use]
    #[inline]
    pub fn action_controller(&self) -> u16 {
        self.origin as u16
    }

    /// Sets the code of what controlled the player when the action of this row was read. The row becomes a
    /// [`StepKind::Transition`], or its action is copied to one.
    #[inline]
    pub fn set_controller(&mut self, code: u16) {
        self.origin = u32::from(code);
    }

    /// The match of the process that the player is in, or `None` where the recording has no match component.
    #[must_use]
    #[inline]
    pub fn match_id(&self) -> Option<i64> {
        (self.flags & HAS_MATCH != 0).then_some(self.match_id)
    }

    /// Sets the match that the player is in.
    #[inline]
    pub fn set_match_id(&mut self, id: Option<i64>) {
        self.flags &= !HAS_MATCH;
        if id.is_some() {
            self.flags |= HAS_MATCH;
        }
        self.match_id = id.unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_continued_episode_and_the_controller_are_of_rows_of_their_own_kind() {
        let mut header = StepHeader::new(StepKind::Begin);
        assert_eq!((header.continues(), header.controller()), (None, 0));
        header.set_continues(Some(6));
        assert_eq!((header.continues(), header.controller()), (Some(6), 0));
        // The row of a transition before a gap begins an episode.
        let mut header = StepHeader::new(StepKind::Transition);
        header.set_controller(7);
        assert_eq!((header.continues(), header.controller()), (None, 7));
    }

    #[test]
    fn a_transition_has_the_fields_that_are_set_one_by_one() {
        for match_id in [None, Some(-3)] {
            let mut before = StepHeader::new(StepKind::End);
            before.set_outcome(Some(Outcome::Truncated), 9);
            before.set_match_id(match_id);
            let mut of = StepHeader {
                tick: -1,
                timestamp: 2.5,
                reward: -0.5,
                agent_id: i64::MIN + 3,
                episode: 0x8765_4321,
                ordinal: 0xfedc_ba98,
                ticks: 0x8000_0001,
                stream: 0x8000_0002,
                ..StepHeader::new(StepKind::Transition)
            };
            of.set_controller(0x8003);
            let mut set = before;
            set.set_transition(&of);
            of.set_match_id(match_id);
            assert_eq!(set, of);
        }
    }

    #[test]
    fn flags_are_independent() {
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
}
