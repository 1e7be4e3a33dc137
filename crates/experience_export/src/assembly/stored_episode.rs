//! A closed episode whose rows are in the journal and not in memory.

use crate::journal::{Extent, Segments};
use experience_core::{
    schema::{RowLayout, Schema},
    transition::{EndReason, Episode, EpisodeInfo, Outcome, RunId, StepHeader, WordTable},
};
use std::{io, sync::Arc};

/// A closed episode, by the location of its rows in the journal.
pub(crate) struct StoredEpisode {
    pub(super) episode_id: i64,
    pub(super) agent_id: i64,
    pub(super) continues: Option<i64>,
    pub(super) rows: usize,
    pub(super) extents: Box<[Extent]>,
    /// A row whose reward is added to that of the last row; or empty.
    pub(super) end: Box<[u64]>,
    pub(super) outcome: Outcome,
    pub(super) reason: EndReason,
}

impl StoredEpisode {
    pub(crate) fn episode_id(&self) -> i64 {
        self.episode_id
    }

    pub(crate) fn transitions(&self) -> u64 {
        self.rows.saturating_sub(1) as u64
    }

    /// Bytes of memory that the location takes.
    pub(crate) fn index_bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.extents) + size_of_val(&*self.end)
    }

    /// Reads the episode back.
    ///
    /// # Errors
    /// When its rows cannot be read, or are not those that were written.
    pub(crate) fn load(
        &self,
        schema: &Arc<Schema>,
        run: RunId,
        words: &WordTable,
        segments: &mut Segments,
    ) -> io::Result<Episode> {
        let layout = schema.layout();
        let mut rows = Vec::with_capacity(self.rows * layout.row_words());
        for extent in &self.extents {
            segments.read(extent, &mut rows)?;
        }
        if !self.end.is_empty() {
            let last = rows.len() - layout.row_words();
            add_reward(layout, &self.end, &mut rows[last..]);
        }
        let info = EpisodeInfo {
            episode_id: self.episode_id,
            agent_id: self.agent_id,
            run,
            continues: self.continues,
        };
        let (outcome, reason) = (self.outcome, self.reason.clone());
        Ok(Episode::new(schema.clone(), info, rows, outcome, reason).with_words(words))
    }
}

/// Adds the reward of the row `end`, and its terms, to those of the row `last`.
pub(super) fn add_reward(layout: &RowLayout, end: &[u64], last: &mut [u64]) {
    StepHeader::of_mut(last).reward += StepHeader::of(end).reward;
    let end: &[f32] = bytemuck::cast_slice(&bytemuck::cast_slice::<_, u8>(end)[layout.reward_terms()]);
    let last: &mut [f32] =
        bytemuck::cast_slice_mut(&mut bytemuck::cast_slice_mut::<_, u8>(last)[layout.reward_terms()]);
    for (sum, term) in last.iter_mut().zip(end) {
        *sum += term;
    }
}
