//! Retention of shards, for a [`DatasetSink`](crate::DatasetSink).

use super::{delete, other_accounts, save};
use crate::sink::{account::RunAccount, compaction::Compactions, layout, lock, shard_name::ShardName};
use experience_core::transition::RunId;
use experience_export::{SinkError, disk};
use std::{collections::BTreeMap, fs, path::Path};

/// A shard that may be deleted.
struct DeletionCandidate {
    /// When it was committed, and its number in its run.
    order: (u64, RunId, u32),
    bytes: u64,
    name: ShardName,
}

/// Deletes the oldest shards of `own` and of runs that are over, until at most `max_bytes` are left or only the newest shard of
/// `own`. Returns whether a shard was deleted and the account saved.
pub(in crate::sink) fn enforce(recording: &Path, own: &mut RunAccount, max_bytes: u64) -> Result<bool, SinkError> {
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
    save(recording, account)?;
    for name in account.pending_deletions() {
        delete(&name.path(recording))?;
    }
    disk::sync_folder(&recording.join(layout::DATA));
    account.resolve_deletions(recording);
    save(recording, account)
}
