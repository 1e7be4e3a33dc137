//! The start of a run: the folder of its recording, its lock and its account; and the checks of the lock afterwards.

use super::{
    SchemaMismatch,
    account::RunAccount,
    files::io_error,
    layout,
    liveness::ProcessRecord,
    lock::{Ownership, RunLock},
    recording_folder, run_id,
};
use experience_core::account::RunReport;
use experience_export::{RecordingInfo, RunLabel, SinkError, disk};
use std::path::{Path, PathBuf};

/// A run whose account and lock exist.
pub(super) struct StartedRun {
    /// The folder of the recording.
    pub(super) folder: PathBuf,
    /// Held until the run is closed.
    pub(super) lock: RunLock,
    pub(super) account: RunAccount,
}

/// Starts a run in the dataset `root`.
pub(super) fn start_run(
    root: &Path,
    on_mismatch: SchemaMismatch,
    recording: &RecordingInfo,
    label: RunLabel,
) -> Result<StartedRun, SinkError> {
    let folder = recording_folder::open_or_create(root, &recording.schema, on_mismatch)?;
    run_id::check_unused(&folder, recording.run)?;
    for folder in [root, &folder, &folder.join(layout::RUNS)] {
        disk::sweep(folder);
    }
    // An erasure closes its files before it commits the first.
    for part in [layout::PARTIAL, layout::DATA] {
        disk::sweep_empty(&folder.join(part));
    }
    let mut account = RunAccount::new(recording, label);
    // Taken before the account exists: a process that finds an account checks the lock.
    let mut lock = RunLock::take(&folder, recording.run);
    account.set_process(ProcessRecord::new(&folder, lock.file_id()));
    account.reserve(&folder).inspect_err(|error| {
        // The lock of a run that exists is not this process's to remove.
        if !matches!(error, SinkError::RunExists { .. }) {
            lock.remove();
        }
    })?;
    Ok(StartedRun { folder, lock, account })
}

impl RunLock {
    /// Checks that no other process has recovered the run, which would write the same episodes and delete the journal.
    pub(super) fn check_ownership(&self, folder: &Path, account: &RunAccount) -> Result<(), SinkError> {
        match self.check() {
            Ownership::Owned => Ok(()),
            Ownership::Contended => Err(SinkError::Other(format!(
                "another process holds the lock of run {} of `{}`, and may be recovering it",
                account.run,
                folder.display()
            ))),
            Ownership::Lost => Err(SinkError::RunRecovered {
                run: account.run,
                path: folder.to_owned(),
            }),
        }
    }

    /// Checks the ownership of the run for a call that saves its account. What was recorded after a recovery is counted.
    pub(super) fn check_account(
        &self,
        folder: &Path,
        account: &RunAccount,
        report: &RunReport,
    ) -> Result<(), SinkError> {
        let owned = self.check_ownership(folder, account);
        if matches!(owned, Err(SinkError::RunRecovered { .. })) {
            // The account is now that of the recovery.
            RunAccount::count_after_recovery(folder, account.run, report)
                .map_err(io_error("write", &account.path(folder)))?;
        }
        owned
    }

    /// If the lock file was removed or replaced: sets the new one in the account, and returns the failure to report. The account
    /// is to be saved then.
    pub(super) fn renew_process(&self, folder: &Path, account: &mut RunAccount) -> Option<SinkError> {
        if !self.take_replaced() {
            return None;
        }
        account.set_process(ProcessRecord::new(folder, self.file_id()));
        Some(SinkError::Other(format!(
            "`{}` was removed or replaced by another program while the run was recorded; it is locked again",
            layout::lock_path(folder, account.run).display()
        )))
    }
}
