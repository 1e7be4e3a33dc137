//! loom models of the ring and the pool: every thread interleaving, and every value that an atomic load may return.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 CARGO_TARGET_DIR=target/loom \
//!     cargo test -p experience_buffer --release --test loom_ring
//! ```
#![cfg(loom)]

use experience_buffer::{
    BufferPool, BufferSettings, Overflow, PlayerBuffers, TransitionBuffer,
    pool::{LINKS, PoolSettings},
    ring::{Reader, Ring, RingWriter},
};
use loom::thread;
use std::sync::Arc;

/// Pushes a row of equal words. A row of unequal words is torn.
fn push(writer: &mut RingWriter, n: u64) {
    writer.push(&[n, n]).unwrap();
}

/// Reads once. Asserts that rows are whole and consecutive, and that the position counts rows read and missed.
fn read(reader: &mut Reader) {
    let before = reader.position();
    let mut seen = Vec::new();
    let read = reader.read(usize::MAX, |row| {
        assert_eq!(row[0], row[1], "torn");
        seen.push(row[0]);
    });
    let first = before + read.missed;
    assert!(
        seen.iter().copied().eq(first..first + read.steps as u64),
        "missed rows precede the rows that are read"
    );
    assert_eq!(reader.position(), first + read.steps as u64);
}

#[test]
fn two_readers_get_whole_rows_and_exact_missed_counts() {
    loom::model(|| {
        let (mut writer, ring) = Ring::new(2, 1).unwrap();
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let mut reader = ring.reader();
                thread::spawn(move || read(&mut reader))
            })
            .collect();
        // The second row overwrites the first.
        push(&mut writer, 0);
        push(&mut writer, 1);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn a_lapped_reader_counts_exactly_the_rows_that_it_missed() {
    loom::model(|| {
        let (mut writer, ring) = Ring::new(2, 1).unwrap();
        let mut reader = ring.reader();
        let thread = thread::spawn(move || {
            read(&mut reader);
            reader
        });
        for n in 0..3 {
            push(&mut writer, n);
        }
        let mut reader = thread.join().unwrap();
        read(&mut reader);
        assert_eq!(reader.position(), 3);
    });
}

#[test]
fn stats_add_up_while_a_drain_is_lapped() {
    loom::model(|| {
        let (mut writer, ring) = Ring::new(2, 1).unwrap();
        let drainer = {
            let ring = ring.clone();
            thread::spawn(move || ring.drain(4, &mut |row| assert_eq!(row[0], row[1], "torn")))
        };
        for n in 0..3 {
            push(&mut writer, n);
        }
        let stats = ring.stats();
        assert_eq!(
            stats.added,
            stats.retrieved + stats.dropped + stats.len as u64,
            "at any moment"
        );
        let first = drainer.join().unwrap();
        let second = ring.drain(4, &mut |row| assert_eq!(row[0], row[1], "torn"));
        let stats = ring.stats();
        assert_eq!(stats.retrieved, (first.steps + second.steps) as u64);
        assert_eq!(stats.dropped, first.missed + second.missed);
        assert_eq!((stats.added, stats.len), (3, 0));
        assert_eq!(stats.added, stats.retrieved + stats.dropped);
    });
}

#[test]
fn discarded_new_rows_are_reported_as_missed_in_their_place() {
    loom::model(|| {
        let settings = BufferSettings {
            capacity: 1,
            overflow: Overflow::DropNewest,
            ..BufferSettings::default()
        };
        let (mut writer, ring) = Ring::with_settings(&settings, 2).unwrap();
        let drainer = {
            let ring = ring.clone();
            thread::spawn(move || drain_numbers(&ring, 0))
        };
        for n in 0..3 {
            push(&mut writer, n);
        }
        let mut next = drainer.join().unwrap();
        while next < 3 {
            next = drain_numbers(&ring, next);
        }
        assert_eq!(ring.stats().added, ring.stats().retrieved + ring.stats().dropped);
    });
}

/// Drains once. `next` and the result are the number of the first row that was neither drained nor missed.
fn drain_numbers(ring: &Ring, next: u64) -> u64 {
    let mut seen = Vec::new();
    let drained = ring.drain(4, &mut |row| {
        assert_eq!(row[0], row[1], "torn");
        seen.push(row[0]);
    });
    let first = next + drained.missed;
    assert!(seen.iter().copied().eq(first..first + drained.steps as u64));
    first + drained.steps as u64
}

#[test]
fn rows_pushed_before_a_close_are_drained_after_it() {
    loom::model(|| {
        let (mut writer, ring) = Ring::new(1, 2).unwrap();
        let closer = thread::spawn(move || {
            writer.push(&[7]).unwrap();
            drop(writer);
        });
        let closed = ring.is_closed();
        let mut seen = Vec::new();
        ring.drain(4, &mut |row| seen.push(row[0]));
        if closed {
            assert_eq!(seen, [7]);
        }
        closer.join().unwrap();
    });
}

#[test]
fn a_run_is_published_as_a_whole_and_overwrites_whole_rows() {
    const WORDS: usize = 8;
    const CELL: usize = LINKS + WORDS;
    loom::model(|| {
        // A shard of two rows. A run of two fills it, and one more row overwrites the first cell.
        let settings = PoolSettings {
            bytes: (48 + 2 * CELL) * 8,
            shards: 1,
            ..PoolSettings::default()
        };
        let (mut writer, pool) = BufferPool::new(&settings, WORDS).unwrap();
        assert_eq!(pool.stats().capacity, 2);
        let mut reader = pool.shards()[0].reader();
        let reader_thread = thread::spawn(move || {
            let mut seen = None;
            // One row per read, because loom explores every mixture of a row's words.
            let read = reader.read(1, |row| {
                assert!(row.iter().all(|&word| word == row[0]), "torn");
                seen = Some(row[0]);
            });
            assert_eq!(seen, (read.steps > 0).then_some(read.missed + 1));
        });
        let mut player = pool.handle(1);
        let mut number = 0;
        for rows in [2, 1] {
            let mut run = writer.begin_run(&player, 0);
            let mut cells = Vec::new();
            for _ in 0..rows {
                number += 1;
                cells.extend(run.add(&mut player));
                cells.extend([number; WORDS]);
            }
            writer.push_run(&run, &cells).unwrap();
        }
        writer.publish();
        reader_thread.join().unwrap();
    });
}

#[test]
fn a_lane_is_used_again_after_its_last_handle() {
    loom::model(|| {
        let settings = BufferSettings {
            capacity: 1,
            ..BufferSettings::default()
        };
        let players = PlayerBuffers::new(settings, 1).unwrap();
        players.reserve(2).unwrap();
        let (mut writer, buffer) = players.open(1).unwrap();
        let _beside = players.open(2).unwrap();
        writer.push(&[1]).unwrap();
        let mut reader = buffer.reader().unwrap();
        drop((writer, buffer));
        let thread = thread::spawn(move || {
            let mut seen = Vec::new();
            reader.read(1, |row| seen.push(row[0]));
            assert_eq!(seen, [1], "the lane had another ring while a reader had this one");
        });
        // The lane is free, or the new ring is alone.
        players.remove(1, |_| ());
        let (mut writer, buffer) = players.open(3).unwrap();
        assert_eq!(buffer.stats().added, 0);
        writer.push(&[2]).unwrap();
        let mut seen = Vec::new();
        buffer.drain(1, &mut |row| seen.push(row[0]));
        assert_eq!(seen, [2]);
        thread.join().unwrap();
    });
}
