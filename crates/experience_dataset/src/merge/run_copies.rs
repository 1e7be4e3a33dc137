//! Runs that several of the merged recordings hold: which copy of a run is taken, and which of its shards are left out.

use super::{
    super::{DatasetError, RecordingData, RunAccount, RunStatus, shard::ShardReader},
    same_content,
};
use crate::sink::shard_name::ShardName;
use experience_arrow::columns::ColumnId;
use experience_core::transition::RunId;
use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
};

/// One of several copies of a run.
struct RunCopy<'a> {
    recording: &'a RecordingData,
    account: Option<RunAccount>,
    shards: BTreeMap<ShardName, PathBuf>,
}

impl RunCopy<'_> {
    /// The order in which copies are preferred. A finished run holds every episode that a crash cut short in another copy.
    fn rank(&self) -> u8 {
        match self.account.as_ref().map(|account| account.status) {
            None => 0,
            Some(RunStatus::Running | RunStatus::Journaled) => 1,
            Some(RunStatus::Recovered) => 2,
            Some(RunStatus::Closed) => 3,
        }
    }

    fn updated(&self) -> f64 {
        self.account.as_ref().map_or(f64::MIN, |account| account.updated)
    }

    fn episodes(&self) -> Result<HashSet<i64>, DatasetError> {
        let mut episodes = HashSet::new();
        for path in self.shards.values() {
            episodes.extend(episodes_of(self.recording, path)?);
        }
        Ok(episodes)
    }
}

/// Whether the account `a` of a run is taken before `b`.
pub(super) fn is_preferred(a: &RunAccount, b: &RunAccount) -> bool {
    let rank = |account: &RunAccount| match account.status {
        RunStatus::Running | RunStatus::Journaled => 1,
        RunStatus::Recovered => 2,
        RunStatus::Closed => 3,
    };
    (rank(a), a.updated) > (rank(b), b.updated)
}

/// The shards of `sources`, which have one schema, whose episodes are in other shards of a preferred copy of their run.
///
/// # Errors
/// If it cannot be decided which episodes of a run to take.
pub(super) fn superseded_shards(sources: &[&RecordingData]) -> Result<HashSet<PathBuf>, DatasetError> {
    let mut superseded = HashSet::new();
    for (run, mut copies) in copies(sources)? {
        copies.sort_by(|a, b| {
            (b.rank(), b.updated())
                .partial_cmp(&(a.rank(), a.updated()))
                .unwrap_or(core::cmp::Ordering::Equal)
        });
        let Some((best, others)) = copies.split_first().filter(|(_, others)| !others.is_empty()) else {
            continue;
        };
        let mut taken = None;
        for other in others {
            for (name, path) in &other.shards {
                let same_name = best.shards.get(name);
                if let Some(best) = same_name
                    && same_content(path, best)?
                {
                    continue;
                }
                let taken = match &mut taken {
                    Some(taken) => taken,
                    none => none.insert(best.episodes()?),
                };
                let found = episodes_of(other.recording, path)?;
                if other.rank() < best.rank() && found.is_subset(taken) {
                    superseded.insert(path.clone());
                } else if other.rank() < best.rank() || same_name.is_some() || !found.is_disjoint(taken) {
                    return Err(contradiction(run, path, best.recording.path()));
                }
            }
        }
    }
    Ok(superseded)
}

fn copies<'a>(sources: &[&'a RecordingData]) -> Result<BTreeMap<RunId, Vec<RunCopy<'a>>>, DatasetError> {
    let mut copies = BTreeMap::<RunId, Vec<RunCopy<'a>>>::new();
    for recording in sources {
        let mut runs = BTreeMap::<RunId, RunCopy<'a>>::new();
        let new = |account| RunCopy {
            recording,
            account,
            shards: BTreeMap::new(),
        };
        for account in recording.runs()? {
            runs.insert(account.run, new(Some(account)));
        }
        for path in recording.shards()? {
            let name = path.file_name().and_then(|name| ShardName::parse(name.to_str()?));
            if let Some(name) = name {
                let run = runs.entry(name.run()).or_insert_with(|| new(None));
                run.shards.insert(name, path);
            }
        }
        for (run, copy) in runs {
            copies.entry(run).or_default().push(copy);
        }
    }
    Ok(copies)
}

fn episodes_of(recording: &RecordingData, path: &Path) -> Result<HashSet<i64>, DatasetError> {
    let mut episodes = HashSet::new();
    // A shard that another process has removed is reported when it is copied.
    let Some(shard) = ShardReader::open(recording.schema(), path)? else {
        return Ok(episodes);
    };
    for batch in shard.batches(&[ColumnId::EpisodeId], None)? {
        episodes.extend(shard.columns(&batch?).i64(ColumnId::EpisodeId).values());
    }
    Ok(episodes)
}

fn contradiction(run: RunId, here: &Path, there: &Path) -> DatasetError {
    DatasetError::write(
        here,
        format!(
            "run {run} is also in `{}`, with different content: one of the two was changed, deleted shards, or was recovered from \
             another state, or two runs have the same id; leave one of them out",
            there.display()
        ),
    )
}
