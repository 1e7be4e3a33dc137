//! Benchmarks of buffers: push, drain, contention and sampling, compared with a `memcpy` of the same bytes.
//!
//! ```text
//! cargo bench -p experience_buffer --bench buffer               # about fifteen minutes
//! cargo bench -p experience_buffer --bench buffer -- --quick    # about one
//! ```

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use experience_buffer::{
    BufferKind, BufferPool, BufferSettings, PlayerBuffers, Sampler, TransitionBuffer, Writer, create,
    pool::PoolSettings,
};
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::{Outcome, StepHeader, StepKind},
};
use rand::{SeedableRng, rngs::StdRng};
use std::{
    hint::{self, black_box},
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Rows of a buffer, and of the memory that `memcpy` cycles through.
const ROWS: usize = 1024;
const BYTES: [usize; 4] = [64, 256, 1024, 16384];
const KINDS: [(BufferKind, &str); 3] = [
    (BufferKind::Ring, "ring"),
    (BufferKind::Queue, "queue"),
    (BufferKind::Mutex, "mutex"),
];

fn make(kind: BufferKind, bytes: usize) -> (Writer, Arc<dyn TransitionBuffer>) {
    let settings = BufferSettings {
        kind,
        capacity: ROWS,
        ..BufferSettings::default()
    };
    create(&settings, bytes / 8).expect("valid settings")
}

fn row(bytes: usize) -> Vec<u64> {
    (0..bytes as u64 / 8).collect()
}

fn fill(writer: &mut Writer, row: &[u64]) {
    for _ in 0..ROWS {
        writer.push(row).expect("the buffer is open");
    }
}

/// Push of one row into a full buffer, which overwrites the oldest.
fn push(c: &mut Criterion) {
    let mut group = c.benchmark_group("buffer_push");
    for bytes in BYTES {
        let row = row(bytes);
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(BenchmarkId::new("memcpy", bytes), |b| {
            let mut memory = vec![0_u64; ROWS * row.len()];
            let mut next = 0;
            b.iter(|| {
                let place = (next % ROWS) * row.len();
                memory[place..place + row.len()].copy_from_slice(black_box(&row));
                next += 1;
                black_box(&mut memory);
            });
        });
        for (kind, name) in KINDS {
            group.bench_function(BenchmarkId::new(name, bytes), |b| {
                let (mut writer, _buffer) = make(kind, bytes);
                fill(&mut writer, &row);
                b.iter(|| {
                    let _ = writer.push(black_box(&row));
                });
            });
        }
    }
    group.finish();
}

/// Drain of a full buffer, per row.
fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("buffer_read");
    for bytes in BYTES {
        let row = row(bytes);
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(BenchmarkId::new("memcpy", bytes), |b| {
            let memory = vec![0_u64; ROWS * row.len()];
            let mut copy = row.clone();
            per_row(
                b,
                || {},
                || {
                    for row in memory.chunks_exact(row.len()) {
                        copy.copy_from_slice(black_box(row));
                        black_box(&mut copy);
                    }
                },
            );
        });
        for (kind, name) in KINDS {
            group.bench_function(BenchmarkId::new(name, bytes), |b| {
                let (mut writer, buffer) = make(kind, bytes);
                per_row(
                    b,
                    || fill(&mut writer, &row),
                    || {
                        let drained = buffer.drain(ROWS, &mut |row| {
                            black_box(row);
                        });
                        assert_eq!(drained.steps, ROWS);
                    },
                );
            });
        }
    }
    group.finish();
}

/// Measures `batch`, which processes `ROWS` rows, without `prepare`. The result is per row.
fn per_row(b: &mut criterion::Bencher<'_>, mut prepare: impl FnMut(), mut batch: impl FnMut()) {
    b.iter_custom(|rows| {
        let batches = rows.div_ceil(ROWS as u64);
        let mut spent = Duration::ZERO;
        for _ in 0..batches {
            prepare();
            let start = Instant::now();
            batch();
            spent += start.elapsed();
        }
        spent.mul_f64(rows as f64 / (batches * ROWS as u64) as f64)
    });
}

/// Push of one row while another thread drains all buffers. Each writer has its own thread and buffer.
///
/// The drain thread polls without pause. In `alone` there is none; in `polled` it sleeps for a millisecond between drains, as
/// the exporter thread does for five, and finds a full ring each time.
///
/// `tick_drained` pushes one row for each of many players, as a tick of a game does, and another core drains all of them before
/// the next tick: the cache lines of each row move to that core and back once. In `tick_alone` no thread drains.
///
/// `words` is the lower bound of one core that reads what another has just written: atomic words and the number of the last
/// row, without the bookkeeping by which a reader counts missed rows.
fn contended(c: &mut Criterion) {
    let bytes = 256;
    let row = row(bytes);
    let mut group = c.benchmark_group("buffer_contended");
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function(BenchmarkId::new("words", 1), |b| {
        b.iter_custom(|rows| contend_words(&row, rows));
    });
    let polled = Polling::Every(Duration::from_millis(1));
    for (name, polling) in [("alone", Polling::Never), ("polled", polled)] {
        group.bench_function(BenchmarkId::new(name, 1), |b| {
            b.iter_custom(|rows| contend(BufferKind::Ring, &row, 1, rows, polling));
        });
    }
    for (name, is_drained) in [("tick_alone", false), ("tick_drained", true)] {
        group.bench_function(BenchmarkId::new(name, PLAYERS), |b| {
            b.iter_custom(|rows| ticks(&row, rows, is_drained));
        });
    }
    for (kind, name) in KINDS {
        for writers in [1, 2, 4] {
            group.bench_function(BenchmarkId::new(name, writers), |b| {
                b.iter_custom(|rows| contend(kind, &row, writers, rows, Polling::Always));
            });
        }
    }
    group.finish();
}

/// How often the drain thread polls.
#[derive(Clone, Copy)]
enum Polling {
    Never,
    Every(Duration),
    Always,
}

fn contend(kind: BufferKind, row: &[u64], writers: usize, rows: u64, polling: Polling) -> Duration {
    let (writers, buffers): (Vec<_>, Vec<_>) = (0..writers).map(|_| make(kind, row.len() * 8)).unzip();
    let start = Barrier::new(writers.len() + 1);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            if let Polling::Never = polling {
                return;
            }
            while !done.load(Ordering::Relaxed) {
                if let Polling::Every(pause) = polling {
                    thread::sleep(pause);
                }
                let mut steps = 0;
                for buffer in &buffers {
                    steps += buffer
                        .drain(ROWS, &mut |row| {
                            black_box(row);
                        })
                        .steps;
                }
                if steps == 0 {
                    thread::yield_now();
                }
            }
        });
        let threads: Vec<_> = writers
            .into_iter()
            .map(|mut writer| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    let begun = Instant::now();
                    for _ in 0..rows {
                        writer.push(black_box(row)).expect("the buffer is open");
                    }
                    begun.elapsed()
                })
            })
            .collect();
        let spent = threads
            .into_iter()
            .map(|thread| thread.join().expect("no writer panics"))
            .max();
        done.store(true, Ordering::Relaxed);
        spent.expect("at least one writer")
    })
}

/// Players of a tick: their rows exceed a core's private caches.
const PLAYERS: usize = 256;

fn ticks(row: &[u64], rows: u64, are_drained: bool) -> Duration {
    let settings = BufferSettings {
        capacity: 64,
        ..BufferSettings::default()
    };
    let (mut writers, buffers): (Vec<_>, Vec<_>) = (0..PLAYERS)
        .map(|_| create(&settings, row.len()).expect("valid settings"))
        .unzip();
    // Every ring wraps once before the measurement.
    let warm = settings.capacity as u64;
    let ticks = warm + rows.div_ceil(PLAYERS as u64).max(100);
    let (pushed, drained) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut spent = Duration::ZERO;
    thread::scope(|scope| {
        if are_drained {
            scope.spawn(|| {
                for tick in 1..=ticks {
                    while pushed.load(Ordering::Acquire) < tick {
                        hint::spin_loop();
                    }
                    for buffer in &buffers {
                        let found = buffer.drain(1, &mut |row| {
                            black_box(row);
                        });
                        assert_eq!(found.steps, 1);
                    }
                    drained.store(tick, Ordering::Release);
                }
            });
        }
        for tick in 1..=ticks {
            let begun = Instant::now();
            // In groups with prefetch, as capture does.
            for writers in writers.chunks_mut(64) {
                writers.iter().for_each(Writer::prefetch);
                for writer in writers {
                    writer.push(black_box(row)).expect("the buffer is open");
                }
            }
            if tick > warm {
                spent += begun.elapsed();
            }
            pushed.store(tick, Ordering::Release);
            while are_drained && drained.load(Ordering::Acquire) < tick {
                hint::spin_loop();
            }
        }
    });
    spent.mul_f64(rows as f64 / ((ticks - warm) * PLAYERS as u64) as f64)
}

fn contend_words(row: &[u64], rows: u64) -> Duration {
    let memory: Vec<_> = (0..ROWS * row.len()).map(|_| AtomicU64::new(0)).collect();
    let place = |number: u64| &memory[number as usize % ROWS * row.len()..][..row.len()];
    let (head, start) = (AtomicU64::new(0), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            let (mut next, mut copy) = (0, row.to_vec());
            while next < rows {
                let end = head.load(Ordering::Acquire);
                for number in next.max(end.saturating_sub(ROWS as u64))..end {
                    for (to, from) in copy.iter_mut().zip(place(number)) {
                        *to = from.load(Ordering::Relaxed);
                    }
                    black_box(&mut copy);
                }
                next = end;
            }
        });
        start.wait();
        let begun = Instant::now();
        for number in 0..rows {
            for (to, &from) in place(number).iter().zip(black_box(row)) {
                to.store(from, Ordering::Relaxed);
            }
            head.store(number + 1, Ordering::Release);
        }
        begun.elapsed()
    })
}

/// Push of one row for one of 256 players: through the writer that capture keeps, and through a map from agent id.
fn players(c: &mut Criterion) {
    const PLAYERS: i64 = 256;
    let row = row(256);
    let mut group = c.benchmark_group("players_push");
    let players = PlayerBuffers::new(
        BufferSettings {
            capacity: 64,
            ..BufferSettings::default()
        },
        row.len(),
    )
    .expect("valid settings");
    let mut writers: Vec<_> = (0..PLAYERS)
        .map(|agent| players.open(agent).expect("valid settings").0)
        .collect();
    let mut next = 0;
    group.bench_function("handle", |b| {
        b.iter(|| {
            next = (next + 97) % PLAYERS as usize;
            writers[next].push(black_box(&row))
        });
    });
    let writers: dashmap::DashMap<i64, Writer> = (0..).zip(writers).collect();
    group.bench_function("lookup", |b| {
        b.iter(|| {
            next = (next + 97) % PLAYERS as usize;
            writers
                .get_mut(&(next as i64))
                .expect("the agent has a writer")
                .push(black_box(&row))
        });
    });
    group.finish();
}

/// Push of one row for one of a thousand players of a full pool.
fn pool(c: &mut Criterion) {
    const PLAYERS: usize = 1000;
    let mut group = c.benchmark_group("pool_push");
    for bytes in BYTES {
        let mut row = row(bytes);
        *StepHeader::of_mut(&mut row) = StepHeader::new(StepKind::Transition);
        let settings = PoolSettings {
            bytes: 2 * ROWS * bytes,
            shards: 4,
            ..PoolSettings::default()
        };
        let (mut writer, pool) = BufferPool::new(&settings, row.len()).expect("valid settings");
        let mut players: Vec<_> = (0..PLAYERS as i64).map(|agent| pool.handle(agent)).collect();
        let mut next = 0;
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(BenchmarkId::from_parameter(bytes), |b| {
            b.iter(|| {
                next = (next + 97) % PLAYERS;
                writer.push(&mut players[next], black_box(&row))
            });
        });
    }
    group.finish();
}

/// Samples of transitions of 16 floats from 64 full rings of 512 rows.
fn sample(c: &mut Criterion) {
    let schema = Schema::new("walker")
        .with_observation((0..16).map(|n| Column::feature(format!("o{n}"))))
        .with_action(["x", "y"].map(|name| Column::scalar(name, DType::F32, Space::unbounded())));
    let players = PlayerBuffers::new(BufferSettings::default(), schema.layout().row_words()).expect("valid settings");
    let _writers: Vec<_> = (0..64)
        .map(|agent| {
            let (mut writer, _) = players.open(agent).expect("valid settings");
            let mut row = vec![0; schema.layout().row_words()];
            for n in 0..700 {
                // Episodes of a hundred transitions.
                let (kind, outcome) = match n % 101 {
                    0 => (StepKind::Begin, None),
                    100 => (StepKind::Transition, Some(Outcome::Terminated)),
                    _ => (StepKind::Transition, None),
                };
                let header = StepHeader::of_mut(&mut row);
                let ordinal = header.ordinal + u32::from(kind == StepKind::Transition);
                *header = StepHeader::new(kind);
                header.ordinal = ordinal;
                header.episode = n / 101;
                header.set_outcome(outcome, 0);
                writer.push(&row).expect("the buffer is open");
            }
            writer
        })
        .collect();
    let mut sampler = Sampler::new(&schema);
    sampler.watch(players.readers()).expect("rows of the schema");
    let mut rng = StdRng::seed_from_u64(1);
    let mut group = c.benchmark_group("sample");
    for count in [256, 4096] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| assert_eq!(black_box(sampler.sample(count, &mut rng)).len(), count));
        });
    }
    group.finish();
}

criterion_group!(benches, push, read, contended, players, pool, sample);
criterion_main!(benches);
