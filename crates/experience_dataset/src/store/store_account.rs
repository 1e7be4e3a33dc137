//! Composes the account of a run in a store from its account on the disk and the records of its uploads.

use super::{
    upload_state::{self, UploadState},
    uploaded::{StoredState, UploadedShard},
};
use crate::sink::{RunAccount, RunStatus, shard_name::ShardName};
use std::{collections::BTreeMap, fs, path::Path, time::Duration};

/// The account of a run for the store.
#[derive(Debug)]
pub(super) struct Composed {
    pub(super) account: RunAccount,
}

impl Composed {
    /// Whether `uploaded` lists the same shards, in the same state.
    pub(super) fn lists_same(&self, uploaded: &RunAccount) -> bool {
        let (own, other) = (&self.account, uploaded);
        own.status == other.status
            && own.shards == other.shards
            && own.retired == other.retired
            && own.pending_deletions().eq(other.pending_deletions())
            && own.upload.is_some() == other.upload.is_some()
    }
}

/// The account lists the shards that are in the store. The others are pending, and the run counts as running until there are none.
/// It names no folder and no process of the host.
pub(super) fn compose(
    local: &RunAccount,
    folder: &Path,
    records: &BTreeMap<ShardName, UploadedShard>,
    heartbeat: Duration,
    failures: u64,
) -> Composed {
    let mut account = local.clone();
    account.forget_process();
    account.segments.clear();
    let mut upload = UploadState {
        heartbeat: upload_state::now(),
        heartbeat_interval: heartbeat.as_secs_f64(),
        failures,
        ..UploadState::default()
    };
    for shard in core::mem::take(&mut account.shards) {
        let name = shard.name(local.run);
        match name.and_then(|name| records.get(&name)).map(|record| record.state) {
            Some(StoredState::Stored | StoredState::Retiring) => account.shards.push(shard),
            Some(StoredState::Retired) => account.retired.add(&shard),
            None => {
                upload.pending_shards += 1;
                upload.pending_transitions += shard.transitions;
                let path = name.map(|name| name.path(folder));
                upload.pending_bytes += path
                    .and_then(|path| fs::metadata(path).ok())
                    .map_or(0, |file| file.len());
            }
        }
    }
    for (name, record) in records {
        if record.state == StoredState::Retiring {
            account.begin_deletion(*name);
        }
    }
    account.sort_shards();
    let is_over = matches!(local.status, RunStatus::Closed | RunStatus::Recovered);
    if is_over && upload.pending_shards == 0 {
        return Composed { account };
    }
    (account.status, account.ended) = (RunStatus::Running, None);
    account.upload = Some(upload);
    Composed { account }
}
