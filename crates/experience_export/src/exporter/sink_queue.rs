//! Queue of commands from the exporter thread to one sink worker: a channel with a byte-bounded gate.
//!
//! The channel is unbounded. The exporter thread, its only sender, checks [`SinkQueue::fits`] before it sends a batch, and
//! the worker reports each batch it has written or given up. So the bound holds without a lock around the channel.

use super::episode_batch::{Completion, Dispatch, EpisodeBatch};
use crate::sink::PartBatch;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded, unbounded};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::Thread,
    time::Duration,
};
use web_time::Instant;

/// Instruction to a sink worker.
pub(super) enum SinkCommand {
    Write(Dispatch<EpisodeBatch>),
    /// Transitions as they happen.
    WriteParts(PartBatch),
    /// `None` for a periodic flush, which no caller waits for.
    Flush(Option<Arc<Completion>>),
    /// The last command.
    Close(Option<Arc<Completion>>),
}

/// Counts of the batches that were dispatched to a sink and that its worker has not written yet.
#[derive(Default)]
pub(super) struct SinkGate {
    pending: Mutex<PendingBatches>,
    /// Bytes in the sink's backlog, in the journal.
    backlog_bytes: AtomicU64,
    /// Bytes of the parts in the channel, and of those being written.
    part_bytes: AtomicUsize,
    /// Unparked when bytes of the queue are freed, and when the worker has ended.
    exporter: OnceLock<Thread>,
    is_shut: AtomicBool,
}

#[derive(Default)]
struct PendingBatches {
    /// Bytes of the batches in the channel, and of the one being written.
    bytes: usize,
    /// When each batch was dispatched, oldest first. Includes those in the backlog.
    created: VecDeque<Instant>,
}

impl SinkGate {
    fn pending(&self) -> MutexGuard<'_, PendingBatches> {
        // A panic cannot leave the counts half changed.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long ago the oldest batch was dispatched that the worker has not written.
    pub(super) fn lag(&self) -> Duration {
        let oldest = self.pending().created.front().copied();
        oldest.map_or(Duration::ZERO, |created| created.elapsed())
    }

    /// Bytes in the sink's backlog.
    pub(super) fn backlog_bytes(&self) -> u64 {
        self.backlog_bytes.load(Ordering::Relaxed)
    }

    fn unpark_exporter(&self) {
        if let Some(exporter) = self.exporter.get() {
            exporter.unpark();
        }
    }
}

/// The exporter thread's end of the queue.
pub(super) struct SinkQueue {
    commands: Sender<SinkCommand>,
    deadline: Sender<Instant>,
    gate: Arc<SinkGate>,
    /// What the worker was not told yet of parts that did not fit.
    missed_parts: PartBatch,
    /// The last command sent was a flush.
    ends_with_flush: bool,
    is_closing: bool,
}

/// The sink worker's end of the queue. Dropping it shuts the queue.
pub(super) struct SinkReceiver {
    /// `None` while it is dropped.
    commands: Option<Receiver<SinkCommand>>,
    deadlines: Receiver<Instant>,
    deadline: Option<Instant>,
    gate: Arc<SinkGate>,
}

/// An empty queue.
pub(super) fn sink_queue() -> (SinkQueue, SinkReceiver) {
    let (commands, receiver) = unbounded();
    let (deadline, deadlines) = bounded(1);
    let gate = Arc::<SinkGate>::default();
    let queue = SinkQueue {
        commands,
        deadline,
        gate: gate.clone(),
        missed_parts: PartBatch::default(),
        ends_with_flush: false,
        is_closing: false,
    };
    let receiver = SinkReceiver {
        commands: Some(receiver),
        deadlines,
        deadline: None,
        gate,
    };
    (queue, receiver)
}

impl SinkQueue {
    pub(super) fn gate(&self) -> &Arc<SinkGate> {
        &self.gate
    }

    /// Sets the thread that is unparked when bytes of the queue are freed.
    pub(super) fn unpark_on_room(&self, exporter: Thread) {
        let _ = self.gate.exporter.set(exporter);
    }

    /// Whether the worker has ended, and every further command is refused.
    pub(super) fn is_shut(&self) -> bool {
        self.gate.is_shut.load(Ordering::Acquire)
    }

    /// Whether `bytes` more fit in `bound` bytes. An empty queue takes a batch of any size.
    pub(super) fn fits(&self, bytes: usize, bound: usize) -> bool {
        let queued = self.gate.pending().bytes;
        queued == 0 || queued.saturating_add(bytes) <= bound || self.is_shut()
    }

    /// Counts a batch as dispatched to the sink: [`send`](Self::send) or [`retract`](Self::retract) follows.
    pub(super) fn announce(&self, created: Instant) {
        self.gate.pending().created.push_back(created);
    }

    /// Takes back the announcement of the newest batch.
    pub(super) fn retract(&self) {
        self.gate.pending().created.pop_back();
    }

    pub(super) fn set_backlog_bytes(&self, bytes: u64) {
        self.gate.backlog_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Sends an announced batch. False when the worker has ended.
    pub(super) fn send(&mut self, dispatch: Dispatch<EpisodeBatch>) -> bool {
        self.ends_with_flush = false;
        let bytes = dispatch.batch.bytes;
        self.gate.pending().bytes += bytes;
        if self.commands.send(SinkCommand::Write(dispatch)).is_ok() {
            return true;
        }
        let mut pending = self.gate.pending();
        pending.bytes -= bytes;
        pending.created.pop_front();
        false
    }

    /// Sends transitions as they happen, or counts them as missed where they do not fit in `bound` bytes. An empty queue takes a
    /// batch of any size.
    pub(super) fn send_parts(&mut self, mut batch: PartBatch, bound: usize) {
        let bytes = batch.bytes();
        batch.follow(core::mem::take(&mut self.missed_parts));
        let queued = self.gate.part_bytes.load(Ordering::Acquire);
        if queued > 0 && queued.saturating_add(bytes) > bound {
            batch.miss();
            self.missed_parts = batch;
            return;
        }
        self.forward_parts(batch, bytes);
    }

    fn forward_parts(&mut self, batch: PartBatch, bytes: usize) {
        self.ends_with_flush = false;
        self.gate.part_bytes.fetch_add(bytes, Ordering::AcqRel);
        // A worker that has ended takes no parts.
        let _ = self.commands.send(SinkCommand::WriteParts(batch));
    }

    /// Sends a flush. A periodic flush is left out where one is queued with no batch after it.
    pub(super) fn flush(&mut self, completion: Option<Arc<Completion>>) {
        if completion.is_none() && self.ends_with_flush && !self.commands.is_empty() {
            return;
        }
        self.ends_with_flush = true;
        // A worker that has ended has nothing left to flush; the completion is dropped with the command.
        let _ = self.commands.send(SinkCommand::Flush(completion));
    }

    /// Sets the time from which a failed call is not retried.
    pub(super) fn set_deadline(&self, deadline: Instant) {
        // Full when a deadline was set before, which then holds.
        let _ = self.deadline.try_send(deadline);
    }

    /// Sends the last command, once.
    pub(super) fn close(&mut self, completion: Option<Arc<Completion>>) {
        if !core::mem::replace(&mut self.is_closing, true) {
            let missed = core::mem::take(&mut self.missed_parts);
            if !missed.is_empty() {
                self.forward_parts(missed, 0);
            }
            let _ = self.commands.send(SinkCommand::Close(completion));
        }
    }
}

impl SinkReceiver {
    /// Waits for the next command.
    pub(super) fn recv(&self) -> SinkCommand {
        let command = self.commands.as_ref().and_then(|commands| commands.recv().ok());
        // The exporter thread is gone without having closed the sink.
        command.unwrap_or(SinkCommand::Close(None))
    }

    /// The next command; `None` if there is none yet.
    pub(super) fn try_recv(&self) -> Option<SinkCommand> {
        match self.commands.as_ref().map(Receiver::try_recv) {
            Some(Ok(command)) => Some(command),
            Some(Err(TryRecvError::Empty)) => None,
            // As in `recv`.
            Some(Err(TryRecvError::Disconnected)) | None => Some(SinkCommand::Close(None)),
        }
    }

    /// Reports that a batch was written or given up.
    pub(super) fn done(&self, batch: &EpisodeBatch) {
        let mut pending = self.gate.pending();
        pending.bytes -= batch.bytes;
        pending.created.pop_front();
        drop(pending);
        self.gate.unpark_exporter();
    }

    /// Reports that parts were written or given up.
    pub(super) fn done_parts(&self, batch: &PartBatch) {
        self.gate.part_bytes.fetch_sub(batch.bytes(), Ordering::AcqRel);
    }

    /// Waits before a retry: for `wait`, until the deadline, or until a deadline is set.
    pub(super) fn wait(&mut self, wait: Duration) {
        if let Some(deadline) = self.deadline() {
            std::thread::sleep(wait.min(deadline.saturating_duration_since(Instant::now())));
            return;
        }
        match self.deadlines.recv_timeout(wait) {
            Ok(deadline) => self.deadline = Some(deadline),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.deadline = Some(Instant::now()),
        }
    }

    pub(super) fn is_past_deadline(&mut self) -> bool {
        self.deadline().is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn deadline(&mut self) -> Option<Instant> {
        self.deadline = self.deadline.or_else(|| self.deadlines.try_recv().ok());
        self.deadline
    }
}

impl Drop for SinkReceiver {
    fn drop(&mut self) {
        // Before the queue counts as shut: commands that are left complete here.
        drop(self.commands.take());
        self.gate.is_shut.store(true, Ordering::Release);
        self.gate.unpark_exporter();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::episode_batch::DurabilityToken;
    use experience_core::{
        schema::{Column, Schema},
        transition::{EndReason, Episode, EpisodeInfo, EpisodePart, Outcome, RunId},
    };

    fn batch(number: i64, transitions: usize) -> Arc<EpisodeBatch> {
        let schema = Schema::new("x").with_observation([Column::feature("x")]).into_shared();
        let rows = vec![0; (transitions + 1) * schema.layout().row_words()];
        let info = EpisodeInfo {
            episode_id: number,
            agent_id: 0,
            run: RunId::from_bits(1),
            continues: None,
        };
        let episode = Episode::new(schema, info, rows, Outcome::Truncated, EndReason::GAP);
        Arc::new(EpisodeBatch::new(vec![episode], 0, Instant::now(), None))
    }

    fn offer(queue: &mut SinkQueue, batch: &Arc<EpisodeBatch>, bound: usize) -> bool {
        if !queue.fits(batch.bytes, bound) {
            return false;
        }
        queue.announce(batch.created);
        queue.send(Dispatch {
            batch: batch.clone(),
            token: Arc::new(DurabilityToken),
        })
    }

    #[test]
    fn bytes_are_bounded_and_an_empty_queue_takes_any_batch() {
        let (mut queue, receiver) = sink_queue();
        let large = batch(0, 1000);
        assert!(offer(&mut queue, &large, 1));
        assert!(!offer(&mut queue, &batch(1, 1), 1));
        let SinkCommand::Write(taken) = receiver.recv() else {
            panic!("it was the only command")
        };
        // It is being written, and still counts.
        assert!(!offer(&mut queue, &batch(1, 1), 1));
        assert!(queue.gate().lag() > Duration::ZERO);
        receiver.done(&taken.batch);
        assert_eq!(queue.gate().lag(), Duration::ZERO);
        assert!(offer(&mut queue, &batch(1, 1), 1));
        drop(receiver);
        assert!(queue.is_shut());
        assert!(queue.fits(1, 0) && !offer(&mut queue, &batch(1, 1), usize::MAX));
    }

    #[test]
    fn parts_that_do_not_fit_are_counted_in_the_next_batch() {
        let (mut queue, receiver) = sink_queue();
        let parts = |number, transitions| {
            let episode = batch(number, transitions).episodes[0].clone();
            PartBatch {
                parts: Arc::new([EpisodePart::new(episode, 0, true)]),
                withdrawn: vec![number],
                ..PartBatch::default()
            }
        };
        queue.send_parts(parts(0, 100), 1);
        queue.send_parts(parts(1, 3), 1);
        queue.send_parts(parts(2, 4), 1);
        let take = || match receiver.recv() {
            SinkCommand::WriteParts(batch) => {
                receiver.done_parts(&batch);
                batch
            }
            _ => panic!("parts were sent"),
        };
        assert_eq!((take().transitions(), receiver.try_recv().is_none()), (100, true));
        queue.send_parts(parts(3, 5), 1);
        let next = take();
        assert_eq!(
            (next.transitions(), next.missed_transitions, next.missed_episodes),
            (5, 7, 2)
        );
        assert_eq!(next.withdrawn, [1, 2, 3]);
        // At the close nothing that was missed is left untold.
        queue.send_parts(parts(4, 100), 1);
        queue.send_parts(parts(5, 9), 1);
        queue.close(None);
        take();
        let last = take();
        assert_eq!(
            (last.transitions(), last.missed_transitions, last.missed_episodes),
            (0, 9, 1)
        );
        assert!(matches!(receiver.recv(), SinkCommand::Close(None)));
    }

    #[test]
    fn periodic_flushes_do_not_pile_up_and_a_shut_queue_completes_the_others() {
        let (mut queue, receiver) = sink_queue();
        for _ in 0..10 {
            queue.flush(None);
        }
        assert_eq!(queue.commands.len(), 1);
        let (sender, completed) = unbounded();
        queue.flush(Some(Arc::new(Completion(sender.clone()))));
        drop(receiver);
        queue.flush(Some(Arc::new(Completion(sender))));
        assert_eq!(completed.try_iter().count(), 2);
    }

    #[test]
    fn a_deadline_ends_a_wait() {
        let (queue, mut receiver) = sink_queue();
        let begun = Instant::now();
        let waiting = std::thread::spawn(move || {
            receiver.wait(Duration::from_secs(60));
            receiver.is_past_deadline()
        });
        queue.set_deadline(Instant::now());
        assert!(waiting.join().unwrap());
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn everything_arrives_in_order_under_pressure() {
        let (mut queue, receiver) = sink_queue();
        let sent = 2000;
        let bound = batch(0, 4).bytes * 4;
        let thread = std::thread::spawn(move || {
            let (mut next, mut flushes) = (0, 0);
            loop {
                match receiver.recv() {
                    SinkCommand::Write(Dispatch { batch, .. }) => {
                        assert_eq!(batch.episodes[0].info().episode_id, next);
                        next += 1;
                        assert!(receiver.gate.pending().bytes <= bound);
                        receiver.done(&batch);
                    }
                    SinkCommand::Flush(_) => flushes += 1,
                    SinkCommand::WriteParts(_) => unreachable!("no parts are sent"),
                    SinkCommand::Close(_) => return (next, flushes),
                }
            }
        });
        queue.unpark_on_room(std::thread::current());
        for number in 0..sent {
            let batch = batch(number, 1 + number as usize % 4);
            while !offer(&mut queue, &batch, bound) {
                // A lost wake-up would make this the time that the test takes.
                std::thread::park_timeout(Duration::from_secs(60));
            }
            if number % 7 == 0 {
                queue.flush(None);
            }
        }
        queue.close(None);
        let (arrived, flushes) = thread.join().unwrap();
        assert_eq!(arrived, sent);
        assert!(flushes > 0);
    }
}
