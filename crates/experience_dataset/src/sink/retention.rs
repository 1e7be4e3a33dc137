//! Retention: deletes the oldest shards of a recording beyond a number of bytes.
//!
//! Shards of this run and of runs that are over are deleted, oldest first. A shard is first listed in its account as a pending
//! deletion, and then deleted. A reader of the account checks whether the file still exists. So the accounts are correct at
//! every moment, and stay correct if the process dies.
//!
//! Shards are in the order of [`ShardAccount::committed`](super::ShardAccount::committed), and those of one run in the order of
//! their numbers. Times of the file system do not count: a copy changes them, and so does a clock that is set back.

use super::{
    account::{RunAccount, RunStatus},
    compaction::Compactions,
    files::io_error,
    layout, lock,
    shard_name::ShardName,
};
use experience_core::transition::RunId;
use experience_export::{SinkError, disk};
use std::{
    collections::BTreeMap,
    fs, io,
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

/// A shard that may be deleted.
struct DeletionCandidate {
    /// When it was committed, and its number in its run.
    order: (u64, RunId, u32),
    bytes: u64,
    name: ShardName,
}

/// Deletes the oldest shards of `own` and of runs that are over, until at most `max_bytes` are left or only the newest shard of
/// `own`. Returns whether a shard was deleted and the account saved.
pub(super) fn enforce(recording: &Path, own: &mut RunAccount, max_bytes: u64) -> Result<bool, SinkError> {
    let Some(_lock) = lock::try_lock_retention(recording) else {
        return Ok(false);
    };
    // The accounts list the shards that a compaction was exchanging when its process died.
    Compactions::end(recording)?;
    let newest = own.shards.last().and_then(|shard| shard.name(own.run));
    // Another dataset may share a linked folder, and know more about the runs in it.
    let mut others = match layout::check_links(recording) {
        Ok(()) => other_accounts(recording, own.run)?,
        Err(_) => Vec::new(),
    };
    let mut candidates: Vec<_> = others
        .iter()
        .chain([&*own])
        .flat_map(|account| candidates(recording, account))
        .collect();
    candidates.sort_by_key(|candidate| candidate.order);
    let mut bytes: u64 = candidates.iter().map(|candidate| candidate.bytes).sum();
    let mut deletions: BTreeMap<RunId, Vec<ShardName>> = BTreeMap::new();
    for candidate in candidates {
        if bytes <= max_bytes {
            break;
        }
        if Some(candidate.name) != newest {
            bytes -= candidate.bytes;
            deletions.entry(candidate.name.run()).or_default().push(candidate.name);
        }
    }
    let mut has_deleted = false;
    for account in others.iter_mut().chain([own]) {
        let names = deletions.remove(&account.run).unwrap_or_default();
        // Deletions that an earlier process did not finish are finished here.
        if !names.is_empty() || account.has_pending_deletions() {
            delete_shards(recording, account, &names)?;
            has_deleted = true;
        }
    }
    Ok(has_deleted)
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

fn candidates<'a>(recording: &'a Path, account: &'a RunAccount) -> impl Iterator<Item = DeletionCandidate> + 'a {
    account.shards.iter().filter_map(|shard| {
        // A manipulated account could list any file, so only names of the run's own shards are accepted.
        let name = shard.name(account.run)?;
        let metadata = fs::metadata(name.path(recording)).ok()?;
        Some(DeletionCandidate {
            order: (account.commit_time(shard), account.run, name.index()),
            bytes: metadata.len(),
            name,
        })
    })
}

/// Deletes the shards `names` of a run, and those whose deletion is pending.
fn delete_shards(recording: &Path, account: &mut RunAccount, names: &[ShardName]) -> Result<(), SinkError> {
    for name in names.iter().copied() {
        account.begin_deletion(name);
    }
    let save = |account: &RunAccount| {
        account
            .save(recording)
            .map_err(io_error("write", &account.path(recording)))
    };
    save(account)?;
    for name in account.pending_deletions() {
        let path = name.path(recording);
        match disk::remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("remove", &path)(error));
            }
            _ => {}
        }
    }
    disk::sync_folder(&recording.join(layout::DATA));
    account.resolve_deletions(recording);
    save(account)
}
