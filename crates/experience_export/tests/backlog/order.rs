//! Order, completeness, and independence of the sinks.

use crate::game::{
    Game, LENGTH, PLAYERS, SlowSink, TIMEOUT, Valve, assert_empty, assert_in_order, disk_bytes, settings, wait_until,
};
use core::time::Duration;
use experience_buffer::BufferKind;
use experience_export::{ExportSettings, MemorySink, Sink};

fn slow(valve: &Valve, inner: &MemorySink) -> Box<dyn Sink> {
    Box::new(SlowSink {
        valve: valve.clone(),
        inner: inner.clone(),
    })
}

#[test]
fn a_slow_sink_gets_everything_in_order() {
    for kind in [BufferKind::Ring, BufferKind::Queue, BufferKind::Mutex] {
        let folder = tempfile::tempdir().unwrap();
        let (valve, kept) = (Valve::default(), MemorySink::default());
        let mut game = Game::new(settings(folder.path(), 1 << 30), kind, vec![slow(&valve, &kept)]);
        assert!(game.play(3000, TIMEOUT), "{kind:?}: draining goes on");
        wait_until("a backlog", || game.paces()[0].backlog_bytes > 1 << 20);
        let report = &game.reports()[0];
        assert_eq!((report.exported, report.dropped), (0, 0), "{kind:?}");
        assert_eq!(game.buffers.stats().dropped, 0, "{kind:?}");
        assert!(game.paces()[0].lag > Duration::ZERO);
        valve.open();
        // While it is read back, more comes.
        assert!(game.play(1000, TIMEOUT));
        let reports = game.close();
        assert_eq!(reports[0].dropped, 0, "{kind:?}");
        assert_eq!(reports[0].recorded, reports[0].exported);
        assert_in_order(&kept, &reports[0]);
        assert_empty(folder.path());
    }
}

#[test]
fn a_slow_sink_neither_slows_a_fast_one_nor_costs_it_rows() {
    let folder = tempfile::tempdir().unwrap();
    let valves = [Valve::default(), Valve::default()];
    let kept = [MemorySink::default(), MemorySink::default(), MemorySink::default()];
    let sinks: Vec<Box<dyn Sink>> = vec![
        slow(&valves[0], &kept[0]),
        Box::new(kept[1].clone()),
        slow(&valves[1], &kept[2]),
    ];
    let mut game = Game::new(settings(folder.path(), 1 << 30), BufferKind::Ring, sinks);
    assert!(game.play(2000, TIMEOUT));
    // All but the open episodes.
    let open = PLAYERS as u64 * u64::from(LENGTH);
    wait_until("the fast sink has everything", || {
        let report = &game.reports()[1];
        report.exported + open >= report.recorded
    });
    let reports = game.reports();
    assert_eq!((reports[0].exported, reports[2].exported), (0, 0));
    let paces = game.paces();
    assert!(paces[0].backlog_bytes > 512 << 10 && paces[1].backlog_bytes == 0);
    // They are equally far behind, and one of them goes on alone.
    valves[0].open();
    wait_until("one has caught up", || game.paces()[0].backlog_bytes == 0);
    assert!(game.paces()[2].backlog_bytes > 512 << 10);
    valves[1].open();
    for (report, kept) in game.close().iter().zip(&kept) {
        assert_eq!((report.dropped, report.exported), (0, report.recorded));
        assert_in_order(kept, report);
    }
    assert_empty(folder.path());
}

#[test]
fn a_flush_waits_for_the_backlog_and_the_journal_shrinks_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let (valve, kept) = (Valve::default(), MemorySink::default());
    let mut game = Game::new(
        settings(folder.path(), 1 << 30),
        BufferKind::Ring,
        vec![slow(&valve, &kept)],
    );
    assert!(game.play(3000, TIMEOUT));
    wait_until("a backlog", || game.paces()[0].backlog_bytes > 1 << 20);
    assert!(!game.exporter.flush(Duration::from_millis(50)));
    assert!(disk_bytes(folder.path()) > 1 << 20);
    valve.open();
    assert!(game.exporter.flush(TIMEOUT));
    let report = &game.reports()[0];
    assert!(report.pending <= PLAYERS as u64 * u64::from(LENGTH), "{report:?}");
    // What the sink has leaves the journal: two segments and the open episodes are left at most.
    wait_until("segments are deleted", || {
        game.exporter.wake();
        disk_bytes(folder.path()) < 256 << 10
    });
    game.close();
    assert_empty(folder.path());
}

#[test]
fn without_a_folder_for_a_journal_the_recording_is_held_up_as_ever() {
    let folder = tempfile::tempdir().unwrap();
    for has_journal in [false, true] {
        let mut settings: ExportSettings = settings(folder.path(), 1 << 30);
        match &mut settings.journal {
            Some(journal) if has_journal => journal.folder = None,
            journal => *journal = None,
        }
        let (valve, kept) = (Valve::default(), MemorySink::default());
        let mut game = Game::new(settings, BufferKind::Ring, vec![slow(&valve, &kept)]);
        assert!(!game.play(5000, Duration::from_millis(200)), "draining stops");
        assert_eq!(game.paces()[0].backlog_bytes, 0);
        (0..200).for_each(|_| game.tick());
        valve.open();
        let reports = game.close();
        assert!(reports[0].dropped > 0 && reports[0].exported > 0);
        assert_in_order(&kept, &reports[0]);
        assert_empty(folder.path());
    }
}
