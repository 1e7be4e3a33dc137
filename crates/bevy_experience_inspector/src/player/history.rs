//! The steps of a player that its buffer still holds.

use bevy_experience::buffer::TransitionBuffer;
use bevy_experience::{
    schema::Schema,
    transition::{Outcome, StepBytes, StepHeader, StepKind},
};

/// The steps of a player that its buffer still holds.
#[derive(Default)]
pub(super) struct History {
    rows: Vec<u64>,
    /// The places of the rows that close a transition whose first observation is there, too.
    transitions: Vec<usize>,
    row_words: usize,
}

impl History {
    /// Copies what the buffer holds. A buffer that is gone leaves nothing.
    pub(super) fn read(&mut self, buffer: Option<&dyn TransitionBuffer>, schema: &Schema) {
        self.rows.clear();
        self.row_words = schema.layout().row_words();
        if let Some(buffer) = buffer {
            buffer.peek_all(&mut |row| self.rows.extend_from_slice(row));
        }
        self.transitions.clear();
        let rows = self.rows.chunks_exact(self.row_words);
        let pairs = rows.clone().zip(rows.skip(1));
        let closed = pairs.enumerate().filter(|(_, (before, after))| {
            let (before, after) = (StepHeader::of(before), StepHeader::of(after));
            let begins = match before.kind() {
                StepKind::Begin => true,
                StepKind::Transition => before.outcome().is_none(),
                StepKind::End | StepKind::Discard => false,
            };
            let follows = after.ordinal.wrapping_sub(before.ordinal) == 1;
            begins && follows && after.kind() == StepKind::Transition && before.episode == after.episode
        });
        self.transitions.extend(closed.map(|(place, _)| place + 1));
    }

    /// The places of the rows that close a transition, oldest first.
    pub(super) fn transitions(&self) -> &[usize] {
        &self.transitions
    }

    /// The row at a place.
    pub(super) fn row<'a>(&'a self, schema: &'a Schema, place: usize) -> StepBytes<'a> {
        StepBytes::new(schema, &self.rows[place * self.row_words..][..self.row_words])
    }

    /// How the episode ended at the transition that the row at `place` closes, if it did: there, or in a row of its own after it.
    pub(super) fn outcome(&self, place: usize) -> Option<Outcome> {
        let header = |place: usize| {
            let row = self.rows.get(place * self.row_words..)?.get(..self.row_words)?;
            Some(*StepHeader::of(row))
        };
        let own = header(place)?;
        own.outcome().or_else(|| {
            header(place + 1)
                .filter(|next| next.kind() == StepKind::End && next.episode == own.episode)?
                .outcome()
        })
    }
}
