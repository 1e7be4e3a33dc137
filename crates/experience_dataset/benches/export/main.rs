//! The ways out, in steps a second, beside the bare copy of the same rows and the bare Parquet writer on the same batches.
//!
//! ```text
//! cargo bench --bench export               # about two minutes
//! cargo bench --bench export -- --quick    # half a minute
//! ```
//!
//! All but `export_thread` and `backlog/and_back` count the time for which their thread is on a processor, so that others who use the machine and
//! waits for the disk do not count.
//!
//! What was seen is on the page `docs/performance.md`.
//!
//! `EXPERIENCE_DATASET=data/arena` takes the episodes of a recorded arena in place of made up ones.

mod arena;
mod board;
mod clock;
mod lives;
mod streams;

use arrow_array::RecordBatch;
use clock::clock;
use criterion::{Bencher, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use crossbeam_channel::{Receiver, bounded};
use experience_arrow::BatchEncoder;
use experience_arrow::ChannelSink;
use experience_buffer::{BufferSettings, PlayerBuffers, Writer};
use experience_core::{
    account::{Counters, RunReport},
    transition::{Episode, RunId},
};
use experience_dataset::DatasetSink;
use experience_export::{
    ExportSettings, Exporter, RecordingExport, RecordingInfo, Sink, SinkError,
    journal::{Journal, JournalSettings, Owner, Record},
};
use lives::Lives;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use std::{
    borrow::Cow,
    fs::File,
    hint::black_box,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

fn workloads() -> [(&'static str, Lives); 2] {
    let arena = Lives::of_dataset("fighter").unwrap_or_else(|| arena::play(7200));
    [("arena", arena), ("board", board::play(1000))]
}

/// Episodes as the exporter hands them over: about so many transitions at once.
fn batches(episodes: &[Episode]) -> impl Iterator<Item = &[Episode]> {
    let batch = ExportSettings::default().batch;
    let mut transitions = 0;
    episodes.chunk_by(move |episode, _| {
        transitions += episode.len();
        let same = transitions < batch;
        transitions *= usize::from(same);
        same
    })
}

fn info(lives: &Lives) -> RecordingInfo {
    RecordingInfo {
        schema: lives.schema.clone(),
        run: RunId::random(),
        tick_rate: Some(60.0),
        started: SystemTime::now(),
        buffers: None,
    }
}

fn give(lives: &Lives, sink: &mut impl Sink) {
    sink.open(&info(lives)).expect("it opens");
    for episodes in batches(&lives.episodes) {
        sink.write(episodes).expect("it takes them");
    }
    sink.close(&RunReport::default()).expect("it closes");
}

/// What `DatasetSink` would do without us: the crate's own settings, and the same compression.
fn bare(batches: &[RecordBatch], properties: &WriterProperties) -> Duration {
    let folder = tempfile::tempdir().expect("a folder");
    let start = clock();
    let file = File::create(folder.path().join("shard.parquet")).expect("a file");
    let mut writer =
        ArrowWriter::try_new(file, batches[0].schema(), Some(properties.clone())).expect("columns that it knows");
    for batch in batches {
        writer.write(batch).expect("there is room");
    }
    let file = writer.into_inner().expect("there is room");
    file.sync_all().expect("there is a disk");
    clock() - start
}

/// Measures the time that this thread is on a processor.
fn on_processor(b: &mut Bencher<'_>, mut work: impl FnMut()) {
    b.iter_custom(|times| {
        let start = clock();
        (0..times).for_each(|_| work());
        clock() - start
    });
}

fn ways_out(c: &mut Criterion) {
    let mut group = c.benchmark_group("export");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for (name, lives) in workloads() {
        group.throughput(Throughput::Elements(lives.len() as u64));
        group.bench_function(BenchmarkId::new("memcpy", name), |b| {
            let mut copy = vec![0_u64; lives.bytes() / 8];
            on_processor(b, || {
                let mut rest = &mut copy[..];
                for episode in &lives.episodes {
                    let (place, later) = rest.split_at_mut(episode.rows().len());
                    place.copy_from_slice(black_box(episode.rows()));
                    rest = later;
                }
                black_box(&mut copy);
            });
        });
        group.bench_function(BenchmarkId::new("channel", name), |b| {
            on_processor(b, || {
                let (mut sink, batches) = ChannelSink::bounded(1);
                sink.open(&info(&lives)).expect("it opens");
                for episodes in self::batches(&lives.episodes) {
                    sink.write(episodes).expect("there is room");
                    black_box(batches.recv().expect("it was sent"));
                }
            });
        });
        group.bench_function(BenchmarkId::new("dataset", name), |b| {
            b.iter_custom(|times| {
                let mut spent = Duration::ZERO;
                for _ in 0..times {
                    let folder = tempfile::tempdir().expect("a folder");
                    let mut sink = DatasetSink::new(folder.path());
                    let start = clock();
                    give(&lives, &mut sink);
                    spent += clock() - start;
                }
                spent
            });
        });
        group.bench_function(BenchmarkId::new("journal", name), |b| {
            b.iter_custom(|times| (0..times).map(|_| journal(&lives)).sum());
        });
        let encoder = BatchEncoder::new(lives.schema.clone()).expect("it has columns");
        let encoded: Vec<_> = batches(&lives.episodes)
            .map(|episodes| encoder.encode(episodes).expect("its own episodes"))
            .collect();
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        group.bench_function(BenchmarkId::new("arrow_rs", name), |b| {
            b.iter_custom(|times| (0..times).map(|_| bare(&encoded, &properties)).sum());
        });
    }
    group.finish();
}

/// What the exporter puts into the journal of these episodes, and how it is read back.
fn journal(lives: &Lives) -> Duration {
    let folder = tempfile::tempdir().expect("a folder");
    let owner = Owner {
        run: RunId::from_bits(1),
        schema: lives.schema.clone(),
        tick_rate: Some(60.0),
        started: 0.0,
        rings: None,
    };
    let start = clock();
    let settings = JournalSettings::default();
    let mut journal = Journal::create(folder.path(), owner, Arc::default(), settings).expect("it can be made");
    let (mut segments, mut rows) = (journal.segments(), Vec::new());
    for episodes in batches(&lives.episodes) {
        journal.begin().expect("there is room");
        let mut extents = Vec::new();
        for episode in episodes {
            let episode_id = episode.info().episode_id;
            journal.put(&Record::Open {
                episode_id,
                captured_as: 0,
                agent_id: 0,
                continues: None,
            });
            extents.push(journal.put_rows(episode_id, episode.rows()));
            journal.put(&Record::Close {
                episode_id,
                terminated: true,
                reason: "goal",
                end: &[],
            });
        }
        journal.commit().expect("there is room");
        journal.sync_if_due().expect("there is a disk");
        for extent in &extents {
            rows.clear();
            segments.read(extent, &mut rows).expect("it was written");
            black_box(&rows);
        }
    }
    clock() - start
}

/// A sink that takes nothing while a backlog is built up, and then everything.
///
/// `push` counts the time of the game's thread alone, which also looks every 256 ticks whether the rings are drained;
/// `push_without_exporter` is the same to rings that are not drained, and `push_without_backlog` with a sink that takes
/// everything at once. `and_back` is the time on the wall until the sink has
/// everything.
fn backlog(c: &mut Criterion) {
    let lives = arena::play(7200);
    let streams = streams::streams(&lives);
    let rows: usize = streams.iter().map(Vec::len).sum::<usize>() / lives.schema.layout().row_words();
    let mut group = c.benchmark_group("backlog");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(rows as u64));
    group.bench_function("push_without_exporter", |b| {
        let words = lives.schema.layout().row_words();
        let players = PlayerBuffers::new(BufferSettings::default(), words).expect("it fits");
        let mut writers: Vec<_> = (0..)
            .zip(&streams)
            .map(|(agent, _)| players.open(agent).expect("it fits").0)
            .collect();
        on_processor(b, || push(&mut writers, &streams, words, |_| ()));
    });
    for (name, is_blocked, is_whole) in [
        ("push_without_backlog", false, false),
        ("push", true, false),
        ("and_back", true, true),
    ] {
        group.bench_function(name, |b| {
            b.iter_custom(|times| {
                let spent = (0..times).map(|_| backlogged(&lives, &streams, is_blocked));
                spent.map(|(push, whole)| if is_whole { whole } else { push }).sum()
            });
        });
    }
    group.finish();
}

/// Pushes a row of each stream, and then `between`, until no stream has another.
fn push(writers: &mut [Writer], streams: &[Vec<u64>], words: usize, mut between: impl FnMut(&[Writer])) {
    let longest = streams.iter().map(Vec::len).max().unwrap_or(0);
    for start in (0..longest).step_by(words) {
        for (writer, stream) in writers.iter_mut().zip(streams) {
            if let Some(row) = stream.get(start..start + words) {
                writer.push(row).expect("it is open");
            }
        }
        between(writers);
    }
}

/// The time of the pushes, and of everything.
fn backlogged(lives: &Lives, streams: &[Vec<u64>], is_blocked: bool) -> (Duration, Duration) {
    struct Blocked(Receiver<()>);
    impl Sink for Blocked {
        fn describe(&self) -> Cow<'_, str> {
            "blocked".into()
        }
        fn open(&mut self, _: &RecordingInfo) -> Result<(), SinkError> {
            Ok(())
        }
        fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
            // Until the other end is gone.
            let _ = self.0.recv();
            black_box(episodes);
            Ok(())
        }
        fn flush(&mut self, _: &RunReport) -> Result<(), SinkError> {
            Ok(())
        }
        fn close(&mut self, _: &RunReport) -> Result<(), SinkError> {
            Ok(())
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let words = lives.schema.layout().row_words();
    let players = Arc::new(PlayerBuffers::new(BufferSettings::default(), words).expect("it fits"));
    let counters = Arc::<Counters>::default();
    let (valve, blocked) = bounded(0);
    let valve = is_blocked.then_some(valve);
    let recording = RecordingExport {
        info: info(lives),
        counters: counters.clone(),
        reasons: Arc::default(),
        episodes: Arc::default(),
        discarded: Arc::default(),
        players: players.clone(),
        sinks: vec![Box::new(Blocked(blocked))],
    };
    let settings = ExportSettings {
        queue_bytes: 1,
        journal: Some(JournalSettings {
            folder: Some(folder.path().to_owned()),
            ..JournalSettings::default()
        }),
        ..ExportSettings::default()
    };
    let mut exporter = Exporter::spawn(settings, vec![recording]).expect("a thread");
    while !folder.path().join("journal").exists() {
        thread::sleep(Duration::from_millis(1));
    }
    let (mut writers, buffers): (Vec<_>, Vec<_>) = (0..)
        .zip(streams)
        .map(|(agent, _)| {
            let (writer, buffer) = players.open(agent).expect("it fits");
            exporter.attach(0, agent, buffer.clone(), Arc::default());
            (writer, buffer)
        })
        .unzip();
    counters.recorded.add(lives.len() as u64);
    let start = Instant::now();
    // Over all pushes, because the system counts the time on a processor when a thread is parked, or every few milliseconds.
    let begun = clock();
    let mut ticks = 0;
    push(&mut writers, streams, words, |_| {
        ticks += 1;
        // As many as a ring holds half of, and then the exporter's turn.
        if ticks % 256 == 0 {
            let deadline = Instant::now() + Duration::from_secs(60);
            let is_empty = || buffers.iter().all(|buffer| buffer.is_empty());
            assert!(exporter.wait_for_room(deadline, is_empty), "it drains");
        }
    });
    let pushed = clock() - begun;
    let backlog = exporter.paces(0).next().expect("it has a sink").backlog_bytes;
    assert!(!is_blocked || backlog > lives.bytes() as u64 / 2, "{backlog}: it waits");
    drop(valve);
    assert!(exporter.close(Duration::from_secs(60)), "it closes");
    let spent = start.elapsed();
    assert_eq!(exporter.reports(0)[0].exported, lives.len() as u64, "nothing is lost");
    (pushed, spent)
}

/// All of it: one thread pushes rows to each player's ring, and the exporter's writes a dataset.
fn thread(c: &mut Criterion) {
    let mut group = c.benchmark_group("export_thread");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for (name, lives) in workloads() {
        let streams = streams::streams(&lives);
        group.throughput(Throughput::Elements(lives.len() as u64));
        group.bench_function(BenchmarkId::new("dataset", name), |b| {
            b.iter_custom(|times| {
                (0..times)
                    .map(|_| export(&lives, &streams, ExportSettings::default()))
                    .sum()
            });
        });
        group.bench_function(BenchmarkId::new("without_journal", name), |b| {
            let settings = || ExportSettings {
                journal: None,
                ..ExportSettings::default()
            };
            b.iter_custom(|times| (0..times).map(|_| export(&lives, &streams, settings())).sum());
        });
    }
    group.finish();
}

fn export(lives: &Lives, streams: &[Vec<u64>], settings: ExportSettings) -> Duration {
    let folder = tempfile::tempdir().expect("a folder");
    let words = lives.schema.layout().row_words();
    let players = Arc::new(PlayerBuffers::new(BufferSettings::default(), words).expect("it fits"));
    let counters = Arc::<Counters>::default();
    let recording = RecordingExport {
        info: info(lives),
        counters: counters.clone(),
        reasons: Arc::default(),
        episodes: Arc::default(),
        discarded: Arc::default(),
        players: players.clone(),
        sinks: vec![Box::new(DatasetSink::new(folder.path()))],
    };
    let start = Instant::now();
    let mut exporter = Exporter::spawn(settings, vec![recording]).expect("a thread");
    let mut writers: Vec<_> = (0..)
        .zip(streams)
        .map(|(agent, stream)| {
            let (writer, buffer) = players.open(agent).expect("it fits");
            exporter.attach(0, agent, buffer.clone(), Arc::default());
            (writer, buffer, stream.chunks_exact(words))
        })
        .collect();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut left = true;
            while left {
                left = false;
                for (writer, buffer, rows) in &mut writers {
                    let Some(row) = rows.next() else { continue };
                    left = true;
                    let deadline = Instant::now() + Duration::from_secs(60);
                    assert!(exporter.wait_for_room(deadline, || !buffer.is_full()), "it drains");
                    writer.push(row).expect("it is open");
                }
            }
        });
    });
    counters.recorded.add(lives.len() as u64);
    assert!(exporter.close(Duration::from_secs(60)), "it closes");
    let spent = start.elapsed();
    let [report] = &exporter.reports(0)[..] else {
        panic!("one sink has one account");
    };
    assert_eq!(report.exported, lives.len() as u64, "nothing is lost");
    spent
}

criterion_group!(benches, ways_out, thread, backlog);
criterion_main!(benches);
