//! Episode tracker: length and return of a player's open episode, updated row by row.

use super::Distributions;
use bevy_experience::{
    schema::Schema,
    transition::{StepBytes, StepHeader, StepKind},
};

/// The position in one player's buffer up to which rows were read, and totals of its open episode.
#[derive(Default)]
pub(super) struct EpisodeTracker {
    /// [`BufferStats::added`](bevy_experience::buffer::BufferStats::added) at the last read.
    pub(super) added: u64,
    episode: u32,
    ordinal: u32,
    steps: u32,
    pub(super) total_reward: f64,
    /// Every row of the episode was read.
    pub(super) is_complete: bool,
    /// The update in which the player was last present.
    pub(super) last_update: u64,
}

impl EpisodeTracker {
    /// Updates the totals and `distributions` with the next row of the player's buffer.
    pub(super) fn read_row(&mut self, schema: &Schema, row: &[u64], distributions: &mut Distributions) {
        let header = StepHeader::of(row);
        let step = StepBytes::new(schema, row);
        let ordinals_advanced = header.ordinal.wrapping_sub(self.ordinal);
        self.ordinal = header.ordinal;
        match header.kind() {
            StepKind::Begin => {
                self.episode = header.episode;
                self.steps = 0;
                self.total_reward = 0.0;
                self.is_complete = true;
                distributions.add_observation(step);
            }
            StepKind::Transition => {
                self.continue_episode(header, ordinals_advanced == 1);
                self.steps += 1;
                self.total_reward += header.reward;
                distributions.add_observation(step);
                for (window, value) in distributions.actions.iter_mut().zip(step.action()) {
                    window.push(value);
                }
                self.finish_episode(header, distributions);
            }
            StepKind::End => {
                self.continue_episode(header, ordinals_advanced == 0);
                self.total_reward += header.reward;
                self.finish_episode(header, distributions);
            }
            StepKind::Discard => self.is_complete = false,
        }
    }

    /// Marks the episode as incomplete if its `Begin` row, or the row before this one, was not read.
    fn continue_episode(&mut self, header: &StepHeader, follows_last_row: bool) {
        if header.episode != self.episode {
            *self = Self {
                episode: header.episode,
                steps: 0,
                total_reward: 0.0,
                is_complete: false,
                ..*self
            };
        }
        self.is_complete &= follows_last_row;
    }

    fn finish_episode(&mut self, header: &StepHeader, distributions: &mut Distributions) {
        if header.outcome().is_some() && self.is_complete && self.steps > 0 {
            distributions.lengths.push(f64::from(self.steps));
            distributions.returns.push(self.total_reward);
        }
    }
}
