//! The folders on the disk in which runs wait for their upload, and the uploads of runs whose process died.
//!
//! ```text
//! <staging>/<address>/<run>/            a dataset of one run
//!   fighter/                            a recording
//!     .upload.lock                      locked by the process that uploads it
//!     uploaded/<run>-00000.parquet.json the record of a shard that is in the store
//! ```

use super::{
    address::StoreAddress,
    staged_run::{PassError, Progress, StagedRun, UploadPlan},
    upload_status::UploadStatus,
};
use crate::{
    RecoverSettings,
    sink::{RunAccount, layout, recovery},
};
use experience_core::transition::RunId;
use experience_export::disk;
use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

const LOCK: &str = ".upload.lock";
/// A folder without an account is that of a run that is just starting, for this long.
const START: Duration = Duration::from_secs(60);
/// What the name of a folder begins with that is being removed.
const REMOVED: &str = ".uploaded-";

/// The folder for the runs of this user, by the conventions of the system.
pub(crate) fn default_staging() -> PathBuf {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let base = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else {
        variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")))
    };
    base.unwrap_or_else(std::env::temp_dir)
        .join("bevy_experience")
        .join("uploads")
}

/// The folder of the runs that are uploaded to `dataset`.
pub(crate) fn address_folder(staging: &Path, dataset: &StoreAddress) -> PathBuf {
    staging.join(layout::folder_name(&dataset.to_string()))
}

/// The dataset on the disk of one run.
pub(crate) fn run_root(staging: &Path, dataset: &StoreAddress, run: RunId) -> PathBuf {
    address_folder(staging, dataset).join(run.to_string())
}

/// Bytes of shards that wait in `folder`, that of an address.
pub(crate) fn staged_bytes(folder: &Path) -> u64 {
    let shards = recordings(folder)
        .into_iter()
        .filter_map(|(_, recording)| fs::read_dir(recording.join(layout::DATA)).ok());
    let sizes = shards
        .flatten()
        .flatten()
        .filter_map(|entry| Some(entry.metadata().ok()?.len()));
    sizes.sum()
}

/// The recordings of all runs in `folder`, that of an address.
pub(super) fn recordings(folder: &Path) -> Vec<(RunId, PathBuf)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Some(run) = entry.file_name().to_str().and_then(layout::run) else {
            continue;
        };
        for recording in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
            if recording.file_name().to_string_lossy().starts_with(REMOVED) {
                let _ = disk::remove_folder(&recording.path());
            } else if recording.path().join(layout::EXPERIENCE).is_file() {
                found.push((run, recording.path()));
            }
        }
    }
    found.sort();
    found
}

/// Locks the uploads of the recording in `folder`, until the file is dropped. `None` if another process uploads it.
pub(super) fn lock(folder: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join(LOCK))?;
    match file.try_lock() {
        // On a system without locks, another process may upload the same objects, with the same content.
        Ok(()) | Err(fs::TryLockError::Error(_)) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
    }
}

/// The uploads of earlier runs, of which the process is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StagedUploads {
    /// Runs of recordings that are now in the store as a whole, and whose folders are removed.
    pub completed: Vec<(RunId, PathBuf)>,
    /// Runs that are in the store as a whole too. Their folders stay, because they hold parts of journals that could not be read:
    /// [`RecoverSettings::discard_damaged`] removes those.
    pub kept: Vec<(RunId, PathBuf)>,
    /// Runs whose process is alive, or may be.
    pub alive: Vec<(RunId, PathBuf)>,
    /// Runs that could not be uploaded, and why. They are unchanged or uploaded in part, and can be uploaded again.
    pub failed: Vec<(RunId, PathBuf, String)>,
}

/// Uploads the runs in the folder of an address whose processes died or could not finish: recovers them, uploads what is left, and
/// removes their folders. `own` is left out.
pub(crate) fn upload_left(
    folder: &Path,
    own: Option<RunId>,
    settings: &RecoverSettings,
    plan: &UploadPlan,
    is_stopped: &dyn Fn() -> bool,
) -> StagedUploads {
    let mut left = recordings(folder);
    left.retain(|(run, _)| own != Some(*run));
    upload_recordings(left, settings, plan, is_stopped)
}

/// As [`upload_left`], of the recordings in `left`.
pub(super) fn upload_recordings(
    left: impl IntoIterator<Item = (RunId, PathBuf)>,
    settings: &RecoverSettings,
    plan: &UploadPlan,
    is_stopped: &dyn Fn() -> bool,
) -> StagedUploads {
    let mut result = StagedUploads::default();
    for (run, recording) in left {
        if is_stopped() {
            break;
        }
        match upload_one(&recording, run, settings, plan) {
            Ok(Some(Removal::Removed)) => result.completed.push((run, recording)),
            Ok(Some(Removal::Kept)) => result.kept.push((run, recording)),
            Ok(None) => result.alive.push((run, recording)),
            Err(error) if error.is_stop() => {}
            Err(error) => result.failed.push((run, recording, error.to_string())),
        }
    }
    result
}

/// Uploads one run. `None` if its process is alive, or may be.
fn upload_one(
    recording: &Path,
    run: RunId,
    settings: &RecoverSettings,
    plan: &UploadPlan,
) -> Result<Option<Removal>, PassError> {
    let lock = lock(recording).map_err(|error| PassError::Disk("lock", recording.join(LOCK), error))?;
    let Some(lock) = lock else { return Ok(None) };
    let mut staged = StagedRun::open(recording.to_owned(), run, plan.clone(), UploadStatus::default())?;
    let recovered = recovery::recover(recording, staged.schema(), settings.include_unclear);
    let recovered = recovered.map_err(|error| PassError::Other(error.to_string()))?;
    if !recovered.alive.is_empty() || !recovered.unclear.is_empty() {
        return Ok(None);
    }
    if let Some((_, reason)) = recovered.failed.first().or(recovered.refused.first()) {
        return Err(PassError::Other(reason.clone()));
    }
    if is_unused(recording, run) {
        if !settings.include_unclear && is_starting(recording) {
            return Ok(None);
        }
        return remove(recording, lock).map(Some);
    }
    match staged.pass()? {
        Progress::Complete => {
            if settings.discard_damaged {
                recovery::discard_damaged(recording).map_err(|error| PassError::Other(error.to_string()))?;
            }
            remove(recording, lock).map(Some)
        }
        // The account is neither closed nor recovered: the process had no journal, or is alive.
        Progress::Open => Ok(None),
        Progress::Damaged => Err(PassError::Other(format!(
            "shards of `{}` are damaged; restore them from a copy, or remove them",
            recording.display()
        ))),
    }
}

/// Whether the process of a run died before it had created the account: it has accepted nothing.
fn is_unused(recording: &Path, run: RunId) -> bool {
    let is_empty = |part: &str| fs::read_dir(recording.join(part)).map_or(true, |mut entries| entries.next().is_none());
    matches!(RunAccount::read(recording, run), Err(error) if error.kind() == io::ErrorKind::NotFound)
        && is_empty(layout::DATA)
        && is_empty(layout::JOURNALS)
}

/// Whether the folder was created so recently that its process may be about to create the account.
fn is_starting(recording: &Path) -> bool {
    let created = fs::metadata(recording.join(layout::EXPERIENCE)).and_then(|file| file.modified());
    // A time in the future counts as recent.
    created.is_ok_and(|created| {
        SystemTime::now()
            .duration_since(created)
            .map_or(true, |age| age < START)
    })
}

/// What became of the folder of a recording that is in the store as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    Removed,
    /// It has a journal, or parts of one that could not be read.
    Kept,
}

/// Removes the folder of a recording that is in the store as a whole, unless it has a journal, and its dataset if nothing else is in it.
pub(super) fn remove(recording: &Path, lock: File) -> Result<Removal, PassError> {
    // What a recovery could not read stays, and with it what a further recovery needs to skip the rest.
    let has_entries = |part: &str| fs::read_dir(recording.join(part)).is_ok_and(|mut entries| entries.next().is_some());
    if has_entries(layout::JOURNALS) || has_entries(layout::DAMAGED) {
        return Ok(Removal::Kept);
    }
    // Renamed first: a part of a folder would look like a run that has lost its account.
    let name = recording.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let removed = recording.with_file_name(format!("{REMOVED}{name}"));
    let failed = |error| PassError::Disk("remove", recording.to_owned(), error);
    disk::rename(recording, &removed).map_err(failed)?;
    drop(lock);
    disk::remove_folder(&removed).map_err(|error| PassError::Disk("remove", removed, error))?;
    if let Some(root) = recording.parent() {
        let entries: Vec<_> = fs::read_dir(root).into_iter().flatten().flatten().collect();
        let is_left_over = |name: &std::ffi::OsStr| name == layout::CARD || name.to_string_lossy().starts_with(REMOVED);
        if entries.iter().all(|entry| is_left_over(&entry.file_name())) {
            let _ = disk::remove_folder(root);
        }
    }
    Ok(Removal::Removed)
}
