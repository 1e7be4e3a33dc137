//! [`EpisodePart`]: transitions of an episode that may still be open.

use super::{EndReason, Episode, EpisodeInfo, Outcome};

/// Consecutive transitions of an episode, which may still be open.
///
/// A sink that takes transitions as they happen receives an episode as a sequence of parts, without a gap or an overlap. The
/// last part has the end of the episode.
#[derive(Clone, Debug)]
pub struct EpisodePart {
    /// The rows of the part. Its end is that of the whole episode if `is_end`, and a placeholder otherwise.
    rows: Episode,
    first_step: usize,
    is_end: bool,
}

impl EpisodePart {
    /// A part whose first transition is number `first_step` of the episode. `rows` has its transitions; with `is_end` they are
    /// the last of the episode, and its outcome and its reason are those of the episode.
    #[must_use]
    pub fn new(rows: Episode, first_step: usize, is_end: bool) -> Self {
        Self {
            rows,
            first_step,
            is_end,
        }
    }

    /// The part as an episode of its own, whose steps are counted from 0. Unless the part [is the end](Self::is_end), it has
    /// neither the outcome nor the reason of the episode.
    #[must_use]
    pub fn rows(&self) -> &Episode {
        &self.rows
    }

    /// The ids of the episode.
    #[must_use]
    pub fn info(&self) -> &EpisodeInfo {
        self.rows.info()
    }

    /// The index in the episode of the part's first transition.
    #[must_use]
    pub fn first_step(&self) -> usize {
        self.first_step
    }

    /// The number of transitions; at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a part is never empty")]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the part's last transition is the last one of the episode.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.is_end
    }

    /// How and why the episode ended; `None` unless the part [is the end](Self::is_end).
    #[must_use]
    pub fn end(&self) -> Option<(Outcome, &EndReason)> {
        self.is_end.then(|| (self.rows.outcome(), self.rows.reason()))
    }
}
