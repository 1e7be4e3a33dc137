//! Uniform draws over the transitions of rings and pools.

use super::support::*;
use experience_buffer::{BufferPool, Overflow, pool::PoolSettings};
use experience_core::transition::{Outcome, StepHeader, StepKind};
use rand::{RngExt, SeedableRng, rngs::StdRng};

#[test]
fn transitions_of_rings_are_sampled_uniformly() {
    let players = players(64, Overflow::DropOldest);
    let mut transitions = 0;
    let mut writers = Vec::new();
    // Rings of very different content: many short episodes, a long one, one transition, and a wrapped ring.
    for (agent, episodes, steps) in [(1, 12, 2), (2, 1, 30), (3, 1, 1), (4, 5, 40)] {
        let (mut writer, buffer) = players.open(agent).unwrap();
        let mut player_rows = PlayerRows::new(agent as u8);
        for _ in 0..episodes {
            for row in player_rows.episode(steps, Outcome::Terminated) {
                writer.push(&row).unwrap();
            }
        }
        let mut rows = Vec::new();
        buffer.peek_all(&mut |row| rows.push(StepHeader::of(row).kind()));
        transitions += rows.windows(2).filter(|pair| pair[1] == StepKind::Transition).count();
        writers.push(writer);
    }
    let counts = counts(&mut sampler(players.readers()), 40_000, 1);
    assert_uniform(&counts, transitions);
}

#[test]
fn sampling_is_uniform_over_two_hundred_rings() {
    let players = players(16, Overflow::DropOldest);
    let mut random = StdRng::seed_from_u64(10);
    let (mut transitions, mut writers) = (0, Vec::new());
    for agent in 0..200 {
        let (mut writer, _) = players.open(agent).unwrap();
        // A quarter of the rings have no transition, most have up to three, and one in twenty is full.
        let steps = match random.random_range(0..20) {
            0..5 => 0,
            5 => 15,
            _ => random.random_range(1..4),
        };
        for row in PlayerRows::new(agent as u8).episode(steps, Outcome::Terminated) {
            writer.push(&row).unwrap();
        }
        transitions += usize::from(steps);
        writers.push(writer);
    }
    let counts = counts(&mut sampler(players.readers()), 200_000, 11);
    assert_uniform(&counts, transitions);
}

#[test]
fn transitions_of_a_pool_are_sampled_uniformly() {
    let settings = PoolSettings {
        bytes: 1 << 16,
        shards: 3,
        ..PoolSettings::default()
    };
    let (mut writer, pool) = BufferPool::new(&settings, schema().layout().row_words()).unwrap();
    let mut players: Vec<_> = (0..20)
        .map(|agent| (pool.handle(agent), PlayerRows::new(agent as u8)))
        .collect();
    // The players' rows are interleaved.
    let mut transitions = 0;
    for _ in 0..2 {
        let mut episodes: Vec<_> = players
            .iter_mut()
            .map(|(handle, player_rows)| (handle, player_rows.episode(4, Outcome::Truncated).into_iter()))
            .collect();
        for _ in 0..5 {
            for (handle, rows) in &mut episodes {
                writer.push(handle, &rows.next().unwrap()).unwrap();
            }
        }
        transitions += 20 * 4;
    }
    assert_eq!(pool.stats().dropped, 0);
    let counts = counts(&mut sampler(pool.readers()), 40_000, 2);
    assert_uniform(&counts, transitions);
}

#[test]
fn a_wrapped_pool_pairs_the_remaining_rows() {
    let settings = PoolSettings {
        bytes: 8 << 10,
        shards: 1,
        ..PoolSettings::default()
    };
    let (mut writer, pool) = BufferPool::new(&settings, schema().layout().row_words()).unwrap();
    let mut players: Vec<_> = (0..5)
        .map(|agent| (pool.handle(agent), PlayerRows::new(agent as u8)))
        .collect();
    let mut random = StdRng::seed_from_u64(3);
    let mut open = [false; 5];
    for _ in 0..3000 {
        let index = random.random_range(0..5);
        let (handle, player_rows) = &mut players[index];
        let kind = if open[index] {
            StepKind::Transition
        } else {
            StepKind::Begin
        };
        let ends = (open[index] && random.random_range(0..10) == 0).then_some(Outcome::Terminated);
        open[index] = ends.is_none();
        let row = player_rows.row(kind, ends, 1.0);
        writer.push(handle, &row).unwrap();
    }
    assert!(pool.stats().dropped > 2000);
    let drawn = counts(&mut sampler(pool.readers()), 5_000, 4);
    assert!(drawn.len() > 20, "{}", drawn.len());
}
