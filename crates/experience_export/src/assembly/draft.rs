//! An episode that is being put together.

use crate::journal::{Extent, Journal, Record, Segments};
use experience_core::{
    schema::{RowLayout, Schema},
    transition::{EndReason, Episode, EpisodeInfo, Outcome, RunId, StepHeader},
};
use std::{io, sync::Arc};

/// An episode whose rows come one after the other. Where there is a journal, those of an open one lie there, and only what it
/// has not been given yet is in memory.
pub struct Draft {
    captured_as: u32,
    episode_id: i64,
    agent_id: i64,
    continues: Option<i64>,
    /// How many, wherever they lie.
    rows: usize,
    /// Those that are in the journal alone, oldest first.
    extents: Vec<Extent>,
    /// The others.
    tail: Vec<u64>,
    /// A row whose reward adds to that of the last, which is in the journal alone; or nothing.
    end: Vec<u64>,
    closed: Option<(Outcome, EndReason)>,
    noted: Noted,
    pending: Pending,
}

/// What the journal has of a draft.
#[derive(Clone, Copy, Default)]
struct Noted {
    /// The segment with its beginning.
    opened: Option<u32>,
    /// So many words of the tail: those of an episode that has ended stay in memory, for it is handed over at once.
    words: usize,
    closed: bool,
}

/// What a frame that is not committed yet adds to it.
#[derive(Default)]
struct Pending {
    opened: Option<u32>,
    extent: Option<Extent>,
    words: usize,
    closed: bool,
}

impl Draft {
    /// Begins an episode with the row of its first observation.
    pub fn begin(episode_id: i64, continues: Option<i64>, row: &[u64]) -> Self {
        let header = StepHeader::of(row);
        Self {
            rows: 1,
            tail: row.to_vec(),
            ..Self::found(episode_id, header.episode, header.agent_id, continues)
        }
    }

    /// An episode that a journal tells of, without any of its rows.
    pub fn found(episode_id: i64, captured_as: u32, agent_id: i64, continues: Option<i64>) -> Self {
        Self {
            captured_as,
            episode_id,
            agent_id,
            continues,
            rows: 0,
            extents: Vec::new(),
            tail: Vec::new(),
            end: Vec::new(),
            closed: None,
            noted: Noted::default(),
            pending: Pending::default(),
        }
    }

    /// The number that it was captured as. The pieces of an episode with gaps share it.
    pub fn captured_as(&self) -> u32 {
        self.captured_as
    }

    pub fn episode_id(&self) -> i64 {
        self.episode_id
    }

    pub fn agent_id(&self) -> i64 {
        self.agent_id
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn transitions(&self) -> u64 {
        self.rows.saturating_sub(1) as u64
    }

    /// The next row.
    pub fn push(&mut self, row: &[u64]) {
        self.tail.extend_from_slice(row);
        self.rows += 1;
    }

    /// The next rows, which lie in a journal.
    pub fn push_extent(&mut self, extent: Extent, rows: usize) {
        debug_assert!(self.tail.is_empty(), "what is in memory comes last");
        self.extents.push(extent);
        self.rows += rows;
    }

    /// Adds the reward of an `End` row, given after the last transition had been closed, to that transition.
    pub fn end(&mut self, layout: &RowLayout, end: &[u64]) {
        if self.rows < 2 {
            return;
        }
        match self.tail.len().checked_sub(layout.row_words()) {
            Some(last) => add_reward(layout, end, &mut self.tail[last..]),
            None => self.end = end.to_vec(),
        }
    }

    /// Nothing more will come.
    pub fn close(&mut self, outcome: Outcome, reason: EndReason) {
        self.closed = Some((outcome, reason));
    }

    pub fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// The oldest segment of the journal that holds something of it.
    pub fn segment(&self) -> Option<u32> {
        self.noted.opened
    }

    pub(crate) fn is_in_journal(&self) -> bool {
        self.noted.opened.is_some()
    }

    /// Bytes of it that are in the journal alone.
    pub(crate) fn bytes_in_journal(&self) -> u64 {
        self.extents.iter().map(|extent| u64::from(extent.bytes)).sum()
    }

    /// Whether there is something that the journal has not.
    pub(crate) fn has_news(&self) -> bool {
        self.noted.words < self.tail.len() || (self.closed.is_some() && !self.noted.closed)
    }

    /// Adds to the journal's frame what the journal has not, as far as there is room. Whether that was all.
    pub fn write(&mut self, layout: &RowLayout, journal: &mut Journal) -> bool {
        let episode_id = self.episode_id;
        if self.noted.opened.is_none() {
            journal.put(&self.opening());
            self.pending.opened = Some(journal.segment());
        }
        let words = layout.row_words();
        let rest = &self.tail[self.noted.words..];
        let room = (journal.room() / layout.row_bytes()).max(1).saturating_mul(words);
        let next = &rest[..rest.len().min(room)];
        if !next.is_empty() {
            self.pending.extent = Some(journal.put_rows(episode_id, next));
            self.pending.words = next.len();
        }
        let is_whole = next.len() == rest.len();
        if is_whole && let Some((outcome, reason)) = &self.closed {
            journal.put(&Record::Close {
                episode_id,
                terminated: *outcome == Outcome::Terminated,
                reason: reason.as_str(),
                end: bytemuck::cast_slice(&self.end),
            });
            self.pending.closed = true;
        }
        is_whole
    }

    fn opening(&self) -> Record<'static> {
        Record::Open {
            episode_id: self.episode_id,
            captured_as: self.captured_as,
            agent_id: self.agent_id,
            continues: self.continues,
        }
    }

    /// Tells all of it to the journal once more, behind everything else, so that the segments with what was told before are of
    /// no more use to it. It has not ended, and there is nothing that the journal has not.
    ///
    /// # Errors
    /// When it cannot be read back, or the file system refuses. Then everything is as it was: readers of the journal take
    /// whichever of the two is longer.
    pub fn tell_again(&mut self, journal: &mut Journal, segments: &mut Segments) -> io::Result<()> {
        debug_assert!(!self.has_news() && !self.is_closed());
        let (mut opened, mut extents, mut rows) = (None, Vec::new(), Vec::new());
        let mut old = self.extents.iter().peekable();
        while let Some(extent) = old.next() {
            segments.read(extent, &mut rows)?;
            let fits = |next: &Extent| size_of_val(&*rows) + next.bytes as usize <= journal.frame_limit();
            if old.peek().is_some_and(|next| fits(next)) {
                continue;
            }
            journal.begin()?;
            if opened.is_none() {
                journal.put(&self.opening());
                opened = Some(journal.segment());
            }
            extents.push(journal.put_rows(self.episode_id, &rows));
            journal.commit()?;
            rows.clear();
        }
        if opened.is_some() {
            self.noted.opened = opened;
            self.extents = extents;
        }
        Ok(())
    }

    /// The frame that it was written to is in the journal, or nothing of it is.
    pub fn settle(&mut self, committed: bool) {
        let pending = core::mem::take(&mut self.pending);
        if !committed {
            return;
        }
        self.noted.opened = self.noted.opened.or(pending.opened);
        self.noted.closed |= pending.closed;
        if self.closed.is_some() {
            self.noted.words += pending.words;
        } else if let Some(extent) = pending.extent {
            self.extents.push(extent);
            self.tail.drain(..pending.words);
        }
    }

    /// The whole episode, with the rows that lie in the journal read back.
    ///
    /// # Errors
    /// When they cannot be read.
    ///
    /// # Panics
    /// When it has no transition, or was not closed.
    pub fn into_episode(
        self,
        schema: &Arc<Schema>,
        run: RunId,
        segments: Option<&mut Segments>,
    ) -> io::Result<Episode> {
        let layout = schema.layout();
        let mut rows = if self.extents.is_empty() {
            self.tail
        } else {
            let segments = segments.ok_or_else(|| io::Error::other("there is no journal"))?;
            let mut rows = Vec::with_capacity(self.rows * layout.row_words());
            for extent in &self.extents {
                segments.read(extent, &mut rows)?;
            }
            rows.extend_from_slice(&self.tail);
            rows
        };
        let info = EpisodeInfo {
            episode_id: self.episode_id,
            agent_id: self.agent_id,
            run,
            continues: self.continues,
        };
        let (outcome, reason) = self.closed.expect("only what has ended is handed over");
        if !self.end.is_empty() {
            let last = rows.len() - layout.row_words();
            add_reward(layout, &self.end, &mut rows[last..]);
        }
        Ok(Episode::new(schema.clone(), info, rows, outcome, reason))
    }
}

/// Adds the reward of the row `end`, and its terms, to those of the row `last`.
fn add_reward(layout: &RowLayout, end: &[u64], last: &mut [u64]) {
    StepHeader::of_mut(last).reward += StepHeader::of(end).reward;
    let end: &[f32] = bytemuck::cast_slice(&bytemuck::cast_slice::<_, u8>(end)[layout.reward_terms()]);
    let last: &mut [f32] =
        bytemuck::cast_slice_mut(&mut bytemuck::cast_slice_mut::<_, u8>(last)[layout.reward_terms()]);
    for (sum, term) in last.iter_mut().zip(end) {
        *sum += term;
    }
}
