//! What every kind of buffer promises, asked of each of them.

use experience_buffer::{
    BufferError, BufferKind, BufferSettings, BufferStats, Closed, Drained, Memory, Overflow, TransitionBuffer, Writer,
    create,
};
use std::sync::Arc;
use tempfile::TempDir;

/// Where a buffer lies.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Heap,
    /// A mapping, on huge pages where the system and the size allow.
    Huge,
    Numa,
    File,
}

const RING: (BufferKind, Place) = (BufferKind::Ring, Place::Heap);
const QUEUE: (BufferKind, Place) = (BufferKind::Queue, Place::Heap);
const MUTEX: (BufferKind, Place) = (BufferKind::Mutex, Place::Heap);

/// Every kind, wherever it can lie.
fn kinds() -> impl Iterator<Item = (BufferKind, Place)> {
    let mapped = [
        (BufferKind::Ring, Place::Huge),
        (BufferKind::Ring, Place::Numa),
        (BufferKind::Ring, Place::File),
        (BufferKind::Queue, Place::Huge),
        (BufferKind::Queue, Place::Numa),
    ];
    // Miri maps no files and binds nothing.
    let mapped = mapped.into_iter().filter(|_| cfg!(not(miri)));
    [RING, QUEUE, MUTEX].into_iter().chain(mapped)
}

thread_local! {
    /// For the files of a test. It goes with the test's thread.
    static FOLDER: TempDir = tempfile::tempdir().unwrap();
}

fn settings((kind, place): (BufferKind, Place), capacity: usize, overflow: Overflow) -> BufferSettings {
    BufferSettings {
        kind,
        capacity,
        overflow,
        memory: match place {
            Place::Heap | Place::Huge => Memory::Heap,
            Place::Numa => Memory::Numa,
            Place::File => Memory::File(FOLDER.with(|folder| folder.path().to_owned())),
        },
        huge_pages: place == Place::Huge,
    }
}

fn make(kind: (BufferKind, Place), capacity: usize, overflow: Overflow) -> (Writer, Arc<dyn TransitionBuffer>) {
    create(&settings(kind, capacity, overflow), 2).unwrap()
}

fn drop_oldest(kind: (BufferKind, Place), capacity: usize) -> (Writer, Arc<dyn TransitionBuffer>) {
    make(kind, capacity, Overflow::DropOldest)
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

fn peek(buffer: &dyn TransitionBuffer) -> Vec<u64> {
    let mut seen = Vec::new();
    buffer.peek_all(&mut |row| seen.push(row[0]));
    seen
}

#[test]
fn rows_come_out_in_the_order_in_which_they_went_in() {
    for kind in kinds() {
        let (mut writer, buffer) = drop_oldest(kind, 4);
        assert_eq!((buffer.kind(), buffer.row_words(), buffer.capacity()), (kind.0, 2, 4));
        push(&mut writer, 0..3);
        assert_eq!(drain(&*buffer, 2), (0, vec![0, 1]), "{kind:?}");
        push(&mut writer, 3..6);
        assert_eq!(drain(&*buffer, 9), (0, vec![2, 3, 4, 5]), "{kind:?}");
        assert_eq!(drain(&*buffer, 9), (0, vec![]), "{kind:?}");
    }
}

#[test]
fn the_oldest_make_room_and_are_counted_once() {
    for kind in kinds() {
        let (mut writer, buffer) = drop_oldest(kind, 4);
        push(&mut writer, 0..11);
        assert_eq!(
            buffer.stats().dropped,
            7,
            "{kind:?}: known before anybody comes to miss them"
        );
        assert_eq!(drain(&*buffer, 2), (7, vec![7, 8]), "{kind:?}");
        push(&mut writer, 11..15);
        assert_eq!(drain(&*buffer, 9), (2, vec![11, 12, 13, 14]), "{kind:?}");
        let expected = BufferStats {
            added: 15,
            dropped: 9,
            retrieved: 6,
            rejected: 0,
            len: 0,
            capacity: 4,
            memory: buffer.stats().memory,
        };
        assert_eq!(buffer.stats(), expected, "{kind:?}");
    }
}

#[test]
fn the_newest_are_refused_where_that_is_asked_for() {
    for kind in kinds() {
        let (mut writer, buffer) = make(kind, 4, Overflow::DropNewest);
        push(&mut writer, 0..7);
        assert_eq!(writer.free(), 0);
        assert_eq!(buffer.stats().dropped, 3, "{kind:?}");
        assert_eq!(drain(&*buffer, 1), (0, vec![0]), "{kind:?}");
        push(&mut writer, 7..9);
        // The read ends before the gap, and the next begins with it.
        assert_eq!(drain(&*buffer, 9), (0, vec![1, 2, 3]), "{kind:?}");
        assert_eq!(drain(&*buffer, 9), (3, vec![7]), "{kind:?}");
        assert_eq!(
            drain(&*buffer, 9),
            (1, vec![]),
            "{kind:?}: missing though nothing came after it"
        );
        assert_eq!(drain(&*buffer, 9), (0, vec![]), "{kind:?}");
        let stats = buffer.stats();
        assert_eq!((stats.added, stats.dropped, stats.retrieved), (9, 4, 5), "{kind:?}");
    }
}

#[test]
fn a_closed_buffer_refuses_rows_and_gives_out_what_it_has() {
    for kind in kinds() {
        let (mut writer, buffer) = drop_oldest(kind, 4);
        push(&mut writer, 0..2);
        assert!(!buffer.is_closed());
        buffer.close();
        assert!(buffer.is_closed());
        assert_eq!(writer.push(&[9, !9]), Err(Closed), "{kind:?}");
        assert_eq!(buffer.stats().rejected, 1, "{kind:?}");
        assert_eq!(drain(&*buffer, 9), (0, vec![0, 1]), "{kind:?}");
        assert_eq!(buffer.stats().added, 2, "{kind:?}");
    }
}

#[test]
fn a_writer_that_goes_closes_its_buffer() {
    for kind in kinds() {
        let (writer, buffer) = drop_oldest(kind, 4);
        drop(writer);
        assert!(buffer.is_closed(), "{kind:?}");
    }
}

#[test]
fn peeking_leaves_everything_in_place() {
    for kind in kinds() {
        let (mut writer, buffer) = drop_oldest(kind, 4);
        push(&mut writer, 0..6);
        assert_eq!(peek(&*buffer), [2, 3, 4, 5], "{kind:?}");
        let mut newest = Vec::new();
        buffer.peek_newest(2, &mut |row| newest.push(row[0]));
        assert_eq!(newest, [4, 5], "{kind:?}");
        assert_eq!(drain(&*buffer, 9), (2, vec![2, 3, 4, 5]), "{kind:?}");
    }
}

#[test]
fn a_ring_keeps_what_was_drained_until_later_rows_come() {
    let (mut writer, buffer) = drop_oldest(RING, 4);
    push(&mut writer, 0..4);
    drain(&*buffer, 9);
    assert_eq!(peek(&*buffer), [0, 1, 2, 3]);
    push(&mut writer, 4..5);
    assert_eq!(peek(&*buffer), [1, 2, 3, 4]);
}

#[test]
fn what_is_hidden_is_drained_and_otherwise_not_seen() {
    for kind in kinds() {
        let (mut writer, buffer) = drop_oldest(kind, 8);
        push(&mut writer, 0..3);
        writer.hide();
        push(&mut writer, 3..5);
        assert_eq!(peek(&*buffer), [3, 4], "{kind:?}");
        if let Some(mut reader) = buffer.reader() {
            let mut seen = Vec::new();
            let read = reader.read(9, |row| seen.push(row[0]));
            assert_eq!((read.missed, seen), (0, vec![3, 4]));
        }
        assert_eq!(drain(&*buffer, 9), (0, vec![0, 1, 2, 3, 4]), "{kind:?}");
    }
}

#[test]
fn popping_is_draining_one() {
    for kind in kinds() {
        let (mut writer, buffer) = drop_oldest(kind, 2);
        let mut row = [0; 2];
        assert!(!buffer.pop(&mut row), "{kind:?}");
        push(&mut writer, 0..3);
        assert!(buffer.pop(&mut row), "{kind:?}");
        assert_eq!(row[0], 1, "{kind:?}");
        assert_eq!((buffer.stats().retrieved, buffer.stats().dropped), (1, 1), "{kind:?}");
    }
}

#[test]
fn free_says_what_can_be_pushed_without_a_loss() {
    for kind in kinds() {
        let (mut writer, buffer) = drop_oldest(kind, 4);
        assert_eq!(writer.free(), 4, "{kind:?}");
        push(&mut writer, 0..3);
        assert_eq!((writer.free(), buffer.is_full()), (1, false), "{kind:?}");
        push(&mut writer, 3..9);
        assert_eq!((writer.free(), buffer.is_full()), (0, true), "{kind:?}");
        drain(&*buffer, 3);
        assert_eq!((writer.free(), buffer.len()), (3, 1), "{kind:?}");
        assert!((buffer.stats().utilisation() - 0.25).abs() < 1e-9, "{kind:?}");
    }
}

#[test]
fn capacities_are_powers_of_two_and_never_zero() {
    for kind in kinds() {
        let settings = settings(kind, 5, Overflow::DropOldest);
        assert_eq!(create(&settings, 1).unwrap().1.capacity(), 8, "{kind:?}");
        let none = BufferSettings {
            capacity: 0,
            ..settings.clone()
        };
        assert_eq!(create(&none, 1).unwrap_err(), BufferError::ZeroCapacity, "{kind:?}");
        assert_eq!(create(&settings, 0).unwrap_err(), BufferError::ZeroWidth, "{kind:?}");
    }
}

#[test]
#[should_panic(expected = "a row of another width")]
fn a_row_of_another_width_is_a_mistake() {
    let (mut writer, _buffer) = drop_oldest(RING, 4);
    let _ = writer.push(&[1]);
}

#[test]
fn one_row_is_enough_capacity() {
    for kind in kinds() {
        let (mut writer, buffer) = drop_oldest(kind, 1);
        push(&mut writer, 0..3);
        assert_eq!(drain(&*buffer, 9), (2, vec![2]), "{kind:?}");
    }
}

#[test]
fn readers_have_cursors_and_losses_of_their_own() {
    let (mut writer, buffer) = drop_oldest(RING, 4);
    let mut early = buffer.reader().unwrap();
    push(&mut writer, 0..2);
    let mut twin = early.clone();
    let mut seen = Vec::new();
    assert_eq!(early.read(9, |row| seen.push(row[0])), Drained { steps: 2, missed: 0 });
    push(&mut writer, 2..7);
    assert_eq!(early.read(9, |row| seen.push(row[0])), Drained { steps: 4, missed: 1 });
    assert_eq!(twin.read(9, |_| ()), Drained { steps: 4, missed: 3 });
    assert_eq!(seen, [0, 1, 3, 4, 5, 6]);

    twin.seek_oldest();
    assert_eq!(
        (twin.position(), twin.read(1, |_| ())),
        (3, Drained { steps: 1, missed: 0 })
    );
    twin.seek_newest();
    assert_eq!(twin.read(9, |_| ()), Drained::default());
    twin.seek_back(2);
    assert_eq!(twin.position(), 5);
    twin.seek_back(99);
    assert_eq!(twin.position(), 3);
    assert_eq!(buffer.stats().retrieved, 0, "readers take nothing");
}

#[test]
fn readers_are_told_of_rows_that_were_refused() {
    let (mut writer, buffer) = make(RING, 2, Overflow::DropNewest);
    let mut reader = buffer.reader().unwrap();
    push(&mut writer, 0..5);
    assert_eq!(reader.read(9, |_| ()), Drained { steps: 2, missed: 0 });
    assert_eq!(reader.read(9, |_| ()), Drained { steps: 0, missed: 3 });
    drain(&*buffer, 9);
    drain(&*buffer, 9);
    push(&mut writer, 5..6);
    assert_eq!(reader.read(9, |_| ()), Drained { steps: 1, missed: 0 });
    // One who comes later begins with what is there, and has missed nothing of what was before.
    let mut late = buffer.reader().unwrap();
    assert_eq!(late.read(9, |_| ()), Drained { steps: 1, missed: 0 });
    assert_eq!(late.read(9, |_| ()), Drained { steps: 1, missed: 3 });
}

#[test]
fn consumers_of_a_queue_share_its_rows() {
    let (mut writer, buffer) = drop_oldest(QUEUE, 64);
    push(&mut writer, 0..64);
    let consumers: Vec<_> = (0..3)
        .map(|_| {
            let buffer = buffer.clone();
            std::thread::spawn(move || {
                let (mut seen, mut row) = (Vec::new(), [0; 2]);
                while buffer.pop(&mut row) {
                    seen.push(row[0]);
                }
                seen
            })
        })
        .collect();
    let mut all = Vec::new();
    for consumer in consumers {
        let seen = consumer.join().unwrap();
        assert!(seen.is_sorted(), "in order for each");
        all.extend(seen);
    }
    all.sort_unstable();
    assert!(all.into_iter().eq(0..64), "each to exactly one");
}

#[test]
fn only_rings_have_readers() {
    assert!([RING, QUEUE, MUTEX].map(|kind| drop_oldest(kind, 2).1.reader().is_some()) == [true, false, false]);
}
