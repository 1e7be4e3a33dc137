//! Bounds of the backlog: bytes, patience, and what a tick costs.

use crate::game::{Game, SlowSink, TIMEOUT, Valve, assert_empty, assert_in_order, disk_bytes, settings, wait_until};
use core::time::Duration;
use experience_buffer::BufferKind;
use experience_export::{MemorySink, SinkFailure};

const LIMIT: u64 = 512 << 10;

#[test]
fn the_backlog_is_bounded_in_bytes_and_then_the_buffers_overflow() {
    let folder = tempfile::tempdir().unwrap();
    let (valve, kept) = (Valve::default(), MemorySink::default());
    let sink = SlowSink {
        valve: valve.clone(),
        inner: kept.clone(),
    };
    let mut game = Game::new(settings(folder.path(), LIMIT), BufferKind::Ring, vec![Box::new(sink)]);
    assert!(!game.play(20_000, Duration::from_millis(500)), "draining stops");
    let backlog = game.paces()[0].backlog_bytes;
    // One batch may exceed it: its transitions and a turn of one buffer, with their first rows and their locations.
    let batch = (256 + 64) * game.row_bytes as u64 * 2;
    assert!(backlog > LIMIT && backlog <= LIMIT + batch, "{backlog}");
    let on_disk = disk_bytes(folder.path());
    assert!(on_disk <= 2 * (LIMIT + batch), "{on_disk}");
    let before = game.reports()[0].clone();
    assert_eq!((before.exported, before.dropped), (0, 0));
    (0..500).for_each(|_| game.tick());
    assert!(game.buffers.stats().dropped > 0);
    assert_eq!(game.paces()[0].backlog_bytes, backlog);
    assert_eq!(game.failures(), [], "it is waited for");
    valve.open();
    let reports = game.close();
    assert!(reports[0].dropped > 0 && reports[0].exported >= before.recorded - 2 * 64 * 4);
    assert_in_order(&kept, &reports[0]);
    assert_empty(folder.path());
}

#[test]
fn a_sink_stalls_when_its_backlog_has_been_over_the_limit_for_long() {
    let folder = tempfile::tempdir().unwrap();
    let (valve, slow, fast) = (Valve::default(), MemorySink::default(), MemorySink::default());
    let sink = SlowSink {
        valve: valve.clone(),
        inner: slow.clone(),
    };
    let mut settings = settings(folder.path(), LIMIT);
    settings.patience = Duration::from_millis(300);
    let mut game = Game::new(settings, BufferKind::Ring, vec![Box::new(sink), Box::new(fast.clone())]);
    // The recording is held up once, and then no more.
    assert!(game.play(6000, TIMEOUT));
    wait_until("it has lost something", || game.reports()[0].dropped > 1000);
    assert_eq!(game.failures(), [SinkFailure::Stalled]);
    assert!(game.paces()[0].backlog_bytes <= LIMIT, "what is over the limit goes");
    valve.open();
    wait_until("the backlog is read back", || game.paces()[0].backlog_bytes == 0);
    assert!(game.play(200, TIMEOUT));
    let reports = game.close();
    let kept = (LIMIT / 4) / 192;
    assert!(reports[0].exported > kept, "the backlog is kept: {:?}", reports[0]);
    assert_in_order(&slow, &reports[0]);
    assert_eq!((reports[1].dropped, reports[1].exported), (0, reports[1].recorded));
    assert_in_order(&fast, &reports[1]);
    assert_empty(folder.path());
}

/// Bytes that this thread has written and read with system calls.
#[cfg(target_os = "linux")]
fn thread_io() -> (String, String) {
    let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    let field = |name| io.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    (field("wchar"), field("write_bytes"))
}

#[cfg(target_os = "linux")]
#[test]
fn the_game_pays_for_a_push_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (valve, kept) = (Valve::default(), MemorySink::default());
    let sink = SlowSink {
        valve: valve.clone(),
        inner: kept.clone(),
    };
    let mut game = Game::new(settings(folder.path(), 1 << 30), BufferKind::Ring, vec![Box::new(sink)]);
    assert!(game.play(500, TIMEOUT));
    let before = thread_io();
    let mut ticks: Vec<_> = (0..2000)
        .map(|_| {
            let begun = std::time::Instant::now();
            game.tick();
            let took = begun.elapsed();
            std::thread::yield_now();
            took
        })
        .collect();
    assert_eq!(thread_io(), before);
    // However busy the machine is: a tick that waited for a disk would be far longer.
    ticks.sort_unstable();
    assert!(
        ticks[ticks.len() / 2] < Duration::from_millis(1),
        "{:?}",
        ticks[ticks.len() / 2]
    );
    wait_until("a backlog", || game.paces()[0].backlog_bytes > 0);
    valve.open();
    let reports = game.close();
    assert_in_order(&kept, &reports[0]);
}
