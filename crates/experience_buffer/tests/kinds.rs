//! Contract of `TransitionBuffer` for every buffer kind and memory: order, overflow, close, peek and readers.

use experience_buffer::{
    BufferError, BufferKind, BufferSettings, BufferStats, Closed, Drained, Memory, Overflow, PlayerBuffers,
    TransitionBuffer, Writer, create,
};
use std::sync::Arc;
use tempfile::TempDir;

/// The memory in which a buffer is placed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Placement {
    Heap,
    /// An anonymous mapping, with huge pages if the system and the size allow them.
    HugePages,
    /// Memory that was reserved for several rings.
    Reserved,
    Numa,
    File,
}

const RING: (BufferKind, Placement) = (BufferKind::Ring, Placement::Heap);
const QUEUE: (BufferKind, Placement) = (BufferKind::Queue, Placement::Heap);
const MUTEX: (BufferKind, Placement) = (BufferKind::Mutex, Placement::Heap);

/// Every buffer kind in every memory that it supports.
fn kinds() -> impl Iterator<Item = (BufferKind, Placement)> {
    let mapped = [
        (BufferKind::Ring, Placement::HugePages),
        (BufferKind::Ring, Placement::Reserved),
        (BufferKind::Ring, Placement::Numa),
        (BufferKind::Ring, Placement::File),
        (BufferKind::Queue, Placement::HugePages),
        (BufferKind::Queue, Placement::Numa),
    ];
    // Miri supports neither file mappings nor NUMA binding.
    let mapped = mapped.into_iter().filter(|_| cfg!(not(miri)));
    [RING, QUEUE, MUTEX].into_iter().chain(mapped)
}

thread_local! {
    /// Folder of a test's ring files. Removed at the end of the test's thread.
    static FOLDER: TempDir = tempfile::tempdir().unwrap();
}

fn settings((kind, placement): (BufferKind, Placement), capacity: usize, overflow: Overflow) -> BufferSettings {
    BufferSettings {
        kind,
        capacity,
        overflow,
        memory: match placement {
            Placement::Heap | Placement::HugePages | Placement::Reserved => Memory::Heap,
            Placement::Numa => Memory::Numa,
            Placement::File => Memory::File(FOLDER.with(|folder| folder.path().to_owned())),
        },
        huge_pages: placement == Placement::HugePages,
    }
}

fn make(kind: (BufferKind, Placement), capacity: usize, overflow: Overflow) -> (Writer, Arc<dyn TransitionBuffer>) {
    let settings = settings(kind, capacity, overflow);
    if kind.1 != Placement::Reserved {
        return create(&settings, 2).unwrap();
    }
    let players = PlayerBuffers::new(settings, 2).unwrap();
    players.reserve(3).unwrap();
    let mut opened: Vec<_> = (0..3).map(|agent_id| players.open(agent_id).unwrap()).collect();
    // The rings beside it have rows of their own.
    for beside in [0, 2] {
        (0..9).for_each(|_| opened[beside].0.push(&[u64::MAX; 2]).unwrap());
    }
    opened.swap_remove(1)
}

fn drop_oldest(kind: (BufferKind, Placement), capacity: usize) -> (Writer, Arc<dyn TransitionBuffer>) {
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
fn drain_returns_rows_in_push_order() {
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
fn drop_oldest_overwrites_the_oldest_rows_and_counts_each_once() {
    for kind in kinds() {
        let (mut writer, buffer) = drop_oldest(kind, 4);
        push(&mut writer, 0..11);
        assert_eq!(buffer.stats().dropped, 7, "{kind:?}: counted before any drain");
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
fn drop_newest_discards_new_rows_and_reports_the_gap_in_its_place() {
    for kind in kinds() {
        let (mut writer, buffer) = make(kind, 4, Overflow::DropNewest);
        push(&mut writer, 0..7);
        assert_eq!(writer.free(), 0);
        assert_eq!(buffer.stats().dropped, 3, "{kind:?}");
        assert_eq!(drain(&*buffer, 1), (0, vec![0]), "{kind:?}");
        push(&mut writer, 7..9);
        // A drain ends before a gap, and the next one reports it.
        assert_eq!(drain(&*buffer, 9), (0, vec![1, 2, 3]), "{kind:?}");
        assert_eq!(drain(&*buffer, 9), (3, vec![7]), "{kind:?}");
        assert_eq!(
            drain(&*buffer, 9),
            (1, vec![]),
            "{kind:?}: a gap is reported without a later row"
        );
        assert_eq!(drain(&*buffer, 9), (0, vec![]), "{kind:?}");
        let stats = buffer.stats();
        assert_eq!((stats.added, stats.dropped, stats.retrieved), (9, 4, 5), "{kind:?}");
    }
}

#[test]
fn a_closed_buffer_rejects_pushes_and_can_be_drained() {
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
fn dropping_the_writer_closes_the_buffer() {
    for kind in kinds() {
        let (writer, buffer) = drop_oldest(kind, 4);
        drop(writer);
        assert!(buffer.is_closed(), "{kind:?}");
    }
}

#[test]
fn peek_removes_no_rows() {
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
fn a_ring_keeps_drained_rows_until_they_are_overwritten() {
    let (mut writer, buffer) = drop_oldest(RING, 4);
    push(&mut writer, 0..4);
    drain(&*buffer, 9);
    assert_eq!(peek(&*buffer), [0, 1, 2, 3]);
    push(&mut writer, 4..5);
    assert_eq!(peek(&*buffer), [1, 2, 3, 4]);
}

#[test]
fn hidden_rows_are_drained_but_neither_peeked_nor_read() {
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
fn rows_that_are_hidden_during_a_read_or_a_peek_are_not_returned_by_it() {
    // A reader copies a run of rows at once, and checks before each run.
    const ROWS: u64 = 4096;
    let (mut writer, buffer) = drop_oldest(RING, ROWS as usize);
    push(&mut writer, 0..ROWS);
    let mut reader = buffer.reader().unwrap();
    let mut read = 0;
    reader.read(usize::MAX, |_| {
        writer.hide();
        read += 1;
    });
    assert!(read < ROWS / 4, "{read} rows were read after they were hidden");
    for kind in kinds().filter(|kind| kind.0 != BufferKind::Mutex) {
        let (mut writer, buffer) = drop_oldest(kind, 8);
        push(&mut writer, 0..8);
        let mut peeked = 0;
        buffer.peek_all(&mut |_| {
            writer.hide();
            peeked += 1;
        });
        assert_eq!(peeked, 1, "{kind:?}");
    }
}

#[test]
fn pop_drains_one_row() {
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
fn free_is_the_number_of_pushes_without_a_drop() {
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
fn capacity_is_rounded_up_to_a_power_of_two_and_zero_is_an_error() {
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
fn pushing_a_row_of_another_width_panics() {
    let (mut writer, _buffer) = drop_oldest(RING, 4);
    let _ = writer.push(&[1]);
}

#[test]
fn a_buffer_of_capacity_one_keeps_the_newest_row() {
    for kind in kinds() {
        let (mut writer, buffer) = drop_oldest(kind, 1);
        push(&mut writer, 0..3);
        assert_eq!(drain(&*buffer, 9), (2, vec![2]), "{kind:?}");
    }
}

#[test]
fn each_reader_has_its_own_cursor_and_missed_count() {
    let (mut writer, buffer) = drop_oldest(RING, 4);
    let mut early = buffer.reader().unwrap();
    push(&mut writer, 0..2);
    let mut copy = early.clone();
    let mut seen = Vec::new();
    assert_eq!(early.read(9, |row| seen.push(row[0])), Drained { steps: 2, missed: 0 });
    push(&mut writer, 2..7);
    assert_eq!(early.read(9, |row| seen.push(row[0])), Drained { steps: 4, missed: 1 });
    assert_eq!(copy.read(9, |_| ()), Drained { steps: 4, missed: 3 });
    assert_eq!(seen, [0, 1, 3, 4, 5, 6]);

    copy.seek_oldest();
    assert_eq!(
        (copy.position(), copy.read(1, |_| ())),
        (3, Drained { steps: 1, missed: 0 })
    );
    copy.seek_newest();
    assert_eq!(copy.read(9, |_| ()), Drained::default());
    copy.seek_back(2);
    assert_eq!(copy.position(), 5);
    copy.seek_back(99);
    assert_eq!(copy.position(), 3);
    assert_eq!(buffer.stats().retrieved, 0, "reads are not counted as retrieved");
}

#[test]
fn readers_report_discarded_new_rows_as_missed() {
    let (mut writer, buffer) = make(RING, 2, Overflow::DropNewest);
    let mut reader = buffer.reader().unwrap();
    push(&mut writer, 0..5);
    assert_eq!(reader.read(9, |_| ()), Drained { steps: 2, missed: 0 });
    assert_eq!(reader.read(9, |_| ()), Drained { steps: 0, missed: 3 });
    drain(&*buffer, 9);
    drain(&*buffer, 9);
    push(&mut writer, 5..6);
    assert_eq!(reader.read(9, |_| ()), Drained { steps: 1, missed: 0 });
    // A later reader starts at the oldest row in the ring. Rows before that one are not missed.
    let mut late = buffer.reader().unwrap();
    assert_eq!(late.read(9, |_| ()), Drained { steps: 1, missed: 0 });
    assert_eq!(late.read(9, |_| ()), Drained { steps: 1, missed: 3 });
}

#[test]
fn each_row_of_a_queue_reaches_exactly_one_consumer() {
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
        assert!(seen.is_sorted(), "each consumer sees push order");
        all.extend(seen);
    }
    all.sort_unstable();
    assert!(all.into_iter().eq(0..64), "no row is lost or duplicated");
}

#[test]
fn only_rings_have_readers() {
    assert!([RING, QUEUE, MUTEX].map(|kind| drop_oldest(kind, 2).1.reader().is_some()) == [true, false, false]);
}
