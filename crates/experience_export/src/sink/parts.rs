//! [`PartBatch`]: transitions as they happen, for sinks that take them.

use experience_core::transition::EpisodePart;
use std::sync::Arc;

/// Transitions of open and of just ended episodes, for [`Sink::write_parts`](super::Sink::write_parts).
///
/// The parts of an episode arrive in their order, without a gap or an overlap, unless some are [missed](Self::missed_transitions).
#[derive(Clone, Debug, Default)]
pub struct PartBatch {
    /// The parts, in the order in which their transitions became final.
    pub parts: Arc<[EpisodePart]>,
    /// Ids of episodes that are discarded, by a player's opt-out for example. Parts of them may have been given out before.
    pub withdrawn: Vec<i64>,
    /// Transitions between the last batch and this one that the sink does not get, because it was too slow.
    pub missed_transitions: u64,
    /// Episodes whose end is among them.
    pub missed_episodes: u64,
}

impl PartBatch {
    /// Transitions in `parts`.
    #[must_use]
    pub fn transitions(&self) -> u64 {
        self.parts.iter().map(|part| part.len() as u64).sum()
    }

    /// Episodes whose end is in `parts`.
    #[must_use]
    pub fn episodes(&self) -> u64 {
        self.parts.iter().filter(|part| part.is_end()).count() as u64
    }

    /// Bytes of the rows of `parts`.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(|part| size_of_val(part.rows().rows())).sum()
    }

    /// Whether the batch has nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.withdrawn.is_empty() && self.missed_transitions == 0
    }

    /// Counts the parts of the batch as missed.
    pub(crate) fn miss(&mut self) {
        self.missed_transitions += self.transitions();
        self.missed_episodes += self.episodes();
        self.parts = Arc::default();
    }

    /// Puts the news of `earlier`, which has no parts, before this batch.
    pub(crate) fn follow(&mut self, earlier: Self) {
        self.missed_transitions += earlier.missed_transitions;
        self.missed_episodes += earlier.missed_episodes;
        self.withdrawn.splice(0..0, earlier.withdrawn);
    }
}
