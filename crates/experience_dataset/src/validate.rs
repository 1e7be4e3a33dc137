//! Validates a recording: checks every rule of the format, row by row.
//!
//! The rules are those of [`transition`](experience_core::transition) and of the columns in
//! [`experience_arrow`](experience_arrow#columns). A dataset that this crate wrote follows all of them. One that another
//! program rewrote, that was damaged, or that was copied together from several folders may not.

mod checksums;
mod episode_index;
mod id_set;
mod rows;

use super::{
    DatasetError, Progress, RecordingData, columns::EpisodeColumns, error::damage, progress::ProgressMeter,
    shard::ShardReader, summary::SummaryBuilder,
};
pub(crate) use checksums::{ShardState, shard_state};
use core::fmt;
use episode_index::EpisodeIndex;
use experience_arrow::columns::ColumnId;
use rows::RowValidator;
use serde::{Serialize, Serializer};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The maximum number of violations in a report. Further ones are counted.
const MAX_VIOLATIONS: usize = 1000;

/// A rule of the format, for rows, files and accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// A file can be read, has the columns of its recording, and is as it was written.
    File,
    /// The steps of an episode are counted from 0 without a gap.
    Steps,
    /// The rows of an episode are contiguous, in one file.
    #[serde(rename = "one_piece")]
    Contiguous,
    /// All rows of an episode have the same agent, run and continued episode.
    Identity,
    /// The upper half of an `episode_id` is its run.
    EpisodeId,
    /// The last row of an episode, and no other, is either `terminated` or `truncated`.
    End,
    /// The last row of an episode, and no other, has an `end_reason`.
    Reason,
    /// `next_observation` equals the next row's `observation` in every bit, and an episode's last row has one.
    NextObservation,
    /// `next_action_mask` equals the next row's `action_mask`.
    NextMask,
    /// `changed` has the bits of exactly the features that differ.
    Changed,
    /// `tick` plus `ticks` is the next row's `tick`, and timestamps do not decrease.
    Time,
    /// Values are within their spaces.
    Space,
    /// Episodes of one agent do not overlap in time.
    #[serde(rename = "one_life")]
    NoOverlap,
    /// A continued episode ended with the reason `split` or `gap`.
    Continues,
    /// The account of a run matches the shards, and its counts add up.
    Account,
    /// The summary in the footer of a shard is that of its rows.
    Summary,
}

impl Rule {
    /// The rule in a sentence.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::File => "a file can be read, has the columns of its recording, and is as it was written",
            Self::Steps => "the steps of an episode are counted from 0 without a gap",
            Self::Contiguous => "the rows of an episode are contiguous, in one file",
            Self::Identity => "all rows of an episode have the same agent, run and continued episode",
            Self::EpisodeId => "the upper half of an `episode_id` is its run",
            Self::End => "the last row of an episode, and no other, is either `terminated` or `truncated`",
            Self::Reason => "the last row of an episode, and no other, has an `end_reason`",
            Self::NextObservation => "`next_observation` equals the next row's `observation`, and a last row has one",
            Self::NextMask => "`next_action_mask` equals the next row's `action_mask`",
            Self::Changed => "`changed` has the bits of exactly the features that differ",
            Self::Time => "`tick` plus `ticks` is the next row's `tick`, and timestamps do not decrease",
            Self::Space => "values are within their spaces",
            Self::NoOverlap => "episodes of one agent do not overlap in time",
            Self::Continues => "a continued episode ended with the reason `split` or `gap`",
            Self::Account => "the account of a run matches the shards, and its counts add up",
            Self::Summary => "the summary in the footer of a shard is that of its rows",
        }
    }
}

fn id_as_string<S: Serializer>(id: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    id.map(|id| id.to_string()).serialize(serializer)
}

/// A violation of a rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// The file: a shard, or the account of a run.
    pub file: PathBuf,
    /// The episode, if the violation is in one. It is serialized as a string, because JSON readers round large numbers.
    #[serde(serialize_with = "id_as_string")]
    pub episode_id: Option<i64>,
    /// The step in the episode, if the violation is at one.
    pub step: Option<i32>,
    /// A description of the violation.
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

/// The result of [`RecordingData::validate`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Validation {
    /// Episodes that were checked.
    pub episodes: u64,
    /// Their transitions.
    pub transitions: u64,
    /// The number of violations of each rule; rules without violations are absent.
    pub broken: BTreeMap<Rule, u64>,
    /// The first thousand violations, in the order of the files.
    pub violations: Vec<Violation>,
    /// Shards that another program has rewritten, so that their checksums are not known. That is no violation.
    pub rewritten: Vec<RewrittenShard>,
}

/// A shard that another program has rewritten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RewrittenShard {
    /// The file.
    pub file: PathBuf,
    /// The program and its version, as the file states it.
    pub by: String,
}

impl Validation {
    /// Whether no rule is violated.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.broken.is_empty()
    }

    /// The number of violations, including those beyond the first thousand.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.broken.values().sum()
    }

    /// Adds a violation in `file`, at an episode id and a step, if it has them.
    fn add(&mut self, rule: Rule, file: &Path, (episode_id, step): (Option<i64>, Option<i32>), what: String) {
        *self.broken.entry(rule).or_default() += 1;
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(Violation {
                rule,
                file: file.to_owned(),
                episode_id,
                step,
                what,
            });
        }
    }
}

pub(super) fn validate(recording: &RecordingData, watch: &mut dyn FnMut(Progress)) -> Result<Validation, DatasetError> {
    let mut validation = Validation::default();
    let mut index = EpisodeIndex::default();
    let mut shards = Vec::new();
    let mut transitions = 0;
    for path in recording.shards()? {
        match ShardReader::open(recording.schema(), &path) {
            // Closed again, because a recording may have more shards than a process may have open files.
            Ok(Some(shard)) => {
                transitions += shard.rows();
                shards.push(path);
            }
            Ok(None) => {}
            Err(error) => {
                index.add_unreadable(&path);
                validation.add(Rule::File, &path, (None, None), damage(error)?);
            }
        }
    }
    let mut meter = ProgressMeter::new(transitions, watch);
    // Created after a shard was opened: without one that confirms it, a damaged `experience.json` could name rows of any width.
    let mut rows = None;
    for path in &shards {
        let rows = rows.get_or_insert_with(|| RowValidator::new(recording.schema()));
        let checked = ShardReader::open(recording.schema(), path).and_then(|shard| match shard {
            Some(shard) => check_shard(&shard, rows, &mut index, &mut validation, &mut meter),
            None => Ok(()),
        });
        if let Err(error) = checked {
            index.add_unreadable(path);
            validation.add(Rule::File, path, (None, None), damage(error)?);
        }
        rows.end_shard(path, &mut index, &mut validation);
    }
    index.check(recording, &mut validation)?;
    Ok(validation)
}

/// Checks the rows of one shard.
fn check_shard(
    shard: &ShardReader,
    rows: &mut RowValidator,
    index: &mut EpisodeIndex,
    validation: &mut Validation,
    meter: &mut ProgressMeter,
) -> Result<(), DatasetError> {
    let mut columns = shard.episode_columns();
    if shard.schema().observation_width() > 0 {
        columns.push(ColumnId::Changed);
    }
    let stored = shard.summary();
    let mut summary = matches!(stored, Some(Ok(_))).then(|| SummaryBuilder::new(shard.schema()));
    for batch in shard.batches(&columns, None)? {
        let batch = batch?;
        let view = shard.columns(&batch);
        if let Some(summary) = &mut summary {
            summary.add(view);
        }
        let columns = EpisodeColumns::new(shard.schema(), view);
        rows.check(shard.path(), view, &columns, index, validation);
        meter.add(batch.num_rows());
    }
    let wrong = match (stored, summary) {
        (Some(Ok(stored)), Some(summary)) => summary.finish().difference(&stored),
        (Some(Err(reason)), _) => Some(reason),
        _ => None,
    };
    if let Some(reason) = wrong {
        let what = format!("its footer has a summary that is not used: {reason}");
        validation.add(Rule::Summary, shard.path(), (None, None), what);
    }
    Ok(())
}
