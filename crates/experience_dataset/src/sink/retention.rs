//! Retention: deletes the oldest shards or segments of a recording beyond a number of bytes.
//!
//! Those of this run and of runs that are over are deleted, oldest first. A shard or segment is first listed in its account as a
//! pending deletion, and then deleted. A reader of the account checks whether the file still exists. So the accounts are correct at
//! every moment, and stay correct if the process dies.
//!
//! They are in the order of [`ShardAccount::committed`](super::ShardAccount::committed), and those of one run in the order of
//! their numbers. Times of the file system do not count: a copy changes them, and so does a clock that is set back.

pub(super) mod segments;
#[cfg(feature = "parquet")]
pub(super) mod shards;

use super::{
    account::{RunAccount, RunStatus},
    files::io_error,
    layout, lock,
};
use experience_core::transition::RunId;
use experience_export::SinkError;
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// The clock of one run for [`ShardAccount::committed`](super::ShardAccount::committed).
#[derive(Debug)]
pub(super) struct CommitClock {
    /// The time at `begun`, in milliseconds since 1970.
    base: u64,
    begun: Instant,
}

impl CommitClock {
    /// A clock that is not behind any shard of the accounts in the folder `recording`.
    pub(super) fn begin(recording: &Path) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let accounts = accounts(recording).unwrap_or_default();
        let latest = accounts.iter().map(RunAccount::last_commit_time).max();
        Self {
            base: (now.as_millis() as u64).max(latest.map_or(0, |latest| latest.saturating_add(1))),
            begun: Instant::now(),
        }
    }

    /// Milliseconds since 1970.
    pub(super) fn now(&self) -> u64 {
        self.base.saturating_add(self.begun.elapsed().as_millis() as u64)
    }
}

/// The accounts of runs other than `own` that are closed, recovered, or whose process is dead.
fn other_accounts(recording: &Path, own: RunId) -> Result<Vec<RunAccount>, SinkError> {
    let mut accounts = accounts(recording)?;
    accounts.retain(|account| {
        account.run != own && (account.status != RunStatus::Running || lock::is_dead(recording, account))
    });
    Ok(accounts)
}

/// The accounts that can be read.
fn accounts(recording: &Path) -> Result<Vec<RunAccount>, SinkError> {
    let runs = recording.join(layout::RUNS);
    let mut accounts = Vec::new();
    for entry in fs::read_dir(&runs).map_err(io_error("list", &runs))? {
        let name = entry.map_err(io_error("list", &runs))?.file_name();
        let Some(run) = layout::account_run(&name) else {
            continue;
        };
        // The shards of an account that cannot be read are not deleted.
        accounts.extend(RunAccount::read(recording, run));
    }
    Ok(accounts)
}

/// A shard or segment that may be deleted.
struct DeletionCandidate {
    /// When it was committed, and its number in its run.
    order: (u64, RunId, u32),
    bytes: u64,
}

/// The numbers of the oldest candidates by run, without which at most `max_bytes` of `bytes` are left.
fn choose_deletions(
    mut candidates: Vec<DeletionCandidate>,
    mut bytes: u64,
    max_bytes: u64,
) -> BTreeMap<RunId, Vec<u32>> {
    candidates.sort_by_key(|candidate| candidate.order);
    let mut deletions: BTreeMap<RunId, Vec<u32>> = BTreeMap::new();
    for candidate in candidates {
        if bytes <= max_bytes {
            break;
        }
        bytes = bytes.saturating_sub(candidate.bytes);
        let (_, run, number) = candidate.order;
        deletions.entry(run).or_default().push(number);
    }
    deletions
}

/// The accounts of runs other than `own` whose files may be deleted. Another dataset may share a linked folder, and know more about
/// the runs in it.
fn others(recording: &Path, own: RunId) -> Result<Vec<RunAccount>, SinkError> {
    match layout::check_links(recording) {
        Ok(()) => other_accounts(recording, own),
        Err(_) => Ok(Vec::new()),
    }
}

fn save(recording: &Path, account: &RunAccount) -> Result<(), SinkError> {
    account
        .save(recording)
        .map_err(io_error("write", &account.path(recording)))
}
