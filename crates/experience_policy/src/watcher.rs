//! [`ModelWatcher`]: loads a file again when it changes, on a thread of its own.

use crate::{ModelError, PolicyModel};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel},
    thread,
    time::{Duration, SystemTime},
};

/// A model, or why the file that changed is none.
type Loaded = Result<Box<dyn PolicyModel>, ModelError>;

/// Watches a file, and loads it when its time or length changes.
///
/// A file that changes is loaded once it has stayed the same for one interval, so that one that is being written is not loaded
/// half. The thread ends when the watcher is dropped.
#[derive(Debug)]
pub struct ModelWatcher {
    loaded: Receiver<Loaded>,
    /// Dropped to end the thread.
    _stop: Sender<()>,
}

/// What tells two contents of a file apart without reading them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
}

impl ModelWatcher {
    /// Begins to watch `path` every `interval`. Its content at this moment counts as loaded.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn new(
        path: impl Into<PathBuf>,
        interval: Duration,
        load: impl FnMut(&Path) -> Loaded + Send + 'static,
    ) -> io::Result<Self> {
        let path = path.into();
        let (stop, stopped) = channel();
        // A model waits until it is taken; the next one replaces it only after that.
        let (sender, loaded) = sync_channel(1);
        let known = stamp(&path);
        thread::Builder::new()
            .name("experience-policy".to_owned())
            .spawn(move || watch(&path, interval, known, load, &stopped, &sender))?;
        Ok(Self { loaded, _stop: stop })
    }

    /// A model that was loaded since the last call, or why the file could not be. Does not wait.
    pub fn poll(&self) -> Option<Loaded> {
        self.loaded.try_recv().ok()
    }
}

fn watch(
    path: &Path,
    interval: Duration,
    mut known: Option<Stamp>,
    mut load: impl FnMut(&Path) -> Loaded,
    stopped: &Receiver<()>,
    sender: &SyncSender<Loaded>,
) {
    let mut last = known;
    while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
        let now = stamp(path);
        // A file that is missing is about to be replaced.
        if now.is_some() && now != known && now == last {
            known = now;
            if sender.send(load(path)).is_err() {
                return;
            }
        }
        last = now;
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp {
        modified: metadata.modified().ok(),
        len: metadata.len(),
    })
}
