//! Retention of shards, for a [`DatasetSink`](crate::DatasetSink).

use super::{DeletionCandidate, choose_deletions, others, save};
use crate::sink::{
    account::RunAccount, compaction::Compactions, files, layout, lock, read::for_each_batch,
    retired_episodes::RetiredFile, shard_name::ShardName,
};
use experience_arrow::columns::ColumnId;
use experience_core::schema::Schema;
use experience_export::{SinkError, disk};
use std::{collections::BTreeSet, fs, path::Path};

/// Deletes the oldest shards of `own` and of runs that are over, until at most `max_bytes` are left or only the newest shard of
/// `own`. Returns whether a shard was deleted and the account saved.
pub(in crate::sink) fn enforce(
    recording: &Path,
    schema: &Schema,
    own: &mut RunAccount,
    max_bytes: u64,
) -> Result<bool, SinkError> {
    let Some(_lock) = lock::try_lock_retention(recording) else {
        return Ok(false);
    };
    // The accounts list the shards that a compaction was exchanging when its process died.
    Compactions::end(recording)?;
    let newest = own.shards.last().and_then(|shard| shard.name(own.run));
    let mut others = others(recording, own.run)?;
    let mut candidates: Vec<_> = others
        .iter()
        .chain([&*own])
        .flat_map(|account| candidates(recording, account))
        .collect();
    let bytes = candidates.iter().map(|candidate| candidate.bytes).sum();
    candidates.retain(
        |&DeletionCandidate {
             order: (_, run, index), ..
         }| Some(ShardName::new(run, index)) != newest,
    );
    let mut deletions = choose_deletions(candidates, bytes, max_bytes);
    let mut has_deleted = false;
    for account in others.iter_mut().chain([own]) {
        let indices = deletions.remove(&account.run).unwrap_or_default();
        // Deletions that an earlier process did not finish are finished here.
        if !indices.is_empty() || account.has_pending_deletions() {
            delete_shards(recording, schema, account, &indices)?;
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
        })
    })
}

/// Deletes the shards `indices` of a run, and those whose deletion is pending.
fn delete_shards(
    recording: &Path,
    schema: &Schema,
    account: &mut RunAccount,
    indices: &[u32],
) -> Result<(), SinkError> {
    for index in indices.iter().copied() {
        let name = ShardName::new(account.run, index);
        account.note_episodes(recording, RetiredFile::Shard(index), || {
            episodes(&name.path(recording), schema)
        });
        account.begin_deletion(name);
    }
    save(recording, account)?;
    for name in account.pending_deletions() {
        files::remove(&name.path(recording))?;
    }
    disk::sync_folder(&recording.join(layout::DATA));
    account.resolve_deletions(recording);
    save(recording, account)
}

/// The episodes in a shard. One that cannot be read is deleted like any other.
fn episodes(path: &Path, schema: &Schema) -> BTreeSet<i64> {
    let mut episodes = BTreeSet::new();
    let read = for_each_batch(path, schema, &[ColumnId::EpisodeId], |batch| {
        episodes.extend(batch.i64(ColumnId::EpisodeId).values());
    });
    if let Err(error) = read {
        tracing::debug!("cannot read the episodes of `{}`: {error}", path.display());
    }
    episodes
}
