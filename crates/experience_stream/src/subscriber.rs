//! [`Subscriber`]: one subscription, from a place in a log to the messages of a Flight stream.

use crate::{
    BatchMetadata, Position, Ticket, Unit,
    codec::{BatchCodec, Messages, StreamMessage},
    log::{Cursor, LoggedBatch, Next},
    monitor::SubscriberStatus,
    position::Counts,
    recording::StreamedRecording,
    selection::Selection,
};
use arrow_schema::ArrowError;
use core::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
};
use futures_util::stream::{self, Stream};
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tonic::Status;

/// The counters of a subscriber. Its own task writes them.
pub(crate) struct SubscriberCounters {
    pub(crate) unit: Unit,
    peer: Option<SocketAddr>,
    /// The place after what was sent.
    transitions: AtomicU64,
    episodes: AtomicU64,
    sent_transitions: AtomicU64,
    sent_bytes: AtomicU64,
    missed_transitions: AtomicU64,
    missed_episodes: AtomicU64,
}

impl SubscriberCounters {
    pub(crate) fn new(unit: Unit, peer: Option<SocketAddr>, start: Counts) -> Self {
        Self {
            unit,
            peer,
            transitions: start.transitions.into(),
            episodes: start.episodes.into(),
            sent_transitions: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            missed_transitions: AtomicU64::new(0),
            missed_episodes: AtomicU64::new(0),
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            transitions: self.transitions.load(Ordering::Acquire),
            episodes: self.episodes.load(Ordering::Acquire),
        }
    }

    pub(crate) fn missed(&self) -> Counts {
        Counts {
            transitions: self.missed_transitions.load(Ordering::Acquire),
            episodes: self.missed_episodes.load(Ordering::Acquire),
        }
    }

    pub(crate) fn status(&self, behind: Counts) -> SubscriberStatus {
        SubscriberStatus {
            peer: self.peer,
            unit: self.unit,
            sent_transitions: self.sent_transitions.load(Ordering::Acquire),
            sent_bytes: self.sent_bytes.load(Ordering::Acquire),
            missed: self.missed(),
            behind,
        }
    }

    fn miss(&self, missed: Counts) {
        self.missed_transitions.fetch_add(missed.transitions, Ordering::AcqRel);
        self.missed_episodes.fetch_add(missed.episodes, Ordering::AcqRel);
    }

    fn move_to(&self, counts: Counts) {
        self.transitions.store(counts.transitions, Ordering::Release);
        self.episodes.store(counts.episodes, Ordering::Release);
    }
}

/// One subscription. It holds no batch but the one that is sent: what it has not received is in the log.
pub(crate) struct Subscriber {
    recording: Arc<StreamedRecording>,
    counters: Arc<SubscriberCounters>,
    selection: Selection,
    codec: BatchCodec,
    changes: watch::Receiver<u64>,
    shutdown: watch::Receiver<bool>,
    cursor: Cursor,
    bytes_behind: usize,
    /// The position that the subscriber named is of another run, and it was not told so yet.
    is_restarted: bool,
    /// Messages that were not sent yet.
    messages: VecDeque<StreamMessage>,
    is_closed: bool,
    /// One of the permitted subscribers.
    _permit: OwnedSemaphorePermit,
}

impl Subscriber {
    pub(crate) fn new(
        recording: Arc<StreamedRecording>,
        ticket: &Ticket,
        selection: Selection,
        peer: Option<SocketAddr>,
        bytes_behind: usize,
        shutdown: watch::Receiver<bool>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, String> {
        let (cursor, is_restarted) = recording.start(ticket)?;
        let counters = Arc::new(SubscriberCounters::new(ticket.unit, peer, cursor.counts));
        recording.add_subscriber(counters.clone());
        let mut subscriber = Self {
            changes: recording.log(ticket.unit).subscribe(),
            codec: BatchCodec::new(selection.schema()),
            messages: VecDeque::from([StreamMessage::schema(selection.schema())]),
            recording,
            counters,
            selection,
            shutdown,
            cursor,
            bytes_behind,
            is_restarted,
            is_closed: false,
            _permit: permit,
        };
        // The place where it begins, so that it can continue there if the connection is lost before the first batch.
        subscriber.queue(None, Counts::default(), Vec::new());
        Ok(subscriber)
    }

    /// The messages of the stream. It is polled only while the connection takes more.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<StreamMessage, Status>> + Send {
        stream::try_unfold(self, |mut subscriber| async move {
            let message = subscriber.next_message().await?;
            Ok(message.map(|message| (message, subscriber)))
        })
    }

    async fn next_message(&mut self) -> Result<Option<StreamMessage>, Status> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                self.counters
                    .sent_bytes
                    .fetch_add(message.len() as u64, Ordering::AcqRel);
                return Ok(Some(message));
            }
            if self.is_closed {
                return Ok(None);
            }
            self.changes.borrow_and_update();
            let unit = self.counters.unit;
            match self
                .recording
                .log(unit)
                .next(self.cursor, self.bytes_behind, unit == Unit::Episodes)
            {
                Next::Batch {
                    batch,
                    missed,
                    withdrawn,
                    next,
                } => {
                    self.counters.miss(missed);
                    let messages = self.select(&batch).map_err(|error| {
                        Status::internal(format!(
                            "cannot select from recording `{}`: {error}",
                            self.recording.name
                        ))
                    })?;
                    self.cursor = Cursor {
                        counts: batch.end,
                        next,
                    };
                    self.counters.move_to(batch.end);
                    self.queue(messages, missed, withdrawn);
                }
                Next::Closed { missed, withdrawn } => {
                    self.is_closed = true;
                    self.counters.miss(missed);
                    self.cursor.counts.add(missed);
                    self.queue(None, missed, withdrawn);
                }
                Next::Wait => {
                    if *self.shutdown.borrow() {
                        return Err(Status::unavailable("the server is shutting down"));
                    }
                    let (changes, shutdown) = (self.changes.changed(), self.shutdown.changed());
                    // An error means that the server has ended, which the next look at the log finds out.
                    futures_util::future::select(Box::pin(changes), Box::pin(shutdown)).await;
                }
            }
        }
    }

    /// The messages of the selected rows and columns that follow the cursor. `None` where there is no such row.
    fn select(&mut self, batch: &LoggedBatch) -> Result<Option<Messages>, ArrowError> {
        let passed = self.cursor.counts.since(batch.start).transitions;
        let total = batch.end.since(batch.start).transitions;
        if total == 0 {
            return Ok(None);
        }
        if self.selection.is_all() && passed == 0 {
            self.counters.sent_transitions.fetch_add(total, Ordering::AcqRel);
            return Ok(Some(batch.messages.clone()));
        }
        let rows = batch.batch.slice(passed as usize, (total - passed) as usize);
        let selected = self.selection.select(&rows)?;
        if selected.num_rows() == 0 {
            return Ok(None);
        }
        self.counters
            .sent_transitions
            .fetch_add(selected.num_rows() as u64, Ordering::AcqRel);
        self.codec.encode(&selected).map(Some)
    }

    /// Queues the messages of a batch, with its metadata in the last one; or the metadata alone.
    fn queue(&mut self, messages: Option<Messages>, missed: Counts, withdrawn: Vec<i64>) {
        let metadata = BatchMetadata {
            position: Position {
                run: self.recording.run,
                unit: self.counters.unit,
                transitions: self.cursor.counts.transitions,
                episodes: self.cursor.counts.episodes,
            },
            missed,
            withdrawn,
            restarted: core::mem::take(&mut self.is_restarted),
            closed: self.is_closed,
        };
        let json = serde_json::to_vec(&metadata).unwrap_or_default();
        match messages {
            Some(messages) => {
                self.messages.extend(messages.iter().cloned());
                if let Some(last) = self.messages.back_mut() {
                    last.metadata = json.into();
                }
            }
            None => self.messages.push_back(StreamMessage {
                metadata: json.into(),
                ..StreamMessage::default()
            }),
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.recording.remove_subscriber(&self.counters);
    }
}
