//! Fault injection for file system operations, for tests only (feature `fault_injection`).
//!
//! A test runs its scenario once with [`Faults::count`] to count its operations, and then once for each operation and each
//! [`Fault`]:
//!
//! ```text
//! let operations = Faults::count(|| scenario(folder));
//! for at in 0..operations.len() {
//!     let faults = Faults::plan(at, Fault::PowerLoss);
//!     scenario(another_folder);
//!     drop(faults);
//!     // Check the content of the folder.
//! }
//! ```
//!
//! A plan affects the thread that made it, so concurrent tests do not interfere.

use super::Operation;
use std::{
    cell::RefCell,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The effect of a fault on the planned operation and those after it.
///
/// Whenever a sync fails, the bytes of the file that were not synced are gone: they read as zeros, and the next sync succeeds. So
/// does a system that reports a lost write once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operation fails as on a full disk, and a write is torn. Later operations succeed.
    Refused,
    /// This and all later operations fail as on a full disk, until [`Faults::free_space`].
    Full,
    /// The disk lost what was not synced of the file: the write or sync that reports it fails once, and those bytes read as
    /// zeros. Another operation fails once.
    Lost,
    /// The process dies: a write is torn, and all later operations fail. Earlier operations are kept.
    Killed,
    /// The same, and everything that was not synced is lost: bytes of files, and renames in folders.
    PowerLoss,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 5] = [Self::Refused, Self::Full, Self::Lost, Self::Killed, Self::PowerLoss];
}

struct FaultPlan {
    at: usize,
    fault: Fault,
    /// The operations so far.
    done: Vec<(Operation, PathBuf)>,
    struck: bool,
    /// Whether [`Faults::free_space`] was called.
    has_space: bool,
    /// Every file that was opened, with its durable length.
    files: Vec<OpenedFile>,
    /// New names of files and folders, in folders that were not synced since.
    names: Vec<UnsyncedName>,
    /// Holds copies of files that a rename replaced.
    replaced: tempfile::TempDir,
}

struct OpenedFile {
    /// The path at which the file was created. No two files are created at the same path.
    path: PathBuf,
    file: File,
    /// The length that survives a loss of power.
    durable: u64,
}

struct UnsyncedName {
    to: PathBuf,
    /// The old name; `None` for a link.
    from: Option<PathBuf>,
    /// A copy of the file that was replaced.
    replaced: Option<PathBuf>,
}

thread_local! {
    static PLAN: RefCell<Option<FaultPlan>> = const { RefCell::new(None) };
}

/// Guards the fault plan of this thread, which ends when the guard is dropped.
pub struct Faults {
    is_active: bool,
}

impl Faults {
    /// Injects `fault` at the operation with index `at`.
    pub fn plan(at: usize, fault: Fault) -> Self {
        PLAN.set(Some(FaultPlan {
            at,
            fault,
            done: Vec::new(),
            struck: false,
            has_space: false,
            files: Vec::new(),
            names: Vec::new(),
            replaced: tempfile::tempdir().expect("a temporary folder can be created"),
        }));
        Self { is_active: true }
    }

    /// No plan, for a scenario that is counted.
    pub fn idle() -> Self {
        Self { is_active: false }
    }

    /// The operations of `scenario`, none of which fails.
    pub fn count(scenario: impl FnOnce()) -> Vec<(Operation, PathBuf)> {
        let faults = Self::plan(usize::MAX, Fault::Refused);
        scenario();
        let done = PLAN.with_borrow_mut(|plan| core::mem::take(&mut plan.as_mut().expect("the plan is active").done));
        drop(faults);
        done
    }

    /// Whether the fault was injected.
    pub fn struck(&self) -> bool {
        PLAN.with_borrow(|plan| plan.as_ref().is_some_and(|plan| plan.struck))
    }

    /// Ends [`Fault::Full`]: the disk has space again.
    pub fn free_space(&self) {
        let _ = with_plan(|plan| plan.has_space = true);
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        if self.is_active {
            PLAN.set(None);
        }
    }
}

fn with_plan<T>(work: impl FnOnce(&mut FaultPlan) -> T) -> Option<T> {
    PLAN.with_borrow_mut(|plan| plan.as_mut().map(work))
}

pub(super) fn check(operation: Operation, path: &Path) -> io::Result<()> {
    with_plan(|plan| plan.check(operation, path)).unwrap_or(Ok(()))
}

/// The number of bytes to write now. A write that fails is torn: half of it is written.
pub(super) fn check_write(path: &Path, file: &mut File, bytes: &[u8]) -> io::Result<usize> {
    let half = bytes.len() / 2;
    let checked = with_plan(|plan| {
        if !plan.strikes_now() || half == 0 {
            return plan.check(Operation::Write, path).map(|()| bytes.len());
        }
        if plan.fault == Fault::Lost {
            return plan.check(Operation::Write, path).map(|()| 0);
        }
        if matches!(plan.fault, Fault::Refused | Fault::Full) {
            // Half is written and reported; the fault is injected when the writer writes the rest.
            plan.done.push((Operation::Write, path.to_owned()));
            plan.at += 1;
            return Ok(half);
        }
        file.write_all(&bytes[..half])?;
        plan.check(Operation::Write, path).map(|()| 0)
    });
    checked.unwrap_or(Ok(bytes.len()))
}

pub(super) fn opened(path: &Path, file: &File) {
    let _ = with_plan(|plan| {
        let handle = file
            .try_clone()
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let durable = file.metadata().map_or(0, |metadata| metadata.len());
        plan.files.push(OpenedFile {
            path: path.to_owned(),
            file: handle,
            durable,
        });
    });
}

pub(super) fn synced(path: &Path) {
    let _ = with_plan(|plan| {
        for known in plan.files.iter_mut().filter(|known| known.path == path) {
            known.durable = known.file.metadata().map_or(0, |metadata| metadata.len());
        }
    });
}

pub(super) fn renaming(from: &Path, to: &Path) {
    let _ = with_plan(|plan| {
        let replaced = to.is_file().then(|| {
            let copy = plan.replaced.path().join(plan.names.len().to_string());
            // Copied, because the temporary folder may be on another file system.
            fs::copy(to, &copy).expect("a test's file can be copied");
            copy
        });
        for known in plan.files.iter_mut().filter(|known| known.path == from) {
            to.clone_into(&mut known.path);
        }
        plan.names.push(UnsyncedName {
            to: to.to_owned(),
            from: Some(from.to_owned()),
            replaced,
        });
    });
}

pub(super) fn linked(to: &Path) {
    let _ = with_plan(|plan| {
        plan.names.push(UnsyncedName {
            to: to.to_owned(),
            from: None,
            replaced: None,
        });
    });
}

pub(super) fn folder_synced(folder: &Path) {
    let _ = with_plan(|plan| plan.names.retain(|name| name.to.parent() != Some(folder)));
}

impl FaultPlan {
    fn strikes_now(&self) -> bool {
        self.done.len() == self.at && !self.struck
    }

    fn check(&mut self, operation: Operation, path: &Path) -> io::Result<()> {
        let now = self.done.len();
        self.done.push((operation, path.to_owned()));
        let refused = Err(io::ErrorKind::StorageFull.into());
        if now < self.at {
            return Ok(());
        }
        let first = !core::mem::replace(&mut self.struck, true);
        let refused = match self.fault {
            Fault::Lost => Err(io::Error::other("the disk reports a lost write")),
            _ => refused,
        };
        match self.fault {
            Fault::Refused | Fault::Lost if !first => Ok(()),
            Fault::Full if self.has_space => Ok(()),
            Fault::Refused | Fault::Full if operation == Operation::Sync => {
                self.lose_unsynced(path);
                refused
            }
            Fault::Lost => {
                self.lose_unsynced(path);
                refused
            }
            // A full disk still allows operations that need no space.
            Fault::Full if matches!(operation, Operation::Remove | Operation::SyncFolder) => Ok(()),
            Fault::PowerLoss if first => {
                self.lose_power();
                refused
            }
            _ => refused,
        }
    }

    /// Replaces the bytes of an open file that were not synced by zeros.
    fn lose_unsynced(&mut self, path: &Path) {
        for OpenedFile { file, durable, .. } in self.files.iter_mut().filter(|known| known.path == path) {
            let len = file.metadata().map_or(0, |metadata| metadata.len());
            if len > *durable {
                let replaced = file.set_len(*durable).and_then(|()| file.set_len(len));
                replaced.expect("a test's file can be truncated");
                *durable = len;
            }
        }
    }

    fn lose_power(&mut self) {
        for name in self.names.drain(..).rev() {
            match &name.from {
                Some(from) => {
                    // The rename may have failed, or the file may have been removed since.
                    let _ = fs::rename(&name.to, from);
                }
                None => {
                    let _ = fs::remove_file(&name.to);
                }
            }
            if let Some(replaced) = &name.replaced {
                let _ = fs::copy(replaced, &name.to);
            }
        }
        for OpenedFile { file, durable, .. } in &self.files {
            if file.metadata().is_ok_and(|metadata| metadata.len() > *durable) {
                file.set_len(*durable).expect("a test's file can be truncated");
            }
        }
    }
}
