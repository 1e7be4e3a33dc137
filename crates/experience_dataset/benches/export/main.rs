//! Benchmarks of sinks, journal and exporter in transitions per second, compared with a `memcpy` of the same rows and with
//! `parquet::ArrowWriter` on the same batches.
//!
//! ```text
//! cargo bench -p experience_dataset --bench export               # about two minutes
//! cargo bench -p experience_dataset --bench export -- --quick    # half a minute
//! ```
//!
//! `export_thread` and `backlog/and_back` measure wall-clock time. All others measure CPU time of their thread, without other
//! processes and waits for the disk. The page `docs/src/performance.md` has results.
//!
//! With `EXPERIENCE_DATASET=data/arena` the workload `arena` has the episodes of a recorded arena instead of generated ones.

mod arena;
mod board;
mod cpu_time;
mod streams;
mod workload;

use arrow_array::RecordBatch;
use cpu_time::thread_cpu_time;
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
    ExportSettings, Exporter, RecordingExport, RecordingInfo, RunLabel, Sink, SinkError,
    journal::{Journal, JournalSettings, Owner, Record},
};
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
use workload::Workload;

fn workloads() -> [(&'static str, Workload); 2] {
    let arena = Workload::of_dataset("fighter").unwrap_or_else(|| arena::play(7200));
    [("arena", arena), ("board", board::play(1000))]
}

/// Episodes in batches of the default size, as the exporter dispatches them.
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

fn info(workload: &Workload) -> RecordingInfo {
    RecordingInfo {
        schema: workload.schema.clone(),
        run: RunId::random(),
        tick_rate: Some(60.0),
        started: SystemTime::now(),
        buffers: None,
    }
}

fn write_all(workload: &Workload, sink: &mut impl Sink) {
    sink.open(&info(workload)).expect("the sink opens");
    for episodes in batches(&workload.episodes) {
        sink.write(episodes).expect("the sink writes");
    }
    sink.close(&RunReport::default()).expect("it closes in time");
}

/// Writes and syncs a file with `ArrowWriter`: its default settings, and the compression of `DatasetSink`.
fn write_parquet(batches: &[RecordBatch], properties: &WriterProperties) -> Duration {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = thread_cpu_time();
    let file = File::create(folder.path().join("shard.parquet")).expect("the file is created");
    let mut writer =
        ArrowWriter::try_new(file, batches[0].schema(), Some(properties.clone())).expect("supported columns");
    for batch in batches {
        writer.write(batch).expect("the write succeeds");
    }
    let file = writer.into_inner().expect("the write succeeds");
    file.sync_all().expect("the sync succeeds");
    thread_cpu_time() - start
}

/// Measures CPU time of this thread.
fn iter_cpu_time(b: &mut Bencher<'_>, mut work: impl FnMut()) {
    b.iter_custom(|times| {
        let start = thread_cpu_time();
        (0..times).for_each(|_| work());
        thread_cpu_time() - start
    });
}

fn sinks(c: &mut Criterion) {
    let mut group = c.benchmark_group("export");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for (name, workload) in workloads() {
        group.throughput(Throughput::Elements(workload.len() as u64));
        group.bench_function(BenchmarkId::new("memcpy", name), |b| {
            let mut copy = vec![0_u64; workload.bytes() / 8];
            iter_cpu_time(b, || {
                let mut rest = &mut copy[..];
                for episode in &workload.episodes {
                    let (place, later) = rest.split_at_mut(episode.rows().len());
                    place.copy_from_slice(black_box(episode.rows()));
                    rest = later;
                }
                black_box(&mut copy);
            });
        });
        group.bench_function(BenchmarkId::new("channel", name), |b| {
            iter_cpu_time(b, || {
                let (mut sink, batches) = ChannelSink::bounded(1);
                sink.open(&info(&workload)).expect("the sink opens");
                for episodes in self::batches(&workload.episodes) {
                    sink.write(episodes).expect("the write succeeds");
                    black_box(batches.recv().expect("a batch was sent"));
                }
            });
        });
        group.bench_function(BenchmarkId::new("dataset", name), |b| {
            b.iter_custom(|times| {
                let mut spent = Duration::ZERO;
                for _ in 0..times {
                    let folder = tempfile::tempdir().expect("a temporary folder");
                    let mut sink = DatasetSink::new(folder.path());
                    let start = thread_cpu_time();
                    write_all(&workload, &mut sink);
                    spent += thread_cpu_time() - start;
                }
                spent
            });
        });
        group.bench_function(BenchmarkId::new("journal", name), |b| {
            b.iter_custom(|times| (0..times).map(|_| journal(&workload)).sum());
        });
        let encoder = BatchEncoder::new(workload.schema.clone()).expect("a valid schema");
        let encoded: Vec<_> = batches(&workload.episodes)
            .map(|episodes| encoder.encode(episodes).expect("episodes of the schema"))
            .collect();
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        group.bench_function(BenchmarkId::new("arrow_rs", name), |b| {
            b.iter_custom(|times| (0..times).map(|_| write_parquet(&encoded, &properties)).sum());
        });
    }
    group.finish();
}

/// Writes the journal of a workload as the exporter does, and reads it back.
fn journal(workload: &Workload) -> Duration {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let owner = Owner {
        run: RunId::from_bits(1),
        schema: workload.schema.clone(),
        tick_rate: Some(60.0),
        started: 0.0,
        rings: None,
        label: RunLabel::default(),
    };
    let start = thread_cpu_time();
    let settings = JournalSettings::default();
    let mut journal = Journal::create(folder.path(), owner, Arc::default(), settings).expect("the journal is created");
    let (mut segments, mut rows) = (journal.segments(), Vec::new());
    for episodes in batches(&workload.episodes) {
        journal.begin().expect("the write succeeds");
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
        journal.commit().expect("the write succeeds");
        journal.sync_if_due().expect("the sync succeeds");
        for extent in &extents {
            rows.clear();
            segments.read(extent, &mut rows).expect("the rows were written");
            black_box(&rows);
        }
    }
    thread_cpu_time() - start
}

/// A backlog of all rows behind a blocked sink, which is then written to the sink.
///
/// `push` is the CPU time of the pushing thread per row, with a sink that takes nothing; `push_without_exporter` pushes to
/// rings that are not drained, and `push_without_backlog` has a sink that takes everything at once. `and_back` is the wall-clock
/// time per row until the sink has everything.
fn backlog(c: &mut Criterion) {
    let workload = arena::play(7200);
    let streams = streams::streams(&workload);
    let rows: usize = streams.iter().map(Vec::len).sum::<usize>() / workload.schema.layout().row_words();
    let mut group = c.benchmark_group("backlog");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(rows as u64));
    group.bench_function("push_without_exporter", |b| {
        let words = workload.schema.layout().row_words();
        let players = PlayerBuffers::new(BufferSettings::default(), words).expect("valid settings");
        let mut writers: Vec<_> = (0..)
            .zip(&streams)
            .map(|(agent, _)| players.open(agent).expect("valid settings").0)
            .collect();
        iter_cpu_time(b, || push(&mut writers, &streams, words, |_| ()));
    });
    for (name, is_blocked, is_whole) in [
        ("push_without_backlog", false, false),
        ("push", true, false),
        ("and_back", true, true),
    ] {
        group.bench_function(name, |b| {
            b.iter_custom(|times| {
                let spent = (0..times).map(|_| measure_backlog(&workload, &streams, is_blocked));
                spent.map(|(push, whole)| if is_whole { whole } else { push }).sum()
            });
        });
    }
    group.finish();
}

/// Pushes one row of each stream and calls `between`, until every stream is empty.
fn push(writers: &mut [Writer], streams: &[Vec<u64>], words: usize, mut between: impl FnMut(&[Writer])) {
    let longest = streams.iter().map(Vec::len).max().unwrap_or(0);
    for start in (0..longest).step_by(words) {
        for (writer, stream) in writers.iter_mut().zip(streams) {
            if let Some(row) = stream.get(start..start + words) {
                writer.push(row).expect("the buffer is open");
            }
        }
        between(writers);
    }
}

/// CPU time of the pushes, and wall-clock time until the exporter is closed.
fn measure_backlog(workload: &Workload, streams: &[Vec<u64>], is_blocked: bool) -> (Duration, Duration) {
    struct Blocked(Receiver<()>);
    impl Sink for Blocked {
        fn describe(&self) -> Cow<'_, str> {
            "blocked".into()
        }
        fn open(&mut self, _: &RecordingInfo) -> Result<(), SinkError> {
            Ok(())
        }
        fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
            // Blocks until the sender is dropped.
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
    let folder = tempfile::tempdir().expect("a temporary folder");
    let words = workload.schema.layout().row_words();
    let players = Arc::new(PlayerBuffers::new(BufferSettings::default(), words).expect("valid settings"));
    let counters = Arc::<Counters>::default();
    let (valve, blocked) = bounded(0);
    let valve = is_blocked.then_some(valve);
    let recording = RecordingExport {
        info: info(workload),
        counters: counters.clone(),
        words: Arc::default(),
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
    let mut exporter = Exporter::spawn(settings, vec![recording]).expect("the exporter starts");
    while !folder.path().join("journal").exists() {
        thread::sleep(Duration::from_millis(1));
    }
    let (mut writers, buffers): (Vec<_>, Vec<_>) = (0..)
        .zip(streams)
        .map(|(agent, _)| {
            let (writer, buffer) = players.open(agent).expect("valid settings");
            exporter.attach(0, agent, buffer.clone(), Arc::default());
            (writer, buffer)
        })
        .unzip();
    counters.recorded.add(workload.len() as u64);
    let start = Instant::now();
    // Over all pushes: the system updates the CPU time of a thread when it is parked, or every few milliseconds.
    let begun = thread_cpu_time();
    let mut ticks = 0;
    push(&mut writers, streams, words, |_| {
        ticks += 1;
        // After half a ring of rows, waits until the exporter has drained all rings.
        if ticks % 256 == 0 {
            let deadline = Instant::now() + Duration::from_secs(60);
            let is_empty = || buffers.iter().all(|buffer| buffer.is_empty());
            assert!(exporter.wait_for_room(deadline, is_empty), "the exporter drains");
        }
    });
    let pushed = thread_cpu_time() - begun;
    let backlog = exporter
        .paces(0)
        .next()
        .expect("the recording has a sink")
        .backlog_bytes;
    assert!(
        !is_blocked || backlog > workload.bytes() as u64 / 2,
        "{backlog} bytes of backlog"
    );
    drop(valve);
    assert!(exporter.close(Duration::from_secs(60)), "it closes in time");
    let spent = start.elapsed();
    assert_eq!(
        exporter.reports(0)[0].exported,
        workload.len() as u64,
        "nothing is lost"
    );
    (pushed, spent)
}

/// The whole pipeline: one thread pushes rows to each player's ring, and the exporter writes a dataset.
fn thread(c: &mut Criterion) {
    let mut group = c.benchmark_group("export_thread");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for (name, workload) in workloads() {
        let streams = streams::streams(&workload);
        group.throughput(Throughput::Elements(workload.len() as u64));
        group.bench_function(BenchmarkId::new("dataset", name), |b| {
            b.iter_custom(|times| {
                (0..times)
                    .map(|_| export(&workload, &streams, ExportSettings::default()))
                    .sum()
            });
        });
        group.bench_function(BenchmarkId::new("without_journal", name), |b| {
            let settings = || ExportSettings {
                journal: None,
                ..ExportSettings::default()
            };
            b.iter_custom(|times| (0..times).map(|_| export(&workload, &streams, settings())).sum());
        });
    }
    group.finish();
}

fn export(workload: &Workload, streams: &[Vec<u64>], settings: ExportSettings) -> Duration {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let words = workload.schema.layout().row_words();
    let players = Arc::new(PlayerBuffers::new(BufferSettings::default(), words).expect("valid settings"));
    let counters = Arc::<Counters>::default();
    let recording = RecordingExport {
        info: info(workload),
        counters: counters.clone(),
        words: Arc::default(),
        episodes: Arc::default(),
        discarded: Arc::default(),
        players: players.clone(),
        sinks: vec![Box::new(DatasetSink::new(folder.path()))],
    };
    let start = Instant::now();
    let mut exporter = Exporter::spawn(settings, vec![recording]).expect("the exporter starts");
    let mut writers: Vec<_> = (0..)
        .zip(streams)
        .map(|(agent, stream)| {
            let (writer, buffer) = players.open(agent).expect("valid settings");
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
                    assert!(
                        exporter.wait_for_room(deadline, || !buffer.is_full()),
                        "the exporter drains"
                    );
                    writer.push(row).expect("the buffer is open");
                }
            }
        });
    });
    counters.recorded.add(workload.len() as u64);
    assert!(exporter.close(Duration::from_secs(60)), "it closes in time");
    let spent = start.elapsed();
    let [report] = &exporter.reports(0)[..] else {
        panic!("one report per sink");
    };
    assert_eq!(report.exported, workload.len() as u64, "nothing is lost");
    spent
}

criterion_group!(benches, sinks, thread, backlog);
criterion_main!(benches);
