//! Every rule of the contract, checked row by row.
//!
//! The rules are those of [`transition`](experience_core::transition) and of the columns in [`sink::arrow`](crate::arrow). A
//! dataset that this crate wrote keeps all of them; one that another program rewrote, that a disk damaged or that two folders
//! were copied into may not.

mod account;
mod rows;

use super::{DatasetError, Progress, RecordingData, columns::Columns, progress::Meter, shard::Shard};
use crate::arrow::Content;
use account::Tally;
use core::fmt;
use rows::Rows;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// A report keeps this many violations; what is beyond is counted.
const MAX_KEPT: usize = 1000;

/// A rule that rows, files and accounts keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// A file can be read, and has the columns of its recording.
    File,
    /// The steps of an episode count from 0 without a gap.
    Steps,
    /// An episode stands in one place, once.
    OnePiece,
    /// All rows of an episode are of one agent, one run, and continue the same episode.
    Identity,
    /// The upper half of an `episode_id` is its run.
    EpisodeId,
    /// The last row of an episode, and no other, is either `terminated` or `truncated`.
    End,
    /// `end_reason` stands on last rows, always, and nowhere else.
    Reason,
    /// `next_observation` is the next row's `observation`, bit by bit, and an episode's last row has one.
    NextObservation,
    /// `next_action_mask` is the next row's `action_mask`.
    NextMask,
    /// `changed` has a bit for each feature that differs, and for no other.
    Changed,
    /// `tick` plus `ticks` is the next row's `tick`, and time does not run backwards.
    Time,
    /// Values lie in their spaces.
    Space,
    /// An agent lives one episode at a time.
    OneLife,
    /// An episode continues one that ended by `split` or `gap`.
    Continues,
    /// The account of a run speaks of what is there, and closes.
    Account,
}

impl Rule {
    /// The rule in a sentence.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::File => "a file can be read, and has the columns of its recording",
            Self::Steps => "the steps of an episode count from 0 without a gap",
            Self::OnePiece => "an episode stands in one place, once",
            Self::Identity => "all rows of an episode are of one agent and one run, and continue the same episode",
            Self::EpisodeId => "the upper half of an `episode_id` is its run",
            Self::End => "the last row of an episode, and no other, is either `terminated` or `truncated`",
            Self::Reason => "`end_reason` stands on last rows, always, and nowhere else",
            Self::NextObservation => "`next_observation` is the next row's `observation`, and a last row has one",
            Self::NextMask => "`next_action_mask` is the next row's `action_mask`",
            Self::Changed => "`changed` has a bit for each feature that differs",
            Self::Time => "`tick` plus `ticks` is the next row's `tick`, and time does not run backwards",
            Self::Space => "values lie in their spaces",
            Self::OneLife => "an agent lives one episode at a time",
            Self::Continues => "an episode continues one that ended by `split` or `gap`",
            Self::Account => "the account of a run speaks of what is there, and closes",
        }
    }
}

/// A rule that is broken, and where.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// The file: a shard, or the account of a run.
    pub file: PathBuf,
    /// The episode, where it is about one.
    pub episode_id: Option<i64>,
    /// The step in the episode, where it is about one.
    pub step: Option<i32>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.file.display())?;
        if let Some(episode) = self.episode_id {
            write!(f, ", episode {episode}")?;
        }
        if let Some(step) = self.step {
            write!(f, ", step {step}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// What came of checking a recording; see [`RecordingData::validate`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Validation {
    /// Episodes that were looked at.
    pub episodes: u64,
    /// Their transitions.
    pub transitions: u64,
    /// How often each rule is broken; rules that are kept are not named.
    pub broken: BTreeMap<Rule, u64>,
    /// The first thousand violations, in the order of the files.
    pub violations: Vec<Violation>,
}

impl Validation {
    /// Whether every rule is kept.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.broken.is_empty()
    }

    /// How many violations there are, those beyond the first thousand included.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.broken.values().sum()
    }

    /// Notes a violation in `file`; at an episode and at a step of it, where it has such a place.
    fn note(&mut self, rule: Rule, file: &Path, place: (Option<i64>, Option<i32>), what: String) {
        *self.broken.entry(rule).or_default() += 1;
        if self.violations.len() < MAX_KEPT {
            self.violations.push(Violation {
                rule,
                file: file.to_owned(),
                episode_id: place.0,
                step: place.1,
                what,
            });
        }
    }
}

pub(super) fn validate(recording: &RecordingData, watch: &mut dyn FnMut(Progress)) -> Result<Validation, DatasetError> {
    let mut found = Validation::default();
    let mut tally = Tally::default();
    let mut shards = Vec::new();
    for path in recording.shards()? {
        match Shard::open(recording.schema(), &path) {
            Ok(shard) => shards.push(shard),
            Err(error) => {
                tally.unreadable(&path);
                found.note(Rule::File, &path, (None, None), reason(error)?);
            }
        }
    }
    let mut meter = Meter::new(shards.iter().map(Shard::rows).sum(), watch);
    // Only now: a description without a shard that bears it out may name rows of any width.
    let mut rows = None;
    for shard in &shards {
        let rows = rows.get_or_insert_with(|| Rows::new(shard.schema()));
        if let Err(error) = check(shard, rows, &mut tally, &mut found, &mut meter) {
            tally.unreadable(shard.path());
            found.note(Rule::File, shard.path(), (None, None), reason(error)?);
        }
        rows.end_shard(shard.path(), &mut tally, &mut found);
    }
    tally.check(recording, &mut found)?;
    Ok(found)
}

/// Checks one shard, row by row.
fn check(
    shard: &Shard,
    rows: &mut Rows,
    tally: &mut Tally,
    found: &mut Validation,
    meter: &mut Meter,
) -> Result<(), DatasetError> {
    let mut content = shard.all();
    content.push(Content::Changed);
    for batch in shard.batches(&content, None)? {
        let batch = batch?;
        let columns =
            Columns::new(shard.schema(), &batch).map_err(|reason| DatasetError::damaged(shard.path(), reason))?;
        rows.check(shard, &batch, &columns, tally, found);
        meter.add(batch.num_rows());
    }
    Ok(())
}

/// What is wrong with a file. A file system that refuses is no fault of the data.
fn reason(error: DatasetError) -> Result<String, DatasetError> {
    match error {
        DatasetError::Damaged { reason, .. } => Ok(reason),
        other => Err(other),
    }
}
