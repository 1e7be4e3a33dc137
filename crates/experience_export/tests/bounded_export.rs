//! Bounded memory of the exporter: batch sizes with many players, wide rows and a slow sink.

#[path = "support/harness.rs"]
#[expect(dead_code, reason = "other tests use the rest of the harness")]
mod harness;

use core::{sync::atomic::AtomicU32, time::Duration};
use experience_buffer::{BufferSettings, PlayerBuffers};
use experience_core::{
    account::{Counters, RunReport},
    schema::{Column, Schema},
    transition::Episode,
};
use experience_export::{ExportSettings, Exporter, RecordingInfo, Sink, SinkError};
use harness::{Player, TIMEOUT, recording};
use std::{
    borrow::Cow,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

const PLAYERS: usize = 64;
const CAPACITY: usize = 256;
/// Maximum rows that the exporter drains from one buffer before it checks the size of the batch.
const TURN: usize = CAPACITY;

/// A sink that opens at a barrier, sleeps in each write, and records the largest number of transitions of a write.
struct SlowSink {
    opens: Arc<Barrier>,
    delay: Duration,
    most: Arc<AtomicUsize>,
}

impl Sink for SlowSink {
    fn describe(&self) -> Cow<'_, str> {
        "slow".into()
    }

    fn open(&mut self, _: &RecordingInfo) -> Result<(), SinkError> {
        self.opens.wait();
        Ok(())
    }

    fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
        let transitions = episodes.iter().map(Episode::len).sum();
        self.most.fetch_max(transitions, Ordering::Relaxed);
        thread::sleep(self.delay);
        Ok(())
    }

    fn flush(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }

    fn close(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }
}

struct Run {
    most: usize,
    report: RunReport,
}

/// Every player pushes `rows` rows, one of each player in turn, without waiting for the exporter.
fn run(settings: &ExportSettings, delay: Duration, rows: usize) -> Run {
    let schema = Schema::new("bounded")
        .with_observation([Column::feature("x")])
        .into_shared();
    let layout = schema.layout().clone();
    let players = BufferSettings {
        capacity: CAPACITY,
        ..BufferSettings::default()
    };
    let players = Arc::new(PlayerBuffers::new(players, layout.row_words()).unwrap());
    let counters = Arc::<Counters>::default();
    let episodes = Arc::<AtomicU32>::default();
    let most = Arc::<AtomicUsize>::default();
    let opens = Arc::new(Barrier::new(2));
    let sink = SlowSink {
        opens: opens.clone(),
        delay,
        most: most.clone(),
    };
    let recording = recording(
        schema,
        counters.clone(),
        episodes.clone(),
        players.clone(),
        vec![Box::new(sink)],
    );
    let mut all: Vec<_> = (0..)
        .take(PLAYERS)
        .map(|agent_id| Player::open(&players, agent_id, layout.row_words()))
        .collect();
    // Every buffer is full and attached before the sink opens, so the exporter's first pass drains full buffers.
    let fill = |all: &mut Vec<Player>, rows: usize| {
        for _ in 0..rows {
            for player in &mut *all {
                counters
                    .recorded
                    .add(u64::from(player.push(&episodes, layout.observation().start / 4)));
            }
        }
    };
    fill(&mut all, CAPACITY);
    let mut exporter = Exporter::spawn(settings.clone(), vec![recording]).unwrap();
    for player in &all {
        exporter.attach(0, player.agent_id, player.buffer.clone(), player.pushed.clone());
    }
    opens.wait();
    fill(&mut all, rows.saturating_sub(CAPACITY));
    for player in &all {
        player.buffer.close();
    }
    assert!(exporter.close(TIMEOUT));
    let [report] = &exporter.reports(0)[..] else {
        panic!("one report per sink");
    };
    Run {
        most: most.load(Ordering::Relaxed),
        report: report.clone(),
    }
}

#[test]
fn rows_of_many_players_are_written_in_batches_of_bounded_size() {
    let settings = ExportSettings {
        batch: 100,
        flush_interval: TIMEOUT,
        ..ExportSettings::default()
    };
    let run = run(&settings, Duration::ZERO, CAPACITY);
    assert!(
        run.most < settings.batch + TURN,
        "{} transitions in one write, of {} in the buffers",
        run.most,
        run.report.recorded
    );
    assert_eq!(run.report.exported, run.report.recorded);
}

#[test]
fn batches_of_wide_rows_are_bounded_in_bytes() {
    let settings = ExportSettings {
        batch: usize::MAX,
        batch_bytes: 10_000,
        flush_interval: TIMEOUT,
        ..ExportSettings::default()
    };
    let run = run(&settings, Duration::ZERO, CAPACITY);
    assert!(
        run.most < settings.batch_bytes / 64 + TURN,
        "{} transitions in one write",
        run.most
    );
    assert_eq!(run.report.exported, run.report.recorded);
}

#[test]
fn a_slow_sink_drops_rows_instead_of_growing_the_batches() {
    let settings = ExportSettings {
        batch: 100,
        queue_bytes: 100_000,
        flush_interval: Duration::from_millis(1),
        ..ExportSettings::default()
    };
    let start = Instant::now();
    let run = run(&settings, Duration::from_millis(5), 100 * CAPACITY);
    assert!(
        run.most < settings.batch + TURN,
        "{} transitions in one write",
        run.most
    );
    let RunReport {
        recorded,
        exported,
        dropped,
        pending,
        ..
    } = run.report;
    assert!(dropped > 0, "the sink was not slow: {:?}", start.elapsed());
    assert_eq!((exported + dropped, pending), (recorded, 0));
}
