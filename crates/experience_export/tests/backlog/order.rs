//! Order and completeness of the backlog, and independence of the sinks.

use crate::harness::{
    ExportHarness, Gate, GatedSink, LENGTH, PLAYERS, TIMEOUT, assert_empty, assert_in_order, disk_bytes, settings,
    wait_until,
};
use core::time::Duration;
use experience_buffer::BufferKind;
use experience_export::{ExportSettings, MemorySink, Sink};

fn slow(gate: &Gate, inner: &MemorySink) -> Box<dyn Sink> {
    Box::new(GatedSink {
        gate: gate.clone(),
        inner: inner.clone(),
    })
}

#[test]
fn a_slow_sink_receives_every_episode_in_order() {
    for kind in [BufferKind::Ring, BufferKind::Queue, BufferKind::Mutex] {
        let folder = tempfile::tempdir().unwrap();
        let (gate, written) = (Gate::default(), MemorySink::default());
        let mut harness = ExportHarness::new(settings(folder.path(), 1 << 30), kind, vec![slow(&gate, &written)]);
        assert!(harness.play(3000, TIMEOUT), "{kind:?}: the exporter drains");
        wait_until("a backlog", || harness.paces()[0].backlog_bytes > 1 << 20);
        let report = &harness.reports()[0];
        assert_eq!((report.exported, report.dropped), (0, 0), "{kind:?}");
        assert_eq!(harness.buffers.stats().dropped, 0, "{kind:?}");
        assert!(harness.paces()[0].lag > Duration::ZERO);
        gate.open();
        // Rows are pushed while the backlog is read back.
        assert!(harness.play(1000, TIMEOUT));
        let reports = harness.close();
        assert_eq!(reports[0].dropped, 0, "{kind:?}");
        assert_eq!(reports[0].recorded, reports[0].exported);
        assert_in_order(&written, &reports[0]);
        assert_empty(folder.path());
    }
}

#[test]
fn a_slow_sink_neither_slows_a_fast_one_nor_costs_it_rows() {
    let folder = tempfile::tempdir().unwrap();
    let gates = [Gate::default(), Gate::default()];
    let written = [MemorySink::default(), MemorySink::default(), MemorySink::default()];
    let sinks: Vec<Box<dyn Sink>> = vec![
        slow(&gates[0], &written[0]),
        Box::new(written[1].clone()),
        slow(&gates[1], &written[2]),
    ];
    let mut harness = ExportHarness::new(settings(folder.path(), 1 << 30), BufferKind::Ring, sinks);
    assert!(harness.play(2000, TIMEOUT));
    // The rows of open episodes are not exported.
    let open = PLAYERS as u64 * u64::from(LENGTH);
    wait_until("the fast sink has every finished episode", || {
        let report = &harness.reports()[1];
        report.exported + open >= report.recorded
    });
    let reports = harness.reports();
    assert_eq!((reports[0].exported, reports[2].exported), (0, 0));
    assert!(harness.paces()[0].backlog_bytes > 512 << 10);
    // A batch is exported before it is removed from the backlog.
    wait_until("the fast sink has no backlog", || harness.paces()[1].backlog_bytes == 0);
    // Both slow sinks have the same backlog, and only one of them is unblocked.
    gates[0].open();
    wait_until("the unblocked sink has no backlog", || {
        harness.paces()[0].backlog_bytes == 0
    });
    assert!(harness.paces()[2].backlog_bytes > 512 << 10);
    gates[1].open();
    for (report, written) in harness.close().iter().zip(&written) {
        assert_eq!((report.dropped, report.exported), (0, report.recorded));
        assert_in_order(written, report);
    }
    assert_empty(folder.path());
}

#[test]
fn a_flush_waits_for_the_backlog_and_the_journal_shrinks_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let (gate, written) = (Gate::default(), MemorySink::default());
    let mut harness = ExportHarness::new(
        settings(folder.path(), 1 << 30),
        BufferKind::Ring,
        vec![slow(&gate, &written)],
    );
    assert!(harness.play(3000, TIMEOUT));
    wait_until("a backlog", || harness.paces()[0].backlog_bytes > 1 << 20);
    assert!(!harness.exporter.flush(Duration::from_millis(50)));
    assert!(disk_bytes(folder.path()) > 1 << 20);
    gate.open();
    assert!(harness.exporter.flush(TIMEOUT));
    let report = &harness.reports()[0];
    assert!(report.pending <= PLAYERS as u64 * u64::from(LENGTH), "{report:?}");
    // At most two segments and the open episodes remain in the journal.
    wait_until("segments are deleted", || {
        harness.exporter.wake();
        disk_bytes(folder.path()) < 256 << 10
    });
    harness.close();
    assert_empty(folder.path());
}

#[test]
fn without_a_journal_folder_a_slow_sink_stops_draining() {
    let folder = tempfile::tempdir().unwrap();
    for has_journal in [false, true] {
        let mut settings: ExportSettings = settings(folder.path(), 1 << 30);
        match &mut settings.journal {
            Some(journal) if has_journal => journal.folder = None,
            journal => *journal = None,
        }
        let (gate, written) = (Gate::default(), MemorySink::default());
        let mut harness = ExportHarness::new(settings, BufferKind::Ring, vec![slow(&gate, &written)]);
        assert!(!harness.play(5000, Duration::from_millis(200)), "draining stops");
        assert_eq!(harness.paces()[0].backlog_bytes, 0);
        (0..200).for_each(|_| harness.tick());
        gate.open();
        let reports = harness.close();
        assert!(reports[0].dropped > 0 && reports[0].exported > 0);
        assert_in_order(&written, &reports[0]);
        assert_empty(folder.path());
    }
}
