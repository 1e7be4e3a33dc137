//! From buffers to sinks, on a thread of its own.
//!
//! The game hands over each new buffer and otherwise only wakes the thread. The thread drains buffers, puts rows
//! together to whole episodes, and hands those to the sinks, each of which has a thread of its own and a queue. No lock that
//! the game takes is held while a sink is at work: one that is slow, fails or panics costs the game nothing but, in the end,
//! rows, which are counted.
//!
//! # Sinks that do not keep up
//! While a sink's queue is full its recording is not drained: buffers fill, and overflow as they were told to. That holds
//! for [`ExportSettings::patience`]; then the sink has stalled, and loses what does not fit, alone. What a sink answers with
//! an error is tried again, as [`RetrySettings`] say, and counted as dropped in the end. A sink that panics is retired for
//! good. A sink whose disk is full ([`SinkError::is_storage_full`](crate::sink::SinkError::is_storage_full)) is tried until
//! there is room; meanwhile [`Exporter::is_storage_full`] asks whoever captures to pause. What happened is told by
//! [`Exporter::take_notice`], and said once in the log.
//!
//! # Memory
//! For each recording the thread holds the open episodes, each at most `EpisodeRules::max_steps` long, or where there is a journal
//! what was drained since its last flush; and of finished ones
//! [`ExportSettings::batch`] or [`ExportSettings::batch_bytes`] and one turn of one buffer more. In the queues of the
//! sinks are [`ExportSettings::queue_bytes`] at most, or one such batch where that is more; sinks share what is in several
//! queues. Only at the close nothing is held back: what the buffers still hold goes into the queues whole.
//!
//! # The journal
//! Where a sink has a [place for it](crate::sink::Sink::journal_folder), what was drained is written to a
//! [journal](crate::journal) at each of its flushes, and everything that is handed over before it is. So a process that is killed
//! loses no more than one interval, and memory holds no more of an open episode than that; it is read back from the journal
//! when it has ended. What every sink has for good leaves the journal. [`ExportSettings::journal`] says how.
//!
//! # The account
//! For each sink of each recording, at any moment, in transitions:
//! `recorded = exported + dropped + discarded + pending`. A [`RunReport`] holds one such account.

mod intake;
mod ledger;
mod notice;
mod outlet;
mod settings;
mod storage;
mod worker;

pub use notice::{Notice, SinkFailure};
pub use settings::{ExportSettings, RetrySettings};

use crate::sink::{RecordingInfo, Sink};
use core::time::Duration;
use crossbeam_channel::{Receiver, Sender};
use crossbeam_queue::SegQueue;
use experience_buffer::{BufferPool, PlayerBuffers, TransitionBuffer, pool::Stream};
use experience_core::{
    account::{Counters, RunReport, SinkCounters},
    transition::ReasonTable,
};
use notice::Notices;
use outlet::Gauge;
use std::{
    sync::{Arc, Condvar, Mutex, PoisonError, atomic::AtomicU32},
    thread::JoinHandle,
    time::Instant,
};
use storage::Storage;

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
    /// What of the settings can be changed is as they say from here on.
    Set(Box<ExportSettings>),
    /// And when to give up.
    Close(Sender<()>, Instant),
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

/// What can be read of a recording while its exporter works.
struct Account {
    counters: Arc<Counters>,
    sinks: Vec<Gauge>,
    storage: Arc<Storage>,
}

/// How a sink keeps up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkPace {
    /// How long its last flush took, with all attempts.
    pub flush: Duration,
    /// How long the oldest of the episodes that were handed to it and that it has not taken yet has waited.
    pub lag: Duration,
}

/// The exporter's thread, as the game sees it.
///
/// Dropping it closes it, with [`ExportSettings::close_timeout`].
pub struct Exporter {
    commands: Sender<Command>,
    thread: Option<JoinHandle<()>>,
    progress: Arc<Progress>,
    accounts: Vec<Account>,
    notices: Arc<Notices>,
    close_timeout: Duration,
}

impl Exporter {
    /// Starts the thread, and one for each sink, on which it is opened.
    ///
    /// # Errors
    /// When the system refuses another thread.
    pub fn spawn(settings: ExportSettings, recordings: Vec<RecordingExport>) -> std::io::Result<Self> {
        let (commands, inbox) = crossbeam_channel::unbounded();
        let progress = Arc::<Progress>::default();
        let close_timeout = settings.close_timeout;
        let notices = Arc::<Notices>::default();
        let recordings = recordings
            .into_iter()
            .enumerate()
            .map(|(place, export)| worker::Recording::spawn(place, export, &settings, &notices))
            .collect::<Result<Vec<_>, _>>()?;
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
            notices,
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

    /// Changes what of the settings can be changed from here on: everything but the `journal`, how to `retry`, and the
    /// `poll_interval`, which hold as they were when the exporter started. Never waits.
    pub fn set(&mut self, settings: ExportSettings) {
        self.close_timeout = settings.close_timeout;
        let _ = self.commands.send(Command::Set(Box::new(settings)));
        self.wake();
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
        self.accounts.get(recording).map_or_else(Vec::new, |account| {
            let reports = account
                .sinks
                .iter()
                .map(|sink| sink.counters().report(&account.counters));
            reports.collect()
        })
    }

    /// How each sink of a recording keeps up.
    pub fn paces(&self, recording: usize) -> impl Iterator<Item = SinkPace> + '_ {
        let sinks = self.accounts.get(recording).map_or(&[][..], |account| &account.sinks);
        sinks.iter().map(|sink| SinkPace {
            flush: sink.counters().last_flush(),
            lag: sink.lag(),
        })
    }

    /// The counters that a recording's capture writes.
    #[must_use]
    pub fn counters(&self, recording: usize) -> Option<&Counters> {
        Some(&self.accounts.get(recording)?.counters)
    }

    /// The counters of a recording's sinks, in their order.
    pub fn sink_counters(&self, recording: usize) -> impl Iterator<Item = &SinkCounters> + '_ {
        let sinks = self.accounts.get(recording).map_or(&[][..], |account| &account.sinks);
        sinks.iter().map(Gauge::counters)
    }

    /// What a recording's sinks are, in their order: [`Sink::describe`].
    pub fn sink_names(&self, recording: usize) -> impl Iterator<Item = &str> + '_ {
        let sinks = self.accounts.get(recording).map_or(&[][..], |account| &account.sinks);
        sinks.iter().map(Gauge::name)
    }

    /// Whether a sink of the recording waits for room on its disk. One atomic load: it may be asked every tick.
    #[must_use]
    pub fn is_storage_full(&self, recording: usize) -> bool {
        self.accounts
            .get(recording)
            .is_some_and(|account| account.storage.is_full())
    }

    /// What waits for room on its disk: [`Sink::describe`].
    #[must_use]
    pub fn full_storage(&self, recording: usize) -> Option<String> {
        self.accounts.get(recording)?.storage.waiting()
    }

    /// The next of what there is to tell. At most 256 wait; of more, the oldest are forgotten.
    #[must_use]
    pub fn take_notice(&self) -> Option<Notice> {
        self.notices.take()
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
        // Sinks that fail give up a little earlier, so that what became of them can be said in time.
        let deadline = Instant::now() + timeout.saturating_sub(timeout / 8);
        if !self.ask_thread(|done| Command::Close(done, deadline), timeout, &thread) {
            tracing::error!(
                "what was recorded could not be written within {timeout:?}; the exporter and its sinks go on by themselves as \
                 long as the process lives"
            );
            return false;
        }
        thread.join().is_ok()
    }

    fn ask(&self, command: impl FnOnce(Sender<()>) -> Command, timeout: Duration) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| self.ask_thread(command, timeout, thread))
    }

    fn ask_thread(
        &self,
        command: impl FnOnce(Sender<()>) -> Command,
        timeout: Duration,
        thread: &JoinHandle<()>,
    ) -> bool {
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
