//! A run that is over: what an earlier process has uploaded, and shards that are gone.

use super::{PassError, StagedRun, on_disk};
use crate::{
    sink::{RunAccount, ShardAccount},
    store::{
        error::StoreErrorKind,
        key::{DatasetKey, RecordingFolder},
    },
};
use std::{fs, io};

impl StagedRun {
    /// Whether an earlier process has uploaded all of the run, which is over. What is in the store may have been edited since, so
    /// nothing is written there again. With a limit of retention, the shards in the store are counted in any case.
    pub(super) fn is_in_store(&self, remote: RecordingFolder<'_>, account: &RunAccount) -> Result<bool, PassError> {
        let mut names = account.shards.iter().map(|shard| shard.name(self.run));
        let is_uploaded = names.all(|name| name.is_some_and(|name| self.is_stored(name)));
        if self.account.is_some() || self.retention.is_some() || !is_uploaded {
            return Ok(false);
        }
        let key = DatasetKey::Account(remote, self.run);
        match self.client.get(&key.in_bucket(&self.dataset)) {
            Ok(stored) => Ok(serde_json::from_slice::<RunAccount>(&stored)
                .is_ok_and(|stored| stored.upload.is_none() && stored.status == account.status)),
            Err(error) if error.kind() == StoreErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.store_error(key)(error)),
        }
    }

    /// Counts the transitions of shards as dropped that are neither in the store nor on the disk. The writer of the run does so only
    /// while the run is open.
    pub(super) fn count_missing(&self, account: &mut RunAccount) -> Result<(), PassError> {
        let is_gone = |shard: &ShardAccount| {
            // Any other error does not mean that the file is gone.
            shard.name(self.run).is_some_and(|name| {
                !self.is_stored(name)
                    && fs::metadata(name.path(&self.folder)).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
            })
        };
        let gone: Vec<_> = account.shards.extract_if(.., |shard| is_gone(shard)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let report = &mut account.account;
        let (episodes, transitions) = gone.iter().fold((0_u64, 0_u64), |sum, shard| {
            (
                sum.0.saturating_add(shard.episodes),
                sum.1.saturating_add(shard.transitions),
            )
        });
        report.set_missing(
            report.missing_episodes.saturating_add(episodes),
            report.missing.saturating_add(transitions),
        );
        account
            .save(&self.folder)
            .map_err(on_disk("write the account in", &self.folder))?;
        tracing::error!(
            "{} finished shards of run {} are gone from `{}`: another process has removed them; their {transitions} transitions in \
             {episodes} episodes are counted as dropped",
            gone.len(),
            self.run,
            self.folder.display()
        );
        Ok(())
    }
}
