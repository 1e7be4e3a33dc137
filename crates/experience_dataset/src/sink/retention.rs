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
};
use experience_arrow::columns::ColumnId;
use experience_core::{schema::Schema, transition::RunId};
use experience_export::{SinkError, disk};
use std::{collections::BTreeMap, fs, io, path::Path, time::SystemTime};

/// A shard that may be deleted.
struct DeletionCandidate {
    modified: SystemTime,
    bytes: u64,
    run: RunId,
    file: String,
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
    let data = recording.join(layout::DATA);
    let newest = own.shards.last().map(|shard| shard.file.clone());
    let mut others = other_accounts(recording, own.run)?;
    let mut candidates: Vec<_> = others
        .iter()
        .chain([&*own])
        .flat_map(|account| candidates(&data, account))
        .collect();
    // By name within one tick of the file system's clock: the names of a run's shards are in the order of their creation.
    candidates.sort_by(|a, b| (a.modified, &a.file).cmp(&(b.modified, &b.file)));
    let mut bytes: u64 = candidates.iter().map(|candidate| candidate.bytes).sum();
    let mut deletions: BTreeMap<RunId, Vec<String>> = BTreeMap::new();
    for candidate in candidates {
        if bytes <= max_bytes {
            break;
        }
        if Some(&candidate.file) != newest.as_ref() {
            bytes -= candidate.bytes;
            deletions.entry(candidate.run).or_default().push(candidate.file);
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
        let path = entry.map_err(io_error("list", &runs))?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        // The shards of an account that cannot be read are not deleted.
        let account = disk::read(&path)
            .ok()
            .and_then(|content| serde_json::from_slice::<RunAccount>(&content).ok());
        let is_over = |account: &RunAccount| {
            account.run != own && (account.status != RunStatus::Running || lock::is_dead(recording, account.run))
        };
        accounts.extend(account.filter(is_over));
    }
    Ok(accounts)
}

fn candidates<'a>(data: &'a Path, account: &'a RunAccount) -> impl Iterator<Item = DeletionCandidate> + 'a {
    account.shards.iter().filter_map(|shard| {
        // A manipulated account could list any file, so only names of the run's own shards are accepted.
        if !shard.file.starts_with(&account.run.to_string()) || shard.file.contains(['/', '\\']) {
            return None;
        }
        let metadata = fs::metadata(data.join(&shard.file)).ok()?;
        Some(DeletionCandidate {
            modified: metadata.modified().ok()?,
            bytes: metadata.len(),
            run: account.run,
            file: shard.file.clone(),
        })
    })
}

/// Deletes the shards `names` of a run, and those whose deletion is pending.
fn delete_shards(
    recording: &Path,
    schema: &Schema,
    account: &mut RunAccount,
    names: &[String],
) -> Result<(), SinkError> {
    let data = recording.join(layout::DATA);
    for name in names {
        match count_by_agent(&data.join(name), schema) {
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
        let path = data.join(name);
        match disk::remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("remove", &path)(error));
            }
            _ => {}
        }
    }
    disk::sync_folder(&data);
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
