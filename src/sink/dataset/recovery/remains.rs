//! What a journal holds, episode by episode.

use crate::{
    assembly::Draft,
    journal::{Counts, Head, JournalReader, Place, Record},
    schema::Schema,
    sink::SinkError,
    transition::{EndReason, Outcome, ReasonTable, RunId, StepHeader, StepKind},
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
    pub(super) drafts: Vec<Draft>,
    /// Which of them a record speaks of, and the ordinal of its last row.
    places: HashMap<i64, Whereabouts>,
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

#[derive(Clone, Copy)]
struct Whereabouts {
    draft: usize,
    ordinal: Option<u32>,
}

/// The last row of an agent that is in the journal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Last {
    pub(super) episode: u32,
    pub(super) ordinal: u32,
}

impl Remains {
    pub(super) fn read(journal: &Path, schema: &Arc<Schema>, run: RunId) -> Result<Self, SinkError> {
        let mut remains = Self {
            schema: schema.clone(),
            run,
            drafts: Vec::new(),
            places: HashMap::new(),
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
        let draft = self.drafts.len();
        self.places.insert(episode_id, Whereabouts { draft, ordinal: None });
        self.drafts
            .push(Draft::found(episode_id, captured_as, agent_id, continues));
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
        if !self.places.contains_key(&episode_id) {
            // What told of its beginning is damaged.
            self.open(episode_id, first.episode, first.agent_id, None);
        }
        let found = self.places[&episode_id];
        match found.ordinal.map(|ordinal| first.ordinal.wrapping_sub(ordinal)) {
            Some(1) => {}
            None if first.kind() == StepKind::Begin => {}
            // Rows that are there already.
            Some(passed) if passed == 0 || passed > u32::MAX / 2 => return,
            passed => self.bridge(episode_id, first, passed),
        }
        let found = self.places.get_mut(&episode_id).expect("it was opened");
        found.ordinal = Some(last.ordinal);
        self.drafts[found.draft].push_extent(place.extent(rows), rows.len() / row_bytes);
        let (episode, ordinal) = (last.episode, last.ordinal);
        self.last.insert(last.agent_id, Last { episode, ordinal });
    }

    /// Rows are missing before `first`: what was there ends, and the row is the beginning of what is left.
    fn bridge(&mut self, episode_id: i64, first: StepHeader, passed: Option<u32>) {
        self.lost += u64::from(passed.unwrap_or(1));
        let before = self.places[&episode_id].draft;
        if passed.is_none() {
            // Nothing of it is there: it begins here.
            return;
        }
        if !self.drafts[before].is_closed() {
            self.drafts[before].close(Outcome::Truncated, EndReason::GAP);
        }
        let continues = Some(self.drafts[before].episode_id());
        let id = self.run.episode_id(self.next_episode);
        let draft = self.drafts.len();
        self.note_number(self.next_episode);
        self.drafts
            .push(Draft::found(id, first.episode, first.agent_id, continues));
        self.places.insert(episode_id, Whereabouts { draft, ordinal: None });
    }

    fn close(&mut self, episode_id: i64, terminated: bool, reason: &str, end: &[u8]) {
        let Some(found) = self.places.get(&episode_id) else {
            return;
        };
        let draft = &mut self.drafts[found.draft];
        let layout = self.schema.layout();
        if end.len() == layout.row_bytes() {
            draft.end(layout, &bytemuck::pod_collect_to_vec::<u8, u64>(end));
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
        ReasonTable::restored(&self.words)
    }
}

/// The header of a row that need not be aligned.
fn header(row: &[u8]) -> StepHeader {
    bytemuck::pod_read_unaligned(&row[..size_of::<StepHeader>()])
}
