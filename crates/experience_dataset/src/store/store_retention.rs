//! [`StoreRetention`]: deletes the oldest shards of a recording in a store beyond a number of bytes.
//!
//! Shards of this run are counted after each upload, from the records on the disk. Those of other runs cost a request for each account,
//! so they are counted at the start and then once an hour: those of runs that are closed or recovered, and in the store as a whole. The
//! account of another run is written by the process that uploads it, which may return after any time, so its shards stay.

use super::{
    address::StoreAddress,
    client::{Put, StoreClient},
    error::{StoreError, StoreErrorKind},
    key::{DatasetKey, RecordingFolder},
    uploaded::{StoredState, UploadedShard},
};
use crate::sink::{RunAccount, RunStatus, layout, shard_name::ShardName};
use experience_core::transition::RunId;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Time between two counts of other runs.
const OTHER_RUNS: Duration = Duration::from_secs(60 * 60);

#[derive(Debug)]
pub(super) struct StoreRetention {
    max_bytes: u64,
    /// When the other runs were counted, and their bytes after that.
    others: Option<(Instant, u64)>,
}

/// A shard that may be deleted, from the oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    committed: u64,
    name: ShardName,
    bytes: u64,
}

impl StoreRetention {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            others: None,
        }
    }

    /// Deletes shards of other runs, and returns those of this run to delete. The newest shard of this run stays.
    pub(super) fn choose(
        &mut self,
        client: &StoreClient,
        dataset: &StoreAddress,
        remote: RecordingFolder<'_>,
        run: RunId,
        records: &mut BTreeMap<ShardName, UploadedShard>,
    ) -> Result<Vec<ShardName>, StoreError> {
        let stored = records.iter().filter(|(_, record)| record.state == StoredState::Stored);
        let own: Vec<_> = stored
            .map(|(name, record)| Candidate {
                committed: record.shard.committed.unwrap_or_default(),
                name: *name,
                bytes: record.bytes,
            })
            .collect();
        let own_bytes = sum(own.iter().map(|candidate| candidate.bytes));
        let is_due = self.others.is_none_or(|(counted, _)| counted.elapsed() >= OTHER_RUNS);
        let mut accounts = BTreeMap::new();
        let mut candidates = own.clone();
        let known = self.others.map_or(0, |(_, bytes)| bytes);
        if is_due {
            // Also after a failure, other runs are counted again after the interval.
            self.others = Some((Instant::now(), known));
            for (other, account) in other_runs(client, dataset, remote, run)? {
                let sizes = |name: ShardName| client.head(&DatasetKey::Shard(remote, name).in_bucket(dataset));
                for shard in &account.0.shards {
                    let Some(name) = shard.name(other) else { continue };
                    let bytes = match shard.checksum {
                        Some(checksum) => checksum.bytes,
                        None => sizes(name).map_or(0, |found| found.size),
                    };
                    candidates.push(Candidate {
                        committed: account.0.commit_time(shard),
                        name,
                        bytes,
                    });
                }
                accounts.insert(other, account);
            }
        }
        let mut bytes = sum(candidates.iter().map(|candidate| candidate.bytes));
        if !is_due {
            bytes = bytes.saturating_add(known);
        }
        let newest = own
            .iter()
            .max_by_key(|candidate| candidate.name)
            .map(|candidate| candidate.name);
        candidates.retain(|candidate| Some(candidate.name) != newest);
        candidates.sort();
        let mut deleted: BTreeMap<RunId, Vec<ShardName>> = BTreeMap::new();
        for candidate in candidates {
            if bytes <= self.max_bytes {
                break;
            }
            bytes = bytes.saturating_sub(candidate.bytes);
            deleted.entry(candidate.name.run()).or_default().push(candidate.name);
        }
        let chosen = deleted.remove(&run).unwrap_or_default();
        for (other, names) in deleted {
            if let Some((account, found)) = accounts.remove(&other) {
                retire(client, dataset, remote, account, found, &names)?;
            }
        }
        if is_due {
            let left = own_bytes.saturating_sub(records_bytes(records, &chosen));
            self.others = Some((Instant::now(), bytes.saturating_sub(left)));
        }
        Ok(chosen)
    }
}

fn records_bytes(records: &BTreeMap<ShardName, UploadedShard>, names: &[ShardName]) -> u64 {
    sum(names
        .iter()
        .filter_map(|name| records.get(name))
        .map(|record| record.bytes))
}

/// Saturating, because an account may hold any number.
fn sum(bytes: impl Iterator<Item = u64>) -> u64 {
    bytes.fold(0, u64::saturating_add)
}

type OtherAccount = (RunAccount, super::client::StoredObject);

/// The accounts of runs other than `own` that are over, and in the store as a whole. No other process writes them.
fn other_runs(
    client: &StoreClient,
    dataset: &StoreAddress,
    remote: RecordingFolder<'_>,
    own: RunId,
) -> Result<BTreeMap<RunId, OtherAccount>, StoreError> {
    let folder = DatasetKey::Account(remote, own).in_bucket(dataset);
    let folder = folder.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut found = BTreeMap::new();
    for name in client.names(folder)? {
        let run = match DatasetKey::parse(&format!("recording/{}/{name}", layout::RUNS)) {
            Some(DatasetKey::Account(_, run)) if run != own => run,
            _ => continue,
        };
        let (bytes, object) = match client.get_object(&DatasetKey::Account(remote, run).in_bucket(dataset)) {
            Ok(read) => read,
            Err(error) if error.kind() == StoreErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        // The shards of an account that cannot be read are not deleted.
        let Ok(account) = serde_json::from_slice::<RunAccount>(&bytes) else {
            continue;
        };
        let is_over = account.status != RunStatus::Running && account.upload.is_none();
        if account.run == run && is_over {
            found.insert(run, (account, object));
        }
    }
    Ok(found)
}

/// Deletes shards of a run that is over. Another process that deletes shards of the same run is left to do so.
fn retire(
    client: &StoreClient,
    dataset: &StoreAddress,
    remote: RecordingFolder<'_>,
    mut account: RunAccount,
    found: super::client::StoredObject,
    names: &[ShardName],
) -> Result<(), StoreError> {
    let key = DatasetKey::Account(remote, account.run).in_bucket(dataset);
    for name in names {
        account.begin_deletion(*name);
    }
    let found = match client.put(&key, account.to_json(), Put::Update(found)) {
        Ok(written) => written,
        Err(error) if matches!(error.kind(), StoreErrorKind::Conflict | StoreErrorKind::Unsupported) => return Ok(()),
        Err(error) => return Err(error),
    };
    let pending: Vec<_> = account.pending_deletions().collect();
    for name in pending {
        client.delete(&DatasetKey::Shard(remote, name).in_bucket(dataset))?;
    }
    account.retire_pending();
    match client.put(&key, account.to_json(), Put::Update(found)) {
        Err(error) if error.kind() == StoreErrorKind::Conflict => Ok(()),
        written => written.map(|_| ()),
    }
}
