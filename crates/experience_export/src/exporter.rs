//! Exporter: drains buffers on its own thread, assembles episodes, and dispatches them to sinks.
//!
//! [`ExporterThread`] drains the buffers of each recording through its [`RecordingPipeline`]. Each sink has a
//! [`SinkHandle`](sink_handle::SinkHandle) on the exporter thread, and a [`SinkWorker`](sink_worker::SinkWorker) on a thread of
//! its own. A [`SinkQueue`](sink_queue::SinkQueue) connects the two. The documentation of the crate describes the guarantees.
//!
//! Without threads (WebAssembly), the [`Exporter`] holds the [`ExporterThread`] and each [`SinkHandle`](sink_handle::SinkHandle)
//! its worker, and the program runs [one pass](Exporter::run_pass) at a time.

mod drain;
mod episode_batch;
mod exporter_thread;
mod journal_tracker;
mod notice;
mod part_collector;
mod pipeline;
mod settings;
mod sink_context;
mod sink_handle;
mod sink_queue;
mod sink_worker;
mod storage;
mod taken_batches;

pub use notice::{Notice, SinkFailure};
pub use settings::{ExportSettings, RetrySettings};

use crate::sink::{RecordingInfo, Sink};
use core::time::Duration;
use crossbeam_channel::{Receiver, Sender};
use crossbeam_queue::SegQueue;
use experience_buffer::{BufferPool, PlayerBuffers, TransitionBuffer, pool::Stream};
use experience_core::{
    account::{Counters, RunReport, SinkCounters},
    transition::WordTable,
};
use exporter_thread::ExporterThread;
use notice::Notices;
use pipeline::RecordingPipeline;
use sink_handle::SinkMonitor;
use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, atomic::AtomicU32},
    thread::JoinHandle,
};
use storage::StorageMonitor;
use web_time::Instant;

/// Inputs of the exporter for one recording.
pub struct RecordingExport {
    /// Schema and run.
    pub info: RecordingInfo,
    /// Counters that capture and the exporter write.
    pub counters: Arc<Counters>,
    /// Words of the codes in the rows: end reasons and controllers.
    pub words: Arc<WordTable>,
    /// The run's counter of episodes. The exporter takes a number when a gap begins a new episode.
    pub episodes: Arc<AtomicU32>,
    /// Episodes that must not be written, by the number under which they were captured.
    pub discarded: Arc<SegQueue<u32>>,
    /// The buffers by agent. The exporter removes those that are closed and drained.
    pub players: Arc<PlayerBuffers>,
    /// Destinations of the episodes.
    pub sinks: Vec<Box<dyn Sink>>,
}

/// Instruction from the game to the exporter thread.
enum Command {
    Attach {
        recording: usize,
        agent_id: i64,
        buffer: Arc<dyn TransitionBuffer>,
        transitions: Arc<AtomicU32>,
    },
    AttachPool {
        recording: usize,
        pool: Arc<BufferPool>,
    },
    Leave {
        recording: usize,
        stream: Stream,
    },
    Flush(Sender<()>),
    /// Replaces the settings that can be changed.
    Set(Box<ExportSettings>),
    /// The last command, with the time from which failed calls are not retried.
    Close(Sender<()>, Instant),
}

/// Counter of the exporter thread's passes, for threads that wait for buffers to be drained.
#[derive(Default)]
struct PassCounter {
    passes: Mutex<u64>,
    drained: Condvar,
}

impl PassCounter {
    fn advance(&self) {
        *self.passes.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.drained.notify_all();
    }

    fn wait(&self, limit: Duration) {
        let passes = self.passes.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = *passes;
        let _ = self.drained.wait_timeout_while(passes, limit, |passes| *passes == seen);
    }
}

/// Counts of a recording that any thread can read.
struct RecordingMonitor {
    counters: Arc<Counters>,
    sinks: Vec<SinkMonitor>,
    storage: Arc<StorageMonitor>,
}

/// How far a sink is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkPace {
    /// Duration of its last flush, with all retries.
    pub flush: Duration,
    /// How long ago the oldest episode was dispatched to it that it has not taken.
    pub lag: Duration,
    /// Bytes of the episodes that wait for it in the journal alone.
    pub backlog_bytes: u64,
}

/// Handle of the exporter thread, or, without threads, the exporter itself.
///
/// Dropping it closes it, with [`ExportSettings::close_timeout`].
pub struct Exporter {
    commands: Sender<Command>,
    runner: Runner,
    passes: Arc<PassCounter>,
    monitors: Vec<RecordingMonitor>,
    notices: Arc<Notices>,
    close_timeout: Duration,
}

/// What runs the passes of the exporter.
enum Runner {
    Thread(JoinHandle<()>),
    /// The program, with [`Exporter::run_pass`].
    Program(Box<Mutex<ExporterThread>>),
    Closed,
}

impl Runner {
    /// Whether no pass follows.
    fn has_ended(&self) -> bool {
        match self {
            Self::Thread(thread) => thread.is_finished(),
            Self::Program(_) => false,
            Self::Closed => true,
        }
    }
}

/// Locks an exporter without a thread. Only one thread runs passes, so the lock is free.
fn lock(exporter: &Mutex<ExporterThread>) -> MutexGuard<'_, ExporterThread> {
    exporter.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Exporter {
    /// Starts the exporter thread, and a worker thread for each sink, which opens it. Without
    /// [`threads`](ExportSettings::threads), opens the sinks.
    ///
    /// # Errors
    /// When the system refuses another thread.
    pub fn spawn(settings: ExportSettings, recordings: Vec<RecordingExport>) -> std::io::Result<Self> {
        let (commands, receiver) = crossbeam_channel::unbounded();
        let passes = Arc::<PassCounter>::default();
        let close_timeout = settings.close_timeout;
        let notices = Arc::<Notices>::default();
        let recordings = recordings
            .into_iter()
            .enumerate()
            .map(|(index, export)| RecordingPipeline::new(index, export, &settings, &notices))
            .collect::<Result<Vec<_>, _>>()?;
        let monitors = recordings.iter().map(RecordingPipeline::monitor).collect();
        let has_thread = settings.threads;
        let exporter = ExporterThread::new(settings, recordings, receiver, passes.clone());
        let runner = if has_thread {
            let builder = std::thread::Builder::new().name("experience-export".to_owned());
            Runner::Thread(builder.spawn(move || exporter.run())?)
        } else {
            Runner::Program(Box::new(Mutex::new(exporter)))
        };
        Ok(Self {
            commands,
            runner,
            passes,
            monitors,
            notices,
            close_timeout,
        })
    }

    /// Without [`threads`](ExportSettings::threads), drains at most 1,024 rows from each buffer, and calls the sinks with the
    /// episodes that are due. Returns the number of rows. Does nothing if the exporter has a thread.
    pub fn run_pass(&self) -> usize {
        match &self.runner {
            Runner::Program(exporter) => lock(exporter).run_pass().unwrap_or(0),
            Runner::Thread(_) | Runner::Closed => 0,
        }
    }

    /// Hands over a player's buffer. Never waits.
    ///
    /// Before the buffer is closed, `transitions` must hold the number of transitions that were pushed to it, modulo 2³². The
    /// last of them may not have been stored, which no later row shows.
    pub fn attach(
        &self,
        recording: usize,
        agent_id: i64,
        buffer: Arc<dyn TransitionBuffer>,
        transitions: Arc<AtomicU32>,
    ) {
        // The thread is gone after a close, and a buffer attached later is not drained.
        let _ = self.commands.send(Command::Attach {
            recording,
            agent_id,
            buffer,
            transitions,
        });
    }

    /// Hands over the pool that players of a recording share. Called once. Never waits.
    pub fn attach_pool(&self, recording: usize, pool: Arc<BufferPool>) {
        let _ = self.commands.send(Command::AttachPool { recording, pool });
    }

    /// Ends the stream of a player in the pool: no row of it follows. Never waits.
    pub fn leave(&self, recording: usize, stream: Stream) {
        let _ = self.commands.send(Command::Leave { recording, stream });
    }

    /// Replaces the settings, except `journal`, `retry` and `poll_interval`, which stay as they were when the exporter started.
    /// Never waits.
    pub fn set(&mut self, settings: ExportSettings) {
        self.close_timeout = settings.close_timeout;
        let _ = self.commands.send(Command::Set(Box::new(settings)));
        self.wake();
    }

    /// Unparks the exporter thread before its poll interval ends. Never waits.
    pub fn wake(&self) {
        if let Runner::Thread(thread) = &self.runner {
            thread.thread().unpark();
        }
    }

    /// Waits until `has_room` returns true, or until `deadline`. Returns the last result of `has_room`.
    pub fn wait_for_room(&self, deadline: Instant, mut has_room: impl FnMut() -> bool) -> bool {
        /// Bounds a wait that begins just after the pass that freed rows has ended.
        const RECHECK: Duration = Duration::from_millis(1);
        while !has_room() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.runner.has_ended() {
                return has_room();
            }
            if let Runner::Program(_) = self.runner {
                // A pass without rows frees none, and neither does the next.
                if self.run_pass() == 0 {
                    return has_room();
                }
            } else {
                self.wake();
                self.passes.wait(left.min(RECHECK));
            }
        }
        true
    }

    /// The accounts of a recording, one for each of its sinks in their order.
    #[must_use]
    pub fn reports(&self, recording: usize) -> Vec<RunReport> {
        self.monitors.get(recording).map_or_else(Vec::new, |monitor| {
            let reports = monitor
                .sinks
                .iter()
                .map(|sink| sink.counters().report(&monitor.counters));
            reports.collect()
        })
    }

    /// How far each sink of a recording is behind, in their order.
    pub fn paces(&self, recording: usize) -> impl Iterator<Item = SinkPace> + '_ {
        let sinks = self.monitors.get(recording).map_or(&[][..], |monitor| &monitor.sinks);
        sinks.iter().map(|sink| SinkPace {
            flush: sink.counters().last_flush(),
            lag: sink.lag(),
            backlog_bytes: sink.backlog_bytes(),
        })
    }

    /// The counters of a recording.
    #[must_use]
    pub fn counters(&self, recording: usize) -> Option<&Counters> {
        Some(&self.monitors.get(recording)?.counters)
    }

    /// The counters of a recording's sinks, in their order.
    pub fn sink_counters(&self, recording: usize) -> impl Iterator<Item = &SinkCounters> + '_ {
        let sinks = self.monitors.get(recording).map_or(&[][..], |monitor| &monitor.sinks);
        sinks.iter().map(SinkMonitor::counters)
    }

    /// The names of a recording's sinks, in their order: [`Sink::describe`].
    pub fn sink_names(&self, recording: usize) -> impl Iterator<Item = &str> + '_ {
        let sinks = self.monitors.get(recording).map_or(&[][..], |monitor| &monitor.sinks);
        sinks.iter().map(SinkMonitor::name)
    }

    /// Whether a sink or the journal of the recording waits for disk space. One atomic load, cheap enough for every tick.
    #[must_use]
    pub fn is_storage_full(&self, recording: usize) -> bool {
        self.monitors
            .get(recording)
            .is_some_and(|monitor| monitor.storage.is_full())
    }

    /// The name of the sink or journal that waits for disk space: [`Sink::describe`].
    #[must_use]
    pub fn full_storage(&self, recording: usize) -> Option<String> {
        self.monitors.get(recording)?.storage.first_full()
    }

    /// The oldest notice that was not taken. At most 256 are kept; a new one then replaces the oldest.
    #[must_use]
    pub fn take_notice(&self) -> Option<Notice> {
        self.notices.take()
    }

    /// Waits until the sinks have taken and flushed every episode that has ended, backlogs included. False when that takes
    /// longer than `timeout`.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.request(Command::Flush, timeout)
    }

    /// Ends all open episodes (truncated, reason `shutdown`), dispatches everything to the sinks, closes them and ends the
    /// threads.
    ///
    /// False when that takes longer than `timeout`: the threads then continue until the process ends. False also when a sink
    /// could not be closed, or does not store all that it had accepted: those transitions count as dropped, and the log names
    /// them.
    pub fn close(&mut self, timeout: Duration) -> bool {
        // Failing sinks give up a little earlier, so that their losses are counted in time.
        let deadline = Instant::now() + timeout.saturating_sub(timeout / 8);
        let thread = match core::mem::replace(&mut self.runner, Runner::Closed) {
            Runner::Thread(thread) => thread,
            Runner::Program(exporter) => {
                let (done, _completed) = crossbeam_channel::bounded(1);
                let _ = self.commands.send(Command::Close(done, deadline));
                while lock(&exporter).run_pass().is_some() {}
                return self.sinks_are_complete();
            }
            Runner::Closed => return true,
        };
        thread.thread().unpark();
        if !request(&self.commands, |done| Command::Close(done, deadline), timeout, &thread) {
            tracing::error!(
                "what was recorded could not be written within {timeout:?}; the exporter and its sinks continue until the \
                 process ends"
            );
            return false;
        }
        thread.join().is_ok() && self.sinks_are_complete()
    }

    /// Whether every sink that was closed stores all that it had accepted.
    fn sinks_are_complete(&self) -> bool {
        let mut sinks = self.monitors.iter().flat_map(|monitor| &monitor.sinks);
        !sinks.any(SinkMonitor::is_incomplete)
    }

    fn request(&self, command: impl FnOnce(Sender<()>) -> Command, timeout: Duration) -> bool {
        match &self.runner {
            Runner::Thread(thread) => request(&self.commands, command, timeout, thread),
            Runner::Program(exporter) => {
                let deadline = Instant::now() + timeout;
                let (done, completed): (_, Receiver<()>) = crossbeam_channel::bounded(1);
                if self.commands.send(command(done)).is_err() {
                    return false;
                }
                while completed.try_recv().is_err() {
                    if lock(exporter).run_pass().is_none() || Instant::now() >= deadline {
                        return completed.try_recv().is_ok();
                    }
                }
                true
            }
            Runner::Closed => false,
        }
    }
}

/// Sends a command, and waits until it has completed. False when that takes longer than `timeout`.
fn request(
    commands: &Sender<Command>,
    command: impl FnOnce(Sender<()>) -> Command,
    timeout: Duration,
    thread: &JoinHandle<()>,
) -> bool {
    let (done, completed): (_, Receiver<()>) = crossbeam_channel::bounded(1);
    if commands.send(command(done)).is_err() {
        return false;
    }
    thread.thread().unpark();
    completed.recv_timeout(timeout).is_ok()
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.close(self.close_timeout);
    }
}
