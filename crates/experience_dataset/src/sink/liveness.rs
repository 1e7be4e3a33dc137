//! Liveness of runs: whether the process of a run that was not closed still records.
//!
//! A recovery writes shards under the run's id and deletes its journal, so it must never run beside a live process. The lock
//! of a run shows that its process is alive. A lock that another process can take does not show that it is dead: a tool that
//! synchronizes folders may have replaced the file, or the file system may keep locks within one host. So the account of an
//! unfinished run holds a second sign, its [`ProcessRecord`], and the process writes to the lock file every [`HEARTBEAT`],
//! which is the third.
//!
//! # Decisions
//! The first row that applies decides:
//!
//! | | the run |
//! |---|---|
//! | This process holds the lock of the run, wherever the file is now. | alive |
//! | The recorded process is running, and its folder may be this one. | alive |
//! | The system refuses to open the lock file: a read-only disk, too many open files. | not decided: that is an error |
//! | There is no lock file, or it cannot be locked. | unclear |
//! | Another process has locked the file. | alive |
//! | The account has no record: version 0.1.0 wrote it, or it is lost. | dead: the lock alone decides |
//! | This process wrote the record. | dead: this process holds no such lock |
//! | The record is of this boot, and its folder is another one. | dead here: the folder is a **copy** |
//! | The recorded process is not running. | dead |
//! | The record is of this boot or of an unknown one, and the lock file is the recorded one. | dead: locks work within one kernel |
//! | None of these. | unclear until its last heartbeat is [`LEASE`] old, and dead then |
//!
//! Whether the recorded process is running is known on Linux, within one boot and one process namespace.
//!
//! - **Two hosts share a dataset through NFS**: boots differ. With locks that all hosts share, a live run is alive. With locks
//!   that are local to a host, its heartbeats keep it unclear for other hosts.
//! - **A container restarts, and its process has the old id**: process ids of two namespaces are not compared. The lock file is
//!   the recorded one and free, so the old run is dead at once. Within one namespace, the start times of the two differ.
//! - **A copied dataset is opened on the same host**: the run is dead at the copy, whatever its process does elsewhere. Nothing
//!   outside of the copy is deleted; see [`RecordingPlace::is_original`].
//! - **A copied dataset is opened on another host**: it cannot be told from a shared folder, so the run is unclear until the
//!   heartbeat is old. A copy that keeps the times of files is recovered at once, unless its run was alive a moment ago.
//! - **The host restarts**: boots differ, and the run is unclear for the rest of its lease. The recovery at the start of a
//!   game waits for that.
//! - **A clock jumps**: process ids and start times are counted from the boot, without a clock. The age of a heartbeat is the
//!   difference of two times that the file system of the dataset set, so clocks of hosts are not compared. A heartbeat in the
//!   future is younger than the lease. Where the clock of that file system jumps forward within a lease, a live run of another
//!   host looks dead; it finds its files taken and stops, see [`RunLock`](super::lock::RunLock).

use super::{account::RunAccount, files::is_refusal, layout, lock};
use experience_core::transition::RunId;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, Metadata, TryLockError},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::LazyLock,
    time::Duration,
};

/// Time between two heartbeats of a live run.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(5);
/// A run whose process cannot be checked counts as dead when its last heartbeat is this old.
pub(super) const LEASE: Duration = Duration::from_secs(60);

/// Whether the process of a run that was not closed is alive.
#[derive(Debug)]
pub(super) enum Liveness {
    /// The process is dead. The file is the lock of the run, which the caller holds.
    Dead(File),
    /// The process is alive, or another process recovers the run.
    Alive,
    /// Unknown. With a duration, the run counts as dead then, unless it gives another sign of life.
    Unclear(Option<Duration>),
    /// The system refused to open the lock file, so nothing is known.
    Refused(io::Error),
}

/// The process that records a run, and the folder that it writes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProcessRecord {
    /// Random number of the process, so that it recognizes its own runs.
    token: u32,
    pid: u32,
    /// The boot of the host. `None` where the system has no such id.
    boot: Option<String>,
    /// The namespace of `pid`.
    pid_namespace: Option<u64>,
    /// Start of the process, in clock ticks since the boot.
    started: Option<u64>,
    /// The recording's folder.
    place: RecordingPlace,
    /// The lock file of the run.
    lock: Option<FileId>,
}

impl ProcessRecord {
    /// The record of this process, which records a run to the folder `recording` and holds its `lock`.
    pub(super) fn new(recording: &Path, lock: Option<FileId>) -> Self {
        let host = &*THIS_PROCESS;
        Self {
            token: host.token,
            pid: host.pid,
            boot: host.boot.clone(),
            pid_namespace: host.pid_namespace,
            started: host.started,
            place: RecordingPlace::of(recording),
            lock,
        }
    }

    /// The folder that the process writes to.
    pub(super) fn place(&self) -> &RecordingPlace {
        &self.place
    }

    fn is_this_boot(&self) -> bool {
        self.boot.is_some() && self.boot == THIS_PROCESS.boot
    }

    /// Whether the process is running. `None` if that cannot be found out from here.
    fn is_running(&self) -> Option<bool> {
        let is_comparable = self.is_this_boot()
            && self.pid_namespace.is_some()
            && self.pid_namespace == THIS_PROCESS.pid_namespace
            && self.started.is_some();
        is_comparable
            .then(|| process::start_of(self.pid))?
            .map(|started| started == self.started)
    }
}

/// The folder of a recording, and how to tell it from a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RecordingPlace {
    path: PathBuf,
    id: Option<FileId>,
}

impl RecordingPlace {
    fn of(recording: &Path) -> Self {
        Self {
            path: fs::canonicalize(recording).unwrap_or_else(|_| recording.to_owned()),
            id: fs::metadata(recording).ok().and_then(|metadata| FileId::of(&metadata)),
        }
    }

    /// Whether `recording` may be this folder. False for a copy of it on the same host.
    fn may_be(&self, recording: &Path) -> bool {
        let here = Self::of(recording);
        let has_same_inode = matches!((self.id, here.id), (Some(there), Some(here)) if there.inode == here.inode);
        self.path == here.path || has_same_inode
    }

    /// Whether `recording` is this folder for certain, and no copy.
    ///
    /// Only the original may delete files outside of itself, such as those of ring buffers: a copy names the same ones. Device
    /// numbers can change with a boot, and paths with a mount, so one of the two may differ.
    pub(super) fn is_original(&self, recording: &Path) -> bool {
        let here = Self::of(recording);
        match (self.id, here.id) {
            (Some(there), Some(id)) => there.inode == id.inode && (there.device == id.device || self.path == here.path),
            // The system has no file ids.
            (None, None) => self.path == here.path,
            _ => false,
        }
    }
}

/// Identity of a file or folder on its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// `None` where the system has none.
    #[cfg(unix)]
    pub(super) fn of(metadata: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    #[cfg(not(unix))]
    pub(super) fn of(_: &Metadata) -> Option<Self> {
        None
    }
}

/// Finds out whether the process of `run` is alive. `account` is the account of the run, if it can be read.
pub(super) fn liveness(recording: &Path, run: RunId, account: Option<&RunAccount>) -> Liveness {
    let process = account.and_then(RunAccount::process);
    let is_running_here = |process: &ProcessRecord| {
        process.token != THIS_PROCESS.token && process.place.may_be(recording) && process.is_running() == Some(true)
    };
    if lock::is_held(recording, run) || process.is_some_and(is_running_here) {
        return Liveness::Alive;
    }
    let file = match lock::open_lock_file(&layout::lock_path(recording, run), false) {
        Ok(file) => file,
        Err(error) if is_refusal(&error) => return Liveness::Refused(error),
        Err(_) => return Liveness::Unclear(None),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Liveness::Alive,
        Err(TryLockError::Error(_)) => return Liveness::Unclear(None),
    }
    let Some(process) = process else {
        return Liveness::Dead(file);
    };
    let may_be_here = process.place.may_be(recording);
    let is_own = process.token == THIS_PROCESS.token && may_be_here;
    let is_copy = process.is_this_boot() && !may_be_here;
    if is_own || is_copy || process.is_running() == Some(false) {
        return Liveness::Dead(file);
    }
    let is_one_kernel = process.is_this_boot() || process.boot.is_none() || THIS_PROCESS.boot.is_none();
    let is_recorded_lock = file
        .metadata()
        .is_ok_and(|metadata| FileId::of(&metadata) == process.lock);
    if is_one_kernel && is_recorded_lock {
        return Liveness::Dead(file);
    }
    match heartbeat_age(recording, &file) {
        Ok(age) if age >= LEASE => Liveness::Dead(file),
        Ok(age) => Liveness::Unclear(Some(LEASE - age)),
        Err(error) if is_refusal(&error) => Liveness::Refused(error),
        Err(_) => Liveness::Unclear(None),
    }
}

/// Writes to a lock file, so that the file system sets its time of modification.
///
/// # Errors
/// If the file is no lock file, which holds at most what this writes, or cannot be written.
pub(super) fn beat(mut lock: &File) -> io::Result<()> {
    if lock.metadata()?.len() > 1 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    lock.seek(SeekFrom::Start(0))?;
    lock.write_all(b"\n")
}

/// Time since the last heartbeat, by the clock of the file system. Zero for a heartbeat in the future.
fn heartbeat_age(recording: &Path, file: &File) -> io::Result<Duration> {
    let now = lock::open_lock_file(&layout::retention_lock_path(recording), true)?;
    beat(&now)?;
    let (now, beat) = (now.metadata()?.modified()?, file.metadata()?.modified()?);
    Ok(now.duration_since(beat).unwrap_or_default())
}

/// Identity of this process.
struct ThisProcess {
    token: u32,
    pid: u32,
    boot: Option<String>,
    pid_namespace: Option<u64>,
    started: Option<u64>,
}

static THIS_PROCESS: LazyLock<ThisProcess> = LazyLock::new(|| {
    let pid = std::process::id();
    ThisProcess {
        token: rand::random(),
        pid,
        boot: process::boot(),
        pid_namespace: process::pid_namespace(),
        started: process::start_of(pid).flatten(),
    }
});

#[cfg(target_os = "linux")]
mod process {
    //! Processes, as Linux lists them in `/proc`.

    use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

    /// A random id of the time since the kernel started. Containers share it with their host.
    pub(super) fn boot() -> Option<String> {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(id.trim().to_owned()).filter(|id| !id.is_empty())
    }

    pub(super) fn pid_namespace() -> Option<u64> {
        Some(fs::metadata("/proc/self/ns/pid").ok()?.ino())
    }

    /// When the process `pid` started, in clock ticks since the boot: `Some(None)` if no such process is running, and `None` if
    /// that is unknown.
    pub(super) fn start_of(pid: u32) -> Option<Option<u64>> {
        match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => parse(&stat),
            // `/proc` may hide the processes of other users. Then it also hides the first one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Path::new("/proc/1").exists().then_some(None),
            // The process ended after the file was opened.
            Err(error) if error.raw_os_error() == Some(ESRCH) => Some(None),
            Err(_) => None,
        }
    }

    const ESRCH: i32 = 3;

    /// Parses a `stat` file. A zombie is not running.
    fn parse(stat: &str) -> Option<Option<u64>> {
        // The second field is the name of the program in parentheses, and may hold any text.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = fields.next()?;
        if matches!(state, "Z" | "X" | "x") {
            return Some(None);
        }
        // The state is the third field, and the start the 22nd.
        fields.nth(18)?.parse().ok().map(Some)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_process_is_identified_by_its_start() {
            let own = start_of(std::process::id()).unwrap();
            assert!(own.is_some());
            assert_eq!(start_of(std::process::id()).unwrap(), own);
            assert_eq!(start_of(u32::MAX), Some(None), "there is no such process");
            let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
            assert!(start_of(child.id()).unwrap() >= own);
            child.kill().unwrap();
            // The process is a zombie until its parent waits for it.
            while start_of(child.id()).unwrap().is_some() {
                std::thread::yield_now();
            }
            child.wait().unwrap();
            assert_eq!(start_of(child.id()), Some(None));
        }

        #[test]
        fn the_name_of_a_program_may_hold_parentheses() {
            let rest = (4..=25).map(|field| field.to_string()).collect::<Vec<_>>().join(" ");
            assert_eq!(parse(&format!("7 (a) Z 9 (b)) S {rest}")), Some(Some(22)));
            assert_eq!(parse(&format!("7 (a) S 9) Z {rest}")), Some(None));
            assert_eq!(parse("7 (a) S 1 2"), None);
            assert_eq!(parse(""), None);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod process {
    //! Other systems: nothing is known about processes, so locks and heartbeats decide.

    pub(super) fn boot() -> Option<String> {
        None
    }

    pub(super) fn pid_namespace() -> Option<u64> {
        None
    }

    pub(super) fn start_of(_: u32) -> Option<Option<u64>> {
        None
    }
}
