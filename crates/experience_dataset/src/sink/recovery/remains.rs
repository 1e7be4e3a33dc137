//! What a journal holds, episode by episode.

use experience_core::{
    schema::Schema,
    transition::{EndReason, Outcome, ReasonTable, RunId, StepHeader, StepKind},
};
use experience_export::{
    SinkError,
    assembly::EpisodeBuilder,
    journal::{Counts, Head, JournalReader, Place, Record},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

/// What is left of a run, beside its shards.
pub(super) struct Remains {
    schema: Arc<Schema>,
    pub(super) run: RunId,
    /// In the order in which they began.
    pub(super) drafts: Vec<EpisodeBuilder>,
    /// Which of them a record speaks of.
    places: HashMap<i64, Told>,
    /// Episodes that are told again, from their beginning.
    retold: HashMap<i64, Retold>,
    /// The last row of each agent.
    pub(super) last: HashMap<i64, Last>,
    /// Episodes that every sink has for good.
    pub(super) settled: HashSet<i64>,
    /// Episodes that must leave no trace, as they were captured.
    pub(super) withdrawn: HashSet<u32>,
    words: BTreeMap<u16, String>,
    pub(super) counts: Counts,
    /// Transitions that are missing between those that are here.
    pub(super) lost: u64,
    /// The same, thrown away on request, beyond what the counts know of.
    pub(super) discarded: u64,
    /// The greatest number of an episode, and one more.
    pub(super) next_episode: u32,
    pub(super) rings: Option<PathBuf>,
    pub(super) tick_rate: Option<f64>,
    pub(super) started: f64,
    /// What could not be read, one sentence each.
    pub(super) unread: Vec<String>,
    /// A record speaks of other columns, and is passed over with all behind it in its segment.
    is_foreign: bool,
}

/// What the journal told of an episode.
#[derive(Default)]
struct Told {
    /// Its pieces: one, unless rows are missing.
    drafts: Vec<usize>,
    /// The ordinal of its last row.
    ordinal: Option<u32>,
    /// Transitions that are missing between the pieces.
    lost: u64,
}

/// What it told once more: the beginning of the same, unless the segments with what it told before are gone.
struct Retold {
    draft: EpisodeBuilder,
    ordinal: Option<u32>,
}

/// The last row of an agent that is in the journal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Last {
    episode: u32,
    pub(super) ordinal: u32,
}

impl Last {
    pub(super) fn of(row: &StepHeader) -> Self {
        Self {
            episode: row.episode,
            ordinal: row.ordinal,
        }
    }

    /// Whether another row of the agent comes behind it.
    pub(super) fn is_before(self, row: &StepHeader) -> bool {
        if row.episode != self.episode {
            return row.episode > self.episode;
        }
        match row.kind() {
            StepKind::Begin => false,
            StepKind::Transition => row.ordinal.wrapping_sub(self.ordinal).wrapping_sub(1) < u32::MAX / 2,
            // Where the journal knows of it the episode is closed, and this changes nothing.
            StepKind::End | StepKind::Discard => row.ordinal == self.ordinal,
        }
    }
}

impl Remains {
    pub(super) fn read(journal: &Path, schema: &Arc<Schema>, run: RunId) -> Result<Self, SinkError> {
        let mut remains = Self {
            schema: schema.clone(),
            run,
            drafts: Vec::new(),
            places: HashMap::new(),
            retold: HashMap::new(),
            last: HashMap::new(),
            settled: HashSet::new(),
            withdrawn: HashSet::new(),
            words: BTreeMap::new(),
            counts: Counts::default(),
            lost: 0,
            discarded: 0,
            next_episode: 0,
            rings: None,
            tick_rate: None,
            started: 0.0,
            unread: Vec::new(),
            is_foreign: false,
        };
        let reader = JournalReader::read(journal, |place, record| remains.take(place, record))
            .map_err(|error| SinkError::Other(error.to_string()))?;
        remains.unread.extend(reader.damage.iter().map(ToString::to_string));
        let retold: Vec<_> = remains.retold.keys().copied().collect();
        for episode_id in retold {
            remains.choose(episode_id);
        }
        let Self { places, settled, .. } = &remains;
        let told = places.iter().filter(|(episode_id, _)| !settled.contains(episode_id));
        remains.lost = told.map(|(_, told)| told.lost).sum();
        Ok(remains)
    }

    fn take(&mut self, place: Place<'_>, record: Record<'_>) {
        match record {
            Record::Head(head) => self.head(&head),
            _ if self.is_foreign => {}
            Record::Open {
                episode_id,
                captured_as,
                agent_id,
                continues,
            } => self.open(episode_id, captured_as, agent_id, continues),
            Record::Rows { episode_id, rows } => self.rows(place, episode_id, rows),
            Record::Close {
                episode_id,
                terminated,
                reason,
                end,
            } => self.close(episode_id, terminated, reason, end),
            Record::Discard { captured_as } => {
                self.withdrawn.insert(captured_as);
            }
            Record::Reason { code, word } => {
                self.words.insert(code, word.to_owned());
            }
            Record::Settled { episode_id } => {
                self.settled.insert(episode_id);
            }
            Record::Counts(counts) => self.counts = counts,
        }
    }

    fn head(&mut self, head: &Head<'_>) {
        let is_ours = head.run == self.run.get() as u32
            && head.schema_hash == self.schema.hash()
            && head.row_bytes as usize == self.schema.layout().row_bytes();
        self.is_foreign = !is_ours;
        if self.is_foreign {
            self.unread.push(format!(
                "segment {} of the journal is of run {:08x} and the schema {:016x}, not of {} and {:016x}",
                head.segment,
                head.run,
                head.schema_hash,
                self.run,
                self.schema.hash()
            ));
            return;
        }
        self.rings = head.rings.map(PathBuf::from);
        self.tick_rate = head.tick_rate;
        self.started = head.started;
    }

    fn open(&mut self, episode_id: i64, captured_as: u32, agent_id: i64, continues: Option<i64>) {
        self.note_number(captured_as);
        self.note_number(episode_id as u32);
        let draft = EpisodeBuilder::from_journal(episode_id, captured_as, agent_id, continues);
        if self.places.contains_key(&episode_id) {
            self.choose(episode_id);
            self.retold.insert(episode_id, Retold { draft, ordinal: None });
        } else {
            self.begin(episode_id, draft);
        }
    }

    fn begin(&mut self, episode_id: i64, draft: EpisodeBuilder) {
        let told = self.places.entry(episode_id).or_default();
        told.drafts.push(self.drafts.len());
        told.ordinal = None;
        self.drafts.push(draft);
    }

    /// Takes whichever is longer, of what was told of an episode and what was told again.
    ///
    /// Nothing is deleted of the one before all of the other is there. So the one that is shorter is its beginning, or, where
    /// segments are gone, its end.
    fn choose(&mut self, episode_id: i64) {
        let Some(Retold { draft, ordinal }) = self.retold.remove(&episode_id) else {
            return;
        };
        let Some(told) = self.places.get_mut(&episode_id) else {
            return;
        };
        let before: usize = told.drafts.iter().map(|&piece| self.drafts[piece].rows()).sum();
        if draft.rows() < before {
            return;
        }
        for &piece in &told.drafts {
            let mut empty = EpisodeBuilder::from_journal(episode_id, draft.captured_as(), draft.agent_id(), None);
            empty.close(Outcome::Truncated, EndReason::GAP);
            self.drafts[piece] = empty;
        }
        // In its old place: it began when it began.
        told.drafts.truncate(1);
        let first = told.drafts[0];
        (told.ordinal, told.lost) = (ordinal, 0);
        self.drafts[first] = draft;
    }

    fn rows(&mut self, place: Place<'_>, episode_id: i64, rows: &[u8]) {
        let row_bytes = self.schema.layout().row_bytes();
        let (Some(first), Some(last)) = (rows.get(..row_bytes), rows.len().checked_sub(row_bytes)) else {
            return;
        };
        let (first, last) = (header(first), header(&rows[last..]));
        if !rows.len().is_multiple_of(row_bytes) {
            self.unread
                .push(format!("rows of episode {episode_id} are no whole rows"));
            return;
        }
        let extent = place.extent(rows);
        let count = rows.len() / row_bytes;
        self.note_last(&last);
        if let Some(retold) = self.retold.get_mut(&episode_id) {
            if retold
                .ordinal
                .is_none_or(|ordinal| first.ordinal.wrapping_sub(ordinal) == 1)
            {
                retold.ordinal = Some(last.ordinal);
                retold.draft.push_extent(extent, count);
                return;
            }
            self.choose(episode_id);
        }
        if !self.places.contains_key(&episode_id) {
            // What told of its beginning is damaged, or gone because it was told again.
            self.open(episode_id, first.episode, first.agent_id, None);
        }
        match self.places[&episode_id]
            .ordinal
            .map(|ordinal| first.ordinal.wrapping_sub(ordinal))
        {
            Some(1) => {}
            None if first.kind() == StepKind::Begin => {}
            // Rows that are there already.
            Some(passed) if passed == 0 || passed > u32::MAX / 2 => return,
            passed => self.bridge(episode_id, first, passed),
        }
        let told = self.places.get_mut(&episode_id).expect("it was opened");
        told.ordinal = Some(last.ordinal);
        let piece = told.drafts[told.drafts.len() - 1];
        self.drafts[piece].push_extent(extent, count);
    }

    fn note_last(&mut self, row: &StepHeader) {
        let last = self.last.entry(row.agent_id).or_insert_with(|| Last::of(row));
        if last.is_before(row) {
            *last = Last::of(row);
        }
    }

    /// Rows are missing before `first`: what was there ends, and the row is the beginning of what is left.
    fn bridge(&mut self, episode_id: i64, first: StepHeader, passed: Option<u32>) {
        let told = self.places.get_mut(&episode_id).expect("it was opened");
        told.lost += u64::from(passed.unwrap_or(1));
        if passed.is_none() {
            // Nothing of it is there: it begins here.
            return;
        }
        let before = told.drafts[told.drafts.len() - 1];
        if !self.drafts[before].is_closed() {
            self.drafts[before].close(Outcome::Truncated, EndReason::GAP);
        }
        let continues = Some(self.drafts[before].episode_id());
        let id = self.run.episode_id(self.next_episode);
        self.note_number(self.next_episode);
        self.begin(
            episode_id,
            EpisodeBuilder::from_journal(id, first.episode, first.agent_id, continues),
        );
    }

    fn close(&mut self, episode_id: i64, terminated: bool, reason: &str, end: &[u8]) {
        self.choose(episode_id);
        let Some(piece) = self.places.get(&episode_id).and_then(|told| told.drafts.last()) else {
            return;
        };
        let draft = &mut self.drafts[*piece];
        let layout = self.schema.layout();
        if end.len() == layout.row_bytes() {
            draft.add_end(layout, &bytemuck::pod_collect_to_vec::<u8, u64>(end));
        }
        let outcome = if terminated {
            Outcome::Terminated
        } else {
            Outcome::Truncated
        };
        draft.close(outcome, EndReason::from(reason.to_owned()));
    }

    fn note_number(&mut self, number: u32) {
        self.next_episode = self.next_episode.max(number.saturating_add(1));
    }

    /// What the codes in rows mean.
    pub(super) fn reasons(&self) -> ReasonTable {
        ReasonTable::from_codes(&self.words)
    }
}

/// The header of a row that need not be aligned.
fn header(row: &[u8]) -> StepHeader {
    bytemuck::pod_read_unaligned(&row[..size_of::<StepHeader>()])
}
