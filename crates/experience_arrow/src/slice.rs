//! [`EpisodeSlice`]: the transitions of an episode that a batch encodes.

use core::{ops::Range, slice::ChunksExact};
use experience_core::transition::{Episode, EpisodePart};

/// Consecutive transitions of one episode.
#[derive(Clone, Debug)]
pub struct EpisodeSlice<'a> {
    /// The episode.
    pub episode: &'a Episode,
    /// The slice's transitions, counted from 0 within `episode`.
    pub steps: Range<usize>,
    /// The index in the whole episode of the first transition of `episode`: not 0 where that is a part of one.
    first_step: usize,
    /// Whether the last transition of `episode` is not the last one of the whole episode.
    is_open: bool,
}

impl<'a> EpisodeSlice<'a> {
    /// All transitions of `episode`.
    pub fn whole(episode: &'a Episode) -> Self {
        Self::new(episode, 0..episode.len())
    }

    /// The transitions `steps` of `episode`.
    pub fn new(episode: &'a Episode, steps: Range<usize>) -> Self {
        Self {
            episode,
            steps,
            first_step: 0,
            is_open: false,
        }
    }

    /// All transitions of `part`.
    pub fn part(part: &'a EpisodePart) -> Self {
        Self {
            first_step: part.first_step(),
            is_open: !part.is_end(),
            ..Self::whole(part.rows())
        }
    }

    /// The transitions `steps` of `part`, counted from 0 within it.
    pub fn part_steps(part: &'a EpisodePart, steps: Range<usize>) -> Self {
        Self {
            steps,
            ..Self::part(part)
        }
    }

    /// The index in the whole episode of the slice's first transition.
    pub fn first_step(&self) -> usize {
        self.first_step + self.steps.start
    }

    /// Whether the slice's last transition is the last one of the whole episode.
    pub fn has_end(&self) -> bool {
        !self.is_open && self.steps.end == self.episode.len()
    }

    fn words(&self) -> usize {
        self.episode.schema().layout().row_words()
    }

    /// The row with the observation before each transition.
    pub(crate) fn before(&self) -> ChunksExact<'a, u64> {
        let (rows, words) = (self.episode.rows(), self.words());
        rows[self.steps.start * words..self.steps.end * words].chunks_exact(words)
    }

    /// The row that each transition leads to, which holds its action and its reward.
    pub(crate) fn after(&self) -> ChunksExact<'a, u64> {
        let (rows, words) = (self.episode.rows(), self.words());
        rows[(self.steps.start + 1) * words..(self.steps.end + 1) * words].chunks_exact(words)
    }
}
