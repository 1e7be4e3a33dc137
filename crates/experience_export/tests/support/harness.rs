//! Test harness of the exporter: players that push rows, and a sink whose writes can be blocked.

use core::{sync::atomic::AtomicU32, time::Duration};
use experience_buffer::{BufferKind, BufferSettings, PlayerBuffers, TransitionBuffer, Writer};
use experience_core::{
    account::{Counters, RunReport},
    schema::{Column, Schema},
    transition::{Episode, Outcome, RunId, StepHeader, StepKind, Transition, WordTable},
};
use experience_export::{
    ExportSettings, Exporter, MemorySink, Notice, RecordingExport, RecordingInfo, RetrySettings, RunLabel, Sink,
    SinkError, SinkFailure, SinkPace,
    journal::{Fsync, JournalSettings},
};
use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, atomic::Ordering},
    time::{Instant, SystemTime},
};

pub const TIMEOUT: Duration = Duration::from_secs(60);
pub const PLAYERS: usize = 4;
/// Transitions of an episode.
pub const LENGTH: u32 = 15;
/// Default number of values of an observation.
const WIDTH: usize = 16;

/// What controls all players.
const CONTROLLER: &str = "script:walker";

/// The words of the recording, and the code of [`CONTROLLER`].
fn words() -> (Arc<WordTable>, u16) {
    let words = Arc::<WordTable>::default();
    let code = words.controller_code(|label| label == CONTROLLER, || CONTROLLER.to_owned());
    (words, code.unwrap())
}

/// Blocks the writes of a sink until it is opened.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let open = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(open, |open| !*open).unwrap());
    }
}

/// A sink whose writes wait for a gate.
pub struct GatedSink<S> {
    pub gate: Gate,
    pub inner: S,
}

impl<S: Sink> Sink for GatedSink<S> {
    fn describe(&self) -> Cow<'_, str> {
        "gated".into()
    }
    fn open(&mut self, recording: &RecordingInfo) -> Result<(), SinkError> {
        self.inner.open(recording)
    }
    fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
        self.gate.wait();
        self.inner.write(episodes)
    }
    fn flush(&mut self, report: &RunReport) -> Result<(), SinkError> {
        self.inner.flush(report)
    }
    fn durable(&self, taken: u64) -> u64 {
        self.inner.durable(taken)
    }
    fn journal_folder(&self) -> Option<PathBuf> {
        self.inner.journal_folder()
    }
    fn run_label(&self) -> RunLabel {
        self.inner.run_label()
    }
    fn close(&mut self, report: &RunReport) -> Result<(), SinkError> {
        self.inner.close(report)
    }
}

/// A player whose episodes have [`LENGTH`] transitions, one after another.
pub struct Player {
    pub agent_id: i64,
    pub buffer: Arc<dyn TransitionBuffer>,
    pub pushed: Arc<AtomicU32>,
    writer: Writer,
    row: Vec<u64>,
    controller: u16,
    step: u32,
    /// Number of the next row, the first value of its observation.
    number: u32,
}

impl Player {
    /// Opens the buffer of a player.
    pub fn open(players: &PlayerBuffers, agent_id: i64, row_words: usize) -> Self {
        let (writer, buffer) = players.open(agent_id).unwrap();
        Self {
            agent_id,
            buffer,
            pushed: Arc::default(),
            writer,
            row: vec![0; row_words],
            controller: words().1,
            step: 0,
            number: 0,
        }
    }

    /// Pushes a row, whose observation begins at the `f32` of index `observation`. Returns whether it was a transition.
    pub fn push(&mut self, episodes: &AtomicU32, observation: usize) -> bool {
        let begins = self.step == 0;
        let header = StepHeader::of_mut(&mut self.row);
        header.agent_id = self.agent_id;
        if begins {
            header.set_kind(StepKind::Begin);
            header.set_continues(None);
            header.episode = episodes.fetch_add(1, Ordering::Relaxed);
        } else {
            header.set_kind(StepKind::Transition);
            header.set_controller(self.controller);
            header.ordinal += 1;
        }
        let ends = self.step == LENGTH;
        header.set_outcome(ends.then_some(Outcome::Terminated), u16::from(ends));
        self.pushed.store(header.ordinal, Ordering::Release);
        bytemuck::cast_slice_mut::<_, f32>(&mut self.row)[observation] = self.number as f32;
        self.number += 1;
        self.step = if ends { 0 } else { self.step + 1 };
        self.writer.push(&self.row).unwrap();
        !begins
    }
}

/// A recording of `schema` for an exporter.
pub fn recording(
    schema: Arc<Schema>,
    counters: Arc<Counters>,
    episodes: Arc<AtomicU32>,
    players: Arc<PlayerBuffers>,
    sinks: Vec<Box<dyn Sink>>,
) -> RecordingExport {
    RecordingExport {
        info: RecordingInfo {
            schema,
            run: RunId::from_bits(7),
            tick_rate: None,
            started: SystemTime::now(),
            buffers: None,
        },
        counters,
        words: words().0,
        episodes,
        discarded: Arc::default(),
        players,
        sinks,
    }
}

/// One recording of [`PLAYERS`] players, and its exporter.
pub struct ExportHarness {
    pub exporter: Exporter,
    pub buffers: Arc<PlayerBuffers>,
    players: Vec<Player>,
    counters: Arc<Counters>,
    episodes: Arc<AtomicU32>,
    observation: usize,
    pub row_bytes: usize,
}

/// Settings with small batches, a queue of one batch, and patience with slow sinks.
pub fn settings(folder: &Path, backlog_bytes: u64) -> ExportSettings {
    ExportSettings {
        flush_interval: Duration::from_millis(20),
        batch: 256,
        queue_bytes: 1,
        patience: TIMEOUT,
        retry: RetrySettings::default(),
        journal: Some(JournalSettings {
            flush_interval: Duration::from_millis(20),
            segment_bytes: 64 << 10,
            fsync: Fsync::Never,
            backlog_bytes,
            folder: Some(folder.to_owned()),
            ..JournalSettings::default()
        }),
        ..ExportSettings::default()
    }
}

impl ExportHarness {
    pub fn new(settings: ExportSettings, kind: BufferKind, sinks: Vec<Box<dyn Sink>>) -> Self {
        Self::of_width(WIDTH, settings, kind, sinks)
    }

    /// Returns once the journal exists, because batches that are dispatched before stay in memory.
    pub fn of_width(width: usize, settings: ExportSettings, kind: BufferKind, sinks: Vec<Box<dyn Sink>>) -> Self {
        let schema = Schema::new("player")
            .with_observation((0..width).map(|column| Column::feature(format!("x{column}"))))
            .into_shared();
        let layout = schema.layout().clone();
        let buffer_settings = BufferSettings {
            kind,
            capacity: 64,
            ..BufferSettings::default()
        };
        let buffers = Arc::new(PlayerBuffers::new(buffer_settings, layout.row_words()).unwrap());
        let counters = Arc::<Counters>::default();
        let episodes = Arc::<AtomicU32>::default();
        let folder = settings.journal.as_ref().and_then(|journal| journal.folder.clone());
        let exporter = Exporter::spawn(
            settings,
            vec![recording(
                schema,
                counters.clone(),
                episodes.clone(),
                buffers.clone(),
                sinks,
            )],
        )
        .unwrap();
        if let Some(folder) = folder.filter(|folder| folder.is_dir()) {
            wait_until("the journal exists", || folder.join("journal").is_dir());
        }
        let players = (0..).take(PLAYERS).map(|agent_id| {
            let player = Player::open(&buffers, agent_id, layout.row_words());
            exporter.attach(0, agent_id, player.buffer.clone(), player.pushed.clone());
            player
        });
        Self {
            players: players.collect(),
            exporter,
            counters,
            episodes,
            observation: layout.observation().start / 4,
            row_bytes: layout.row_bytes(),
            buffers,
        }
    }

    /// Pushes one row of each player, without waiting for the exporter.
    pub fn tick(&mut self) {
        for player in &mut self.players {
            // Counted before the exporter can drain it.
            self.counters.recorded.add(u64::from(player.step != 0));
            player.push(&self.episodes, self.observation);
        }
    }

    /// Ticks whenever no buffer is full. Returns false if the exporter frees no row within `patience`.
    pub fn play(&mut self, ticks: usize, patience: Duration) -> bool {
        for tick in 0..ticks {
            let players = &self.players;
            let is_free = || players.iter().all(|player| !player.buffer.is_full());
            if !self.exporter.wait_for_room(Instant::now() + patience, is_free) {
                return false;
            }
            self.tick();
            if tick % 64 == 0 {
                self.reports();
            }
        }
        true
    }

    /// The reports of all sinks. Asserts that they add up, as they do at any moment.
    pub fn reports(&self) -> Vec<RunReport> {
        let reports = self.exporter.reports(0);
        for report in &reports {
            assert_eq!(
                report.recorded,
                report.exported + report.dropped + report.discarded + report.pending,
                "{report:?}"
            );
        }
        reports
    }

    pub fn paces(&self) -> Vec<SinkPace> {
        self.exporter.paces(0).collect()
    }

    pub fn failures(&self) -> Vec<SinkFailure> {
        let notices = std::iter::from_fn(|| self.exporter.take_notice());
        notices
            .filter_map(|notice| match notice {
                Notice::SinkFailed { consequence, .. } => Some(consequence),
                _ => None,
            })
            .collect()
    }

    /// Closes the buffers and the exporter, and returns the final reports.
    pub fn close(mut self) -> Vec<RunReport> {
        for player in &self.players {
            player.buffer.close();
        }
        assert!(self.exporter.close(TIMEOUT));
        let reports = self.reports();
        assert!(reports.iter().all(|report| report.pending == 0), "{reports:?}");
        reports
    }
}

/// Waits until `done`.
#[track_caller]
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < TIMEOUT, "timeout: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Asserts that the sink holds the transitions of `report`, each agent's rows in the order in which they were pushed.
#[track_caller]
pub fn assert_in_order(sink: &MemorySink, report: &RunReport) {
    let episodes = sink.episodes();
    let transitions: usize = episodes.iter().map(Episode::len).sum();
    assert_eq!(transitions as u64, report.exported);
    let mut controllers = episodes
        .iter()
        .flat_map(Episode::transitions)
        .map(Transition::controller);
    assert!(controllers.all(|controller| controller == Some(CONTROLLER)));
    for agent in 0..PLAYERS as i64 {
        let own = episodes.iter().filter(|episode| episode.info().agent_id == agent);
        let numbers: Vec<_> = own
            .flat_map(|episode| (0..=episode.len()).map(|row| episode.row(row).observation()[0]))
            .collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "agent {agent}");
        if report.dropped == 0 {
            assert!(numbers.windows(2).all(|pair| pair[0] + 1.0 == pair[1]), "agent {agent}");
        }
    }
}

/// Bytes of all files below `folder`.
pub fn disk_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let entries = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    entries.sum()
}

#[track_caller]
pub fn assert_empty(folder: &Path) {
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "a close deletes all files");
}
