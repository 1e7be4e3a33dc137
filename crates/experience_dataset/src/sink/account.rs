//! `runs/<run>.json`: what became of everything that a run recorded.

use super::{files, layout, shard::ShardAccount};
use experience_core::{account::RunReport, schema::Schema, transition::RunId};
use experience_export::{RecordingInfo, SinkError, disk};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Whether a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// It goes on, or its process died and nothing was recovered yet.
    Running,
    /// It ended in order: everything that the dataset took is in its shards.
    Closed,
    /// Its process died, and what it left was brought into shards: all of it that could be found is there.
    Recovered,
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
    /// The folder of the buffers' files, where they lie in files and the run goes on, or its process died.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffers: Option<PathBuf>,
    /// What wrote the dataset: `bevy_experience` and its version.
    pub writer: String,
    /// When the run began, in seconds since 1970 (UTC).
    pub started: f64,
    /// When the account was last brought up to date, in seconds since 1970 (UTC).
    pub updated: f64,
    /// When the run ended, or was recovered, in seconds since 1970 (UTC); `None` while [`Running`](RunStatus::Running).
    pub ended: Option<f64>,
    /// The counts, in transitions, and the totals of each agent.
    pub account: RunReport,
    /// The shards that the run has finished, and that were not deleted since.
    pub shards: Vec<ShardAccount>,
    /// What was deleted of it to make room: see [`DatasetSink::with_keep_bytes`](crate::sink::DatasetSink::with_keep_bytes). It
    /// still counts as exported.
    #[serde(default, skip_serializing_if = "Retired::is_nothing")]
    pub retired: Retired,
    /// Shards that are being deleted: each of them is there still, or is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retiring: Vec<Retiring>,
}

/// What was deleted of a run to make room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// Shards.
    pub shards: u64,
    /// Whole episodes in them.
    pub episodes: u64,
    /// Their transitions.
    pub transitions: u64,
    /// Whose these were.
    pub agents: BTreeMap<i64, AgentCounts>,
}

/// What was deleted of one agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentCounts {
    /// Whole episodes.
    pub episodes: u64,
    /// Their transitions.
    pub transitions: u64,
}

impl Retired {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    fn add(&mut self, retiring: &Retiring) {
        self.shards += 1;
        self.episodes += retiring.shard.episodes;
        self.transitions += retiring.shard.transitions;
        for (agent, counts) in &retiring.agents {
            let sum = self.agents.entry(*agent).or_default();
            sum.episodes += counts.episodes;
            sum.transitions += counts.transitions;
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Retiring {
    shard: ShardAccount,
    agents: BTreeMap<i64, AgentCounts>,
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
            buffers: recording.buffers.clone(),
            writer: concat!("bevy_experience ", env!("CARGO_PKG_VERSION")).to_owned(),
            started: seconds(recording.started),
            updated: seconds(SystemTime::now()),
            ended: None,
            account: RunReport::default(),
            shards: Vec::new(),
            retired: Retired::default(),
            retiring: Vec::new(),
        }
    }

    /// The account of a run that left none.
    pub(super) fn found(run: RunId, schema: &Schema, tick_rate: Option<f64>, started: f64) -> Self {
        let recording = RecordingInfo {
            schema: schema.clone().into_shared(),
            run,
            tick_rate,
            started: UNIX_EPOCH + Duration::try_from_secs_f64(started).unwrap_or_default(),
            buffers: None,
        };
        Self::new(&recording, None, None)
    }

    /// Reads the account of a run in `recording`, the folder.
    pub(super) fn read(recording: &Path, run: RunId) -> io::Result<Self> {
        let content = disk::read(&recording.join(layout::RUNS).join(layout::account_name(run)))?;
        serde_json::from_slice(&content).map_err(io::Error::other)
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
        self.ended = (self.status != RunStatus::Running).then_some(self.updated);
        let written = files::replace(&self.path(recording), &self.to_json());
        if written.is_err() {
            self.account = before;
        }
        written
    }

    /// Writes the file as the account stands.
    pub(super) fn save(&self, recording: &Path) -> Result<(), SinkError> {
        files::replace(&self.path(recording), &self.to_json())
    }

    /// Names a shard as one that is being deleted, with what of whom is in it.
    pub(super) fn begin_to_retire(&mut self, file: &str, agents: BTreeMap<i64, AgentCounts>) {
        if let Some(place) = self.shards.iter().position(|shard| shard.file == file) {
            let shard = self.shards.remove(place);
            self.retiring.push(Retiring { shard, agents });
        }
    }

    /// Whether shards are being deleted.
    pub(super) fn is_retiring(&self) -> bool {
        !self.retiring.is_empty()
    }

    /// The shards that are being deleted.
    pub(super) fn retiring(&self) -> impl Iterator<Item = &str> {
        self.retiring.iter().map(|retiring| retiring.shard.file.as_str())
    }

    /// Looks what became of shards that were being deleted: they are gone, or they are there like any other.
    pub(crate) fn settle(&mut self, recording: &Path) {
        for retiring in core::mem::take(&mut self.retiring) {
            if recording.join(layout::DATA).join(&retiring.shard.file).exists() {
                self.shards.push(retiring.shard);
            } else {
                self.retired.add(&retiring);
            }
        }
        self.shards.sort_by(|a, b| a.file.cmp(&b.file));
    }

    /// Forgets whom what was deleted was of, if it was `agent`.
    pub(crate) fn forget_retired(&mut self, agent: i64) {
        if let Some(counts) = self.retired.agents.remove(&agent) {
            self.retired.episodes = self.retired.episodes.saturating_sub(counts.episodes);
            self.retired.transitions = self.retired.transitions.saturating_sub(counts.transitions);
        }
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
