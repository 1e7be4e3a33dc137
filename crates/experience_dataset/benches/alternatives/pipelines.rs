//! The pipelines: a copy alone, this crate's rings, and what the standard library, `crossbeam-queue` and `arrow` offer.

mod arrays;

pub use arrays::Arrays;

use crate::{
    Consumer, PLAYERS, Pipeline, Recorder, TICKS,
    consumers::{EpisodeSorter, Export},
    source::Source,
};
use crossbeam_queue::ArrayQueue;
use experience_arrow::ChannelSink;
use experience_buffer::{BufferSettings, PlayerBuffers, Writer};
use experience_core::{account::Counters, transition::RunId};
use experience_export::{Exporter, RecordingExport, RecordingInfo};
use std::{
    hint::black_box,
    sync::{Arc, Mutex, mpsc},
    time::SystemTime,
};

/// Words of a row.
const WORDS: usize = 33;

/// Rows of a ring, and of a player's part of the memory of [`Copies`]: eight turns of a consumer. They wrap around, as those of a game
/// that has run for a while.
const CAPACITY: usize = 64;

/// A row, as a program would have a `struct` for it.
#[derive(Clone, Copy)]
struct Step([u64; WORDS]);

fn steps(rows: &[u64]) -> impl Iterator<Item = Step> {
    let (rows, []) = rows.as_chunks::<WORDS>() else {
        panic!("rows of another width");
    };
    rows.iter().map(|row| Step(*row))
}

/// A copy of the rows to memory as large as the rings, and nothing else: the lower bound.
pub struct Copies;

pub struct Copied {
    memory: Vec<u64>,
    /// Rows of each player so far.
    pushed: Vec<usize>,
}

/// Encodes nothing, and returns the number of transitions in the end.
pub struct Counted(usize);

impl Pipeline for Copies {
    const NAME: &str = "a copy, and nothing else";
    type Recorder = Copied;
    type Consumer = Counted;

    fn new(source: &Source) -> (Copied, Counted) {
        let copied = Copied {
            // Not 0, for which the system would map pages at the first write.
            memory: vec![1; PLAYERS * CAPACITY * source.row_words()],
            pushed: vec![0; PLAYERS],
        };
        (copied, Counted(source.transitions()))
    }
}

impl Recorder for Copied {
    fn push(&mut self, first: usize, rows: &[u64]) {
        for (player, row) in (first..).zip(rows.chunks_exact(WORDS)) {
            let place = player * CAPACITY + self.pushed[player] % CAPACITY;
            self.pushed[player] += 1;
            self.memory[place * WORDS..][..WORDS].copy_from_slice(row);
        }
        black_box(&mut self.memory);
    }
}

impl Consumer for Counted {
    fn take(&mut self) -> usize {
        0
    }

    fn finish(self) -> usize {
        self.0
    }
}

/// A ring for each player, and the exporter, which drains them to a `ChannelSink`.
pub struct Rings;

pub struct RingRecorder(Vec<Writer>);

impl Pipeline for Rings {
    const NAME: &str = "rings and exporter (`experience_buffer`, `experience_export`)";
    type Recorder = RingRecorder;
    type Consumer = Export;

    fn new(source: &Source) -> (RingRecorder, Export) {
        let settings = BufferSettings {
            capacity: CAPACITY,
            ..BufferSettings::default()
        };
        let players = PlayerBuffers::new(settings, source.row_words()).expect("valid settings");
        // As a recording does for the players that it expects.
        players.reserve(PLAYERS).expect("the memory is available");
        let players = Arc::new(players);
        let counters = Arc::<Counters>::default();
        let (sink, batches) = ChannelSink::bounded(1 << 10);
        let recording = RecordingExport {
            info: RecordingInfo {
                schema: source.schema.clone(),
                run: RunId::from_bits(1),
                tick_rate: Some(60.0),
                started: SystemTime::now(),
                buffers: None,
            },
            counters: counters.clone(),
            words: Arc::default(),
            episodes: Arc::default(),
            discarded: Arc::default(),
            players: players.clone(),
            sinks: vec![Box::new(sink)],
        };
        let exporter = Exporter::spawn(Export::settings(), vec![recording]).expect("the sink opens");
        let writers = (0..PLAYERS as i64).map(|agent| {
            let (writer, buffer) = players.open(agent).expect("valid settings");
            exporter.attach(0, agent, buffer, Arc::default());
            writer
        });
        let recorder = RingRecorder(writers.collect());
        counters.recorded.add(source.transitions() as u64);
        (recorder, Export::new(exporter, batches))
    }
}

impl Recorder for RingRecorder {
    fn push(&mut self, first: usize, rows: &[u64]) {
        let rows = rows.chunks_exact(WORDS);
        let writers = &mut self.0[first..first + rows.len()];
        // As capture does.
        writers.iter().for_each(Writer::prefetch);
        for (writer, row) in writers.iter_mut().zip(rows) {
            writer.push(row).expect("the buffer is open");
        }
    }
}

/// One `Vec` of all players behind a mutex. The consumer exchanges it for an empty one.
pub struct Locked;

#[derive(Clone, Default)]
pub struct LockedSteps(Arc<Mutex<Vec<Step>>>);

pub struct LockedConsumer {
    steps: LockedSteps,
    /// The `Vec` of the last exchange, whose memory is used again.
    taken: Vec<Step>,
    sorter: EpisodeSorter,
}

impl Pipeline for Locked {
    const NAME: &str = "`Mutex<Vec<Step>>`";
    type Recorder = LockedSteps;
    type Consumer = LockedConsumer;

    fn new(source: &Source) -> (LockedSteps, LockedConsumer) {
        let steps = LockedSteps::default();
        let consumer = LockedConsumer {
            steps: steps.clone(),
            taken: Vec::new(),
            sorter: EpisodeSorter::new(source),
        };
        (steps, consumer)
    }
}

impl Recorder for LockedSteps {
    fn push(&mut self, _: usize, rows: &[u64]) {
        for step in steps(rows) {
            self.0.lock().expect("no thread panics").push(step);
        }
    }
}

impl Consumer for LockedConsumer {
    fn take(&mut self) -> usize {
        self.taken.clear();
        core::mem::swap(&mut *self.steps.0.lock().expect("no thread panics"), &mut self.taken);
        self.taken.iter().map(|step| self.sorter.add(&step.0)).sum()
    }

    fn finish(mut self) -> usize {
        self.take() + self.sorter.encode()
    }
}

/// A queue of boxed rows of all players.
pub struct Boxes;

#[derive(Clone)]
pub struct BoxQueue(Arc<ArrayQueue<Box<Step>>>);

pub struct BoxConsumer(BoxQueue, EpisodeSorter);

impl Pipeline for Boxes {
    const NAME: &str = "`ArrayQueue<Box<Step>>` (`crossbeam-queue`)";
    type Recorder = BoxQueue;
    type Consumer = BoxConsumer;

    fn new(source: &Source) -> (BoxQueue, BoxConsumer) {
        let queue = BoxQueue(Arc::new(ArrayQueue::new(PLAYERS * TICKS)));
        (queue.clone(), BoxConsumer(queue, EpisodeSorter::new(source)))
    }
}

impl Recorder for BoxQueue {
    fn push(&mut self, _: usize, rows: &[u64]) {
        for step in steps(rows) {
            self.0.force_push(Box::new(step));
        }
    }
}

impl Consumer for BoxConsumer {
    fn take(&mut self) -> usize {
        let steps = core::iter::from_fn(|| self.0.0.pop());
        steps.map(|step| self.1.add(&step.0)).sum()
    }

    fn finish(mut self) -> usize {
        self.take() + self.1.encode()
    }
}

/// A channel of rows of all players.
pub struct Channel;

pub struct ChannelRecorder(mpsc::Sender<Step>);

pub struct ChannelConsumer(mpsc::Receiver<Step>, EpisodeSorter);

impl Pipeline for Channel {
    const NAME: &str = "`mpsc::channel::<Step>()`";
    type Recorder = ChannelRecorder;
    type Consumer = ChannelConsumer;

    fn new(source: &Source) -> (ChannelRecorder, ChannelConsumer) {
        let (sender, receiver) = mpsc::channel();
        (
            ChannelRecorder(sender),
            ChannelConsumer(receiver, EpisodeSorter::new(source)),
        )
    }
}

impl Recorder for ChannelRecorder {
    fn push(&mut self, _: usize, rows: &[u64]) {
        for step in steps(rows) {
            self.0.send(step).expect("the receiver is open");
        }
    }
}

impl Consumer for ChannelConsumer {
    fn take(&mut self) -> usize {
        self.0.try_iter().map(|step| self.1.add(&step.0)).sum()
    }

    fn finish(mut self) -> usize {
        self.take() + self.1.encode()
    }
}
