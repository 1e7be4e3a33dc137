//! Lock of a journal in [`JournalSettings::folder`](super::JournalSettings::folder), which shows whether its process is alive.
//!
//! The lock is a file beside the folder of the journal, `<run>-<recording>.lock`. The operating system releases it when the process
//! ends, however it ends. The file holds the id of the boot and of the file itself. A free lock is proof of death only if both
//! are right: a lock file that a tool has copied, or that is on a disk of another host, does not show the locks of its original.
//! For such a file the time of its last heartbeat decides.

use crate::disk;
use core::time::Duration;
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};
use web_time::Instant;

/// Time between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// A process that cannot be checked counts as dead when its last heartbeat is this old.
const LEASE: Duration = Duration::from_secs(60);
/// Longest content of a lock file.
const MAX_CONTENT: u64 = 256;

/// The lock of a journal. It is released when this is dropped, and its file stays until it is [removed](Self::remove).
#[derive(Debug)]
pub struct JournalLock {
    path: PathBuf,
    file: File,
    beaten: Instant,
}

/// Whether the process of a journal is alive.
#[derive(Debug)]
pub enum JournalClaim {
    /// The process is dead, and the caller holds the lock.
    Dead(JournalLock),
    /// The process is alive, or another one recovers the journal.
    Alive,
    /// Unknown: the lock file is missing or unusable, or its last heartbeat is less than a minute old and the process cannot be
    /// checked.
    Unclear,
}

impl JournalLock {
    /// Creates and takes the lock of the journal in `folder`.
    pub(crate) fn take(folder: &Path) -> io::Result<Self> {
        let path = lock_path(folder);
        let file = open(&path, true)?;
        // Another process holds it for a moment only, to find out whether this one is alive.
        file.lock()?;
        let mut lock = Self {
            path,
            file,
            beaten: Instant::now(),
        };
        lock.beat()?;
        Ok(lock)
    }

    /// Takes the lock of the journal in `folder` if its process is dead.
    #[must_use]
    pub fn claim(folder: &Path) -> JournalClaim {
        let path = lock_path(folder);
        let Ok(file) = open(&path, false) else {
            return JournalClaim::Unclear;
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return JournalClaim::Alive,
            Err(TryLockError::Error(_)) => return JournalClaim::Unclear,
        }
        let is_dead = is_original(&file) || age(folder, &file).is_ok_and(|age| age >= LEASE);
        let beaten = Instant::now();
        if is_dead {
            JournalClaim::Dead(Self { path, file, beaten })
        } else {
            JournalClaim::Unclear
        }
    }

    /// Writes a heartbeat if one is due. Locks another file where the file was removed or replaced.
    pub(crate) fn beat_if_due(&mut self) {
        if self.beaten.elapsed() < HEARTBEAT {
            return;
        }
        self.beaten = Instant::now();
        if !disk::is_in_place(&self.file, &self.path)
            && let Ok(file) = open(&self.path, true)
            && file.try_lock().is_ok()
        {
            self.file = file;
        }
        // Without a heartbeat other hosts may take a free lock for that of a dead process, and no other harm is done.
        let _ = self.beat();
    }

    /// Writes the content of the file, so that the file system sets its time of modification.
    fn beat(&mut self) -> io::Result<()> {
        let content = content(&self.file)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(content.as_bytes())?;
        self.file.set_len(content.len() as u64)
    }

    /// Removes the file, once the journal is gone.
    pub fn remove(self) {
        if disk::is_in_place(&self.file, &self.path) {
            disk::remove_unfinished(&self.path);
        }
    }
}

/// The lock file of the journal in `folder`.
fn lock_path(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().map(OsString::from).unwrap_or_default();
    name.push(".lock");
    folder.with_file_name(name)
}

/// Opens a lock file. A link in its place could lead to any file, and is refused.
fn open(path: &Path, create: bool) -> io::Result<File> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(create).truncate(false).open(path)
}

/// What the lock file `file` of this process holds.
fn content(file: &File) -> io::Result<String> {
    // Systems other than Linux have no such file.
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Ok(format!("{} {}\n", boot.trim(), file_id(&file.metadata()?)))
}

#[cfg(unix)]
fn file_id(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn file_id(_: &fs::Metadata) -> u64 {
    0
}

/// Whether `file` is the lock that a process of this boot has created.
fn is_original(file: &File) -> bool {
    let mut found = String::new();
    let read = file.take(MAX_CONTENT).read_to_string(&mut found);
    read.is_ok() && content(file).is_ok_and(|expected| expected == found)
}

/// Time since the last heartbeat, by the clock of the file system. Zero for a heartbeat in the future.
fn age(folder: &Path, file: &File) -> io::Result<Duration> {
    let probe = disk::temporary(folder.parent().unwrap_or(Path::new(".")));
    let now = File::create(&probe).and_then(|probe| probe.metadata()?.modified());
    disk::remove_unfinished(&probe);
    Ok(now?.duration_since(file.metadata()?.modified()?).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn is_dead(folder: &Path) -> Option<bool> {
        match JournalLock::claim(folder) {
            JournalClaim::Dead(_) => Some(true),
            JournalClaim::Alive => Some(false),
            JournalClaim::Unclear => None,
        }
    }

    #[test]
    fn a_lock_shows_whether_its_process_is_alive() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("0000000a-0");
        assert_eq!(is_dead(&folder), None, "there is no lock");
        let lock = JournalLock::take(&folder).unwrap();
        assert_eq!(is_dead(&folder), Some(false));
        drop(lock);
        assert_eq!(is_dead(&folder), Some(true));
        let JournalClaim::Dead(lock) = JournalLock::claim(&folder) else {
            panic!()
        };
        lock.remove();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_replaced_lock_is_no_proof_of_death_until_its_heartbeat_is_old() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("0000000a-0");
        let path = lock_path(&folder);
        let mut lock = JournalLock::take(&folder).unwrap();
        let copy = root.path().join("copy");
        fs::copy(&path, &copy).unwrap();
        fs::rename(&copy, &path).unwrap();
        assert_eq!(is_dead(&folder), None);
        // The live process locks the file that replaced its own.
        lock.beaten = Instant::now().checked_sub(HEARTBEAT).unwrap();
        lock.beat_if_due();
        assert_eq!(is_dead(&folder), Some(false));
        drop(lock);
        fs::copy(&path, &copy).unwrap();
        fs::rename(&copy, &path).unwrap();
        let old = SystemTime::now() - 2 * LEASE;
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(old)
            .unwrap();
        assert_eq!(is_dead(&folder), Some(true));
    }
}
