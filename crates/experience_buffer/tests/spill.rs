//! Rows that go to a file when their buffer is full, and come back.

use experience_buffer::{
    BufferError, BufferKind, BufferSettings, Overflow, PlayerBuffers, TransitionBuffer, Writer, create,
};
use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

const KINDS: [BufferKind; 3] = [BufferKind::Ring, BufferKind::Queue, BufferKind::Mutex];

/// Bytes of a block of a buffer of 8 rows of two words.
const BLOCK: u64 = 4 * 16;

fn settings(kind: BufferKind, folder: &Path, bytes: u64) -> BufferSettings {
    BufferSettings {
        kind,
        capacity: 8,
        overflow: Overflow::Spill {
            folder: folder.to_owned(),
            bytes,
        },
        ..BufferSettings::default()
    }
}

fn make(kind: BufferKind, bytes: u64) -> (Writer, Arc<dyn TransitionBuffer>) {
    create(&settings(kind, &std::env::temp_dir(), bytes), 2).unwrap()
}

fn push(writer: &mut Writer, rows: core::ops::Range<u64>) {
    for n in rows {
        writer.push(&[n, !n]).unwrap();
    }
}

fn drain(buffer: &dyn TransitionBuffer, max: usize) -> (u64, Vec<u64>) {
    let mut seen = Vec::new();
    let drained = buffer.drain(max, &mut |row| {
        assert_eq!(row[1], !row[0]);
        seen.push(row[0]);
    });
    assert_eq!(drained.steps, seen.len());
    (drained.missed, seen)
}

#[test]
fn what_would_be_dropped_comes_back_in_order() {
    for kind in KINDS {
        let (mut writer, buffer) = make(kind, 1 << 20);
        push(&mut writer, 0..1000);
        let stats = buffer.stats();
        assert_eq!((stats.added, stats.dropped, stats.len), (1000, 0, 1000), "{kind:?}");
        assert_eq!((stats.spilled, stats.in_file), (992, 992), "{kind:?}");
        // Not at the borders of blocks.
        assert!(drain(&*buffer, 333).1.into_iter().eq(0..333), "{kind:?}");
        assert_eq!((buffer.stats().len, buffer.stats().in_file), (667, 659), "{kind:?}");
        push(&mut writer, 1000..1100);
        assert_eq!(drain(&*buffer, usize::MAX), (0, (333..1100).collect()), "{kind:?}");
        let stats = buffer.stats();
        assert_eq!((stats.retrieved, stats.len, stats.in_file), (1100, 0, 0), "{kind:?}");
    }
}

#[test]
fn the_newest_stay_in_memory_and_are_seen_there() {
    for kind in KINDS {
        let (mut writer, buffer) = make(kind, 1 << 20);
        push(&mut writer, 0..100);
        let mut seen = Vec::new();
        buffer.peek_newest(4, &mut |row| seen.push(row[0]));
        assert_eq!(seen, [96, 97, 98, 99], "{kind:?}");
    }
}

#[test]
fn where_the_file_is_full_the_oldest_in_memory_goes() {
    for kind in KINDS {
        // Two blocks of four rows, and less than a third.
        let (mut writer, buffer) = make(kind, 3 * BLOCK - 1);
        assert_eq!(writer.free(), 16, "{kind:?}");
        push(&mut writer, 0..16);
        assert!(buffer.is_full() && writer.free() == 0, "{kind:?}");
        push(&mut writer, 16..19);
        let stats = buffer.stats();
        assert_eq!((stats.len, stats.in_file, stats.dropped), (16, 8, 3), "{kind:?}");
        assert_eq!(drain(&*buffer, 99), (0, (0..8).collect()), "{kind:?}");
        assert_eq!(drain(&*buffer, 99), (3, (11..19).collect()), "{kind:?}");
        // There is room again.
        assert_eq!(writer.free(), 16, "{kind:?}");
        push(&mut writer, 19..35);
        assert_eq!(drain(&*buffer, 99), (0, (19..35).collect()), "{kind:?}");
        let stats = buffer.stats();
        assert_eq!((stats.added, stats.retrieved, stats.dropped), (35, 32, 3), "{kind:?}");
    }
}

#[test]
fn gaps_are_told_of_where_they_are() {
    for kind in KINDS {
        let (mut writer, buffer) = make(kind, 2 * BLOCK);
        push(&mut writer, 0..18);
        // Takes the first block from the file, and so makes room for another, behind the two rows that were dropped.
        assert_eq!(drain(&*buffer, 4), (0, vec![0, 1, 2, 3]), "{kind:?}");
        push(&mut writer, 18..22);
        assert_eq!(drain(&*buffer, 99), (0, vec![4, 5, 6, 7]), "{kind:?}");
        assert_eq!(drain(&*buffer, 99), (2, (10..22).collect()), "{kind:?}");
        assert_eq!(drain(&*buffer, 99), (0, vec![]), "{kind:?}");
    }
}

#[test]
fn players_share_a_file_and_give_back_what_they_leave() {
    let folder = tempfile::tempdir().unwrap();
    for kind in KINDS {
        let players = PlayerBuffers::new(settings(kind, folder.path(), 10 * BLOCK), 2).unwrap();
        let (mut first, buffer) = players.open(1).unwrap();
        push(&mut first, 0..48);
        assert_eq!(buffer.stats().dropped, 0);
        let (mut second, other) = players.open(2).unwrap();
        push(&mut second, 0..9);
        assert_eq!(
            (other.stats().dropped, other.stats().in_file),
            (1, 0),
            "{kind:?}: all is taken"
        );
        assert_eq!(players.stats().in_file, 40, "{kind:?}");
        drop((first, buffer));
        let buffer = players.get(1).unwrap();
        assert!(players.remove_if_same(1, &buffer));
        drop(buffer);
        // Nobody is left who could drain it.
        let stats = players.stats();
        assert_eq!((stats.in_file, stats.dropped, stats.len), (0, 49, 8), "{kind:?}");
        push(&mut second, 9..40);
        assert_eq!(other.stats().dropped, 1, "{kind:?}");
        assert_eq!(drain(&*other, 99), (1, (1..40).collect()), "{kind:?}");
    }
}

#[test]
fn the_file_has_no_name() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, _buffer) = create(&settings(BufferKind::Ring, folder.path(), 1 << 20), 2).unwrap();
    push(&mut writer, 0..100);
    if cfg!(unix) {
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn what_cannot_spill_is_refused_at_once() {
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let refused = |settings: BufferSettings| {
            let error = create(&settings, 2).unwrap_err();
            assert_eq!(PlayerBuffers::new(settings, 2).unwrap_err(), error);
            error
        };
        let error = refused(settings(kind, &missing, 1 << 20));
        assert!(matches!(&error, BufferError::SpillFolder { folder, .. } if *folder == missing));
        assert!(error.to_string().contains("missing"), "by its name: {error}");
        assert_eq!(
            refused(settings(kind, folder.path(), BLOCK - 1)),
            BufferError::SmallSpill {
                bytes: BLOCK - 1,
                needed: BLOCK
            }
        );
    }
}

/// A writer, who spills all the time, two who drain and one who asks how much there is.
#[test]
fn nothing_is_lost_between_threads() {
    const ROWS: u64 = 30_000;
    for kind in KINDS {
        for bytes in [1 << 22, 8 * BLOCK] {
            let (mut writer, buffer) = make(kind, bytes);
            let done = AtomicBool::new(false);
            let (seen, missed) = thread::scope(|scope| {
                let drainers: Vec<_> = (0..2)
                    .map(|_| {
                        scope.spawn(|| {
                            let (mut seen, mut missed) = (Vec::new(), 0);
                            loop {
                                let over = done.load(Ordering::Acquire);
                                let (before, rows) = drain(&*buffer, 50);
                                assert!(rows.windows(2).all(|pair| pair[0] + 1 == pair[1]), "without a gap");
                                missed += before;
                                if over && before == 0 && rows.is_empty() {
                                    return (seen, missed);
                                }
                                seen.extend(rows);
                                thread::yield_now();
                            }
                        })
                    })
                    .collect();
                scope.spawn(|| {
                    while !done.load(Ordering::Acquire) {
                        let stats = buffer.stats();
                        assert_eq!(
                            stats.added,
                            stats.retrieved + stats.dropped + stats.len as u64,
                            "{kind:?}"
                        );
                        thread::yield_now();
                    }
                });
                for start in (0..ROWS).step_by(100) {
                    push(&mut writer, start..start + 100);
                    thread::yield_now();
                }
                done.store(true, Ordering::Release);
                let (mut all, mut missed) = (Vec::new(), 0);
                for drainer in drainers {
                    let (seen, before) = drainer.join().unwrap();
                    assert!(seen.is_sorted_by(|a, b| a < b), "in order for each");
                    all.extend(seen);
                    missed += before;
                }
                (all, missed)
            });
            let stats = buffer.stats();
            assert_eq!(
                (stats.retrieved, stats.dropped),
                (seen.len() as u64, missed),
                "{kind:?}"
            );
            assert_eq!(seen.len() as u64 + missed, ROWS, "{kind:?}");
            assert!(
                stats.spilled > 0 && stats.spill_errors == 0 && stats.in_file == 0,
                "{kind:?}"
            );
            if bytes > 1 << 20 {
                assert_eq!(missed, 0, "{kind:?}: there was room for all");
            }
        }
    }
}
