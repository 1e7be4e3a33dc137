//! [`RetiredEpisodes`]: the episodes of a shard or segment that retention deletes, of which the journal of the run may have a copy.
//!
//! A journal notes which episodes are durable some time after the sink has made them so. If the process dies in between, the rows of
//! a deleted episode are still in the journal, and only the account can tell a recovery that they are deleted and counted.

use super::{layout, shard_name::ShardName};
use experience_core::transition::RunId;
use experience_export::journal;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fs, path::Path};

/// A file that retention deletes. It is identified by its number, because an account may hold any text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RetiredFile {
    Shard(u32),
    Segment(u32),
}

impl RetiredFile {
    fn exists(self, recording: &Path, run: RunId) -> bool {
        match self {
            Self::Shard(index) => ShardName::new(run, index).path(recording).exists(),
            Self::Segment(number) => journal::segment_path(&layout::segments_folder(recording, run), number).exists(),
        }
    }
}

/// The episodes of a shard or segment that retention deletes. They are deleted if the file does not exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RetiredEpisodes {
    #[serde(flatten)]
    file: RetiredFile,
    /// The last segment of the journal at the deletion. Their rows are in none after it.
    journal: u32,
    /// Numbers of the episodes: the first and the last of each range.
    episodes: Vec<(u32, u32)>,
}

impl RetiredEpisodes {
    /// The episodes that begin in `file`; `None` if the run has no journal.
    pub(super) fn new(
        recording: &Path,
        run: RunId,
        file: RetiredFile,
        episodes: impl FnOnce() -> BTreeSet<i64>,
    ) -> Option<Self> {
        let journal = *journal_segments(recording, run).last()?;
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        // The lower half of an id is the number.
        for number in episodes().into_iter().map(|id| id as u32) {
            match ranges.last_mut() {
                Some((_, last)) if number.checked_sub(1) == Some(*last) => *last = number,
                _ => ranges.push((number, number)),
            }
        }
        Some(Self {
            file,
            journal,
            episodes: ranges,
        })
    }

    /// Whether `file` is the deleted one.
    pub(super) fn is_of(&self, file: RetiredFile) -> bool {
        self.file == file
    }
}

/// Removes those that the journal of the run does not hold any more, so that their number is bounded by its size.
pub(super) fn forget_released(retired: &mut Vec<RetiredEpisodes>, recording: &Path, run: RunId) {
    let segments = journal_segments(recording, run);
    retired.retain(|retired| segments.first().is_some_and(|first| *first <= retired.journal));
}

/// Whether an episode is among `retired`, which the account of `run` lists, and deleted.
pub(super) fn deleted_episodes(
    retired: &[RetiredEpisodes],
    recording: &Path,
    run: RunId,
) -> impl Fn(i64) -> bool + use<> {
    let deleted = retired.iter().filter(|retired| !retired.file.exists(recording, run));
    let ranges: Vec<_> = deleted.flat_map(|retired| retired.episodes.iter().copied()).collect();
    move |episode_id| {
        let number = episode_id as u32;
        run.episode_id(number) == episode_id && ranges.iter().any(|(first, last)| (*first..=*last).contains(&number))
    }
}

/// The numbers of the segments of a run's journal.
fn journal_segments(recording: &Path, run: RunId) -> BTreeSet<u32> {
    let entries = fs::read_dir(layout::journal_folder(recording, run));
    let names = entries.into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter_map(|name| journal::segment_number(&name)).collect()
}
