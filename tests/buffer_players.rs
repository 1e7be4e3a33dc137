//! The map of all players' buffers.

use bevy_experience::buffer::{BufferError, BufferSettings, PlayerBuffers};
use std::{
    sync::{Arc, Barrier},
    thread,
};

fn players() -> PlayerBuffers {
    let settings = BufferSettings {
        capacity: 4,
        ..BufferSettings::default()
    };
    PlayerBuffers::new(settings, 1).unwrap()
}

#[test]
fn settings_that_make_no_buffer_are_refused_at_once() {
    let settings = BufferSettings {
        capacity: 0,
        ..BufferSettings::default()
    };
    assert_eq!(PlayerBuffers::new(settings, 1).unwrap_err(), BufferError::ZeroCapacity);
}

#[test]
fn of_many_who_ask_one_makes_the_buffer() {
    let players = Arc::new(players());
    for agent_id in 0..50 {
        let start = Arc::new(Barrier::new(4));
        let asked: Vec<_> = (0..4)
            .map(|_| {
                let (players, start) = (players.clone(), start.clone());
                thread::spawn(move || {
                    start.wait();
                    players.get_or_create(agent_id).unwrap()
                })
            })
            .collect();
        let given: Vec<_> = asked.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(given.iter().filter(|(_, writer)| writer.is_some()).count(), 1);
        assert!(given.iter().all(|(buffer, _)| Arc::ptr_eq(buffer, &given[0].0)));
    }
    assert_eq!(players.len(), 50);
}

#[test]
fn an_agent_who_comes_back_gets_a_new_buffer_while_the_old_one_is_drained() {
    let players = players();
    let (old, writer) = players.get_or_create(7).unwrap();
    let mut writer = writer.unwrap();
    writer.push(&[1]).unwrap();
    drop(writer);

    let (new, writer) = players.get_or_create(7).unwrap();
    assert!(!Arc::ptr_eq(&old, &new));
    writer.unwrap().push(&[2]).unwrap();
    assert_eq!((players.stats().added, players.stats().len), (2, 2));

    assert!(!players.remove_if_same(7, &old), "the new one stays");
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
fn a_buffer_that_nobody_drains_any_more_counts_as_dropped() {
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
fn opening_again_closes_what_was_there() {
    let players = players();
    let (mut writer, old) = players.open(7).unwrap();
    let (_writer, new) = players.open(7).unwrap();
    assert!(writer.push(&[1]).is_err());
    assert!(old.is_closed() && !new.is_closed());
    assert!(Arc::ptr_eq(&players.get(7).unwrap(), &new));
}

#[test]
fn agents_come_in_ascending_order_with_their_newest_rows() {
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
    assert_eq!(players.stats().len, 12, "all is left in place");
}

#[test]
fn removing_drains_first() {
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
    assert_eq!(players.stats().added, 6, "the totals remember");
}
