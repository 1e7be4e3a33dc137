//! `PlayerBuffers`: the map from agent id to buffer, its totals and its memory budget.

use experience_buffer::{
    BlockWriter, Budget, BufferError, BufferKind, BufferSettings, BufferStats, Memory, Overflow, PlayerBuffers,
    TransitionBuffer,
};
use std::{
    sync::{Arc, Barrier},
    thread,
};

/// Buffers of four rows.
fn settings() -> BufferSettings {
    BufferSettings {
        capacity: 4,
        ..BufferSettings::default()
    }
}

fn players() -> PlayerBuffers {
    PlayerBuffers::new(settings(), 1).unwrap()
}

#[test]
fn invalid_settings_are_rejected_at_construction() {
    let settings = BufferSettings {
        capacity: 0,
        ..BufferSettings::default()
    };
    assert_eq!(PlayerBuffers::new(settings, 1).unwrap_err(), BufferError::ZeroCapacity);
}

#[test]
fn concurrent_get_or_create_creates_one_buffer_and_one_writer() {
    let players = Arc::new(players());
    for agent_id in 0..50 {
        let start = Arc::new(Barrier::new(4));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (players, start) = (players.clone(), start.clone());
                thread::spawn(move || {
                    start.wait();
                    players.get_or_create(agent_id).unwrap()
                })
            })
            .collect();
        let results: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(results.iter().filter(|(_, writer)| writer.is_some()).count(), 1);
        assert!(results.iter().all(|(buffer, _)| Arc::ptr_eq(buffer, &results[0].0)));
    }
    assert_eq!(players.len(), 50);
}

#[test]
fn a_rejoining_agent_gets_a_new_buffer_while_its_old_one_is_drained() {
    let players = players();
    let (old, writer) = players.get_or_create(7).unwrap();
    let mut writer = writer.unwrap();
    writer.push(&[1]).unwrap();
    drop(writer);

    let (new, writer) = players.get_or_create(7).unwrap();
    assert!(!Arc::ptr_eq(&old, &new));
    writer.unwrap().push(&[2]).unwrap();
    assert_eq!((players.stats().added, players.stats().len), (2, 2));

    assert!(!players.remove_if_same(7, &old), "the new buffer is kept");
    let mut seen = Vec::new();
    old.drain(9, &mut |row| seen.push(row[0]));
    drop(old);
    let (drained, _) = players.remove(7, |row| seen.push(row[0])).unwrap();
    assert_eq!((drained.steps, seen), (1, vec![1, 2]));
    assert!(players.is_empty());
    let stats = players.stats();
    assert_eq!((stats.added, stats.retrieved, stats.len, stats.capacity), (2, 2, 0, 0));
}

#[test]
fn undrained_rows_of_a_freed_buffer_are_counted_as_dropped() {
    let players = players();
    let (mut writer, buffer) = players.open(7).unwrap();
    for n in 0..3 {
        writer.push(&[n]).unwrap();
    }
    assert!(players.remove_if_same(7, &buffer));
    assert_eq!((players.stats().len, players.stats().dropped), (3, 0));
    drop((writer, buffer));
    assert_eq!((players.stats().len, players.stats().dropped), (0, 3));
}

#[test]
fn reopening_an_agent_closes_its_previous_buffer() {
    let players = players();
    let (mut writer, old) = players.open(7).unwrap();
    let (_writer, new) = players.open(7).unwrap();
    assert!(writer.push(&[1]).is_err());
    assert!(old.is_closed() && !new.is_closed());
    assert!(Arc::ptr_eq(&players.get(7).unwrap(), &new));
}

#[test]
fn agents_and_their_newest_rows_are_in_ascending_order() {
    let players = players();
    let mut writers: Vec<_> = [30, -2, 7].map(|agent| (agent, players.open(agent).unwrap().0)).into();
    for n in 0..6 {
        for (agent, writer) in &mut writers {
            writer.push(&[agent.unsigned_abs() * 100 + n]).unwrap();
        }
    }
    assert_eq!(players.agents(), [-2, 7, 30]);
    assert!(players.iter().map(|(agent, _)| agent).eq([-2, 7, 30]));
    let mut seen = Vec::new();
    players.peek_newest(2, |agent, row| seen.push((agent, row[0])));
    assert_eq!(seen, [(-2, 204), (-2, 205), (7, 704), (7, 705), (30, 3004), (30, 3005)]);
    assert_eq!(players.stats().len, 12, "peeking removes no rows");
}

#[test]
fn remove_drains_the_buffer_first() {
    let players = players();
    let (mut writer, _) = players.open(1).unwrap();
    for n in 0..6 {
        writer.push(&[n]).unwrap();
    }
    let mut seen = Vec::new();
    let (drained, stats) = players.remove(1, |row| seen.push(row[0])).unwrap();
    assert_eq!((drained.missed, seen), (2, vec![2, 3, 4, 5]));
    assert_eq!((stats.added, stats.dropped, stats.retrieved), (6, 2, 4));
    assert!(writer.push(&[6]).is_err());
    assert!(players.remove(1, |_| ()).is_none());
    assert_eq!(players.stats().added, 6, "totals include removed buffers");
}

#[test]
fn buffers_are_charged_to_the_budget_until_they_are_freed() {
    for kind in [BufferKind::Ring, BufferKind::Queue, BufferKind::Mutex] {
        let settings = BufferSettings { kind, ..settings() };
        let bytes = settings.bytes(3).unwrap();
        let budget = Budget::new(2 * bytes + bytes / 2);
        // Two recordings share the budget.
        let first = PlayerBuffers::new(settings.clone(), 3)
            .unwrap()
            .with_budget(budget.clone());
        let second = PlayerBuffers::new(settings, 3).unwrap().with_budget(budget.clone());
        let (mut writer, buffer) = first.open(1).unwrap();
        let _other = second.open(1).unwrap();
        assert_eq!(budget.left(), bytes / 2, "{kind:?}");
        assert_eq!(
            first.stats().memory.total() + second.stats().memory.total(),
            2 * bytes,
            "{kind:?}"
        );
        let rejected = BufferError::OverBudget {
            bytes,
            left: bytes / 2,
            limit: budget.limit(),
        };
        assert_eq!(first.open(2).unwrap_err(), rejected);
        assert_eq!(first.get_or_create(2).unwrap_err(), rejected);
        assert_eq!(first.len(), 1, "a rejected buffer leaves no entry");

        // The player leaves, and its buffer is drained.
        writer.push(&[7; 3]).unwrap();
        drop(writer);
        assert_eq!(first.open(2).unwrap_err(), rejected, "its row is not drained yet");
        buffer.drain(9, &mut |_| ());
        assert!(first.remove_if_same(1, &buffer));
        let reader = buffer.reader();
        drop(buffer);
        if let Some(reader) = reader {
            assert_eq!(budget.left(), bytes / 2, "a reader holds the buffer");
            drop(reader);
        }
        assert_eq!(budget.left(), bytes / 2 + bytes, "{kind:?}");
        assert!(first.open(2).is_ok());
    }
}

#[test]
fn replaced_buffers_are_charged_to_the_budget_until_they_are_freed() {
    let settings = settings();
    let bytes = settings.bytes(1).unwrap();
    let budget = Budget::new(2 * bytes);
    let players = PlayerBuffers::new(settings, 1).unwrap().with_budget(budget.clone());
    let (mut writer, first) = players.open(1).unwrap();
    writer.push(&[1]).unwrap();
    // The agent rejoins before its rows are drained.
    drop(writer);
    let _second = players.open(1).unwrap();
    assert!(matches!(players.open(2), Err(BufferError::OverBudget { .. })));
    first.drain(9, &mut |_| ());
    drop(first);
    assert!(players.open(2).is_ok(), "the bytes of the freed buffer are available");
    assert_eq!(players.stats().retrieved, 1);
}

#[test]
fn undrained_buffers_of_departed_players_are_freed_for_new_players() {
    let settings = settings();
    let budget = Budget::new(2 * settings.bytes(1).unwrap());
    let players = PlayerBuffers::new(settings, 1).unwrap().with_budget(budget.clone());
    for agent_id in 0..100 {
        let (mut writer, _) = players.open(agent_id).unwrap();
        writer.push(&[7]).unwrap();
    }
    let stats = players.stats();
    assert_eq!(stats.added, 100);
    assert_eq!(
        stats.dropped,
        100 - stats.len as u64,
        "rows of freed buffers are counted as dropped"
    );
}

#[test]
#[cfg_attr(miri, ignore = "maps files")]
fn ring_files_are_charged_to_the_budget_with_their_whole_size() {
    let folder = tempfile::tempdir().unwrap();
    let settings = BufferSettings {
        memory: Memory::File(folder.path().to_owned()),
        ..BufferSettings::default()
    };
    let budget = Budget::new(1 << 20);
    let players = PlayerBuffers::new(settings, 5).unwrap().with_budget(budget.clone());
    let _open = players.open(1).unwrap();
    let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap();
    assert_eq!(budget.limit() - budget.left(), file.metadata().unwrap().len() as usize);
}

#[test]
fn reserved_rings_are_charged_to_the_budget_at_once_and_used_again() {
    let settings = settings();
    let bytes = settings.bytes(3).unwrap();
    let budget = Budget::new(21 * bytes);
    let players = PlayerBuffers::new(settings, 3).unwrap().with_budget(budget.clone());
    players.reserve(20).unwrap();
    assert_eq!(budget.left(), bytes);
    let memory = players.stats().memory.total();
    assert!(memory > 0 && memory <= 20 * bytes, "{memory}");
    players.reserve(20).unwrap();
    assert_eq!(budget.left(), bytes, "reserved once");
    for round in 0..3_u64 {
        let mut opened: Vec<_> = (0..20).map(|agent_id| players.open(agent_id).unwrap()).collect();
        assert_eq!(budget.left(), bytes);
        let readers: Vec<_> = opened.iter().map(|(_, buffer)| buffer.reader().unwrap()).collect();
        for (agent, (writer, buffer)) in (0..).zip(&mut opened) {
            assert_eq!((buffer.stats().added, buffer.len()), (0, 0), "a new ring is empty");
            writer.push(&[round, agent, 9]).unwrap();
        }
        let beyond = players.open(20).unwrap();
        assert_eq!(budget.left(), 0);
        assert!(players.open(21).is_err());
        drop((opened, beyond));
        for agent in 0..21 {
            players.remove(agent, |row| assert_eq!(row, [round, agent.cast_unsigned(), 9]));
        }
        // A reader keeps a ring, so that its rows stay.
        assert!(players.get(0).is_none());
        for (agent, mut reader) in (0..).zip(readers) {
            assert_eq!(reader.read(9, |row| assert_eq!(row, [round, agent, 9])).steps, 1);
        }
        assert_eq!(budget.left(), bytes);
    }
    assert_eq!(players.stats().memory.total(), memory);
    drop(players);
    assert_eq!(budget.left(), budget.limit());
}

#[test]
fn a_ring_that_a_reader_holds_is_not_used_again() {
    let players = players();
    players.reserve(2).unwrap();
    let (mut writer, buffer) = players.open(1).unwrap();
    writer.push(&[1]).unwrap();
    let mut reader = buffer.reader().unwrap();
    drop((writer, buffer));
    players.remove(1, |_| ());
    for agent_id in 2..5 {
        let (mut writer, _) = players.open(agent_id).unwrap();
        (0..9).for_each(|_| writer.push(&[2]).unwrap());
    }
    let mut seen = Vec::new();
    reader.read(9, |row| seen.push(row[0]));
    assert_eq!(seen, [1]);
}

#[test]
fn nothing_is_reserved_for_other_kinds_and_memory() {
    for kind in [BufferKind::Queue, BufferKind::Mutex] {
        let settings = BufferSettings { kind, ..settings() };
        let budget = Budget::new(10 * settings.bytes(1).unwrap());
        let players = PlayerBuffers::new(settings, 1).unwrap().with_budget(budget.clone());
        players.reserve(4).unwrap();
        assert_eq!(budget.left(), budget.limit());
    }
}

#[test]
fn a_block_writer_pushes_what_the_writers_push() {
    for (kind, overflow) in [
        (BufferKind::Ring, Overflow::DropOldest),
        (BufferKind::Ring, Overflow::DropNewest),
        (BufferKind::Queue, Overflow::DropOldest),
    ] {
        let settings = BufferSettings {
            kind,
            overflow,
            ..settings()
        };
        // The last rings are alone, and those of the other map are in memory of their own.
        let maps = [(); 2].map(|()| PlayerBuffers::new(settings.clone(), 9).unwrap());
        maps[0].reserve(12).unwrap();
        let [mut blocks, mut singles] = maps.each_ref().map(|players| {
            let opened: Vec<_> = (0..16).map(|agent_id| players.open(agent_id).unwrap()).collect();
            opened
        });
        for tick in 0..7_u64 {
            if tick == 5 {
                blocks[3].1.close();
                singles[3].1.close();
            }
            let row = |agent: usize| [tick, agent as u64, 0, 1, 2, 3, 4, 5, 6];
            let mut block = BlockWriter::default();
            blocks.iter().for_each(|(writer, _)| block.prefetch(writer));
            let mut block = BlockWriter::default();
            // Not all of them, and not in the order of their memory.
            let players = blocks.iter_mut().zip(&mut singles).enumerate().rev();
            for (agent, ((writer, _), (single, _))) in
                players.filter(|(agent, _)| !(agent + tick as usize).is_multiple_of(3))
            {
                assert_eq!(block.push(writer, &row(agent)), single.push(&row(agent)));
            }
            for ((_, block), (_, single)) in blocks.iter().zip(&singles) {
                let rows = |buffer: &dyn TransitionBuffer| {
                    let mut rows = Vec::new();
                    buffer.peek_all(&mut |row| rows.push(row.to_vec()));
                    rows
                };
                assert_eq!(rows(&**block), rows(&**single));
                let counts = |stats: BufferStats| (stats.added, stats.dropped, stats.rejected, stats.len);
                assert_eq!(counts(block.stats()), counts(single.stats()));
            }
        }
    }
}
