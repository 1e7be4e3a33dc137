//! `compaction.json` of a recording: which shards `experience compact` has replaced, and is replacing.
//!
//! Readers list the folder `data/`, and several files cannot be exchanged for others at once. So a compaction writes the new shards
//! to `partial/`, states both sets in this file, renames the new shards into `data/`, and removes the old ones. While the
//! exchange is pending, [`visible`](Compactions::visible) hides the new shards until all of them are there, and the old ones from
//! then on. The file stays, so that a reader that has listed the old shards learns where they are.

use super::{
    account::RunAccount,
    files::{self, io_error},
    layout, lock, partial,
    shard_account::ShardAccount,
    shard_name::ShardName,
};
use crate::store::source;
use experience_core::transition::RunId;
use experience_export::{SinkError, disk};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io,
    path::{Path, PathBuf},
};

/// The content of `compaction.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Compactions {
    /// The number of changes of the file, so that a reader notices each of them.
    changes: u64,
    /// The exchange that was begun and not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending: Option<PendingCompaction>,
    /// By run, as in the names of files: the number below which shards were replaced, unless they are still there.
    #[serde(default)]
    compacted: BTreeMap<String, u32>,
}

/// An exchange of shards of one run for new ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingCompaction {
    pub(crate) run: RunId,
    pub(crate) old: Vec<ShardAccount>,
    pub(crate) new: Vec<ShardAccount>,
}

impl PendingCompaction {
    fn names<'a>(&'a self, shards: &'a [ShardAccount]) -> impl Iterator<Item = ShardName> + 'a {
        shards.iter().filter_map(|shard| shard.name(self.run))
    }

    /// Whether all new shards are in the folder `recording`: then the exchange will be completed, and undone otherwise.
    fn is_decided(&self, recording: &Path) -> bool {
        self.new.iter().all(|shard| {
            shard
                .name(self.run)
                .is_some_and(|name| source::exists(&name.path(recording)))
        })
    }

    /// Replaces the old shards of an account by the new ones. Episodes that were discarded are not in the new ones.
    fn apply(&self, account: &mut RunAccount) {
        let old: HashSet<&str> = self.old.iter().map(|shard| shard.file.as_str()).collect();
        let new: HashSet<&str> = self.new.iter().map(|shard| shard.file.as_str()).collect();
        // None if the account is that of after the exchange.
        let is_replaced = account.shards.iter().any(|shard| old.contains(shard.file.as_str()));
        account
            .shards
            .retain(|shard| !old.contains(shard.file.as_str()) && !new.contains(shard.file.as_str()));
        account.shards.extend(self.new.iter().cloned());
        account.sort_shards();
        if is_replaced {
            let sum = |shards: &[ShardAccount]| {
                shards.iter().fold((0, 0), |sum: (u64, u64), shard| {
                    (sum.0 + shard.episodes, sum.1 + shard.transitions)
                })
            };
            let (before, after) = (sum(&self.old), sum(&self.new));
            account.discard(before.0.saturating_sub(after.0), before.1.saturating_sub(after.1));
        }
    }
}

impl Compactions {
    fn path(recording: &Path) -> PathBuf {
        recording.join(layout::COMPACTION)
    }

    /// Reads the file in the folder `recording`; the default if there is none.
    pub(crate) fn read(recording: &Path) -> io::Result<Self> {
        match source::read(&Self::path(recording)) {
            Ok(content) => Ok(serde_json::from_slice(&content)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    fn save(&mut self, recording: &Path) -> Result<(), SinkError> {
        self.changes += 1;
        let path = Self::path(recording);
        let mut json = serde_json::to_vec_pretty(self).expect("it holds only strings, numbers and lists");
        json.push(b'\n');
        files::replace(&path, &json)
    }

    /// The shards among `listed`, all files of `data/`, that readers see. `None` if the folder changed while it was listed.
    pub(crate) fn visible(&self, mut listed: Vec<PathBuf>) -> Option<Vec<PathBuf>> {
        let Some(pending) = &self.pending else {
            return Some(listed);
        };
        let found: HashSet<ShardName> = listed.iter().filter_map(|path| name_of(path)).collect();
        let has_all = |shards: &[ShardAccount]| pending.names(shards).all(|name| found.contains(&name));
        let hidden: HashSet<ShardName> = if has_all(&pending.new) {
            pending.names(&pending.old).collect()
        } else if has_all(&pending.old) {
            pending.names(&pending.new).collect()
        } else {
            return None;
        };
        listed.retain(|path| name_of(path).is_none_or(|name| !hidden.contains(&name)));
        Some(listed)
    }

    /// Makes an account list the shards that readers see.
    pub(crate) fn resolve(&self, recording: &Path, account: &mut RunAccount) {
        if let Some(pending) = &self.pending
            && pending.run == account.run
            && pending.is_decided(recording)
        {
            pending.apply(account);
        }
    }

    /// Whether a shard that is not there was replaced by a compaction, or is being replaced by one.
    pub(crate) fn has_replaced(&self, shard: ShardName) -> bool {
        let is_old = |pending: &PendingCompaction| pending.names(&pending.old).any(|old| old == shard);
        let below = self.compacted.get(&shard.run().to_string());
        below.is_some_and(|below| shard.index() < *below) || self.pending.as_ref().is_some_and(is_old)
    }

    /// Begins the exchange of shards. The new ones are in `partial/`.
    pub(crate) fn begin(recording: &Path, pending: PendingCompaction) -> Result<(), SinkError> {
        let mut file = Self::read(recording).map_err(unreadable(recording))?;
        file.pending = Some(pending);
        file.save(recording)
    }

    /// Ends an exchange that is pending: removes the old shards if all new ones are there, and the new ones otherwise.
    ///
    /// The caller holds the lock of [`lock`].
    pub(crate) fn end(recording: &Path) -> Result<(), SinkError> {
        let mut file = Self::read(recording).map_err(unreadable(recording))?;
        let Some(pending) = file.pending.take() else {
            return Ok(());
        };
        let is_decided = pending.is_decided(recording);
        let removed = if is_decided { &pending.old } else { &pending.new };
        for name in pending.names(removed) {
            files::remove(&name.path(recording))?;
        }
        // A removal that is lost after the file says that the exchange has ended would bring the rows back.
        let data = recording.join(layout::DATA);
        disk::try_sync_folder(&data).map_err(io_error("sync", &data))?;
        if is_decided {
            let mut account = RunAccount::read(recording, pending.run).map_err(io_error(
                "read",
                &recording.join(layout::RUNS).join(layout::account_name(pending.run)),
            ))?;
            pending.apply(&mut account);
            let path = account.path(recording);
            account.save(recording).map_err(io_error("write", &path))?;
            let last = pending.names(&pending.old).map(ShardName::index).max();
            let below = last.map_or(0, |last| last.saturating_add(1));
            file.compacted.insert(pending.run.to_string(), below);
        } else {
            for name in pending.names(&pending.new) {
                disk::remove_unfinished(&partial::path(recording, &name.to_string()));
            }
        }
        file.save(recording)
    }

    /// Waits until no other process compacts, erases, recovers or deletes shards of the recording. Then ends an exchange that
    /// another process has left. The lock is held until the file is dropped.
    pub(crate) fn lock(recording: &Path) -> Result<Option<File>, SinkError> {
        let lock = lock::lock_retention(recording)?;
        Self::end(recording)?;
        Ok(lock)
    }
}

fn name_of(path: &Path) -> Option<ShardName> {
    ShardName::parse(path.file_name()?.to_str()?)
}

fn unreadable(recording: &Path) -> impl FnOnce(io::Error) -> SinkError {
    let path = Compactions::path(recording);
    move |source| SinkError::Io {
        action: "read",
        path,
        source,
    }
}
