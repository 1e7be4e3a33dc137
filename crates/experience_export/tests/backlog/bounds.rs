//! Limits of the backlog: its bytes, the patience with a stalled sink, and the cost of a tick.

use crate::harness::{
    ExportHarness, Gate, GatedSink, TIMEOUT, assert_empty, assert_in_order, disk_bytes, settings, wait_until,
};
use core::time::Duration;
use experience_buffer::BufferKind;
use experience_export::{MemorySink, SinkFailure};

const LIMIT: u64 = 512 << 10;

#[test]
fn a_backlog_at_its_limit_stops_draining_and_the_buffers_overflow() {
    let folder = tempfile::tempdir().unwrap();
    let (gate, written) = (Gate::default(), MemorySink::default());
    let sink = GatedSink {
        gate: gate.clone(),
        inner: written.clone(),
    };
    let mut harness = ExportHarness::new(settings(folder.path(), LIMIT), BufferKind::Ring, vec![Box::new(sink)]);
    assert!(!harness.play(20_000, Duration::from_millis(500)), "draining stops");
    let backlog = harness.paces()[0].backlog_bytes;
    // One batch may exceed the limit: its transitions and one turn of a buffer, with first rows and extents.
    let batch = (256 + 64) * harness.row_bytes as u64 * 2;
    assert!(backlog > LIMIT && backlog <= LIMIT + batch, "{backlog}");
    let on_disk = disk_bytes(folder.path());
    assert!(on_disk <= 2 * (LIMIT + batch), "{on_disk}");
    let before = harness.reports()[0].clone();
    assert_eq!((before.exported, before.dropped), (0, 0));
    (0..500).for_each(|_| harness.tick());
    assert!(harness.buffers.stats().dropped > 0);
    assert_eq!(harness.paces()[0].backlog_bytes, backlog);
    assert_eq!(harness.failures(), [], "a sink within its patience has not failed");
    gate.open();
    let reports = harness.close();
    assert!(reports[0].dropped > 0 && reports[0].exported >= before.recorded - 2 * 64 * 4);
    assert_in_order(&written, &reports[0]);
    assert_empty(folder.path());
}

#[test]
fn a_sink_is_stalled_once_its_backlog_exceeds_the_limit_for_longer_than_the_patience() {
    let folder = tempfile::tempdir().unwrap();
    let (gate, slow, fast) = (Gate::default(), MemorySink::default(), MemorySink::default());
    let sink = GatedSink {
        gate: gate.clone(),
        inner: slow.clone(),
    };
    let mut settings = settings(folder.path(), LIMIT);
    settings.patience = Duration::from_millis(300);
    let mut harness = ExportHarness::new(settings, BufferKind::Ring, vec![Box::new(sink), Box::new(fast.clone())]);
    // Draining stops for the patience once, and not again.
    assert!(harness.play(6000, TIMEOUT));
    wait_until("transitions are dropped", || harness.reports()[0].dropped > 1000);
    assert_eq!(harness.failures(), [SinkFailure::Stalled]);
    assert!(
        harness.paces()[0].backlog_bytes <= LIMIT,
        "batches beyond the limit are dropped"
    );
    gate.open();
    wait_until("the backlog is read back", || harness.paces()[0].backlog_bytes == 0);
    assert!(harness.play(200, TIMEOUT));
    let reports = harness.close();
    let minimum = (LIMIT / 4) / 192;
    assert!(
        reports[0].exported > minimum,
        "the backlog is not kept: {:?}",
        reports[0]
    );
    assert_in_order(&slow, &reports[0]);
    assert_eq!((reports[1].dropped, reports[1].exported), (0, reports[1].recorded));
    assert_in_order(&fast, &reports[1]);
    assert_empty(folder.path());
}

#[test]
fn a_sink_that_never_returns_keeps_a_bounded_part_of_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let (gate, slow, fast) = (Gate::default(), MemorySink::default(), MemorySink::default());
    let sink = GatedSink {
        gate: gate.clone(),
        inner: slow.clone(),
    };
    let mut settings = settings(folder.path(), LIMIT);
    settings.patience = Duration::from_millis(100);
    let mut harness = ExportHarness::new(settings, BufferKind::Ring, vec![Box::new(sink), Box::new(fast.clone())]);
    let mut largest = 0;
    for _ in 0..20 {
        assert!(harness.play(1000, TIMEOUT));
        largest = largest.max(disk_bytes(folder.path()));
    }
    let recorded = harness.reports()[1].recorded * harness.row_bytes as u64;
    assert!(recorded > 12 * LIMIT, "{recorded}");
    assert!(largest < 6 * LIMIT, "{largest}");
    assert!(harness.reports()[0].dropped > 10_000);
    gate.open();
    let reports = harness.close();
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
fn a_push_writes_nothing_to_disk_while_a_backlog_grows() {
    let folder = tempfile::tempdir().unwrap();
    let (gate, written) = (Gate::default(), MemorySink::default());
    let sink = GatedSink {
        gate: gate.clone(),
        inner: written.clone(),
    };
    let mut harness = ExportHarness::new(settings(folder.path(), 1 << 30), BufferKind::Ring, vec![Box::new(sink)]);
    assert!(harness.play(500, TIMEOUT));
    let before = thread_io();
    let mut ticks: Vec<_> = (0..2000)
        .map(|_| {
            let begun = std::time::Instant::now();
            harness.tick();
            let took = begun.elapsed();
            std::thread::yield_now();
            took
        })
        .collect();
    assert_eq!(thread_io(), before);
    // The median, because single ticks may be preempted. A tick that waits for a disk takes far longer.
    ticks.sort_unstable();
    assert!(
        ticks[ticks.len() / 2] < Duration::from_millis(1),
        "{:?}",
        ticks[ticks.len() / 2]
    );
    wait_until("a backlog", || harness.paces()[0].backlog_bytes > 0);
    gate.open();
    let reports = harness.close();
    assert_in_order(&written, &reports[0]);
}
