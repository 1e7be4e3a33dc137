//! Memory use while the backlog of a sink grows to hundreds of mebibytes on disk, and while it is read back.

#[path = "support/harness.rs"]
#[expect(dead_code, reason = "other tests use the rest of the harness")]
mod harness;
#[path = "../../../tests/support/memory_held.rs"]
mod memory_held;

use experience_buffer::BufferKind;
use experience_core::{account::RunReport, transition::Episode};
use experience_export::{RecordingInfo, Sink, SinkError};
use harness::{ExportHarness, Gate, GatedSink, TIMEOUT, settings, wait_until};
use memory_held::memory_held;
use std::borrow::Cow;

/// A sink that drops every episode.
struct NullSink;

impl Sink for NullSink {
    fn describe(&self) -> Cow<'_, str> {
        "null".into()
    }
    fn open(&mut self, _: &RecordingInfo) -> Result<(), SinkError> {
        Ok(())
    }
    fn write(&mut self, _: &[Episode]) -> Result<(), SinkError> {
        Ok(())
    }
    fn flush(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }
    fn close(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }
}

#[test]
fn memory_does_not_grow_with_the_backlog() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let sink = GatedSink {
        gate: gate.clone(),
        inner: NullSink,
    };
    // Rows of 4 KiB.
    let settings = settings(folder.path(), 1 << 30);
    let mut harness = ExportHarness::of_width(1024, settings, BufferKind::Ring, vec![Box::new(sink)]);
    let mut backlog_of = |mebibytes: u64| {
        while harness.paces()[0].backlog_bytes < mebibytes << 20 {
            assert!(harness.play(256, TIMEOUT));
        }
        memory_held()
    };
    let before = backlog_of(16);
    let after = backlog_of(300);
    let grown = after.saturating_sub(before);
    assert!(grown < 4 << 20, "grew by {grown} bytes");
    gate.open();
    // Reading the backlog back holds the queue and one batch in memory.
    let mut most = 0;
    wait_until("the backlog is read back", || {
        most = most.max(memory_held());
        harness.paces()[0].backlog_bytes == 0
    });
    let grown = most.saturating_sub(before);
    assert!(grown < 16 << 20, "grew by {grown} bytes");
    let reports = harness.close();
    assert_eq!((reports[0].dropped, reports[0].exported), (0, reports[0].recorded));
}
