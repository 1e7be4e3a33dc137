//! A disk that fails at a moment of a test's choice.
//!
//! A test plays its scenario once with [`Faults::count`] to learn how many operations there are, and then once for each of
//! them and each [`Fault`]:
//!
//! ```text
//! let operations = Faults::count(|| scenario(folder));
//! for at in 0..operations.len() {
//!     let faults = Faults::plan(at, Fault::PowerLoss);
//!     scenario(another_folder);
//!     drop(faults);
//!     // What is in the folder?
//! }
//! ```
//!
//! A plan is for the thread that made it, so tests do not see each other's faults.

use super::Operation;
use std::{
    cell::RefCell,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// What happens at the planned operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is refused, as by a full disk; a write is torn. The ones after it work.
    Refused,
    /// It and every one after it is refused, until [`Faults::mend`].
    Full,
    /// The process dies: a write is torn, and nothing reaches the disk from here on. All that was done before stays.
    Killed,
    /// The same, and everything that was not synced is gone: bytes of files, and renames in folders.
    PowerLoss,
}

impl Fault {
    pub const ALL: [Self; 4] = [Self::Refused, Self::Full, Self::Killed, Self::PowerLoss];
}

struct Plan {
    at: usize,
    fault: Fault,
    /// All operations so far.
    done: Vec<(Operation, PathBuf)>,
    struck: bool,
    mended: bool,
    /// Every file that was opened, and how much of it would survive a loss of power.
    files: Vec<Opened>,
    /// Names that were given to files and folders, in folders that were not synced since.
    names: Vec<Name>,
    /// Where what a rename displaced is kept.
    attic: tempfile::TempDir,
}

struct Opened {
    /// Where it was made: no two are made in one place.
    path: PathBuf,
    file: File,
    durable: u64,
}

struct Name {
    to: PathBuf,
    /// What it was renamed from; `None` for a link.
    from: Option<PathBuf>,
    /// What stood there before.
    displaced: Option<PathBuf>,
}

thread_local! {
    static PLAN: RefCell<Option<Plan>> = const { RefCell::new(None) };
}

/// A plan at work, until it is dropped.
pub struct Faults {
    is_at_work: bool,
}

impl Faults {
    /// The operation of number `at` fails.
    pub fn plan(at: usize, fault: Fault) -> Self {
        PLAN.set(Some(Plan {
            at,
            fault,
            done: Vec::new(),
            struck: false,
            mended: false,
            files: Vec::new(),
            names: Vec::new(),
            attic: tempfile::tempdir().expect("there is room for a test"),
        }));
        Self { is_at_work: true }
    }

    /// No plan: for a scenario that is counted.
    pub fn idle() -> Self {
        Self { is_at_work: false }
    }

    /// All operations that `scenario` asks for, none of which fails.
    pub fn count(scenario: impl FnOnce()) -> Vec<(Operation, PathBuf)> {
        let faults = Self::plan(usize::MAX, Fault::Refused);
        scenario();
        let done = PLAN.with_borrow_mut(|plan| core::mem::take(&mut plan.as_mut().expect("it is at work").done));
        drop(faults);
        done
    }

    /// Whether the fault has come to pass.
    pub fn struck(&self) -> bool {
        PLAN.with_borrow(|plan| plan.as_ref().is_some_and(|plan| plan.struck))
    }

    /// A disk that was full has room again.
    pub fn mend(&self) {
        let _ = with_plan(|plan| plan.mended = true);
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        if self.is_at_work {
            PLAN.set(None);
        }
    }
}

fn with_plan<T>(work: impl FnOnce(&mut Plan) -> T) -> Option<T> {
    PLAN.with_borrow_mut(|plan| plan.as_mut().map(work))
}

pub(super) fn check(operation: Operation, path: &Path) -> io::Result<()> {
    with_plan(|plan| plan.check(operation, path)).unwrap_or(Ok(()))
}

/// How many of the bytes of a write are written now. One that fails is torn: half of it is written before.
pub(super) fn check_write(path: &Path, file: &mut File, bytes: &[u8]) -> io::Result<usize> {
    let half = bytes.len() / 2;
    let checked = with_plan(|plan| {
        if !plan.strikes_now() || half == 0 {
            return plan.check(Operation::Write, path).map(|()| bytes.len());
        }
        if matches!(plan.fault, Fault::Refused | Fault::Full) {
            // Whoever writes learns that half was written, and is refused when it comes with the rest.
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
        plan.files.push(Opened {
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
        let displaced = to.is_file().then(|| {
            let kept = plan.attic.path().join(plan.names.len().to_string());
            // A copy, and not a link: the temporary folder may be on another file system.
            fs::copy(to, &kept).expect("a test's file can be copied");
            kept
        });
        plan.names.push(Name {
            to: to.to_owned(),
            from: Some(from.to_owned()),
            displaced,
        });
    });
}

pub(super) fn linked(to: &Path) {
    let _ = with_plan(|plan| {
        plan.names.push(Name {
            to: to.to_owned(),
            from: None,
            displaced: None,
        });
    });
}

pub(super) fn folder_synced(folder: &Path) {
    let _ = with_plan(|plan| plan.names.retain(|name| name.to.parent() != Some(folder)));
}

impl Plan {
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
        match self.fault {
            Fault::Refused if !first => Ok(()),
            Fault::Full if self.mended => Ok(()),
            // Only what takes room is refused by a full disk.
            Fault::Full if matches!(operation, Operation::Remove | Operation::SyncFolder) => Ok(()),
            Fault::PowerLoss if first => {
                self.lose_power();
                refused
            }
            _ => refused,
        }
    }

    fn lose_power(&mut self) {
        for name in self.names.drain(..).rev() {
            match &name.from {
                Some(from) => {
                    // The rename may have failed, or what it named may be gone since.
                    let _ = fs::rename(&name.to, from);
                }
                None => {
                    let _ = fs::remove_file(&name.to);
                }
            }
            if let Some(displaced) = &name.displaced {
                let _ = fs::copy(displaced, &name.to);
            }
        }
        for Opened { file, durable, .. } in &self.files {
            if file.metadata().is_ok_and(|metadata| metadata.len() > *durable) {
                file.set_len(*durable).expect("a test's file can be cut");
            }
        }
    }
}
