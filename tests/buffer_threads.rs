//! Writers and readers at once: no row is torn, none is counted twice, none is forgotten.

use bevy_experience::buffer::{
    BufferError, BufferKind, BufferSettings, Overflow, TransitionBuffer, create,
    ring::{Reader, Ring},
};
use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

const WORDS: usize = 33;

/// A row of which every word follows from its number.
fn row(writer: u64, number: u64) -> [u64; WORDS] {
    let mut row = [0; WORDS];
    for (place, word) in row.iter_mut().enumerate() {
        *word = (number ^ (writer << 56)).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ place as u64;
    }
    row[0] = number;
    row
}

fn check(writer: u64, found: &[u64]) -> u64 {
    let number = found[0];
    assert_eq!(found, row(writer, number), "torn");
    number
}

fn read_to_the_end(reader: &mut Reader, done: &AtomicBool, writer: u64) -> (u64, u64) {
    let (mut seen, mut missed, mut last) = (0, 0, None);
    loop {
        let over = done.load(Ordering::Acquire);
        let read = reader.read(64, |found| {
            let number = check(writer, found);
            assert!(last.is_none_or(|last| last < number), "out of order");
            last = Some(number);
            seen += 1;
        });
        missed += read.missed;
        if over && read == Default::default() {
            return (seen, missed);
        }
        if read.steps == 0 {
            thread::yield_now();
        }
    }
}

#[test]
fn nothing_is_torn_and_every_row_is_seen_or_missed() {
    const ROWS: u64 = 20_000;
    for (kind, overflow) in [
        (BufferKind::Ring, Overflow::DropOldest),
        (BufferKind::Ring, Overflow::DropNewest),
        (BufferKind::Queue, Overflow::DropOldest),
        (BufferKind::Queue, Overflow::DropNewest),
        (BufferKind::Mutex, Overflow::DropOldest),
    ] {
        let settings = BufferSettings {
            kind,
            capacity: 16,
            overflow: overflow.clone(),
            ..BufferSettings::default()
        };
        let (mut writer, buffer) = create(&settings, WORDS).unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let start = Arc::new(Barrier::new(if kind == BufferKind::Ring { 4 } else { 2 }));
        let drainer = {
            let (buffer, done, start) = (buffer.clone(), done.clone(), start.clone());
            thread::spawn(move || {
                start.wait();
                let (mut seen, mut missed, mut last) = (0, 0, None);
                loop {
                    let over = done.load(Ordering::Acquire);
                    let drained = buffer.drain(64, &mut |found| {
                        let number = check(1, found);
                        assert!(last.is_none_or(|last| last < number), "out of order");
                        last = Some(number);
                        seen += 1;
                    });
                    missed += drained.missed;
                    if over && drained == Default::default() {
                        return (seen, missed);
                    }
                }
            })
        };
        let readers: Vec<_> = (0..2)
            .filter_map(|_| buffer.reader())
            .map(|mut reader| {
                let (done, start) = (done.clone(), start.clone());
                thread::spawn(move || {
                    start.wait();
                    read_to_the_end(&mut reader, &done, 1)
                })
            })
            .collect();
        start.wait();
        for number in 0..ROWS {
            writer.push(&row(1, number)).unwrap();
            if number % 512 == 0 {
                thread::yield_now();
            }
        }
        done.store(true, Ordering::Release);
        let (seen, missed) = drainer.join().unwrap();
        assert_eq!(seen + missed, ROWS, "{kind:?} {overflow:?}");
        let stats = buffer.stats();
        assert_eq!(
            (stats.added, stats.retrieved, stats.dropped),
            (ROWS, seen, missed),
            "{kind:?} {overflow:?}"
        );
        for reader in readers {
            let (seen, missed) = reader.join().unwrap();
            assert_eq!(seen + missed, ROWS, "{kind:?} {overflow:?}");
        }
    }
}

#[test]
fn several_writers_share_a_ring() {
    const WRITERS: u64 = 4;
    const ROWS: u64 = 5_000;
    let (writer, ring) = Ring::new(WORDS, 8).unwrap();
    let writer = writer.into_shared().unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let mut reader = ring.reader();
    let reading = {
        let done = done.clone();
        thread::spawn(move || {
            let (mut seen, mut missed, mut last) = (0, 0, [None; WRITERS as usize]);
            loop {
                let over = done.load(Ordering::Acquire);
                let read = reader.read(64, |found| {
                    let who = found[0] >> 32;
                    let number = check(who, found);
                    let last = &mut last[usize::try_from(who).unwrap()];
                    assert!(last.is_none_or(|last| last < number), "each writer's rows are in order");
                    *last = Some(number);
                    seen += 1;
                });
                missed += read.missed;
                if over && read == Default::default() {
                    return (seen, missed);
                }
            }
        })
    };
    let writers: Vec<_> = (0..WRITERS)
        .map(|who| {
            let writer = writer.clone();
            thread::spawn(move || {
                for number in 0..ROWS {
                    writer.push(&row(who, who << 32 | number)).unwrap();
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    done.store(true, Ordering::Release);
    let (seen, missed) = reading.join().unwrap();
    assert_eq!(seen + missed, WRITERS * ROWS);
    assert!(!ring.is_closed());
    drop(writer);
    assert!(ring.is_closed());
}

#[test]
fn a_ring_that_refuses_the_newest_has_one_writer() {
    let settings = BufferSettings {
        overflow: Overflow::DropNewest,
        ..BufferSettings::default()
    };
    let (writer, ring) = Ring::with_settings(&settings, 1).unwrap();
    assert_eq!(writer.into_shared().unwrap_err(), BufferError::SharedDropNewest);
    assert!(ring.is_closed());
}
