//! Stress tests with eight writer and four reader threads: no row is torn, lost or counted twice.
//!
//! They also run under `ThreadSanitizer`: see `CONTRIBUTING.md`.

use experience_buffer::{
    BufferKind, BufferSettings, BufferStats, Overflow, PlayerBuffers, TransitionBuffer, Writer,
    ring::{Reader, Ring},
};
use std::{
    sync::{
        Arc, Barrier, Mutex, MutexGuard, TryLockError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

const WRITERS: usize = 8;
const READERS: usize = 4;
/// Rows of each writer.
const ROWS: u64 = 4_000;
/// Words of a row: writer, number, payload, and a checksum of these.
const WORDS: usize = 33;

fn checksum(words: &[u64]) -> u64 {
    // FNV-1a, a word at a time.
    words.iter().fold(0xcbf2_9ce4_8422_2325, |sum, word| {
        (sum ^ word).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn row(writer: usize, number: u64) -> [u64; WORDS] {
    let mut row = [0; WORDS];
    row[0] = writer as u64;
    row[1] = number;
    for place in 2..WORDS - 1 {
        row[place] = (row[place - 1] ^ row[0]).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ place as u64;
    }
    row[WORDS - 1] = checksum(&row[..WORDS - 1]);
    row
}

/// The rows that one thread received, by writer.
#[derive(Default)]
struct Seen {
    last: [Option<u64>; WRITERS],
    rows: u64,
    missed: u64,
}

impl Seen {
    fn take(&mut self, row: &[u64]) {
        assert_eq!(row[WORDS - 1], checksum(&row[..WORDS - 1]), "torn");
        let writer = usize::try_from(row[0]).unwrap();
        assert!(self.last[writer].is_none_or(|last| last < row[1]), "out of order");
        self.last[writer] = Some(row[1]);
        self.rows += 1;
    }
}

fn write(writers: Vec<impl FnMut(&[u64]) + Send>, start: &Barrier) {
    thread::scope(|scope| {
        for (index, mut push) in writers.into_iter().enumerate() {
            scope.spawn(move || {
                start.wait();
                for number in 0..ROWS {
                    push(&row(index, number));
                    if number % 256 == 0 {
                        thread::yield_now();
                    }
                }
            });
        }
    });
}

/// Reads every ring until `stop` is set, and then the remaining rows.
fn read(readers: &mut [Reader], stop: &AtomicBool, start: &Barrier) {
    start.wait();
    let mut seen: Vec<_> = readers.iter().map(|_| Seen::default()).collect();
    let read = |reader: &mut Reader, seen: &mut Seen| {
        let read = reader.read(50, |row| seen.take(row));
        seen.missed += read.missed;
        read.steps > 0 || read.missed > 0
    };
    while !stop.load(Ordering::Acquire) {
        for (reader, seen) in readers.iter_mut().zip(&mut seen) {
            read(reader, seen);
        }
        thread::yield_now();
    }
    for (reader, seen) in readers.iter_mut().zip(&mut seen) {
        while read(reader, seen) {}
    }
    for (reader, seen) in readers.iter().zip(&seen) {
        assert_eq!(seen.rows + seen.missed, reader.position());
    }
}

/// Locks without blocking. `ThreadSanitizer` does not follow a thread that blocks on a lock of the standard library, which is
/// not instrumented, and would report a race.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    loop {
        match mutex.try_lock() {
            Ok(guard) => return guard,
            Err(TryLockError::WouldBlock) => thread::yield_now(),
            Err(TryLockError::Poisoned(error)) => panic!("{error}"),
        }
    }
}

/// Asserts that every added row is retrieved, dropped or in the buffer.
fn assert_balanced(stats: BufferStats) {
    assert_eq!(
        stats.added,
        stats.retrieved + stats.dropped + stats.len as u64,
        "{stats:?}"
    );
}

fn buffers(kind: BufferKind, overflow: &Overflow) -> (Vec<Writer>, Vec<Arc<dyn TransitionBuffer>>) {
    let settings = BufferSettings {
        kind,
        capacity: 16,
        overflow: overflow.clone(),
        ..BufferSettings::default()
    };
    let players = PlayerBuffers::new(settings, WORDS).unwrap();
    // Some of the rings are side by side, and some are alone.
    players.reserve(WRITERS - 2).unwrap();
    (0..WRITERS as i64).map(|agent| players.open(agent).unwrap()).unzip()
}

/// One buffer per writer. Four threads drain all buffers, and each row reaches one of them.
fn check_concurrent_drains(kind: BufferKind, overflow: &Overflow) {
    let (writers, buffers) = buffers(kind, overflow);
    let start = Barrier::new(WRITERS + READERS);
    let over = AtomicBool::new(false);
    let seen: Vec<Vec<Seen>> = thread::scope(|scope| {
        let drainers: Vec<_> = (0..READERS)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    let mut seen: Vec<_> = buffers.iter().map(|_| Seen::default()).collect();
                    loop {
                        let last = over.load(Ordering::Acquire);
                        let mut found = false;
                        for (buffer, seen) in buffers.iter().zip(&mut seen) {
                            assert_balanced(buffer.stats());
                            let drained = buffer.drain(50, &mut |row| seen.take(row));
                            seen.missed += drained.missed;
                            found |= drained.steps > 0 || drained.missed > 0;
                        }
                        if last && !found {
                            return seen;
                        }
                        thread::yield_now();
                    }
                })
            })
            .collect();
        let pushes = writers
            .into_iter()
            .map(|mut writer| move |row: &[u64]| writer.push(row).unwrap())
            .collect();
        write(pushes, &start);
        over.store(true, Ordering::Release);
        drainers.into_iter().map(|drainer| drainer.join().unwrap()).collect()
    });
    for (index, buffer) in buffers.iter().enumerate() {
        let rows: u64 = seen.iter().map(|seen| seen[index].rows).sum();
        let missed: u64 = seen.iter().map(|seen| seen[index].missed).sum();
        let stats = buffer.stats();
        assert_eq!((stats.added, stats.len), (ROWS, 0), "{kind:?} {overflow:?}");
        assert_eq!(
            (stats.retrieved, stats.dropped),
            (rows, missed),
            "{kind:?} {overflow:?}"
        );
        assert_eq!(rows + missed, ROWS, "{kind:?} {overflow:?}");
    }
}

#[test]
fn four_threads_drain_every_row_of_eight_writers_once() {
    for kind in [BufferKind::Ring, BufferKind::Queue, BufferKind::Mutex] {
        for overflow in [&Overflow::DropOldest, &Overflow::DropNewest] {
            check_concurrent_drains(kind, overflow);
        }
    }
}

#[test]
fn four_readers_read_or_miss_every_row_of_eight_rings() {
    let (writers, buffers) = buffers(BufferKind::Ring, &Overflow::DropOldest);
    let start = Barrier::new(WRITERS + READERS);
    let stop = AtomicBool::new(false);
    let mut readers: Vec<Vec<_>> = (0..READERS)
        .map(|_| buffers.iter().map(|buffer| buffer.reader().unwrap()).collect())
        .collect();
    thread::scope(|scope| {
        for readers in &mut readers {
            scope.spawn(|| read(readers, &stop, &start));
        }
        let pushes = writers
            .into_iter()
            .map(|mut writer| move |row: &[u64]| writer.push(row).unwrap())
            .collect();
        write(pushes, &start);
        stop.store(true, Ordering::Release);
    });
    for reader in readers.iter().flatten() {
        assert_eq!(reader.position(), ROWS);
    }
}

#[test]
fn eight_writers_share_a_ring_with_four_readers() {
    let (writer, ring) = Ring::new(WORDS, 16).unwrap();
    let writer = Mutex::new(writer);
    let start = Barrier::new(WRITERS + READERS + 1);
    let (stop, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut readers: Vec<_> = (0..READERS).map(|_| [ring.reader()]).collect();
    let (retrieved, missed) = thread::scope(|scope| {
        for reader in &mut readers {
            scope.spawn(|| read(reader, &stop, &start));
        }
        let drainer = scope.spawn(|| {
            start.wait();
            let mut seen = Seen::default();
            loop {
                let last = over.load(Ordering::Acquire);
                let drained = ring.drain(50, &mut |row| seen.take(row));
                seen.missed += drained.missed;
                if last && drained.steps == 0 && drained.missed == 0 {
                    return (seen.rows, seen.missed);
                }
                thread::yield_now();
            }
        });
        let pushes = (0..WRITERS)
            .map(|_| {
                let writer = &writer;
                move |row: &[u64]| lock(writer).push(row).unwrap()
            })
            .collect();
        write(pushes, &start);
        stop.store(true, Ordering::Release);
        over.store(true, Ordering::Release);
        drainer.join().unwrap()
    });
    let stats = ring.stats();
    assert_eq!(stats.added, WRITERS as u64 * ROWS);
    assert_eq!((stats.retrieved, stats.dropped), (retrieved, missed));
    assert_balanced(stats);
    for [reader] in &readers {
        assert_eq!(reader.position(), stats.added);
    }
    assert!(!ring.is_closed());
    drop(writer);
    assert!(ring.is_closed());
}
