//! Reads the segments of a [`JournalSink`](crate::JournalSink), which hold whole episodes.

use crate::sink::{files::io_error, segment_account::SegmentAccount};
use experience_core::{
    schema::Schema,
    transition::{EndReason, Outcome, RunId, StepHeader, WordTable},
};
use experience_export::{
    RunLabel, SinkError,
    assembly::EpisodeBuilder,
    journal::{Head, JournalError, JournalReader, Place, Record, Unread, segment_path},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::Path,
    sync::Arc,
};

/// The whole episodes in the segments of a run.
pub(super) struct SegmentEpisodes {
    schema: Arc<Schema>,
    run: RunId,
    /// In the order in which the sink accepted them.
    pub(super) builders: Vec<EpisodeBuilder>,
    pub(super) ids: HashSet<i64>,
    open: HashMap<i64, OpenEpisode>,
    words: BTreeMap<u16, String>,
    /// The largest tick of a row.
    pub(super) last_tick: Option<i64>,
    pub(super) tick_rate: Option<f64>,
    pub(super) started: f64,
    pub(super) label: RunLabel,
    /// Parts that could not be read, one sentence each.
    pub(super) unread: Vec<String>,
    /// Segments with a part that could not be read.
    pub(super) damaged_segments: BTreeSet<u32>,
    /// Those of `unread` that are the last write of the process, which its death cut short.
    pub(super) torn: Vec<String>,
    /// Whether the current segment is of another run or schema. Its records are skipped.
    is_foreign: bool,
}

/// An episode of which the last record has not been read.
struct OpenEpisode {
    builder: EpisodeBuilder,
    /// The ordinal of the last row.
    ordinal: Option<u32>,
    /// Rows are missing, so the episode is not whole.
    is_broken: bool,
}

impl SegmentEpisodes {
    /// Reads the segments in `folder`. A missing folder holds none.
    pub(super) fn read(folder: &Path, schema: &Arc<Schema>, run: RunId) -> Result<Self, SinkError> {
        let mut episodes = Self {
            schema: schema.clone(),
            run,
            builders: Vec::new(),
            ids: HashSet::new(),
            open: HashMap::new(),
            words: BTreeMap::new(),
            last_tick: None,
            tick_rate: None,
            started: 0.0,
            label: RunLabel::default(),
            unread: Vec::new(),
            damaged_segments: BTreeSet::new(),
            torn: Vec::new(),
            is_foreign: false,
        };
        let reader = JournalReader::read(folder, |place, record| episodes.apply(place, record));
        let reader = reader.map_err(|error| match error {
            JournalError::Io { path, source } => io_error("read", &path)(source),
            other => SinkError::Other(other.to_string()),
        })?;
        episodes.unread.extend(reader.damage.iter().map(ToString::to_string));
        episodes
            .damaged_segments
            .extend(reader.damage.iter().map(|damage| damage.segment));
        if reader.absent > 0 {
            let absent = reader.absent;
            let sentence = format!(
                "{absent} frames are missing from the segments in `{}`",
                folder.display()
            );
            episodes.unread.push(sentence);
        }
        let torn = reader.damage.iter().filter(|damage| damage.kind == Unread::Torn);
        episodes.torn.extend(torn.map(ToString::to_string));
        Ok(episodes)
    }

    /// Reports the segments that the account of the run lists and that are not in `folder`. Retention removes a segment from the list
    /// before it deletes it.
    pub(super) fn check_listed(&mut self, folder: &Path, listed: &[SegmentAccount]) {
        for listed in listed {
            let path = segment_path(folder, listed.segment);
            if !path.exists() {
                self.unread.push(format!(
                    "`{}` is missing, with {} transitions in {} episodes: another program has deleted it",
                    path.display(),
                    listed.transitions,
                    listed.episodes
                ));
            }
        }
    }

    /// The words of the codes in rows.
    pub(super) fn word_table(&self) -> WordTable {
        WordTable::from_codes(&self.words)
    }

    fn apply(&mut self, place: Place<'_>, record: Record<'_>) {
        match record {
            Record::Head(head) => self.begin_segment(place, &head),
            _ if self.is_foreign => {}
            // A write that has failed is repeated, so an episode may be there twice.
            Record::Open {
                episode_id,
                captured_as,
                agent_id,
                continues,
            } if !self.ids.contains(&episode_id) => {
                let open = OpenEpisode {
                    builder: EpisodeBuilder::from_journal(episode_id, captured_as, agent_id, continues),
                    ordinal: None,
                    is_broken: false,
                };
                self.open.insert(episode_id, open);
            }
            Record::Rows { episode_id, rows } => self.push_rows(place, episode_id, rows),
            Record::Close {
                episode_id,
                terminated,
                reason,
                ..
            } => self.close(episode_id, terminated, reason),
            Record::Word { code, word } => {
                self.words.insert(code, word.to_owned());
            }
            Record::Label { seed, build } => {
                self.label = RunLabel {
                    seed,
                    build: build.map(str::to_owned),
                };
            }
            // A sink writes no other record.
            _ => {}
        }
    }

    fn begin_segment(&mut self, place: Place<'_>, head: &Head<'_>) {
        let mismatch = head.mismatch(self.run, &self.schema);
        self.is_foreign = mismatch.is_some();
        if let Some(mismatch) = mismatch {
            self.damaged_segments.insert(place.segment());
            self.unread.push(format!("segment {} {mismatch}", head.segment));
            return;
        }
        (self.tick_rate, self.started) = (head.tick_rate, head.started);
    }

    fn push_rows(&mut self, place: Place<'_>, episode_id: i64, rows: &[u8]) {
        let row_bytes = self.schema.layout().row_bytes();
        let Some(open) = self.open.get_mut(&episode_id) else {
            return;
        };
        let (Some(first), Some(last)) = (rows.get(..row_bytes), rows.len().checked_sub(row_bytes)) else {
            open.is_broken = true;
            return;
        };
        let (first, last) = (header(first), header(&rows[last..]));
        let follows = open
            .ordinal
            .is_none_or(|before| first.ordinal.wrapping_sub(before) == 1);
        open.is_broken |= !follows || !rows.len().is_multiple_of(row_bytes);
        open.ordinal = Some(last.ordinal);
        open.builder.push_extent(place.extent(rows), rows.len() / row_bytes);
        self.last_tick = self.last_tick.max(Some(last.tick));
    }

    fn close(&mut self, episode_id: i64, terminated: bool, reason: &str) {
        let Some(mut open) = self.open.remove(&episode_id) else {
            return;
        };
        if open.is_broken || open.builder.transitions() == 0 {
            return;
        }
        let outcome = if terminated {
            Outcome::Terminated
        } else {
            Outcome::Truncated
        };
        open.builder.close(outcome, EndReason::from(reason.to_owned()));
        self.ids.insert(episode_id);
        self.builders.push(open.builder);
    }
}

/// The header of a row, which may be unaligned.
fn header(row: &[u8]) -> StepHeader {
    bytemuck::pod_read_unaligned(&row[..size_of::<StepHeader>()])
}
