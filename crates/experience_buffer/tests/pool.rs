//! `BufferPool`: shards, capacity, runs of rows and concurrent writers.

use experience_buffer::{
    BufferError, BufferPool, TransitionBuffer,
    pool::{LINKS, PoolSettings},
};
use experience_core::transition::{StepHeader, StepKind};

const WORDS: usize = 17;

fn settings(bytes: usize, shards: usize) -> PoolSettings {
    PoolSettings {
        bytes,
        shards,
        ..PoolSettings::default()
    }
}

fn row(agent_id: i64, tick: i64) -> [u64; WORDS] {
    let mut row = [0; WORDS];
    let kind = if tick == 0 {
        StepKind::Begin
    } else {
        StepKind::Transition
    };
    let header = StepHeader::of_mut(&mut row);
    *header = StepHeader::new(kind);
    header.agent_id = agent_id;
    header.tick = tick;
    row
}

#[test]
fn a_pool_uses_at_most_its_bytes_and_at_least_half_of_them() {
    for bytes in [1 << 16, 100_000, 1_000_000, 33_333_333] {
        for shards in [1, 3, 16] {
            let (_writer, pool) = BufferPool::new(&settings(bytes, shards), WORDS).unwrap();
            assert!(pool.bytes() <= bytes, "{bytes} {shards}");
            assert!(pool.bytes() >= bytes / 2, "{bytes} {shards}: {}", pool.bytes());
            assert!(pool.shards().len() >= shards);
        }
    }
}

#[test]
fn invalid_settings_are_rejected() {
    let error = |bytes, shards, words| BufferPool::new(&settings(bytes, shards), words).unwrap_err();
    assert_eq!(error(1 << 20, 0, WORDS), BufferError::ZeroCapacity);
    assert_eq!(error(1 << 20, 1, 7), BufferError::NoHeader { words: 7 });
    let BufferError::SmallPool { bytes, needed } = error(1000, 4, WORDS) else {
        panic!()
    };
    assert_eq!(bytes, 1000);
    assert!(BufferPool::new(&settings(needed, 4), WORDS).is_ok());
}

#[test]
fn a_hundred_thousand_players_fit_in_one_gibibyte() {
    const PLAYERS: i64 = 100_000;
    let (mut writer, pool) = BufferPool::new(&settings(1 << 30, 16), WORDS).unwrap();
    let mut players: Vec<_> = (0..PLAYERS).map(|agent| pool.handle(agent)).collect();
    for tick in 0..2 {
        for (agent, player) in (0..).zip(&mut players) {
            writer.push(player, &row(agent, tick)).unwrap();
        }
    }
    let handles = players.len() * size_of_val(&players[0]);
    assert!(pool.bytes() + handles <= (1 << 30) + (4 << 20));
    let capacity: usize = pool.shards().iter().map(|shard| shard.capacity()).sum();
    assert!(
        capacity > 40 * PLAYERS as usize,
        "at least 40 rows per player: {capacity}"
    );
    let stats = pool.stats();
    assert_eq!((stats.added, stats.dropped), (2 * PLAYERS as u64, 0));
    let counts: Vec<_> = pool.shards().iter().map(|shard| shard.stats().added).collect();
    let even_share = stats.added / counts.len() as u64;
    assert!(
        counts
            .iter()
            .all(|&count| count > even_share / 2 && count < even_share * 2),
        "{counts:?}"
    );
}

#[test]
fn rows_of_each_player_stay_in_order() {
    let (mut writer, pool) = BufferPool::new(&settings(1 << 16, 4), WORDS).unwrap();
    let mut players: Vec<_> = (0..10).map(|agent| (agent, pool.handle(agent))).collect();
    for tick in 0..20 {
        for (agent, player) in &mut players {
            writer.push(player, &row(*agent, tick)).unwrap();
        }
    }
    let mut next = [0; 10];
    for shard in pool.shards() {
        let drained = shard.drain(usize::MAX, &mut |row| {
            let header = StepHeader::of(row);
            let next = &mut next[usize::try_from(header.agent_id).unwrap()];
            assert_eq!(header.tick, *next);
            *next += 1;
        });
        assert_eq!(drained.missed, 0);
    }
    assert_eq!(next, [20; 10]);
    assert_eq!(pool.stats().retrieved, 200);
}

/// Drains a pool: its rows in order, shard by shard.
fn drain(pool: &BufferPool) -> Vec<Vec<u64>> {
    let mut rows = Vec::new();
    for shard in pool.shards() {
        shard.drain(usize::MAX, &mut |row| rows.push(row.to_vec()));
    }
    rows
}

#[test]
fn a_run_equals_a_push_of_each_of_its_rows() {
    const CELL: usize = (LINKS + WORDS).next_multiple_of(2);
    // Two small shards that one run overwrites more than once, and two that are written with non-temporal stores.
    for bytes in [2 * (48 + 8 * CELL) * 8, 32 << 20] {
        for players in [1, 5, 8, 13, 64] {
            let settings = settings(bytes, 2);
            let (mut together, runs) = BufferPool::new(&settings, WORDS).unwrap();
            let (mut single, rows) = BufferPool::new(&settings, WORDS).unwrap();
            let mut handles: Vec<_> = (0..players).map(|_| (runs.handle_in(1), rows.handle_in(1))).collect();
            for tick in 0..7 {
                let mut cells = Vec::new();
                let mut run = together.begin_run(&handles[0].0, 0);
                for (agent, (in_run, alone)) in (0..).zip(&mut handles) {
                    let row = row(agent, tick + 1);
                    assert!(run.takes(in_run, run.len()) && !run.takes(in_run, run.len() + 1));
                    assert!(!run.takes(&runs.handle_in(0), run.len()));
                    cells.extend(run.add(in_run));
                    cells.extend(row);
                    cells.resize(run.len() * CELL, 0);
                    single.push(alone, &row).unwrap();
                }
                together.push_run(&run, &cells).unwrap();
                if tick == 3 {
                    // A push follows the run before it.
                    let end = row(0, 99);
                    together.push(&mut handles[0].0, &end).unwrap();
                    single.push(&mut handles[0].1, &end).unwrap();
                }
            }
            together.publish();
            assert_eq!(runs.stats().added, rows.stats().added);
            let (runs, rows) = (drain(&runs), drain(&rows));
            assert!(!rows.is_empty());
            assert_eq!(runs, rows, "{bytes} {players}");
        }
    }
}

#[test]
fn a_run_pushed_after_a_close_is_counted_as_rejected() {
    let (mut writer, pool) = BufferPool::new(&PoolSettings::default(), 8).unwrap();
    let mut player = pool.handle(1);
    let mut run = writer.begin_run(&player, 0);
    let cells: Vec<u64> = (0..3)
        .flat_map(|_| run.add(&mut player).into_iter().chain([0; 8]))
        .collect();
    pool.close();
    assert!(writer.push_run(&run, &cells).is_err());
    assert_eq!((pool.stats().rejected, pool.stats().added), (3, 0));
}

#[test]
fn shards_accept_concurrent_writers() {
    let (mut writer, pool) = BufferPool::new(&settings(1 << 20, 4), WORDS).unwrap();
    let mut players: Vec<Vec<_>> = pool.shards().iter().map(|_| Vec::new()).collect();
    for agent in 0..40 {
        let handle = pool.handle(agent);
        players[handle.shard()].push((agent, handle));
    }
    std::thread::scope(|scope| {
        for (shard, players) in writer.shards_mut().iter_mut().zip(&mut players) {
            scope.spawn(move || {
                for tick in 0..50 {
                    for (agent, player) in &mut *players {
                        shard.push(player, &row(*agent, tick)).unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(pool.stats().added, 40 * 50);
    pool.close();
    assert!(writer.push(&mut pool.handle(1), &row(1, 0)).is_err());
    assert_eq!(pool.stats().rejected, 1);
}
