//! Rows of an episode whose transitions are given out before it ends.

use super::{AssemblyContext, stored_episode::add_reward};
use experience_core::{
    schema::RowLayout,
    transition::{EndReason, Episode, EpisodeInfo, EpisodePart, Outcome},
};

/// The rows from the observation of the first transition that was not given out to the newest row.
///
/// The last transition of an open episode is held back: an end between two ticks sets its flags and adds to its reward.
pub(super) struct PartRows {
    rows: Vec<u64>,
    /// The index in the episode of the first transition that was not given out.
    first_step: usize,
}

impl PartRows {
    pub(super) fn begin(row: &[u64]) -> Self {
        Self {
            rows: row.to_vec(),
            first_step: 0,
        }
    }

    pub(super) fn first_step(&self) -> usize {
        self.first_step
    }

    pub(super) fn push(&mut self, row: &[u64]) {
        self.rows.extend_from_slice(row);
    }

    /// Adds the reward of an `End` row to the last transition.
    pub(super) fn add_end(&mut self, layout: &RowLayout, end: &[u64]) {
        let words = layout.row_words();
        if self.rows.len() >= 2 * words {
            let last = self.rows.len() - words;
            add_reward(layout, end, &mut self.rows[last..]);
        }
    }

    /// The transitions that are final. `closed` has the end of an episode that has ended.
    pub(super) fn take(
        &mut self,
        context: &AssemblyContext,
        info: EpisodeInfo,
        closed: Option<&(Outcome, EndReason)>,
    ) -> Option<EpisodePart> {
        let words = context.schema.layout().row_words();
        let held_back = usize::from(closed.is_none());
        let transitions = (self.rows.len() / words)
            .checked_sub(1 + held_back)
            .filter(|count| *count > 0)?;
        // The last row of the part has the observation of the next transition.
        let rows = self.rows[..(transitions + 1) * words].to_vec();
        self.rows.drain(..transitions * words);
        let first_step = self.first_step;
        self.first_step += transitions;
        let (outcome, reason) = closed.cloned().unwrap_or((Outcome::Truncated, EndReason::SPLIT));
        let rows = Episode::new(context.schema.clone(), info, rows, outcome, reason).with_words(&context.words);
        Some(EpisodePart::new(rows, first_step, closed.is_some()))
    }
}
