//! The account of a run, `runs/<run>.json`: what it recorded, its shards, and the fate of every transition.

use super::{
    files::{self, io_error},
    layout,
    shard::ShardAccount,
};
use experience_core::{account::RunReport, schema::Schema, transition::RunId};
use experience_export::{RecordingInfo, SinkError, disk};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// The run is being recorded, or its process died and the run is not recovered yet.
    Running,
    /// The run was closed: everything that the sink accepted is in its shards.
    Closed,
    /// The process died, and everything of its journal and buffers that could be read is in shards.
    Recovered,
}

/// The counts and shards of a run: one JSON file for each run, in the recording's `runs` folder.
///
/// The file is updated at every flush. [`shards`](Self::shards) lists the shards that readers see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunAccount {
    /// The run, as in the `run` column.
    pub run: RunId,
    /// The name of the recording.
    pub recording: String,
    /// The schema's hash, 16 hexadecimal digits.
    pub schema_hash: String,
    /// The state of the run.
    pub status: RunStatus,
    /// Ticks per second of game time, if the recording has a fixed tick, and the game did not change it: see
    /// [`RunReport::tick_rates`].
    pub tick_rate: Option<f64>,
    /// The seed of the game's random numbers; see [`DatasetSink::with_seed`](crate::sink::DatasetSink::with_seed).
    #[serde(default)]
    pub seed: Option<u64>,
    /// The build of the game; see [`DatasetSink::with_build`](crate::sink::DatasetSink::with_build).
    #[serde(default)]
    pub build: Option<String>,
    /// The folder of the buffers' files, if buffers are memory-mapped files, until the run is closed or recovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffers: Option<PathBuf>,
    /// The program that wrote the dataset: `bevy_experience` and its version.
    pub writer: String,
    /// Start of the run, in seconds since 1970 (UTC).
    pub started: f64,
    /// Last update of the account, in seconds since 1970 (UTC).
    pub updated: f64,
    /// End or recovery of the run, in seconds since 1970 (UTC); `None` while [`Running`](RunStatus::Running).
    pub ended: Option<f64>,
    /// Counts of transitions, and the totals of each agent.
    pub account: RunReport,
    /// The committed shards of the run that were not deleted since.
    pub shards: Vec<ShardAccount>,
    /// Totals of the shards that retention deleted; see
    /// [`DatasetSink::with_keep_bytes`](crate::sink::DatasetSink::with_keep_bytes). Their transitions still count as exported.
    #[serde(default, skip_serializing_if = "Retired::is_empty")]
    pub retired: Retired,
    /// Shards that retention is deleting. A deletion has happened if the file does not exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retiring: Vec<PendingDeletion>,
}

/// Totals of the shards of a run that retention deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// Deleted shards.
    pub shards: u64,
    /// Whole episodes in them.
    pub episodes: u64,
    /// Their transitions.
    pub transitions: u64,
    /// The deleted episodes and transitions of each agent.
    pub agents: BTreeMap<i64, AgentCounts>,
}

/// Deleted episodes and transitions of one agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentCounts {
    /// Whole episodes.
    pub episodes: u64,
    /// Their transitions.
    pub transitions: u64,
}

impl Retired {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn add(&mut self, deleted: &PendingDeletion) {
        self.shards += 1;
        self.episodes += deleted.shard.episodes;
        self.transitions += deleted.shard.transitions;
        for (agent, counts) in &deleted.agents {
            let sum = self.agents.entry(*agent).or_default();
            sum.episodes += counts.episodes;
            sum.transitions += counts.transitions;
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PendingDeletion {
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

    /// A new account for a run whose own is missing.
    pub(super) fn reconstruct(run: RunId, schema: &Schema, tick_rate: Option<f64>, started: f64) -> Self {
        let recording = RecordingInfo {
            schema: schema.clone().into_shared(),
            run,
            tick_rate,
            started: UNIX_EPOCH + Duration::try_from_secs_f64(started).unwrap_or_default(),
            buffers: None,
        };
        Self::new(&recording, None, None)
    }

    /// Reads the account of a run in the folder `recording`.
    pub(super) fn read(recording: &Path, run: RunId) -> io::Result<Self> {
        let content = disk::read(&recording.join(layout::RUNS).join(layout::account_name(run)))?;
        serde_json::from_slice(&content).map_err(io::Error::other)
    }

    /// Creates the file of the account, which must not exist, in the folder `recording`.
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

    /// Sets the counts and the times, and saves the account. After an error the counts are unchanged.
    pub(super) fn update(&mut self, recording: &Path, report: &RunReport) -> Result<(), SinkError> {
        let before = core::mem::replace(&mut self.account, report.clone());
        if !report.tick_rates.is_empty() {
            self.tick_rate = None;
        }
        self.updated = seconds(SystemTime::now());
        self.ended = (self.status != RunStatus::Running).then_some(self.updated);
        let written = self.save(recording).map_err(io_error("write", &self.path(recording)));
        if written.is_err() {
            self.account = before;
        }
        written
    }

    /// Replaces the file of the account in the folder `recording`.
    pub(crate) fn save(&self, recording: &Path) -> io::Result<()> {
        disk::replace(&self.path(recording), &self.to_json())
    }

    /// Moves a shard to the pending deletions. `agents` are the counts of each agent in it.
    pub(super) fn begin_deletion(&mut self, file: &str, agents: BTreeMap<i64, AgentCounts>) {
        if let Some(index) = self.shards.iter().position(|shard| shard.file == file) {
            let shard = self.shards.remove(index);
            self.retiring.push(PendingDeletion { shard, agents });
        }
    }

    /// Whether deletions of shards are pending.
    pub(super) fn has_pending_deletions(&self) -> bool {
        !self.retiring.is_empty()
    }

    /// The file names of the shards whose deletion is pending.
    pub(super) fn pending_deletions(&self) -> impl Iterator<Item = &str> {
        self.retiring.iter().map(|pending| pending.shard.file.as_str())
    }

    /// Resolves the pending deletions: shards that are gone are added to `retired`, and the others are listed again.
    pub(crate) fn resolve_deletions(&mut self, recording: &Path) {
        for pending in core::mem::take(&mut self.retiring) {
            if recording.join(layout::DATA).join(&pending.shard.file).exists() {
                self.shards.push(pending.shard);
            } else {
                self.retired.add(&pending);
            }
        }
        self.shards.sort_by(|a, b| a.file.cmp(&b.file));
    }

    /// Removes the counts of `agent` from the totals of deleted shards.
    pub(crate) fn erase_retired(&mut self, agent: i64) {
        if let Some(counts) = self.retired.agents.remove(&agent) {
            self.retired.episodes = self.retired.episodes.saturating_sub(counts.episodes);
            self.retired.transitions = self.retired.transitions.saturating_sub(counts.transitions);
        }
    }

    /// Whether a file with `saved_shards` shards is up to date with `report`, so that an idle game writes nothing.
    pub(super) fn is_current(&self, report: &RunReport, saved_shards: usize) -> bool {
        self.account == *report && self.shards.len() == saved_shards
    }

    /// The file of the account in the folder `recording`.
    pub(crate) fn path(&self, recording: &Path) -> PathBuf {
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
