//! Retention: deletes the oldest shards of a recording beyond a number of bytes.
//!
//! Shards of this run and of runs that are over are deleted, oldest first. A shard is first listed in its account as a pending
//! deletion, with the counts of each agent in it, and then deleted. A reader of the account checks whether the file still
//! exists. So the accounts are correct at every moment, and stay correct if the process dies.

use super::{
    account::{AgentCounts, RunAccount, RunStatus},
    files::io_error,
    layout, lock,
    read::for_each_batch,
    shard_name::ShardName,
};
use experience_arrow::columns::ColumnId;
use experience_core::{schema::Schema, transition::RunId};
use experience_export::{SinkError, disk};
use std::{collections::BTreeMap, fs, io, path::Path, time::SystemTime};

/// A shard that may be deleted.
struct DeletionCandidate {
    modified: SystemTime,
    bytes: u64,
    name: ShardName,
}

/// Deletes the oldest shards of `own` and of runs that are over, until at most `max_bytes` are left or only the newest shard of
/// `own`. Returns whether a shard was deleted and the account saved.
pub(super) fn enforce(
    recording: &Path,
    schema: &Schema,
    own: &mut RunAccount,
    max_bytes: u64,
) -> Result<bool, SinkError> {
    let Some(_lock) = lock::try_lock_retention(recording) else {
        return Ok(false);
    };
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
    // By name within one tick of the file system's clock: the names of a run's shards are in the order of their creation.
    candidates.sort_by_key(|candidate| (candidate.modified, candidate.name));
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
            delete_shards(recording, schema, account, &names)?;
            has_deleted = true;
        }
    }
    Ok(has_deleted)
}

/// The accounts of runs other than `own` that are closed, recovered, or whose process is dead.
fn other_accounts(recording: &Path, own: RunId) -> Result<Vec<RunAccount>, SinkError> {
    let runs = recording.join(layout::RUNS);
    let mut accounts = Vec::new();
    for entry in fs::read_dir(&runs).map_err(io_error("list", &runs))? {
        let name = entry.map_err(io_error("list", &runs))?.file_name();
        let Some(run) = layout::account_run(&name) else {
            continue;
        };
        // The shards of an account that cannot be read are not deleted.
        let account = RunAccount::read(recording, run).ok();
        let is_over = |account: &RunAccount| {
            account.run != own && (account.status != RunStatus::Running || lock::is_dead(recording, account))
        };
        accounts.extend(account.filter(is_over));
    }
    Ok(accounts)
}

fn candidates<'a>(recording: &'a Path, account: &'a RunAccount) -> impl Iterator<Item = DeletionCandidate> + 'a {
    account.shards.iter().filter_map(|shard| {
        let name = shard.name(account.run)?;
        let metadata = fs::metadata(name.path(recording)).ok()?;
        Some(DeletionCandidate {
            modified: metadata.modified().ok()?,
            bytes: metadata.len(),
            name,
        })
    })
}

/// Deletes the shards `names` of a run, and those whose deletion is pending.
fn delete_shards(
    recording: &Path,
    schema: &Schema,
    account: &mut RunAccount,
    names: &[ShardName],
) -> Result<(), SinkError> {
    for name in names.iter().copied() {
        match count_by_agent(&name.path(recording), schema) {
            Ok(agents) => account.begin_deletion(name, agents),
            // Without the counts of each agent the account would become wrong.
            Err(error) => tracing::warn!("cannot remove the shard `{name}`, because it cannot be read: {error}"),
        }
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

/// Counts the episodes and transitions of each agent in a shard.
fn count_by_agent(path: &Path, schema: &Schema) -> Result<BTreeMap<i64, AgentCounts>, Box<dyn core::error::Error>> {
    let mut agents = BTreeMap::<i64, AgentCounts>::new();
    let columns = [ColumnId::AgentId, ColumnId::Terminated, ColumnId::Truncated];
    for_each_batch(path, schema, &columns, |batch| {
        let ids = batch.i64(ColumnId::AgentId);
        let is_last = batch.is_last();
        for (row, agent) in ids.values().iter().enumerate() {
            let counts = agents.entry(*agent).or_default();
            counts.transitions += 1;
            counts.episodes += u64::from(is_last.value(row));
        }
    })?;
    Ok(agents)
}
