//! Snapshot of the rows in a player's buffer, and the transitions that they form.

use bevy_experience::buffer::TransitionBuffer;
use bevy_experience::{
    schema::Schema,
    transition::{Outcome, StepBytes, StepHeader, StepKind},
};

/// A copy of the rows in a player's buffer.
#[derive(Default)]
pub(super) struct StepHistory {
    rows: Vec<u64>,
    /// Indices of the rows that close a transition. The row before each holds the transition's first observation.
    transition_rows: Vec<usize>,
    row_words: usize,
}

impl StepHistory {
    /// Replaces the rows with the current rows of `buffer`. Removes all rows if it is `None`.
    pub(super) fn read(&mut self, buffer: Option<&dyn TransitionBuffer>, schema: &Schema) {
        self.rows.clear();
        self.row_words = schema.layout().row_words();
        if let Some(buffer) = buffer {
            buffer.peek_all(&mut |row| self.rows.extend_from_slice(row));
        }
        self.transition_rows.clear();
        let rows = self.rows.chunks_exact(self.row_words);
        let pairs = rows.clone().zip(rows.skip(1));
        let closing = pairs.enumerate().filter(|(_, (before, after))| {
            let (before, after) = (StepHeader::of(before), StepHeader::of(after));
            let opens_transition = match before.kind() {
                StepKind::Begin => true,
                StepKind::Transition => before.outcome().is_none(),
                StepKind::End | StepKind::Discard => false,
            };
            let is_next = after.ordinal.wrapping_sub(before.ordinal) == 1;
            opens_transition && is_next && after.kind() == StepKind::Transition && before.episode == after.episode
        });
        self.transition_rows.extend(closing.map(|(index, _)| index + 1));
    }

    /// Indices of the rows that close a transition, oldest first.
    pub(super) fn transition_rows(&self) -> &[usize] {
        &self.transition_rows
    }

    /// The row at an index.
    ///
    /// # Panics
    /// When there is no such row.
    pub(super) fn row<'a>(&'a self, schema: &'a Schema, index: usize) -> StepBytes<'a> {
        StepBytes::new(schema, &self.rows[index * self.row_words..][..self.row_words])
    }

    /// The outcome of the episode, if it ended with the transition that row `index` closes. The outcome is in that row,
    /// or in an `End` row after it.
    pub(super) fn outcome(&self, index: usize) -> Option<Outcome> {
        let header = |index: usize| {
            let row = self.rows.get(index * self.row_words..)?.get(..self.row_words)?;
            Some(*StepHeader::of(row))
        };
        let closing = header(index)?;
        closing.outcome().or_else(|| {
            header(index + 1)
                .filter(|next| next.kind() == StepKind::End && next.episode == closing.episode)?
                .outcome()
        })
    }
}
