//! Handle of one sink on the exporter thread: its queue, its backlog in the journal, and when it counts as stalled.

use super::{
    ExportSettings,
    episode_batch::{Completion, Dispatch, EpisodeBatch, StoredBatch},
    notice::{Notice, SinkFailure},
    sink_context::{JournalPlace, SinkContext, SinkStatus, StoredChanges},
    sink_queue::{SinkGate, SinkQueue, sink_queue},
    sink_worker::SinkWorker,
};
use crate::sink::{PartBatch, Sink};
use experience_core::account::SinkCounters;
use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use web_time::Instant;

/// The exporter thread's handle of one sink.
///
/// A batch is sent to the sink's queue if it fits, and otherwise added to its **backlog**: the batch stays in the journal, and
/// memory holds its location. [`feed`](Self::feed) moves batches from the backlog to the queue, in order. Without a
/// journal, or when the backlog exceeds its limit, the sink [holds up](Self::holds_up) its recording.
pub(super) struct SinkHandle {
    name: String,
    context: SinkContext,
    counters: Arc<SinkCounters>,
    queue: SinkQueue,
    status: Arc<SinkStatus>,
    /// The sink takes transitions as they happen.
    takes_parts: bool,
    queue_bytes: usize,
    patience: Duration,
    /// Limit of `backlog_bytes`.
    backlog_limit: u64,
    /// Bytes of a segment of the journal.
    segment_bytes: u64,
    /// Commands that follow the queue, oldest first.
    waiting: VecDeque<Waiting>,
    /// Batches in `waiting` that are in memory.
    waiting_in_memory: usize,
    /// Bytes of the batches in `waiting` that are in the journal alone.
    backlog_bytes: u64,
    /// Since when the sink has held up its recording without taking a batch.
    held_up_since: Option<Instant>,
    is_stalled: bool,
    is_closing: bool,
    /// The worker, until it has ended, where it has no thread of its own.
    worker: Option<SinkWorker>,
}

/// A command that waits for the queue.
enum Waiting {
    InMemory(Dispatch<EpisodeBatch>),
    Stored(Dispatch<StoredBatch>),
    Flush(Arc<Completion>),
    Close(Option<Arc<Completion>>),
}

impl SinkHandle {
    /// Starts the worker, which opens the sink: on a thread of its own, or, without threads, now.
    pub(super) fn new(sink: Box<dyn Sink>, context: SinkContext, settings: &ExportSettings) -> std::io::Result<Self> {
        let (queue, receiver) = sink_queue();
        let mut handle = Self {
            name: sink.describe().into_owned(),
            counters: Arc::default(),
            queue,
            status: Arc::default(),
            takes_parts: sink.takes_parts(),
            queue_bytes: settings.queue_bytes,
            patience: settings.patience,
            backlog_limit: settings.journal.as_ref().map_or(0, |journal| journal.backlog_bytes),
            segment_bytes: settings.journal.as_ref().map_or(0, |journal| journal.segment_bytes),
            waiting: VecDeque::new(),
            waiting_in_memory: 0,
            backlog_bytes: 0,
            held_up_since: None,
            is_stalled: false,
            is_closing: false,
            worker: None,
            context,
        };
        let mut worker = SinkWorker::new(
            sink,
            handle.name.clone(),
            handle.context.clone(),
            handle.counters.clone(),
            receiver,
            handle.status.clone(),
            settings.retry.clone(),
        );
        if settings.threads {
            std::thread::Builder::new()
                .name("experience-sink".to_owned())
                .spawn(move || worker.run())?;
        } else {
            // A call that fails is not retried, because the game would wait for it.
            handle.queue.set_deadline(Instant::now());
            worker.open();
            handle.worker = Some(worker);
        }
        Ok(handle)
    }

    /// Without threads, executes all commands in the queue.
    pub(super) fn call_sink(&mut self) {
        self.worker = self.worker.take().and_then(SinkWorker::execute_queued);
    }

    /// Applies the settings that can be changed while the worker runs.
    pub(super) fn set(&mut self, settings: &ExportSettings) {
        self.queue_bytes = settings.queue_bytes;
        self.patience = settings.patience;
    }

    /// Whether the worker has opened the sink, or given up.
    pub(super) fn is_opened(&self) -> bool {
        self.status.journal_place.get().is_some()
    }

    /// The sink's own place for a journal, once the sink is open.
    pub(super) fn journal_place(&self) -> Option<&JournalPlace> {
        self.status.journal_place.get()?.as_ref()
    }

    /// Failures of the sink so far.
    pub(super) fn failures(&self) -> u64 {
        self.counters.failures.get()
    }

    /// The failures in the account that the sink has stored.
    pub(super) fn stored_failures(&self) -> u64 {
        self.status.stored_failures()
    }

    /// The account changes that the sink has stored.
    pub(super) fn stored_changes(&self) -> StoredChanges {
        self.status.stored_changes()
    }

    /// Whether the sink was retired with batches that it had not made durable.
    pub(super) fn is_lost(&self) -> bool {
        self.status.is_lost.load(Ordering::Acquire)
    }

    /// Whether the sink was closed and its worker has ended.
    pub(super) fn is_shut(&self) -> bool {
        self.queue.is_shut()
    }

    /// Sets the thread that is unparked when bytes of the queue are freed.
    pub(super) fn unpark_on_room(&self, exporter: std::thread::Thread) {
        self.queue.unpark_on_room(exporter);
    }

    /// Whether the recording must not be drained: a batch waits in memory, or the backlog exceeds its limit.
    pub(super) fn holds_up(&self) -> bool {
        !self.is_closing && (self.waiting_in_memory > 0 || self.backlog_bytes > self.backlog_limit)
    }

    /// Whether a batch of `bytes` bytes would go to the queue now. With `beyond_bound` the size of the queue does not
    /// matter, unless the sink has stalled.
    pub(super) fn takes(&self, bytes: usize, beyond_bound: bool) -> bool {
        let is_unbounded = beyond_bound && !self.is_stalled;
        self.waiting.is_empty() && (is_unbounded || self.queue.fits(bytes, self.queue_bytes))
    }

    /// Sends a batch to the queue, which [takes](Self::takes) it.
    pub(super) fn send(&mut self, dispatch: Dispatch<EpisodeBatch>) {
        self.queue.announce(dispatch.batch.created);
        self.forward(dispatch);
    }

    /// Appends a batch to the backlog.
    pub(super) fn store(&mut self, dispatch: Dispatch<StoredBatch>) {
        let batch = &dispatch.batch;
        let bytes = self.backlog_bytes + batch.backlog_bytes();
        if self.is_stalled && bytes > self.backlog_limit {
            self.refuse(batch.transitions);
            return;
        }
        self.queue.announce(batch.created);
        self.waiting.push_back(Waiting::Stored(dispatch));
        self.set_backlog_bytes(bytes);
        self.check_patience();
    }

    /// Keeps a batch in memory until it fits in the queue.
    pub(super) fn hold(&mut self, dispatch: Dispatch<EpisodeBatch>) {
        let batch = &dispatch.batch;
        if self.is_stalled {
            self.refuse(batch.all_transitions());
            return;
        }
        self.queue.announce(batch.created);
        self.waiting.push_back(Waiting::InMemory(dispatch));
        self.waiting_in_memory += 1;
        self.check_patience();
    }

    /// Moves waiting commands to the queue while they fit. `load` reads a batch back from the journal.
    pub(super) fn feed(&mut self, mut load: impl FnMut(&Arc<StoredBatch>) -> Arc<EpisodeBatch>) {
        while let Some(next) = self.waiting.pop_front() {
            let dispatch = match next {
                Waiting::Flush(completion) => {
                    self.queue.flush(Some(completion));
                    continue;
                }
                Waiting::Close(completion) => {
                    self.queue.close(completion);
                    continue;
                }
                Waiting::InMemory(dispatch) if self.fits_in_queue(dispatch.batch.bytes) => {
                    self.waiting_in_memory -= 1;
                    dispatch
                }
                Waiting::Stored(Dispatch { batch, token }) if self.fits_in_queue(batch.bytes) => {
                    self.set_backlog_bytes(self.backlog_bytes - batch.backlog_bytes());
                    let batch = load(&batch);
                    Dispatch { batch, token }
                }
                full @ (Waiting::InMemory(_) | Waiting::Stored(_)) => {
                    self.waiting.push_front(full);
                    break;
                }
            };
            self.forward(dispatch);
        }
        self.check_patience();
    }

    /// Whether the sink takes transitions as they happen.
    pub(super) fn takes_parts(&self) -> bool {
        self.takes_parts
    }

    /// Sends transitions as they happen to a sink that takes them. Those that do not fit in its queue are missed.
    pub(super) fn send_parts(&mut self, batch: &PartBatch) {
        if self.takes_parts {
            self.queue.send_parts(batch.clone(), self.queue_bytes);
        }
    }

    fn fits_in_queue(&self, bytes: usize) -> bool {
        self.queue.fits(bytes, self.queue_bytes)
    }

    /// Sends an announced batch.
    fn forward(&mut self, dispatch: Dispatch<EpisodeBatch>) {
        let batch = &dispatch.batch;
        self.held_up_since = None;
        if batch.unreadable > 0 {
            self.refuse(batch.unreadable);
        }
        let transitions = batch.transitions;
        if !self.queue.send(dispatch) {
            self.refuse(transitions);
        } else if core::mem::replace(&mut self.is_stalled, false) {
            tracing::info!("sink `{}` takes episodes again", self.name);
        }
    }

    /// Marks the sink as stalled when it has held up its recording for too long without taking a batch.
    fn check_patience(&mut self) {
        if !self.holds_up() {
            self.held_up_since = None;
            return;
        }
        // While a disk is full the recording is paused, and nothing is lost by waiting.
        let since = self.held_up_since.filter(|_| !self.context.storage.is_full());
        let since = *self.held_up_since.insert(since.unwrap_or_else(Instant::now));
        if since.elapsed() >= self.patience {
            self.stall();
        }
    }

    /// Counts as dropped what fits neither in the queue nor in the backlog.
    fn stall(&mut self) {
        self.is_stalled = true;
        self.held_up_since = None;
        let error = format!("it has held up its recording for {:?}", self.patience);
        tracing::error!(
            "sink `{}` of recording `{}` has stalled: {error}; what does not fit is counted as dropped",
            self.name,
            self.context.info.schema.name()
        );
        self.counters.failures.add_shared(1);
        self.context.notices.post(Notice::SinkFailed {
            recording: self.context.recording,
            sink: self.name.clone(),
            error,
            consequence: SinkFailure::Stalled,
        });
        let mut kept = VecDeque::new();
        // The newest batches are dropped, so that the order of the others is kept.
        while let Some(last) = self.waiting.pop_back() {
            match last {
                Waiting::InMemory(Dispatch { batch, .. }) => {
                    self.waiting_in_memory -= 1;
                    self.queue.retract();
                    self.refuse(batch.all_transitions());
                }
                Waiting::Stored(Dispatch { batch, .. }) if self.backlog_bytes > self.backlog_limit => {
                    self.set_backlog_bytes(self.backlog_bytes - batch.backlog_bytes());
                    self.queue.retract();
                    self.refuse(batch.transitions);
                }
                other => kept.push_front(other),
            }
        }
        self.waiting = kept;
    }

    /// Drops the backlog of a sink that has stalled and for which alone the journal keeps more than twice the limit of the backlog,
    /// or four segments where that is more. `needed` counts those bytes: everything since its oldest batch. Returns whether the sink
    /// has none of the journal any more.
    pub(super) fn gives_up_journal(&mut self, needed: impl FnOnce() -> u64) -> bool {
        if !self.is_stalled {
            return false;
        }
        let needed = needed();
        let limit = self
            .backlog_limit
            .saturating_mul(2)
            .max(self.segment_bytes.saturating_mul(4));
        if needed <= limit {
            return false;
        }
        let mut lost = 0;
        let mut kept = VecDeque::new();
        for next in core::mem::take(&mut self.waiting) {
            match next {
                Waiting::Stored(Dispatch { batch, .. }) => {
                    self.set_backlog_bytes(self.backlog_bytes - batch.backlog_bytes());
                    self.queue.retract();
                    self.refuse(batch.transitions);
                    lost += batch.transitions;
                }
                other => kept.push_back(other),
            }
        }
        self.waiting = kept;
        tracing::error!(
            "sink `{}` has stalled, and the journal of recording `{}` keeps {needed} bytes for it alone, which are deleted: the {lost} \
             transitions of its backlog are counted as dropped, and those that it has taken are lost if the process dies",
            self.name,
            self.context.info.schema.name()
        );
        true
    }

    fn set_backlog_bytes(&mut self, bytes: u64) {
        self.backlog_bytes = bytes;
        self.queue.set_backlog_bytes(bytes);
    }

    fn refuse(&self, transitions: u64) {
        self.counters.refused.add_shared(transitions);
    }

    /// Flushes the sink ahead of its backlog. No caller waits for it.
    pub(super) fn flush_periodically(&mut self) {
        self.queue.flush(None);
    }

    /// Flushes the sink after everything that was dispatched to it.
    pub(super) fn flush(&mut self, completion: Arc<Completion>) {
        if self.waiting.is_empty() {
            self.queue.flush(Some(completion));
        } else {
            self.waiting.push_back(Waiting::Flush(completion));
        }
    }

    /// From here on everything that is dispatched is kept until the sink takes it: what the buffers still hold is bounded.
    pub(super) fn begin_close(&mut self) {
        self.is_closing = true;
    }

    /// Closes the sink after everything that was dispatched to it. A call that fails after `deadline` is not retried.
    pub(super) fn close(&mut self, deadline: Instant, completion: Option<Arc<Completion>>) {
        self.queue.set_deadline(deadline);
        if self.waiting.is_empty() {
            self.queue.close(completion);
        } else {
            self.waiting.push_back(Waiting::Close(completion));
        }
    }

    /// A monitor for other threads.
    pub(super) fn monitor(&self) -> SinkMonitor {
        SinkMonitor {
            name: self.name.clone(),
            gate: self.queue.gate().clone(),
            counters: self.counters.clone(),
            status: self.status.clone(),
        }
    }
}

impl Drop for SinkHandle {
    fn drop(&mut self) {
        // Without a close before it, the exporter thread has panicked, and no batch follows.
        self.queue.set_deadline(Instant::now());
        self.queue.close(None);
    }
}

/// Counts of a sink that any thread can read.
pub(super) struct SinkMonitor {
    name: String,
    gate: Arc<SinkGate>,
    counters: Arc<SinkCounters>,
    status: Arc<SinkStatus>,
}

impl SinkMonitor {
    /// Name of the sink: [`Sink::describe`].
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn counters(&self) -> &SinkCounters {
        &self.counters
    }

    /// Whether the sink was closed without all episodes that it had accepted.
    pub(super) fn is_incomplete(&self) -> bool {
        self.status.is_incomplete.load(Ordering::Acquire)
    }

    /// How long ago the oldest episode was dispatched that the sink has not taken.
    pub(super) fn lag(&self) -> Duration {
        self.gate.lag()
    }

    /// Bytes of the episodes that wait for the sink in the journal alone.
    pub(super) fn backlog_bytes(&self) -> u64 {
        self.gate.backlog_bytes()
    }
}
