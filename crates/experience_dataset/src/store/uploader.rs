//! [`Uploader`]: the thread that uploads a run while it is recorded.

use super::{
    staged_run::{PassError, Progress, StagedRun, UploadPlan},
    staging,
    upload_status::UploadStatus,
};
use crate::RecoverSettings;
use core::time::Duration;
use experience_core::transition::RunId;
use std::{
    fs::File,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::JoinHandle,
    time::Instant,
};

/// The first wait after a failure. Each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// The longest wait while the game ends.
const MAX_CLOSING_WAIT: Duration = Duration::from_secs(1);
/// How often a lock that another process holds is tried.
const LOCK_INTERVAL: Duration = Duration::from_millis(50);
/// How long the journal of a closed run is waited for, which the exporter removes after the sinks were closed.
const JOURNAL_WAIT: Duration = Duration::from_secs(5);

/// Uploads a run on a thread of its own, until it is dropped.
#[derive(Debug)]
pub(super) struct Uploader {
    wake: Sender<Wake>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wake {
    /// Files have changed.
    Changed,
    /// The run was closed.
    Closing,
}

/// What the thread of an [`Uploader`] works on.
#[derive(Debug)]
struct Work {
    folder: PathBuf,
    run: RunId,
    /// The folder of the address, if earlier runs in it are uploaded too.
    earlier: Option<PathBuf>,
    plan: UploadPlan,
    status: UploadStatus,
    stop: Arc<AtomicBool>,
    wakes: Receiver<Wake>,
    is_closing: bool,
    /// The runs of earlier processes that were not tried yet, the next one last.
    left: Vec<(RunId, PathBuf)>,
    /// A run that was tried is to be tried again later.
    is_repeated: bool,
}

impl Uploader {
    /// Begins to upload the run in `folder`, the folder of a recording; and earlier runs in `earlier`.
    pub(super) fn spawn(
        folder: PathBuf,
        run: RunId,
        earlier: Option<PathBuf>,
        mut plan: UploadPlan,
        status: UploadStatus,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        plan.client = Arc::new(plan.client.with_stop(stop.clone()));
        let (wake, wakes) = mpsc::channel();
        let work = Work {
            folder,
            run,
            earlier,
            plan,
            status,
            stop: stop.clone(),
            wakes,
            is_closing: false,
            left: Vec::new(),
            is_repeated: false,
        };
        let thread = std::thread::Builder::new()
            .name("experience-upload".to_owned())
            .spawn(move || work.run())?;
        Ok(Self {
            wake,
            stop,
            thread: Some(thread),
        })
    }

    /// Tells the thread that files have changed.
    pub(super) fn wake(&self) {
        let _ = self.wake.send(Wake::Changed);
    }

    /// Tells the thread that the run was closed.
    pub(super) fn close(&self) {
        let _ = self.wake.send(Wake::Closing);
    }
}

impl Drop for Uploader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let _ = self.wake.send(Wake::Changed);
        // The thread ends within the interval of a wait for an answer.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Work {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Locks the uploads of the run. Another process that looks for runs to upload may hold the lock for a moment.
    fn lock(&self) -> Option<File> {
        while !self.is_stopped() {
            match staging::lock(&self.folder) {
                Ok(Some(lock)) => return Some(lock),
                Ok(None) => std::thread::sleep(LOCK_INTERVAL),
                Err(error) => {
                    let error = format!("cannot lock the uploads of `{}`: {error}", self.folder.display());
                    tracing::error!("{error}; nothing is uploaded before the next start");
                    self.status
                        .update(|counts| (counts.last_error, counts.is_stuck) = (Some(error), true));
                    return None;
                }
            }
        }
        None
    }

    fn run(mut self) {
        let Some(lock) = self.lock() else { return };
        let opened = StagedRun::open(self.folder.clone(), self.run, self.plan.clone(), self.status.clone());
        let mut staged = match opened {
            Ok(staged) => staged,
            Err(error) => {
                tracing::error!("{error}; nothing is uploaded before the next start");
                self.status
                    .update(|counts| (counts.last_error, counts.is_stuck) = (Some(error.to_string()), true));
                return;
            }
        };
        let mut failures: u32 = 0;
        let mut earlier_due = self.earlier.is_some().then(Instant::now);
        loop {
            let passed = staged.pass();
            if self.is_stopped() {
                return;
            }
            let wait = match passed {
                Ok(progress) => {
                    if failures > 0 {
                        tracing::info!("`{}` is uploaded again", self.plan.dataset);
                    }
                    failures = 0;
                    if progress == Progress::Complete {
                        return self.complete(lock);
                    }
                    self.status
                        .update(|counts| counts.is_stuck = progress == Progress::Damaged);
                    self.plan.heartbeat
                }
                Err(error) => {
                    self.report(&error, failures);
                    failures = failures.saturating_add(1);
                    self.backoff(failures)
                }
            };
            if failures == 0 && !self.is_closing && earlier_due.is_some_and(|due| due <= Instant::now()) {
                earlier_due = self.upload_earlier().map(|wait| Instant::now() + wait);
                continue;
            }
            let until_earlier = earlier_due.map(|due| due.saturating_duration_since(Instant::now()));
            let wait = if failures == 0 {
                wait.min(until_earlier.unwrap_or(wait))
            } else {
                wait
            };
            if !self.wait(wait, failures > 0) {
                return;
            }
        }
    }

    /// Waits for a change, or after a failure for the end of the game. False if the uploader was dropped.
    fn wait(&mut self, wait: Duration, has_failed: bool) -> bool {
        let deadline = Instant::now() + wait;
        loop {
            match self
                .wakes
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(Wake::Closing) => {
                    self.is_closing = true;
                    break;
                }
                Ok(Wake::Changed) if self.is_stopped() => return false,
                // A change is no reason to ask a store that is away before its time.
                Ok(Wake::Changed) if has_failed => {}
                Ok(Wake::Changed) | Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        while let Ok(wake) = self.wakes.try_recv() {
            self.is_closing |= wake == Wake::Closing;
        }
        !self.is_stopped()
    }

    fn backoff(&self, failures: u32) -> Duration {
        let wait = FIRST_WAIT.saturating_mul(1 << (failures - 1).min(10)).min(MAX_WAIT);
        let wait = if self.is_closing {
            wait.min(MAX_CLOSING_WAIT)
        } else {
            wait
        };
        // Many servers do not return to one store at the same moment.
        wait.mul_f64(rand::random_range(0.5..1.5))
    }

    fn report(&self, error: &PassError, failures: u32) {
        if error.is_lasting() {
            self.status.update(|counts| counts.is_stuck = true);
        }
        if failures > 0 {
            tracing::debug!("{error}");
        } else if error.is_lasting() {
            tracing::error!("{error}; what is recorded waits in `{}`", self.folder.display());
        } else {
            tracing::warn!(
                "{error}; what is recorded waits in `{}`, and the upload is repeated",
                self.folder.display()
            );
        }
    }

    /// Uploads one run of an earlier process, so that the next pass of this run is not late. Returns when to go on, if some are left.
    fn upload_earlier(&mut self) -> Option<Duration> {
        let folder = self.earlier.as_ref()?;
        if self.left.is_empty() {
            self.is_repeated = false;
            self.left = staging::recordings(folder);
            self.left.retain(|(run, _)| *run != self.run);
            self.left.reverse();
        }
        let plan = UploadPlan {
            keep_bytes: None,
            ..self.plan.clone()
        };
        let result = staging::upload_recordings(self.left.pop(), &RecoverSettings::default(), &plan, &|| {
            self.is_stopped()
        });
        for (run, recording) in &result.completed {
            tracing::info!(
                "uploaded run {run} of an earlier process from `{}`",
                recording.display()
            );
        }
        for (run, recording) in &result.kept {
            tracing::warn!(
                "run {run} of an earlier process is in the store, and `{}` stays, because parts of its journal could not be read: \
                 `experience recover {} --discard-damaged` removes them",
                recording.display(),
                self.plan.dataset
            );
        }
        for (run, recording, error) in &result.failed {
            tracing::warn!(
                "cannot upload run {run} of an earlier process from `{}`: {error}",
                recording.display()
            );
        }
        self.is_repeated |= !result.alive.is_empty() || !result.failed.is_empty();
        if !self.left.is_empty() {
            return Some(Duration::ZERO);
        }
        self.is_repeated.then_some(MAX_WAIT)
    }

    /// All of the run is in the store. The folder is removed once the exporter has removed the journal; if the process ends before
    /// that, the next one removes it.
    fn complete(self, lock: File) {
        self.status.update(|counts| counts.is_complete = true);
        let journals = self.folder.join(crate::sink::layout::JOURNALS);
        let deadline = Instant::now() + JOURNAL_WAIT;
        let has_journal = || std::fs::read_dir(&journals).is_ok_and(|mut left| left.next().is_some());
        while has_journal() && !self.is_stopped() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        if let Err(error) = staging::remove(&self.folder, lock) {
            tracing::warn!("{error}");
        }
    }
}
