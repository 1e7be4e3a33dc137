//! Reads the journal of an unfinished run back into episodes.

use crate::sink::files::io_error;
use experience_core::{
    account::{EpisodeTag, TagChange, TickRate},
    schema::Schema,
    transition::{EndReason, Outcome, RunId, StepHeader, StepKind, WordTable},
};
use experience_export::{
    RunLabel, SinkError,
    assembly::EpisodeBuilder,
    journal::{Counts, Head, JournalError, JournalReader, Place, Record, Unread},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The state of a run that its journal holds.
pub(super) struct RecoveredState {
    schema: Arc<Schema>,
    pub(super) run: RunId,
    /// In the order in which the episodes began.
    pub(super) builders: Vec<EpisodeBuilder>,
    /// The builders of each episode, by the id in its records.
    entries: HashMap<i64, EpisodeEntry>,
    /// Episodes that the journal was writing again from their beginning.
    compactions: HashMap<i64, Compaction>,
    /// The largest tick of a row.
    pub(super) last_tick: Option<i64>,
    /// The last row of each agent.
    pub(super) last_rows: HashMap<i64, LastRow>,
    /// Episodes that are durable at every sink.
    pub(super) durable: HashSet<i64>,
    /// Episodes that were discarded on request, by the number that they were captured as.
    pub(super) discarded_episodes: HashSet<u32>,
    /// End reasons and controllers by their codes in rows.
    words: BTreeMap<u16, String>,
    pub(super) counts: Counts,
    /// Transitions that are missing between recovered ones.
    pub(super) lost: u64,
    /// Transitions that were discarded on request and are not in `counts`.
    pub(super) discarded: u64,
    /// The number of the next episode that begins at missing rows.
    pub(super) next_episode: u32,
    pub(super) rings: Option<PathBuf>,
    pub(super) tick_rate: Option<f64>,
    pub(super) started: f64,
    pub(super) label: RunLabel,
    /// Failures of the sink whose account is that of the run.
    pub(super) failures: u64,
    /// The tick rates that the journal states, in the order in which it does.
    pub(super) tick_rates: Vec<TickRate>,
    /// The tag changes that the journal states, in the order in which they were made.
    pub(super) tag_changes: Vec<TagChange>,
    /// Parts that could not be read, one sentence each.
    pub(super) unread: Vec<String>,
    /// Segments of the journal with a part that could not be read.
    pub(super) damaged_segments: BTreeSet<u32>,
    /// Those of `unread` that are the last write of the process, which its death cut short.
    pub(super) torn: Vec<String>,
    /// Whether the current segment is of another run or schema. Its records are skipped.
    is_foreign: bool,
}

/// Episodes that begin at missing rows are numbered from here on. A process numbers its episodes from 0, so no other episode
/// of the run has such a number, whatever the journal lacks. The numbers are the same when an interrupted recovery is repeated.
const FIRST_BRIDGED: u32 = 1 << 31;

/// The builders of one episode in the journal.
#[derive(Default)]
struct EpisodeEntry {
    /// Indexes of the builders: one, unless rows are missing in between.
    builders: Vec<usize>,
    /// The ordinal of the last row.
    ordinal: Option<u32>,
    /// Transitions that are missing between the builders.
    lost: u64,
}

/// A second copy of an episode's rows, written so that the segments of the first could be deleted.
struct Compaction {
    builder: EpisodeBuilder,
    ordinal: Option<u32>,
}

/// The last row of an agent that is in the journal.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastRow {
    episode: u32,
    pub(super) ordinal: u32,
}

impl LastRow {
    pub(super) fn of(row: &StepHeader) -> Self {
        Self {
            episode: row.episode,
            ordinal: row.ordinal,
        }
    }

    /// Whether `row`, of the same agent, comes after this one.
    pub(super) fn is_before(self, row: &StepHeader) -> bool {
        if row.episode != self.episode {
            return row.episode > self.episode;
        }
        match row.kind() {
            StepKind::Begin => false,
            StepKind::Transition => row.ordinal.wrapping_sub(self.ordinal).wrapping_sub(1) < u32::MAX / 2,
            // If the journal has this end already, the episode is closed, and a second end changes nothing.
            StepKind::End | StepKind::Discard => row.ordinal == self.ordinal,
        }
    }
}

impl RecoveredState {
    pub(super) fn read(journal: &Path, schema: &Arc<Schema>, run: RunId) -> Result<Self, SinkError> {
        let mut state = Self {
            schema: schema.clone(),
            run,
            builders: Vec::new(),
            entries: HashMap::new(),
            compactions: HashMap::new(),
            last_tick: None,
            last_rows: HashMap::new(),
            durable: HashSet::new(),
            discarded_episodes: HashSet::new(),
            words: BTreeMap::new(),
            counts: Counts::default(),
            lost: 0,
            discarded: 0,
            next_episode: FIRST_BRIDGED,
            rings: None,
            tick_rate: None,
            started: 0.0,
            label: RunLabel::default(),
            failures: 0,
            tick_rates: Vec::new(),
            tag_changes: Vec::new(),
            unread: Vec::new(),
            damaged_segments: BTreeSet::new(),
            torn: Vec::new(),
            is_foreign: false,
        };
        let reader =
            JournalReader::read(journal, |place, record| state.apply(place, record)).map_err(|error| match error {
                JournalError::Io { path, source } => io_error("read", &path)(source),
                other => SinkError::Other(other.to_string()),
            })?;
        state.unread.extend(reader.damage.iter().map(ToString::to_string));
        state
            .damaged_segments
            .extend(reader.damage.iter().map(|damage| damage.segment));
        if reader.absent > 0 {
            state.unread.push(format!(
                "{} frames are missing from the journal `{}`",
                reader.absent,
                journal.display()
            ));
        }
        if reader.absent_segments > 0 {
            state.unread.push(format!(
                "{} segments are missing from the beginning of the journal `{}`, although they were still needed: another program \
                 has deleted them",
                reader.absent_segments,
                journal.display()
            ));
        }
        let torn = reader.damage.iter().filter(|damage| damage.kind == Unread::Torn);
        state.torn.extend(torn.map(ToString::to_string));
        let compacted: Vec<_> = state.compactions.keys().copied().collect();
        for episode_id in compacted {
            state.finish_compaction(episode_id);
        }
        let Self { entries, durable, .. } = &state;
        let entries = entries.iter().filter(|(episode_id, _)| !durable.contains(episode_id));
        state.lost = entries.map(|(_, entry)| entry.lost).sum();
        Ok(state)
    }

    fn apply(&mut self, place: Place<'_>, record: Record<'_>) {
        match record {
            Record::Head(head) => self.begin_segment(place, &head),
            _ if self.is_foreign => {}
            Record::Open {
                episode_id,
                captured_as,
                agent_id,
                continues,
            } => self.open(episode_id, captured_as, agent_id, continues),
            Record::Rows { episode_id, rows } => self.push_rows(place, episode_id, rows),
            Record::Close {
                episode_id,
                terminated,
                reason,
                end,
            } => self.close(episode_id, terminated, reason, end),
            Record::Discard { captured_as } => {
                self.discarded_episodes.insert(captured_as);
            }
            Record::Word { code, word } => {
                self.words.insert(code, word.to_owned());
            }
            Record::Settled { episode_id } => {
                self.durable.insert(episode_id);
            }
            Record::Counts(counts) => self.counts = counts,
            Record::TickRate {
                from_tick,
                ticks_per_second,
            } => self.tick_rates.push(TickRate {
                from_tick,
                ticks_per_second,
            }),
            Record::Tag {
                episode_id,
                agent_id,
                tag,
            } => self.tag_changes.push(TagChange::Added(EpisodeTag {
                episode_id,
                agent_id,
                tag: tag.to_owned(),
            })),
            Record::Label { seed, build } => {
                self.label = RunLabel {
                    seed,
                    build: build.map(str::to_owned),
                };
            }
            // The reader checks the marks.
            Record::MarksReleases => {}
            Record::Failures { failures } => self.failures = self.failures.max(failures),
            Record::Untag { episode_id } => self.tag_changes.push(TagChange::Removed { removed: episode_id }),
        }
    }

    fn begin_segment(&mut self, place: Place<'_>, head: &Head<'_>) {
        let mismatch = head.mismatch(self.run, &self.schema);
        self.is_foreign = mismatch.is_some();
        if let Some(mismatch) = mismatch {
            self.damaged_segments.insert(place.segment());
            self.unread
                .push(format!("segment {} of the journal {mismatch}", head.segment));
            return;
        }
        self.rings = head.rings.map(PathBuf::from);
        self.tick_rate = head.tick_rate;
        self.started = head.started;
    }

    fn open(&mut self, episode_id: i64, captured_as: u32, agent_id: i64, continues: Option<i64>) {
        let builder = EpisodeBuilder::from_journal(episode_id, captured_as, agent_id, continues);
        if self.entries.contains_key(&episode_id) {
            self.finish_compaction(episode_id);
            self.compactions
                .insert(episode_id, Compaction { builder, ordinal: None });
        } else {
            self.push_draft(episode_id, builder);
        }
    }

    fn push_draft(&mut self, episode_id: i64, builder: EpisodeBuilder) {
        let entry = self.entries.entry(episode_id).or_default();
        entry.builders.push(self.builders.len());
        entry.ordinal = None;
        self.builders.push(builder);
    }

    /// Keeps the longer one of the two copies of an episode that was compacted.
    ///
    /// The journal deletes segments of the first copy only after the second is complete. So the shorter copy is a prefix of the
    /// longer one, or, if segments are gone, a suffix.
    fn finish_compaction(&mut self, episode_id: i64) {
        let Some(Compaction { builder, ordinal }) = self.compactions.remove(&episode_id) else {
            return;
        };
        let Some(entry) = self.entries.get_mut(&episode_id) else {
            return;
        };
        let rows: usize = entry.builders.iter().map(|&index| self.builders[index].rows()).sum();
        if builder.rows() < rows {
            return;
        }
        for &index in &entry.builders {
            let mut empty = EpisodeBuilder::from_journal(episode_id, builder.captured_as(), builder.agent_id(), None);
            empty.close(Outcome::Truncated, EndReason::GAP);
            self.builders[index] = empty;
        }
        // At the index of the first copy: builders stay in the order in which their episodes began.
        entry.builders.truncate(1);
        let first = entry.builders[0];
        (entry.ordinal, entry.lost) = (ordinal, 0);
        self.builders[first] = builder;
    }

    fn push_rows(&mut self, place: Place<'_>, episode_id: i64, rows: &[u8]) {
        let row_bytes = self.schema.layout().row_bytes();
        let (Some(first), Some(last)) = (rows.get(..row_bytes), rows.len().checked_sub(row_bytes)) else {
            return;
        };
        let (first, last) = (header(first), header(&rows[last..]));
        if !rows.len().is_multiple_of(row_bytes) {
            self.damaged_segments.insert(place.segment());
            self.unread
                .push(format!("a record of episode {episode_id} ends within a row"));
            return;
        }
        let extent = place.extent(rows);
        let count = rows.len() / row_bytes;
        self.update_last_row(&last);
        if let Some(compaction) = self.compactions.get_mut(&episode_id) {
            if compaction
                .ordinal
                .is_none_or(|ordinal| first.ordinal.wrapping_sub(ordinal) == 1)
            {
                compaction.ordinal = Some(last.ordinal);
                compaction.builder.push_extent(extent, count);
                return;
            }
            self.finish_compaction(episode_id);
        }
        if !self.entries.contains_key(&episode_id) {
            // The record that opened the episode is damaged, or was deleted after a compaction.
            self.open(episode_id, first.episode, first.agent_id, None);
        }
        match self.entries[&episode_id]
            .ordinal
            .map(|ordinal| first.ordinal.wrapping_sub(ordinal))
        {
            Some(1) => {}
            None if first.kind() == StepKind::Begin => {}
            // The rows were read before.
            Some(distance) if distance == 0 || distance > u32::MAX / 2 => return,
            distance => self.split_at_gap(episode_id, first, distance),
        }
        let entry = self.entries.get_mut(&episode_id).expect("the entry was opened above");
        entry.ordinal = Some(last.ordinal);
        let builder = entry.builders[entry.builders.len() - 1];
        self.builders[builder].push_extent(extent, count);
    }

    fn update_last_row(&mut self, row: &StepHeader) {
        self.last_tick = self.last_tick.max(Some(row.tick));
        let last = self.last_rows.entry(row.agent_id).or_insert_with(|| LastRow::of(row));
        if last.is_before(row) {
            *last = LastRow::of(row);
        }
    }

    /// Ends the builder of an episode at missing rows, and begins another one with the row `first`.
    fn split_at_gap(&mut self, episode_id: i64, first: StepHeader, distance: Option<u32>) {
        let entry = self
            .entries
            .get_mut(&episode_id)
            .expect("the caller has opened the entry");
        entry.lost += u64::from(distance.unwrap_or(1));
        if distance.is_none() {
            // The builder has no rows yet, so it begins here.
            return;
        }
        let before = entry.builders[entry.builders.len() - 1];
        if !self.builders[before].is_closed() {
            self.builders[before].close(Outcome::Truncated, EndReason::GAP);
        }
        let continues = Some(self.builders[before].episode_id());
        let id = self.run.episode_id(self.next_episode);
        self.next_episode = self.next_episode.saturating_add(1);
        self.push_draft(
            episode_id,
            EpisodeBuilder::from_journal(id, first.episode, first.agent_id, continues),
        );
    }

    fn close(&mut self, episode_id: i64, terminated: bool, reason: &str, end: &[u8]) {
        self.finish_compaction(episode_id);
        let Some(index) = self.entries.get(&episode_id).and_then(|entry| entry.builders.last()) else {
            return;
        };
        let builder = &mut self.builders[*index];
        let layout = self.schema.layout();
        if end.len() == layout.row_bytes() {
            builder.add_end(layout, &bytemuck::pod_collect_to_vec::<u8, u64>(end));
        }
        let outcome = if terminated {
            Outcome::Terminated
        } else {
            Outcome::Truncated
        };
        builder.close(outcome, EndReason::from(reason.to_owned()));
    }

    /// The words of the codes in rows.
    pub(super) fn word_table(&self) -> WordTable {
        WordTable::from_codes(&self.words)
    }
}

/// The header of a row, which may be unaligned.
fn header(row: &[u8]) -> StepHeader {
    bytemuck::pod_read_unaligned(&row[..size_of::<StepHeader>()])
}
