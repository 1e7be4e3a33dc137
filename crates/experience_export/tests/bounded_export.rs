//! What the exporter holds does not grow, however many players there are and however slow a sink is.

use core::{sync::atomic::AtomicU32, time::Duration};
use experience_buffer::{BufferSettings, PlayerBuffers, TransitionBuffer, Writer};
use experience_core::{
    account::{Counters, RunReport},
    schema::{Column, Schema},
    transition::{Episode, Outcome, RunId, StepHeader, StepKind},
};
use experience_export::{ExportSettings, Exporter, RecordingExport, RecordingInfo, Sink, SinkError};
use std::{
    borrow::Cow,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Instant, SystemTime},
};

const TIMEOUT: Duration = Duration::from_secs(60);
const PLAYERS: usize = 64;
const CAPACITY: usize = 256;
const LENGTH: u32 = 15;
/// Rows that the exporter takes from one buffer before it looks whether that is enough.
const TURN: usize = CAPACITY;

/// Opens when told to, takes its time, and remembers the largest heap of rows that it was handed.
struct SlowSink {
    opens: Arc<Barrier>,
    nap: Duration,
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
        thread::sleep(self.nap);
        Ok(())
    }

    fn flush(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }

    fn close(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }
}

/// A player who lives one short life after another.
struct Player {
    agent_id: i64,
    writer: Writer,
    buffer: Arc<dyn TransitionBuffer>,
    pushed: Arc<AtomicU32>,
    row: Vec<u64>,
    step: u32,
}

impl Player {
    /// One more row; whether it was a transition.
    fn push(&mut self, episodes: &AtomicU32) -> bool {
        let begins = self.step == 0;
        let header = StepHeader::of_mut(&mut self.row);
        header.agent_id = self.agent_id;
        if begins {
            header.set_kind(StepKind::Begin);
            header.episode = episodes.fetch_add(1, Ordering::Relaxed);
        } else {
            header.set_kind(StepKind::Transition);
            header.ordinal += 1;
        }
        let ends = self.step == LENGTH;
        header.set_outcome(ends.then_some(Outcome::Terminated), u16::from(ends));
        self.pushed.store(header.ordinal, Ordering::Release);
        self.step = if ends { 0 } else { self.step + 1 };
        self.writer.push(&self.row).unwrap();
        !begins
    }
}

struct Run {
    most: usize,
    report: RunReport,
}

/// Every player pushes so many rows, all taking turns, and nobody waits for the exporter.
fn run(settings: &ExportSettings, nap: Duration, rows: usize) -> Run {
    let schema = Schema::new("bounded")
        .with_observation([Column::feature("x")])
        .into_shared();
    let words = schema.layout().row_words();
    let players = BufferSettings {
        capacity: CAPACITY,
        ..BufferSettings::default()
    };
    let players = Arc::new(PlayerBuffers::new(players, words).unwrap());
    let counters = Arc::<Counters>::default();
    let episodes = Arc::<AtomicU32>::default();
    let most = Arc::<AtomicUsize>::default();
    let opens = Arc::new(Barrier::new(2));
    let recording = RecordingExport {
        info: RecordingInfo {
            schema,
            run: RunId::from_bits(1),
            tick_rate: None,
            started: SystemTime::now(),
            buffers: None,
        },
        counters: counters.clone(),
        reasons: Arc::default(),
        episodes: episodes.clone(),
        discarded: Arc::default(),
        players: players.clone(),
        sinks: vec![Box::new(SlowSink {
            opens: opens.clone(),
            nap,
            most: most.clone(),
        })],
    };
    let mut all: Vec<_> = (0..)
        .take(PLAYERS)
        .map(|agent_id| {
            let (writer, buffer) = players.open(agent_id).unwrap();
            Player {
                agent_id,
                writer,
                buffer,
                pushed: Arc::default(),
                row: vec![0; words],
                step: 0,
            }
        })
        .collect();
    // All that fits is there, and handed over, before the sink opens: the first pass finds every buffer full.
    let fill = |all: &mut Vec<Player>, rows: usize| {
        for _ in 0..rows {
            for player in &mut *all {
                counters.recorded.add(u64::from(player.push(&episodes)));
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
        panic!("one sink has one account");
    };
    Run {
        most: most.load(Ordering::Relaxed),
        report: report.clone(),
    }
}

#[test]
fn many_players_are_handed_over_a_batch_at_a_time() {
    let settings = ExportSettings {
        batch: 100,
        flush_interval: TIMEOUT,
        ..ExportSettings::default()
    };
    let run = run(&settings, Duration::ZERO, CAPACITY);
    assert!(
        run.most < settings.batch + TURN,
        "{} transitions at once, of {} that waited",
        run.most,
        run.report.recorded
    );
    assert_eq!(run.report.exported, run.report.recorded);
}

#[test]
fn wide_rows_are_handed_over_by_their_bytes() {
    let settings = ExportSettings {
        batch: usize::MAX,
        batch_bytes: 10_000,
        flush_interval: TIMEOUT,
        ..ExportSettings::default()
    };
    let run = run(&settings, Duration::ZERO, CAPACITY);
    assert!(
        run.most < settings.batch_bytes / 64 + TURN,
        "{} transitions at once",
        run.most
    );
    assert_eq!(run.report.exported, run.report.recorded);
}

#[test]
fn a_slow_sink_costs_rows_and_no_memory() {
    let settings = ExportSettings {
        batch: 100,
        queue_bytes: 100_000,
        flush_interval: Duration::from_millis(1),
        ..ExportSettings::default()
    };
    let start = Instant::now();
    let run = run(&settings, Duration::from_millis(5), 100 * CAPACITY);
    assert!(run.most < settings.batch + TURN, "{} transitions at once", run.most);
    let RunReport {
        recorded,
        exported,
        dropped,
        pending,
        ..
    } = run.report;
    assert!(
        dropped > 0,
        "it kept up in {:?}: the test says nothing",
        start.elapsed()
    );
    assert_eq!((exported + dropped, pending), (recorded, 0));
}
