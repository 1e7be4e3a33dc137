//! Lock files of runs, which show that the process of a run is alive, with heartbeats and a check that they are still there.
//!
//! A run holds a lock on a hidden file next to its account until it is closed. The operating system releases the lock when the
//! process ends, however it ends. [`liveness`](super::liveness) decides what a free lock means.

use super::{
    account::{RunAccount, RunStatus},
    files::{io_error, is_refusal},
    layout,
    liveness::{self, FileId, HEARTBEAT, Liveness},
};
use experience_core::transition::RunId;
use experience_export::{SinkError, disk};
use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    time::Duration,
};

/// The runs whose locks this process holds, by the path of the recording. A lock file that was replaced does not show them.
static HELD: Mutex<BTreeSet<(PathBuf, RunId)>> = Mutex::new(BTreeSet::new());

/// The lock of a run, held until it is dropped.
///
/// A thread writes a heartbeat to the lock file. Where the file was removed or replaced, it locks a new one, unless another
/// process has recovered the run meanwhile: the owner learns that from [`check`](Self::check), and must stop then.
#[derive(Debug)]
pub(super) struct RunLock {
    state: Arc<Mutex<LockState>>,
    /// Dropped with this, which ends the heartbeats.
    _heartbeat: Option<Sender<()>>,
}

#[derive(Debug)]
struct LockState {
    recording: PathBuf,
    run: RunId,
    path: PathBuf,
    /// `None` if the file cannot be created, and once the lock is released.
    file: Option<File>,
    /// Whether the file is locked. Some file systems have no locks.
    is_locked: bool,
    /// Another process holds the lock of the file that replaced this one.
    is_contended: bool,
    /// The file was removed or replaced, and the owner was not told.
    was_replaced: bool,
    /// The file cannot be created again, which was logged.
    is_failing: bool,
    is_released: bool,
}

/// Whether a run is still this process's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// The process owns the run.
    Owned,
    /// Another process holds the lock of the run. It may be recovering the run.
    Contended,
    /// Another process has recovered the run.
    Lost,
}

/// Whether the process of a run that was not closed is alive.
pub(super) enum Claim {
    /// The process is dead, and the caller holds the lock.
    Dead(RunLock),
    /// The process is alive, or another process recovers the run.
    Alive,
    /// Unknown, see [`Liveness::Unclear`].
    Unclear(Option<Duration>),
    /// The system refused to read or to lock the files that would show it.
    Refused(SinkError),
}

impl RunLock {
    /// Takes the lock of a run if its process is dead.
    pub(super) fn claim(recording: &Path, run: RunId) -> Claim {
        let account = match RunAccount::read(recording, run) {
            Err(error) if is_refusal(&error) => {
                return Claim::Refused(io_error(
                    "read",
                    &recording.join(layout::RUNS).join(layout::account_name(run)),
                )(error));
            }
            read => read.ok(),
        };
        match liveness::liveness(recording, run, account.as_ref()) {
            Liveness::Dead(file) => Claim::Dead(Self::new(recording, run, Some(file), true)),
            Liveness::Alive => Claim::Alive,
            Liveness::Unclear(until) => Claim::Unclear(until),
            Liveness::Refused(error) => Claim::Refused(io_error("lock", &layout::lock_path(recording, run))(error)),
        }
    }

    /// Creates and takes the lock of `run` in the folder `recording`.
    pub(super) fn take(recording: &Path, run: RunId) -> Self {
        match open(recording, run) {
            Ok((file, is_locked)) => Self::new(recording, run, Some(file), is_locked),
            Err(error) => {
                // An unclosed run without a lock counts as unclear.
                tracing::debug!("cannot lock run {run} of `{}`: {error}", recording.display());
                Self::new(recording, run, None, false)
            }
        }
    }

    fn new(recording: &Path, run: RunId, file: Option<File>, is_locked: bool) -> Self {
        let mut state = LockState {
            recording: recording.to_owned(),
            run,
            path: layout::lock_path(recording, run),
            file,
            is_locked,
            is_contended: false,
            was_replaced: false,
            is_failing: false,
            is_released: false,
        };
        held().insert(held_key(recording, run));
        state.check();
        state.was_replaced = false;
        let state = Arc::new(Mutex::new(state));
        Self {
            _heartbeat: spawn_heartbeat(state.clone()),
            state,
        }
    }

    /// The identity of the lock file.
    pub(super) fn file_id(&self) -> Option<FileId> {
        FileId::of(&self.state().file.as_ref()?.metadata().ok()?)
    }

    /// Checks that the run is still this process's, and writes a heartbeat.
    pub(super) fn check(&self) -> Ownership {
        self.state().check()
    }

    /// Whether the lock file was removed or replaced, and locked again, since the last call.
    pub(super) fn take_replaced(&self) -> bool {
        core::mem::take(&mut self.state().was_replaced)
    }

    /// Releases the lock and removes its file, once the account of the run says that the run is over.
    pub(super) fn remove(&mut self) {
        let mut state = self.state();
        state.is_released = true;
        if let Some(file) = state.file.take()
            && state.is_locked
            && disk::is_in_place(&file, &state.path)
        {
            disk::remove_unfinished(&state.path);
        }
    }

    fn state(&self) -> MutexGuard<'_, LockState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        let mut state = self.state();
        state.is_released = true;
        state.file = None;
        held().remove(&held_key(&state.recording, state.run));
    }
}

impl LockState {
    fn check(&mut self) -> Ownership {
        if self.is_released {
            return Ownership::Owned;
        }
        if let Some(file) = &self.file
            && disk::is_in_place(file, &self.path)
        {
            // Without a heartbeat other hosts may take a free lock for that of a dead process, and no other harm is done.
            let _ = liveness::beat(file);
            return Ownership::Owned;
        }
        if RunAccount::read(&self.recording, self.run).is_ok_and(|account| account.status != RunStatus::Running) {
            return Ownership::Lost;
        }
        match open(&self.recording, self.run) {
            Ok((file, is_locked)) => {
                self.was_replaced |= self.file.is_some() || self.is_contended;
                (self.file, self.is_locked) = (Some(file), is_locked);
                (self.is_contended, self.is_failing) = (false, false);
                if self.was_replaced {
                    tracing::warn!(
                        "`{}` was removed or replaced by another program while run {} was recorded; it is locked again",
                        self.path.display(),
                        self.run
                    );
                }
                Ownership::Owned
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !core::mem::replace(&mut self.is_contended, true) {
                    tracing::error!(
                        "another process holds the lock of run {} of `{}`, which this process records",
                        self.run,
                        self.recording.display()
                    );
                }
                Ownership::Contended
            }
            Err(error) => {
                if self.file.is_some() && !core::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!("cannot lock `{}` again: {error}", self.path.display());
                }
                Ownership::Owned
            }
        }
    }
}

/// Opens the lock file of a run, which is created if it is missing, and locks it. Returns whether the file system has locks.
fn open(recording: &Path, run: RunId) -> io::Result<(File, bool)> {
    let file = open_lock_file(&layout::lock_path(recording, run), true)?;
    match file.try_lock() {
        Ok(()) => Ok((file, true)),
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(error)) => {
            tracing::debug!("cannot lock run {run} of `{}`: {error}", recording.display());
            Ok((file, false))
        }
    }
}

/// Checks the lock every [`HEARTBEAT`], until the sender is dropped.
fn spawn_heartbeat(state: Arc<Mutex<LockState>>) -> Option<Sender<()>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new()
        .name("experience-lock".to_owned())
        .spawn(move || {
            while receiver.recv_timeout(HEARTBEAT) == Err(RecvTimeoutError::Timeout) {
                state.lock().unwrap_or_else(PoisonError::into_inner).check();
            }
        })
        .inspect_err(|error| tracing::warn!("cannot start the heartbeats of a run: {error}"))
        .ok()?;
    Some(sender)
}

fn held() -> MutexGuard<'static, BTreeSet<(PathBuf, RunId)>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn held_key(recording: &Path, run: RunId) -> (PathBuf, RunId) {
    (
        fs::canonicalize(recording).unwrap_or_else(|_| recording.to_owned()),
        run,
    )
}

/// Whether this process holds the lock of `run`, wherever its file is.
pub(super) fn is_held(recording: &Path, run: RunId) -> bool {
    held().contains(&held_key(recording, run))
}

/// Whether the process of a run that was not closed is known to be dead.
pub(super) fn is_dead(recording: &Path, account: &RunAccount) -> bool {
    matches!(
        liveness::liveness(recording, account.run, Some(account)),
        Liveness::Dead(_)
    )
}

/// Takes the lock that guards the accounts of other runs in a recording; `None` if another process holds it.
pub(super) fn try_lock_retention(recording: &Path) -> Option<File> {
    let file = open_lock_file(&layout::retention_lock_path(recording), true).ok()?;
    match file.try_lock() {
        Ok(()) => Some(file),
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => None,
    }
}

/// Whether another process holds the lock that guards the accounts of other runs.
pub(super) fn is_retention_locked(recording: &Path) -> bool {
    let file = open_lock_file(&layout::retention_lock_path(recording), false);
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Waits for the lock that guards the accounts of other runs; `None` if the file system has no locks.
///
/// # Errors
/// If the system refuses to open the file.
pub(crate) fn lock_retention(recording: &Path) -> Result<Option<File>, SinkError> {
    let path = layout::retention_lock_path(recording);
    match open_lock_file(&path, true) {
        Ok(file) => Ok(file.lock().is_ok().then_some(file)),
        Err(error) if is_refusal(&error) => Err(io_error("lock", &path)(error)),
        Err(_) => Ok(None),
    }
}

/// Opens a lock file for writing. A link in its place could lead to any file, and is refused.
pub(crate) fn open_lock_file(path: &Path, create: bool) -> io::Result<File> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    OpenOptions::new().write(true).create(create).truncate(false).open(path)
}
