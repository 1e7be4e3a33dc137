//! Memory while hundreds of mebibytes are in the backlog of a sink.

#[path = "backlog/game.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod game;
#[path = "../../../tests/support/memory_held.rs"]
mod memory_held;

use experience_buffer::BufferKind;
use experience_core::{account::RunReport, transition::Episode};
use experience_export::{RecordingInfo, Sink, SinkError};
use game::{Game, SlowSink, TIMEOUT, Valve, settings, wait_until};
use memory_held::memory_held;
use std::borrow::Cow;

/// Keeps nothing.
struct Discard;

impl Sink for Discard {
    fn describe(&self) -> Cow<'_, str> {
        "discard".into()
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
fn hundreds_of_mebibytes_in_the_backlog_take_a_few_of_memory() {
    let folder = tempfile::tempdir().unwrap();
    let valve = Valve::default();
    let sink = SlowSink {
        valve: valve.clone(),
        inner: Discard,
    };
    // Rows of 4 KiB.
    let settings = settings(folder.path(), 1 << 30);
    let mut game = Game::of_width(1024, settings, BufferKind::Ring, vec![Box::new(sink)]);
    let mut backlog_of = |mebibytes: u64| {
        while game.paces()[0].backlog_bytes < mebibytes << 20 {
            assert!(game.play(256, TIMEOUT));
        }
        memory_held()
    };
    let before = backlog_of(16);
    let after = backlog_of(300);
    let grown = after.saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes more");
    valve.open();
    // Reading it back takes no more than the queue and a batch.
    let mut most = 0;
    wait_until("the backlog is read back", || {
        most = most.max(memory_held());
        game.paces()[0].backlog_bytes == 0
    });
    let grown = most.saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more");
    let reports = game.close();
    assert_eq!((reports[0].dropped, reports[0].exported), (0, reports[0].recorded));
}
