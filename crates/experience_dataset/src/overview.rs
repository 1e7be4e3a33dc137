//! An overview of a recording's folder, from file footers, accounts and the column of agent ids.

use super::{
    DatasetError, RecordingData, RecordingSummary, RunAccount, RunStatus, agents, error::damage, shard::ShardReader,
    summary::FooterSummary,
};
use crate::{
    sink::{layout, recovery},
    store::source,
};
use serde::Serialize;
use std::{
    collections::HashSet,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

/// An overview of a recording's folder; see [`RecordingData::overview`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Overview {
    /// Transitions in shards that can be read.
    pub transitions: u64,
    /// Shards that can be read.
    pub shards: u64,
    /// Size of all shards, in bytes.
    pub bytes: u64,
    /// Number of different agents in shards that can be read; their totals are in [`RecordingData::agent_totals`].
    pub agents: u64,
    /// The combined summaries of all shards whose footer has one that can be used. Shards of earlier versions and of other programs
    /// have none: its `transitions` say how many it includes. Those of discarded episodes are among them.
    pub summary: RecordingSummary,
    /// Episodes that were marked as discarded after they had ended. Readers skip those of them that are in shards, and
    /// `transitions` includes them.
    pub discarded_episodes: u64,
    /// The accounts of all runs that can be read, in the order of their file names.
    pub runs: Vec<RunAccount>,
    /// Shards and accounts that are damaged, and how.
    pub damaged: Vec<(PathBuf, String)>,
    /// Files that a process is writing, or was writing when it died. Readers ignore them.
    pub unfinished: Vec<PathBuf>,
    /// Journals of runs that are neither closed nor [recovered](crate::Dataset::recover).
    pub journals: Vec<PathBuf>,
    /// Segments of runs of a [`JournalSink`](crate::JournalSink), whose episodes are in no shard before a
    /// [recovery](crate::Dataset::recover).
    pub segments: Vec<PathBuf>,
    /// Folders with segments of journals that a recovery could not read completely, one for each run. They stay until
    /// [`RecoverSettings::discard_damaged`](crate::RecoverSettings::discard_damaged).
    pub damaged_journals: Vec<PathBuf>,
}

impl Overview {
    /// The number of runs that are neither closed nor recovered.
    #[must_use]
    pub fn running(&self) -> usize {
        self.runs.iter().filter(|run| run.status == RunStatus::Running).count()
    }

    /// The number of episodes in committed shards, from the accounts of the runs.
    #[must_use]
    pub fn episodes(&self) -> u64 {
        self.runs
            .iter()
            .flat_map(|run| &run.shards)
            .fold(0, |sum, shard| sum.saturating_add(shard.episodes))
    }
}

pub(super) fn overview(recording: &RecordingData) -> Result<Overview, DatasetError> {
    let mut overview = Overview::default();
    let mut found = HashSet::new();
    let mut summary = FooterSummary::new(recording.schema());
    for path in recording.shards()? {
        overview.bytes += source::size(&path).unwrap_or(0);
        match ShardReader::open(recording.schema(), &path) {
            Ok(None) => {}
            Ok(Some(shard)) => {
                overview.shards += 1;
                overview.transitions += shard.rows();
                summary.add(&shard);
                if let Err(error) = agents::collect(&shard, &mut found) {
                    overview.damaged.push((path, damage(error)?));
                }
            }
            Err(error) => overview.damaged.push((path, damage(error)?)),
        }
    }
    overview.summary = summary.finish();
    let compactions = recording.compactions()?;
    for path in recording.accounts()? {
        match recording.account_with(&path, &compactions) {
            Ok(run) => overview.runs.push(run),
            Err(error) => overview.damaged.push((path, damage(error)?)),
        }
    }
    overview.agents = found.len() as u64;
    overview.discarded_episodes = match recording.discarded() {
        Ok(discarded) => discarded.len() as u64,
        // `damaged` lists the files of a recording that are read here, and a file of tags is none of them.
        Err(error) => damage(error).map(|_| 0)?,
    };
    overview.unfinished = unfinished(recording)?;
    overview.journals = run_folders(recording, layout::JOURNALS)?;
    overview.segments = run_folders(recording, layout::SEGMENTS)?;
    overview.damaged_journals =
        recovery::damaged_journals(recording.path()).map_err(DatasetError::io("list", recording.path()))?;
    Ok(overview)
}

/// Files in the recording's folders that have a temporary name.
pub(super) fn unfinished(recording: &RecordingData) -> Result<Vec<PathBuf>, DatasetError> {
    let mut found = Vec::new();
    for folder in [layout::DATA, layout::PARTIAL, layout::RUNS].map(|part| recording.path().join(part)) {
        if folder.is_dir() {
            collect(&folder, &mut found).map_err(DatasetError::io("list", &folder))?;
        }
    }
    found.sort();
    Ok(found)
}

/// The folders of runs in a part of the recording.
fn run_folders(recording: &RecordingData, part: &str) -> Result<Vec<PathBuf>, DatasetError> {
    let folder = recording.path().join(part);
    let mut found = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(&folder).map_err(DatasetError::io("list", &folder))? {
            let path = entry.map_err(DatasetError::io("list", &folder))?.path();
            let name = path.file_name().and_then(OsStr::to_str);
            found.extend(name.and_then(layout::run).map(|_| path.clone()));
        }
    }
    found.sort();
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "tmp") {
            found.push(path);
        }
    }
    Ok(())
}
