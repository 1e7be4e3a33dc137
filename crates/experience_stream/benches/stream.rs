//! Rows a second from the sink to one and to eight subscribers on the same machine, with rows of the arena's size.
//!
//!     cargo bench -p experience_stream --bench stream
//!
//! With an address, a server for `python/benchmarks/stream_latency.py` instead, which plays 60 ticks a second:
//!
//!     cargo bench -p experience_stream --bench stream -- 127.0.0.1:7711
#![expect(clippy::print_stdout, reason = "the benchmark prints its result")]

use arrow_flight::{Ticket as FlightTicket, flight_service_client::FlightServiceClient};
use experience_buffer::{BufferSettings, PlayerBuffers};
use experience_core::{
    account::RunReport,
    schema::{Column, DType, Schema, Space},
    transition::{EndReason, Episode, EpisodeInfo, Outcome, RunId, StepHeader, StepKind},
};
use experience_export::{ExportSettings, Exporter, RecordingExport, RecordingInfo, Sink};
use experience_stream::{BatchMetadata, StreamSink, Ticket};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
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
    match std::env::args().skip(1).find(|argument| !argument.starts_with('-')) {
        Some(address) => serve(&address),
        None => [1, 8].into_iter().for_each(measure),
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

fn measure(subscribers: usize) {
    let schema = schema();
    let mut sink = StreamSink::new("127.0.0.1:0").with_kept_bytes(2 * AHEAD as usize);
    let monitor = sink.monitor();
    let info = info(&schema);
    sink.open(&info).expect("the loopback address is free");
    let address = monitor.address().expect("the server has started");
    let threads: Vec<_> = (0..subscribers)
        .map(|_| thread::spawn(move || receive(&format!("http://{address}"))))
        .collect();
    while monitor.recordings()[0].subscribers.len() < subscribers {
        thread::sleep(Duration::from_millis(1));
    }
    let episodes = episodes(&schema, info.run);
    let rows: u64 = episodes.iter().map(|episode| episode.len() as u64).sum();
    let begun = Instant::now();
    let mut written = 0;
    while written < ROWS {
        sink.write(&episodes).expect("the episodes are of the schema");
        written += rows;
        let status = monitor.recordings().remove(0);
        let row_bytes = status.episodes.bytes as u64 / status.episodes.held.transitions.max(1);
        while monitor.recordings()[0]
            .subscribers
            .iter()
            .any(|subscriber| subscriber.behind.transitions * row_bytes > AHEAD)
        {
            thread::sleep(Duration::from_micros(200));
        }
    }
    sink.close(&RunReport::default()).expect("a stream closes");
    let received: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().expect("the subscriber ends"))
        .collect();
    let seconds = begun.elapsed().as_secs_f64();
    let bytes: u64 = received.iter().map(|(_, bytes)| bytes).sum();
    assert!(
        received.iter().all(|(rows, _)| *rows == written),
        "a subscriber has missed rows: {received:?}"
    );
    println!(
        "{subscribers} subscriber(s): {:.2} million transitions a second to each, {:.2} million in all, {:.0} MB/s, {} bytes each",
        written as f64 / seconds / 1e6,
        written as f64 * subscribers as f64 / seconds / 1e6,
        bytes as f64 / seconds / 1e6,
        bytes / written / subscribers as u64
    );
}

/// The transitions and bytes until the end of the stream.
fn receive(address: &str) -> (u64, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system has threads");
    runtime.block_on(async {
        let endpoint = tonic::transport::Endpoint::from_shared(address.to_owned()).expect("the address is valid");
        let channel = endpoint.connect().await.expect("the server has started");
        let mut client = FlightServiceClient::new(channel);
        let ticket = FlightTicket::new(Ticket::new("fighter").to_json());
        let mut stream = client.do_get(ticket).await.expect("the ticket is valid").into_inner();
        let (mut rows, mut bytes) = (0, 0);
        while let Some(message) = stream.message().await.expect("the connection holds") {
            bytes += (message.data_body.len() + message.data_header.len()) as u64;
            if !message.app_metadata.is_empty() {
                let metadata: BatchMetadata =
                    serde_json::from_slice(&message.app_metadata).expect("the metadata is JSON");
                rows = metadata.position.transitions - metadata.missed.transitions;
            }
        }
        (rows, bytes)
    })
}

/// Plays 60 ticks a second with 16 players through buffers and the exporter. Each transition has the time of its push.
fn serve(address: &str) {
    let schema = schema();
    let mut sink = StreamSink::new(address);
    sink.check(&schema).expect("the address is free");
    let words = schema.layout().row_words();
    let players = Arc::new(PlayerBuffers::new(BufferSettings::default(), words).expect("the memory suffices"));
    let recording = RecordingExport {
        info: info(&schema),
        counters: Arc::default(),
        words: Arc::default(),
        episodes: Arc::default(),
        discarded: Arc::default(),
        players: players.clone(),
        sinks: vec![Box::new(sink)],
    };
    let (counters, reasons) = (recording.counters.clone(), recording.words.clone());
    let death = reasons.reason_code(&EndReason::DEATH);
    let exporter = Exporter::spawn(ExportSettings::default(), vec![recording]).expect("the system has threads");
    let mut writers: Vec<_> = (0..16_i64)
        .map(|agent| {
            let (writer, buffer) = players.open(agent).expect("the memory suffices");
            let pushed = Arc::<AtomicU32>::default();
            exporter.attach(0, agent, buffer, pushed.clone());
            (writer, pushed)
        })
        .collect();
    let mut row = vec![0_u64; words];
    let mut next = Instant::now();
    println!("serving at {address}");
    for tick in 0_u32.. {
        for (agent, (writer, pushed)) in writers.iter_mut().enumerate() {
            // Every third row ends an episode, and the one after it begins the next.
            let kind = if tick % 3 == 0 {
                StepKind::Begin
            } else {
                StepKind::Transition
            };
            let ordinal = tick / 3 * 2 + tick % 3;
            let header = StepHeader::of_mut(&mut row);
            *header = StepHeader::new(kind);
            (header.tick, header.ticks, header.agent_id) = (tick.into(), 1, agent as i64);
            (header.episode, header.ordinal) = (tick / 3 * 16 + agent as u32, ordinal);
            header.set_outcome((tick % 3 == 2).then_some(Outcome::Terminated), death);
            counters.recorded.add(u64::from(kind == StepKind::Transition));
            pushed.store(ordinal, Ordering::Release);
            let now = SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default();
            let sent = schema.layout().info_offsets()[0];
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut row);
            bytes[sent..sent + 8].copy_from_slice(&now.as_secs_f64().to_ne_bytes());
            let _ = writer.push(&row);
        }
        exporter.wake();
        next += Duration::from_secs(1) / 60;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}
