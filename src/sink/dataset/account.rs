//! `runs/<run>.json`: what became of everything that a run recorded.

use super::{files, layout, shard::ShardAccount};
use crate::{
    sink::{RecordingInfo, RunReport, SinkError},
    transition::RunId,
};
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// Whether a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// It goes on, or its process died.
    Running,
    /// It ended in order: everything that the dataset took is in its shards.
    Closed,
}

/// What a run recorded, and what became of it. One file for each run, in the recording's `runs` folder.
///
/// While the run goes on the file is brought up to date at every flush; [`shards`](Self::shards) names what readers see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunAccount {
    /// The run, as the `run` column has it.
    pub run: RunId,
    /// The recording's true name.
    pub recording: String,
    /// The schema's hash, 16 hexadecimal digits.
    pub schema_hash: String,
    /// Whether the run is over.
    pub status: RunStatus,
    /// Ticks in a second of game time, where the recording has a fixed tick.
    pub tick_rate: Option<f64>,
    /// The seed of the game's random numbers, where the game told it.
    #[serde(default)]
    pub seed: Option<u64>,
    /// The build of the game, where the game told it.
    #[serde(default)]
    pub build: Option<String>,
    /// What wrote the dataset: `bevy_experience` and its version.
    pub writer: String,
    /// When the run began, in seconds since 1970 (UTC).
    pub started: f64,
    /// When the account was last brought up to date, in seconds since 1970 (UTC).
    pub updated: f64,
    /// When the run ended, in seconds since 1970 (UTC); `None` while [`Running`](RunStatus::Running).
    pub ended: Option<f64>,
    /// The counts, in transitions, and the totals of each agent.
    pub account: RunReport,
    /// The shards that the run has finished.
    pub shards: Vec<ShardAccount>,
}

impl RunAccount {
    pub(super) fn new(recording: &RecordingInfo, seed: Option<u64>, build: Option<String>) -> Self {
        Self {
            run: recording.run,
            recording: recording.schema.name().to_owned(),
            schema_hash: format!("{:016x}", recording.schema.hash()),
            status: RunStatus::Running,
            tick_rate: recording.tick_rate,
            seed,
            build,
            writer: concat!("bevy_experience ", env!("CARGO_PKG_VERSION")).to_owned(),
            started: seconds(recording.started),
            updated: seconds(SystemTime::now()),
            ended: None,
            account: RunReport::default(),
            shards: Vec::new(),
        }
    }

    /// Takes possession of the run's place in `recording`, the folder.
    pub(super) fn reserve(&self, recording: &Path) -> Result<(), SinkError> {
        let path = self.path(recording);
        if files::create(&path, &self.to_json())? {
            Ok(())
        } else {
            Err(SinkError::Other(format!(
                "run {} already writes to `{}`; give each recording, and each sink of one, a dataset of its own or \
                 another name",
                self.run,
                recording.display()
            )))
        }
    }

    /// Brings the file up to date.
    pub(super) fn write(&mut self, recording: &Path, report: &RunReport) -> Result<(), SinkError> {
        let before = core::mem::replace(&mut self.account, report.clone());
        self.updated = seconds(SystemTime::now());
        self.ended = (self.status == RunStatus::Closed).then_some(self.updated);
        let written = files::replace(&self.path(recording), &self.to_json());
        if written.is_err() {
            self.account = before;
        }
        written
    }

    /// Whether the file says already what `report` and these many shards say: a game that stands still writes nothing.
    pub(super) fn says(&self, report: &RunReport, shards: usize) -> bool {
        self.account == *report && self.shards.len() == shards
    }

    fn path(&self, recording: &Path) -> PathBuf {
        recording.join(layout::RUNS).join(layout::account_name(self.run))
    }

    fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("an account holds only strings, numbers and lists");
        json.push(b'\n');
        json
    }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
