//! Players without an engine: rows through buffers and the exporter to the sinks of one recording.

use experience_buffer::{BufferSettings, PlayerBuffers};
use experience_core::{
    account::{Counters, RunReport},
    schema::{Column, DType, Schema, Space},
    transition::{EndReason, Outcome, RunId, StepHeader, StepKind, WordTable},
};
use experience_export::{ExportSettings, Exporter, RecordingExport, RecordingInfo, Sink};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

pub const NAME: &str = "fighter";
const PLAYERS: i64 = 4;

pub fn schema() -> Arc<Schema> {
    let deed = Column::scalar(
        "deed",
        DType::U8,
        Space::Discrete {
            n: 3,
            labels: Vec::new(),
        },
    );
    Schema::new(NAME)
        .with_observation([Column::feature("x"), Column::feature("y")])
        .with_action([deed])
        .with_action_mask(3)
        .with_info([Column::feature("behavior_logp")])
        .with_reward_terms(["coin"])
        .into_shared()
}

struct Player {
    agent_id: i64,
    writer: Box<dyn FnMut(&[u64])>,
    pushed: Arc<AtomicU32>,
    ordinal: u32,
    /// The open episode and its number of transitions.
    open: Option<(u32, u32)>,
}

pub struct Game {
    pub schema: Arc<Schema>,
    exporter: Exporter,
    counters: Arc<Counters>,
    words: Arc<WordTable>,
    episodes: Arc<AtomicU32>,
    players: Vec<Player>,
    random: u32,
    tick: i64,
}

impl Game {
    pub fn new(sinks: Vec<Box<dyn Sink>>) -> Self {
        Self::with_run(sinks, RunId::from_bits(1))
    }

    pub fn with_run(mut sinks: Vec<Box<dyn Sink>>, run: RunId) -> Self {
        let schema = schema();
        for sink in &mut sinks {
            sink.check(&schema).unwrap();
        }
        let settings = BufferSettings {
            capacity: 4096,
            ..BufferSettings::default()
        };
        let buffers = Arc::new(PlayerBuffers::new(settings, schema.layout().row_words()).unwrap());
        let recording = RecordingExport {
            info: RecordingInfo {
                schema: schema.clone(),
                run,
                tick_rate: Some(60.0),
                started: SystemTime::now(),
                buffers: None,
            },
            counters: Arc::default(),
            words: Arc::default(),
            episodes: Arc::default(),
            discarded: Arc::default(),
            players: buffers.clone(),
            sinks,
        };
        let (counters, words, episodes) = (
            recording.counters.clone(),
            recording.words.clone(),
            recording.episodes.clone(),
        );
        let settings = ExportSettings {
            flush_interval: Duration::from_millis(20),
            ..ExportSettings::default()
        };
        let exporter = Exporter::spawn(settings, vec![recording]).unwrap();
        let players = (0..PLAYERS).map(|agent_id| {
            let (mut writer, buffer) = buffers.open(agent_id).unwrap();
            let pushed = Arc::<AtomicU32>::default();
            exporter.attach(0, agent_id, buffer, pushed.clone());
            Player {
                agent_id,
                writer: Box::new(move |row| writer.push(row).unwrap()),
                pushed,
                ordinal: 0,
                open: None,
            }
        });
        let players = players.collect();
        Self {
            schema,
            exporter,
            counters,
            words,
            episodes,
            players,
            random: 7,
            tick: 0,
        }
    }

    fn random(&mut self) -> u32 {
        // Knuth's linear congruential generator, of which the high bits are random.
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.random >> 8
    }

    /// Plays ticks, with a transition of each player in most of them.
    pub fn play(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.tick += 1;
            for index in 0..self.players.len() {
                self.step(index);
            }
            self.exporter.wake();
            if self.tick % 512 == 0 {
                self.flush();
            }
        }
    }

    /// Waits until the sinks have everything that has ended.
    pub fn flush(&self) {
        assert!(self.exporter.flush(Duration::from_secs(20)));
    }

    fn step(&mut self, index: usize) {
        let chance = self.random() % 100;
        match self.players[index].open {
            None => {
                let episode = self.episodes.fetch_add(1, Ordering::Relaxed);
                self.players[index].open = Some((episode, 0));
                self.push(index, StepKind::Begin, None);
            }
            // An end between two ticks, whose reward and flags belong to the last transition.
            Some((_, length)) if length > 0 && chance < 2 => {
                self.push(index, StepKind::End, Some((Outcome::Truncated, EndReason::TIME_LIMIT)));
                self.players[index].open = None;
            }
            Some((_, length)) if length > 0 && chance < 3 => {
                self.push(index, StepKind::Discard, None);
                self.players[index].open = None;
            }
            Some((episode, length)) => {
                let end = (chance < 8).then_some((Outcome::Terminated, EndReason::DEATH));
                let is_end = end.is_some();
                self.push(index, StepKind::Transition, end);
                self.players[index].open = (!is_end).then_some((episode, length + 1));
            }
        }
    }

    fn push(&mut self, index: usize, kind: StepKind, end: Option<(Outcome, EndReason)>) {
        let schema = self.schema.clone();
        let layout = schema.layout();
        let mut row = vec![0_u64; layout.row_words()];
        let controller = match self.tick % 40 {
            0..20 => "script:bot",
            20..30 => "policy:a@b@3",
            _ => "policy:a@b@21",
        };
        let code = self
            .words
            .controller_code(|known| known == controller, || controller.to_owned());
        let (value, deed) = (self.random() as f32, (self.random() % 3) as u8);
        let player = &mut self.players[index];
        if kind == StepKind::Transition {
            player.ordinal += 1;
            self.counters.recorded.add(1);
            player.pushed.store(player.ordinal, Ordering::Release);
        }
        let header = StepHeader::of_mut(&mut row);
        *header = StepHeader::new(kind);
        (header.tick, header.ticks, header.agent_id) = (self.tick, 1, player.agent_id);
        header.timestamp = self.tick as f64 / 60.0;
        header.reward = f64::from(value % 7.0);
        header.episode = player.open.unwrap().0;
        header.ordinal = player.ordinal;
        header.set_match_id((player.agent_id % 2 == 0).then_some(player.agent_id / 2));
        if kind == StepKind::Transition {
            header.set_controller(code.unwrap());
        }
        let (outcome, reason) = end.map_or((None, 0), |(outcome, reason)| {
            (Some(outcome), self.words.reason_code(&reason))
        });
        header.set_outcome(outcome, reason);
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut row);
        bytes[layout.observation()].copy_from_slice(bytemuck::bytes_of(&[value, player.ordinal as f32]));
        bytes[layout.action_offsets()[0]] = deed;
        bytes[layout.mask().start] = 1 << deed;
        let reward = (value % 7.0).to_ne_bytes();
        bytes[layout.reward_terms()].copy_from_slice(&reward);
        (player.writer)(&row);
    }

    /// The account of each sink.
    pub fn reports(&self) -> Vec<RunReport> {
        self.exporter.reports(0)
    }

    /// Closes the recording. Every account is closed.
    pub fn close(mut self) -> Vec<RunReport> {
        assert!(self.exporter.close(Duration::from_secs(20)));
        let reports = self.exporter.reports(0);
        for report in &reports {
            assert_eq!(report.pending, 0, "{report:?}");
            assert_eq!(
                report.recorded,
                report.exported + report.dropped + report.discarded,
                "{report:?}"
            );
        }
        reports
    }
}
