//! From buffers to sinks, on a thread of its own.
//!
//! The game hands over each new buffer and otherwise only wakes the thread. The thread drains buffers, puts rows
//! together to whole episodes, and gives those to the sinks. It holds no lock that the game takes while it is inside a
//! sink: a sink that is slow, fails or panics costs the game nothing but, in the end, rows, which are counted.
//!
//! # Memory
//! For each recording the thread holds the open episodes, each at most `max_episode_steps` long, and of finished ones
//! [`ExportSettings::batch`] or [`ExportSettings::batch_bytes`] and one turn of one buffer more. While a sink is at work
//! nothing is taken, so a slow one makes none of that grow: buffers overflow as they were told to, and what they lose is
//! counted.
//!
//! # The account
//! For each sink of each recording, at any moment, in transitions:
//! `recorded = exported + dropped + discarded + pending`. A [`RunReport`] holds one such account.

mod assembly;
mod intake;
mod outlet;
mod worker;

use crate::{
    account::{Counters, RunReport, SinkCounters},
    buffer::{BufferPool, PlayerBuffers, TransitionBuffer, pool::Stream},
    sink::{RecordingInfo, Sink},
    transition::ReasonTable,
};
use core::time::Duration;
use crossbeam_channel::{Receiver, Sender};
use crossbeam_queue::SegQueue;
use std::{
    sync::{Arc, Condvar, Mutex, PoisonError, atomic::AtomicU32},
    thread::JoinHandle,
    time::Instant,
};

/// How episodes are handed to sinks.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportSettings {
    /// Longest time from the end of an episode until sinks have it.
    pub flush_interval: Duration,
    /// So many finished transitions of one recording are handed over before that.
    pub batch: usize,
    /// And so many bytes of their rows, whichever comes first.
    pub batch_bytes: usize,
    /// How long the thread sleeps when it found nothing to do.
    pub poll_interval: Duration,
    /// How long the end of the app waits for everything to be written. Afterwards the thread is left to itself.
    pub close_timeout: Duration,
}

impl Default for ExportSettings {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_secs(1),
            batch: 8192,
            batch_bytes: 16 << 20,
            poll_interval: Duration::from_millis(5),
            close_timeout: Duration::from_secs(10),
        }
    }
}

/// A recording, as the exporter sees it.
pub struct RecordingExport {
    /// Schema and run.
    pub info: RecordingInfo,
    /// The account that capture writes.
    pub counters: Arc<Counters>,
    /// What the codes of end reasons mean.
    pub reasons: Arc<ReasonTable>,
    /// The run's counter of episodes: a gap makes a new one.
    pub episodes: Arc<AtomicU32>,
    /// Episodes that must not be written.
    pub discarded: Arc<SegQueue<u32>>,
    /// The buffers by agent; those of players who left are removed once they are drained.
    pub players: Arc<PlayerBuffers>,
    /// Where the episodes go.
    pub sinks: Vec<Box<dyn Sink>>,
}

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
    Close(Sender<()>),
}

/// Wakes whoever waits for buffers to be drained.
#[derive(Default)]
struct Progress {
    passes: Mutex<u64>,
    drained: Condvar,
}

impl Progress {
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

/// The exporter's thread, as the game sees it.
///
/// Dropping it closes it, with [`ExportSettings::close_timeout`].
pub struct Exporter {
    commands: Sender<Command>,
    thread: Option<JoinHandle<()>>,
    progress: Arc<Progress>,
    accounts: Vec<(Arc<Counters>, Vec<Arc<SinkCounters>>)>,
    close_timeout: Duration,
}

impl Exporter {
    /// Starts the thread. Sinks are opened on it.
    ///
    /// # Errors
    /// When the system refuses another thread.
    pub fn spawn(settings: ExportSettings, recordings: Vec<RecordingExport>) -> std::io::Result<Self> {
        let (commands, inbox) = crossbeam_channel::unbounded();
        let progress = Arc::<Progress>::default();
        let close_timeout = settings.close_timeout;
        let recordings: Vec<_> = recordings.into_iter().map(worker::Recording::new).collect();
        let accounts = recordings.iter().map(worker::Recording::account).collect();
        let worker = worker::Worker::new(settings, recordings, inbox, progress.clone());
        let thread = std::thread::Builder::new()
            .name("experience-export".to_owned())
            .spawn(move || worker.run())?;
        Ok(Self {
            commands,
            thread: Some(thread),
            progress,
            accounts,
            close_timeout,
        })
    }

    /// Hands over a player's buffer. Never waits.
    ///
    /// Whoever closes the buffer first stores in `transitions` how many were pushed to it, modulo 2³²: the last of them may
    /// never have been stored, and no later row tells of it.
    pub fn attach(
        &self,
        recording: usize,
        agent_id: i64,
        buffer: Arc<dyn TransitionBuffer>,
        transitions: Arc<AtomicU32>,
    ) {
        // A thread that is gone was closed; what comes after is nobody's.
        let _ = self.commands.send(Command::Attach {
            recording,
            agent_id,
            buffer,
            transitions,
        });
    }

    /// Hands over the pool that players of a recording share, once. Never waits.
    pub fn attach_pool(&self, recording: usize, pool: Arc<BufferPool>) {
        let _ = self.commands.send(Command::AttachPool { recording, pool });
    }

    /// Says that nothing more will be pushed to the pool by a player who shared it. Never waits.
    pub fn leave(&self, recording: usize, stream: Stream) {
        let _ = self.commands.send(Command::Leave { recording, stream });
    }

    /// Wakes the thread before its time. Never waits.
    pub fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    /// Waits until `has_room`, or until `deadline`; the answer is the last of `has_room`.
    pub fn wait_for_room(&self, deadline: Instant, mut has_room: impl FnMut() -> bool) -> bool {
        /// A pass of the thread may have ended between the question and the wait.
        const LOOK_AGAIN: Duration = Duration::from_millis(1);
        while !has_room() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                return has_room();
            }
            self.wake();
            self.progress.wait(left.min(LOOK_AGAIN));
        }
        true
    }

    /// The accounts of a recording, one for each of its sinks.
    #[must_use]
    pub fn reports(&self, recording: usize) -> Vec<RunReport> {
        self.accounts.get(recording).map_or_else(Vec::new, |(counters, sinks)| {
            sinks.iter().map(|sink| sink.report(counters)).collect()
        })
    }

    /// Waits until everything that was recorded and has ended is with the sinks. False when that takes longer.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.ask(Command::Flush, timeout)
    }

    /// Ends all open episodes (truncated, reason `shutdown`), gives everything to the sinks, closes them and ends the
    /// thread. False when that takes longer than `timeout`: the thread is left to itself then.
    pub fn close(&mut self, timeout: Duration) -> bool {
        let Some(thread) = self.thread.take() else {
            return true;
        };
        thread.thread().unpark();
        if !self.ask_thread(Command::Close, timeout, &thread) {
            tracing::error!(
                "what was recorded could not be written within {timeout:?}; the exporter goes on by itself as long as the \
                 process lives"
            );
            return false;
        }
        thread.join().is_ok()
    }

    fn ask(&self, command: fn(Sender<()>) -> Command, timeout: Duration) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| self.ask_thread(command, timeout, thread))
    }

    fn ask_thread(&self, command: fn(Sender<()>) -> Command, timeout: Duration, thread: &JoinHandle<()>) -> bool {
        let (done, answer): (_, Receiver<()>) = crossbeam_channel::bounded(1);
        if self.commands.send(command(done)).is_err() {
            return false;
        }
        thread.thread().unpark();
        answer.recv_timeout(timeout).is_ok()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.close(self.close_timeout);
    }
}
