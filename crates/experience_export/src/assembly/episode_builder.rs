//! Builder of one episode, from rows in memory and in the journal.

use super::{
    AssemblyContext,
    part_rows::PartRows,
    stored_episode::{StoredEpisode, add_reward},
};
use crate::journal::{Extent, Journal, Record, Segments};
use experience_core::{
    schema::{RowLayout, Schema},
    transition::{EndReason, Episode, EpisodeInfo, EpisodePart, Outcome, RunId, StepHeader, WordTable},
};
use std::{io, sync::Arc};

/// An episode whose rows arrive one at a time.
///
/// With a journal, the rows of an open episode are stored there, and memory holds only those not written yet. Rows written
/// after the episode was closed are in both: a closed episode is dispatched at once, and most sinks take it from memory.
pub struct EpisodeBuilder {
    captured_as: u32,
    episode_id: i64,
    agent_id: i64,
    continues: Option<i64>,
    /// Number of rows, in the journal and in memory.
    rows: usize,
    /// Rows in the journal, oldest first.
    extents: Vec<Extent>,
    /// The first extents, whose rows are not in `tail`. The other extents hold the first words of `tail`.
    only_in_journal: usize,
    /// Rows in memory, the newest.
    tail: Vec<u64>,
    /// A row whose reward is added to that of the last row, which is only in the journal; or empty.
    end: Vec<u64>,
    closed: Option<(Outcome, EndReason)>,
    /// The rows of the transitions that were not given out yet. `None` unless the builder gives out parts.
    parts: Option<Box<PartRows>>,
    written: Written,
    uncommitted: UncommittedFrame,
}

/// What the journal holds of an episode.
#[derive(Clone, Copy, Default)]
struct Written {
    /// Segment with the `Open` record.
    opened: Option<u32>,
    /// Words of `tail` that are also in the journal. 0 while the episode is open.
    words: usize,
    closed: bool,
}

/// What the journal frame that is not committed yet adds to [`Written`].
#[derive(Default)]
struct UncommittedFrame {
    opened: Option<u32>,
    extent: Option<Extent>,
    words: usize,
    closed: bool,
}

impl EpisodeBuilder {
    /// Begins an episode with the row of its first observation.
    pub fn begin(episode_id: i64, continues: Option<i64>, row: &[u64]) -> Self {
        let header = StepHeader::of(row);
        Self {
            rows: 1,
            tail: row.to_vec(),
            ..Self::from_journal(episode_id, header.episode, header.agent_id, continues)
        }
    }

    /// An episode read from a journal, without any of its rows yet.
    pub fn from_journal(episode_id: i64, captured_as: u32, agent_id: i64, continues: Option<i64>) -> Self {
        Self {
            captured_as,
            episode_id,
            agent_id,
            continues,
            rows: 0,
            extents: Vec::new(),
            only_in_journal: 0,
            tail: Vec::new(),
            end: Vec::new(),
            closed: None,
            parts: None,
            written: Written::default(),
            uncommitted: UncommittedFrame::default(),
        }
    }

    /// Gives out the transitions of the episode before it ends: [`take_part`](Self::take_part). `row` is its first row.
    pub(crate) fn with_parts(mut self, row: &[u64]) -> Self {
        self.parts = Some(Box::new(PartRows::begin(row)));
        self
    }

    /// Whether a part of the episode was given out.
    pub(crate) fn has_given_parts(&self) -> bool {
        self.parts.as_ref().is_some_and(|parts| parts.first_step() > 0)
    }

    /// The transitions that are final and were not given out yet: all, where the episode is closed. Otherwise all but the last one,
    /// because an end between two ticks changes it. `None` without such a transition.
    pub(crate) fn take_part(&mut self, context: &AssemblyContext) -> Option<EpisodePart> {
        let info = self.info(context.run);
        self.parts.as_mut()?.take(context, info, self.closed.as_ref())
    }

    fn info(&self, run: RunId) -> EpisodeInfo {
        EpisodeInfo {
            episode_id: self.episode_id,
            agent_id: self.agent_id,
            run,
            continues: self.continues,
        }
    }

    /// The number under which capture recorded the episode. The pieces of an episode with gaps share it.
    pub fn captured_as(&self) -> u32 {
        self.captured_as
    }

    /// The episode's id.
    pub fn episode_id(&self) -> i64 {
        self.episode_id
    }

    /// The id of the agent that played it.
    pub fn agent_id(&self) -> i64 {
        self.agent_id
    }

    /// Number of rows, in memory and in the journal.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of transitions: one less than rows, and 0 without rows.
    pub fn transitions(&self) -> u64 {
        self.rows.saturating_sub(1) as u64
    }

    /// Appends a row.
    pub fn push(&mut self, row: &[u64]) {
        self.tail.extend_from_slice(row);
        self.rows += 1;
        if let Some(parts) = &mut self.parts {
            parts.push(row);
        }
    }

    /// Appends `rows` rows that are stored in a journal.
    pub fn push_extent(&mut self, extent: Extent, rows: usize) {
        debug_assert!(
            self.tail.is_empty(),
            "rows in memory are newer than those in the journal"
        );
        self.extents.push(extent);
        self.only_in_journal += 1;
        self.rows += rows;
    }

    /// Adds the reward of an `End` row, given after the last transition was recorded, to that transition.
    pub fn add_end(&mut self, layout: &RowLayout, end: &[u64]) {
        if self.rows < 2 {
            return;
        }
        if let Some(parts) = &mut self.parts {
            parts.add_end(layout, end);
        }
        match self.tail.len().checked_sub(layout.row_words()) {
            Some(last) => add_reward(layout, end, &mut self.tail[last..]),
            None => self.end = end.to_vec(),
        }
    }

    /// Ends the episode. No row may follow.
    pub fn close(&mut self, outcome: Outcome, reason: EndReason) {
        self.closed = Some((outcome, reason));
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// The oldest journal segment that holds a part of the episode.
    pub fn segment(&self) -> Option<u32> {
        self.written.opened
    }

    /// Whether the journal holds the beginning of the episode.
    pub(crate) fn is_in_journal(&self) -> bool {
        self.written.opened.is_some()
    }

    /// Bytes of rows that are in the journal and not in memory.
    pub(crate) fn bytes_in_journal(&self) -> u64 {
        let extents = &self.extents[..self.only_in_journal];
        extents.iter().map(|extent| u64::from(extent.bytes)).sum()
    }

    /// Whether the episode has rows or an end that the journal lacks.
    pub(crate) fn has_unwritten(&self) -> bool {
        self.written.words < self.tail.len() || (self.closed.is_some() && !self.written.closed)
    }

    /// Adds what the journal lacks to its current frame, up to the frame's limit. Returns whether that was all.
    pub fn write(&mut self, layout: &RowLayout, journal: &mut Journal) -> bool {
        let episode_id = self.episode_id;
        if self.written.opened.is_none() {
            journal.put(&self.open_record());
            self.uncommitted.opened = Some(journal.segment());
        }
        let words = layout.row_words();
        let rest = &self.tail[self.written.words..];
        let limit = (journal.frame_bytes_left() / layout.row_bytes())
            .max(1)
            .saturating_mul(words);
        let next = &rest[..rest.len().min(limit)];
        if !next.is_empty() {
            self.uncommitted.extent = Some(journal.put_rows(episode_id, next));
            self.uncommitted.words = next.len();
        }
        let is_whole = next.len() == rest.len();
        if is_whole && let Some((outcome, reason)) = &self.closed {
            journal.put(&Record::Close {
                episode_id,
                terminated: *outcome == Outcome::Terminated,
                reason: reason.as_str(),
                end: bytemuck::cast_slice(&self.end),
            });
            self.uncommitted.closed = true;
        }
        is_whole
    }

    fn open_record(&self) -> Record<'static> {
        Record::Open {
            episode_id: self.episode_id,
            captured_as: self.captured_as,
            agent_id: self.agent_id,
            continues: self.continues,
        }
    }

    /// Ends a [`write`](Self::write): the frame is in the journal, or (`committed` is false) nothing of it is.
    pub fn confirm_write(&mut self, committed: bool) {
        let uncommitted = core::mem::take(&mut self.uncommitted);
        if !committed {
            return;
        }
        self.written.opened = self.written.opened.or(uncommitted.opened);
        self.written.closed |= uncommitted.closed;
        self.extents.extend(uncommitted.extent);
        if self.closed.is_some() {
            self.written.words += uncommitted.words;
        } else {
            self.only_in_journal = self.extents.len();
            self.tail.drain(..uncommitted.words);
        }
    }

    /// Writes the whole open episode to the end of the journal again, so that the segments with the older copy can be
    /// deleted. Nothing of the episode may be unwritten.
    ///
    /// # Errors
    /// When the rows cannot be read back, or the file system refuses a write. The builder is unchanged then: readers of the
    /// journal take the longer of two copies.
    pub fn rewrite(&mut self, journal: &mut Journal, segments: &mut Segments) -> io::Result<()> {
        debug_assert!(!self.has_unwritten() && !self.is_closed());
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
                journal.put(&self.open_record());
                opened = Some(journal.segment());
            }
            extents.push(journal.put_rows(self.episode_id, &rows));
            journal.commit()?;
            rows.clear();
        }
        if opened.is_some() {
            self.written.opened = opened;
            self.only_in_journal = extents.len();
            self.extents = extents;
        }
        Ok(())
    }

    /// The closed episode by its location in the journal. `None` unless the journal holds all of it.
    pub(crate) fn stored(&self) -> Option<StoredEpisode> {
        let (outcome, reason) = self.closed.clone()?;
        let is_stored = self.is_in_journal() && !self.has_unwritten();
        is_stored.then(|| StoredEpisode {
            episode_id: self.episode_id,
            agent_id: self.agent_id,
            continues: self.continues,
            rows: self.rows,
            extents: self.extents.as_slice().into(),
            end: self.end.as_slice().into(),
            outcome,
            reason,
        })
    }

    /// The closed episode in memory. Rows that are only in the journal are read back from `segments`. `words` has the words of the
    /// codes in the rows.
    ///
    /// # Errors
    /// When they cannot be read.
    ///
    /// # Panics
    /// When the episode has no transition, or is open.
    pub fn into_episode(
        self,
        schema: &Arc<Schema>,
        run: RunId,
        words: &WordTable,
        segments: Option<&mut Segments>,
    ) -> io::Result<Episode> {
        let layout = schema.layout();
        let info = self.info(run);
        let mut rows = if self.only_in_journal == 0 {
            self.tail
        } else {
            let segments = segments.ok_or_else(|| io::Error::other("the recording has no journal"))?;
            let mut rows = Vec::with_capacity(self.rows * layout.row_words());
            for extent in &self.extents[..self.only_in_journal] {
                segments.read(extent, &mut rows)?;
            }
            rows.extend_from_slice(&self.tail);
            rows
        };
        let (outcome, reason) = self.closed.expect("only closed episodes are dispatched");
        if !self.end.is_empty() {
            let last = rows.len() - layout.row_words();
            add_reward(layout, &self.end, &mut rows[last..]);
        }
        Ok(Episode::new(schema.clone(), info, rows, outcome, reason).with_words(words))
    }
}
