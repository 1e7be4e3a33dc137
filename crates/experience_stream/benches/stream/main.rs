//! Rows a second from the sink to one and to eight subscribers on the same machine, with rows of the arena's size.
//!
//!     cargo bench -p experience_stream --bench stream
//!
//! Beside each is a plain Flight server that sends the same messages, encoded before: what tonic, HTTP/2 and the sockets alone take.
//!
//! With an address, a server for the benchmarks of the Python package instead: for `python/benchmarks/stream_latency.py` one that plays 60
//! ticks a second, and with `full` one for `python/benchmarks/stream_rate.py`, which sends as fast as the slowest subscriber takes. The port
//! after it has the plain server.
//!
//!     cargo bench -p experience_stream --bench stream -- 127.0.0.1:7711
//!     cargo bench -p experience_stream --bench stream -- 127.0.0.1:7711 full
#![expect(clippy::print_stdout, reason = "the benchmark prints its result")]

mod game;
mod plain;
mod receiver;

use experience_core::{
    account::RunReport,
    schema::{Column, DType, Schema, Space},
    transition::{EndReason, Episode, EpisodeInfo, Outcome, RunId, StepHeader, StepKind},
};
use experience_export::{RecordingInfo, Sink};
use experience_stream::{StreamMonitor, StreamSink};
use plain::PlainServer;
use receiver::{Received, Until, receive};
use std::{
    net::SocketAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

/// Transitions that are sent to each subscriber.
const ROWS: u64 = 4_000_000;
/// Bytes that the writer may be ahead of the slowest subscriber, so that none loses a row.
const AHEAD: u64 = 32 << 20;
const EPISODE: usize = 400;

/// The columns of the arena's recording, and the time of each push.
fn schema() -> Arc<Schema> {
    let features = (0..39).map(|index| Column::feature(format!("feature[{index}]")));
    let axes = ["steer.x", "steer.y", "aim.x", "aim.y"]
        .map(|axis| Column::scalar(axis, DType::F32, Space::bounded(-1.0, 1.0)));
    let deed = Column::scalar(
        "deed",
        DType::U8,
        Space::Discrete {
            n: 3,
            labels: Vec::new(),
        },
    );
    Schema::new("fighter")
        .with_observation(features)
        .with_action(axes.into_iter().chain([deed]))
        .with_info([Column::scalar("sent", DType::F64, Space::unbounded())])
        .with_reward_terms(["alive", "coin", "hit"])
        .into_shared()
}

fn info(schema: &Arc<Schema>) -> RecordingInfo {
    RecordingInfo {
        schema: schema.clone(),
        run: RunId::random(),
        tick_rate: Some(60.0),
        started: SystemTime::now(),
        buffers: None,
    }
}

fn main() {
    // Cargo's own arguments begin with a dash.
    let arguments: Vec<_> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    match arguments.as_slice() {
        [] => {
            encode();
            [1, 8].into_iter().for_each(measure);
        }
        [address] => game::serve(address),
        [address, ..] => serve_full(address),
    }
}

fn episodes(schema: &Arc<Schema>, run: RunId) -> Vec<Episode> {
    let words = schema.layout().row_words();
    let episode = |number: u32| {
        let mut rows = vec![0_u64; (EPISODE + 1) * words];
        for (step, row) in rows.chunks_exact_mut(words).enumerate() {
            *StepHeader::of_mut(row) = StepHeader::new(if step == 0 {
                StepKind::Begin
            } else {
                StepKind::Transition
            });
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(row);
            for (index, value) in bytes[schema.layout().observation()].iter_mut().enumerate() {
                *value = (step * 31 + index * 7) as u8 & 0x3f;
            }
        }
        let info = EpisodeInfo {
            episode_id: run.episode_id(number),
            agent_id: number.into(),
            run,
            continues: None,
        };
        Episode::new(schema.clone(), info, rows, Outcome::Terminated, EndReason::DEATH)
    };
    (0..20).map(episode).collect()
}

/// A sink that is open, and the episodes that are written to it again and again.
struct Source {
    sink: StreamSink,
    monitor: StreamMonitor,
    episodes: Vec<Episode>,
    address: SocketAddr,
}

impl Source {
    fn open(address: &str) -> Self {
        let schema = schema();
        let mut sink = StreamSink::new(address).with_kept_bytes(2 * AHEAD as usize);
        let monitor = sink.monitor();
        let info = info(&schema);
        sink.open(&info).expect("the address is free");
        Self {
            sink,
            episodes: episodes(&schema, info.run),
            address: monitor.address().expect("the server has started"),
            monitor,
        }
    }

    /// Writes the episodes once. Returns the number of their transitions.
    fn write(&mut self) -> u64 {
        self.sink.write(&self.episodes).expect("the episodes are of the schema");
        self.episodes.iter().map(|episode| episode.len() as u64).sum()
    }

    fn subscribers(&self) -> usize {
        self.monitor.recordings()[0].subscribers.len()
    }

    fn wait_for_subscribers(&self, subscribers: usize) {
        while self.subscribers() < subscribers {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until no subscriber is far behind.
    fn wait(&self) {
        loop {
            let status = self.monitor.recordings().remove(0);
            let row_bytes = status.episodes.bytes as u64 / status.episodes.held.transitions.max(1);
            let behind = status
                .subscribers
                .iter()
                .map(|subscriber| subscriber.behind.transitions);
            if behind.max().unwrap_or(0) * row_bytes <= AHEAD {
                return;
            }
            thread::sleep(Duration::from_micros(200));
        }
    }
}

/// Without a subscriber: batches are encoded and kept.
fn encode() {
    let mut source = Source::open("127.0.0.1:0");
    let begun = Instant::now();
    let mut written = 0;
    while written < ROWS {
        written += source.write();
    }
    let rate = written as f64 / begun.elapsed().as_secs_f64() / 1e6;
    println!("no subscriber: {rate:.2} million transitions a second");
}

fn measure(subscribers: usize) {
    let mut source = Source::open("127.0.0.1:0");
    let address = source.address;
    let threads: Vec<_> = (0..subscribers)
        .map(|_| thread::spawn(move || receive(address, Until::End)))
        .collect();
    source.wait_for_subscribers(subscribers);
    let begun = Instant::now();
    let mut written = 0;
    while written < ROWS {
        written += source.write();
        source.wait();
    }
    source.sink.close(&RunReport::default()).expect("a stream closes");
    let received: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().expect("the subscriber ends"))
        .collect();
    let seconds = begun.elapsed().as_secs_f64();
    assert!(
        received.iter().all(|received| received.rows == written),
        "a subscriber has missed rows"
    );
    let streamed = report("the sink", &received, seconds);
    let sample = received.into_iter().next().expect("there is a subscriber");
    let plain = measure_plain(subscribers, sample);
    println!(
        "{subscribers} subscriber(s): the sink is {:.2} times as fast as the plain server",
        streamed / plain
    );
}

/// The same messages from a plain server.
fn measure_plain(subscribers: usize, sample: Received) -> f64 {
    let batches = ROWS / sample.batch_rows;
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = PlainServer::start(any_port, sample.schema, sample.batch, batches);
    let address = server.address;
    let begun = Instant::now();
    let threads: Vec<_> = (0..subscribers)
        .map(|_| thread::spawn(move || receive(address, Until::End)))
        .collect();
    let mut received: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().expect("the subscriber ends"))
        .collect();
    let seconds = begun.elapsed().as_secs_f64();
    for received in &mut received {
        received.rows = batches * sample.batch_rows;
    }
    report("a plain server", &received, seconds)
}

/// Prints and returns the million transitions a second to each subscriber.
fn report(server: &str, received: &[Received], seconds: f64) -> f64 {
    let (subscribers, rows) = (received.len(), received[0].rows);
    let bytes: u64 = received.iter().map(|received| received.bytes).sum();
    let rate = rows as f64 / seconds / 1e6;
    println!(
        "{subscribers} subscriber(s) of {server}: {rate:.2} million transitions a second to each, {:.2} million in all, {:.0} MB/s, {} bytes \
         each",
        rate * subscribers as f64,
        bytes as f64 / seconds / 1e6,
        bytes / rows / subscribers as u64
    );
    rate
}

/// Sends as fast as the slowest subscriber takes, for ever.
fn serve_full(address: &str) {
    let mut source = Source::open(address);
    let served = source.address;
    let sampler = thread::spawn(move || receive(served, Until::FirstBatch));
    source.wait_for_subscribers(1);
    source.write();
    let sample = sampler.join().expect("the subscriber ends");
    let plain_address = SocketAddr::new(served.ip(), served.port() + 1);
    let plain = PlainServer::start(plain_address, sample.schema, sample.batch, u64::MAX >> 16);
    println!("serving at {served}, and the plain server at {}", plain.address);
    loop {
        if source.subscribers() == 0 {
            thread::sleep(Duration::from_millis(1));
            continue;
        }
        source.write();
        source.wait();
    }
}
