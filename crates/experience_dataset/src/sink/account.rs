//! The account of a run, `runs/<run>.json`: what it recorded, its shards, and the fate of every transition.

use super::{
    files::{self, io_error},
    layout,
    liveness::ProcessRecord,
    retired_episodes::RetiredEpisodes,
    run_id,
    segment_account::SegmentAccount,
    shard_account::ShardAccount,
};
use crate::store::{source, upload_state::UploadState};
use experience_core::{account::RunReport, schema::Schema, transition::RunId};
use experience_export::{RecordingInfo, RunLabel, SinkError};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

mod deletions;

pub use deletions::{AgentCounts, Retired};

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
    /// The run was closed, and its episodes are in the segments of a [`JournalSink`](crate::JournalSink), until a recovery
    /// writes them to shards.
    Journaled,
}

/// The counts and shards of a run: one JSON file for each run, in the recording's `runs` folder.
///
/// The file is updated at every flush. Its size depends on the numbers of shards and segments, and not on those of agents and
/// episodes. [`shards`](Self::shards) lists the shards that readers see.
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
    /// The process that records, until the run is closed or recovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    process: Option<ProcessRecord>,
    /// The program that wrote the dataset: `bevy_experience` and its version.
    pub writer: String,
    /// Start of the run, in seconds since 1970 (UTC).
    pub started: f64,
    /// Last update of the account, in seconds since 1970 (UTC).
    pub updated: f64,
    /// End or recovery of the run, in seconds since 1970 (UTC); `None` while [`Running`](RunStatus::Running).
    pub ended: Option<f64>,
    /// Counts of transitions.
    pub account: RunReport,
    /// The committed shards of the run that were not deleted since.
    pub shards: Vec<ShardAccount>,
    /// The segments of a [`JournalSink`](crate::JournalSink) that were not deleted since, until a recovery writes them to shards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<SegmentAccount>,
    /// Totals of the shards and segments that retention deleted; see
    /// [`DatasetSink::with_keep_bytes`](crate::sink::DatasetSink::with_keep_bytes) and
    /// [`JournalSink::with_keep_bytes`](crate::JournalSink::with_keep_bytes). Their transitions still count as exported.
    #[serde(default, skip_serializing_if = "Retired::is_empty")]
    pub retired: Retired,
    /// What a filter or a split of the dataset left out. Its transitions count as discarded.
    #[serde(default, skip_serializing_if = "Filtered::is_empty")]
    pub filtered: Filtered,
    /// How far the run has been uploaded, in an account in an object store, until all of the run is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<UploadState>,
    /// Shards that retention is deleting. A deletion has happened if the file does not exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retiring: Vec<PendingDeletion>,
    /// Segments that retention is deleting, likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retiring_segments: Vec<SegmentAccount>,
    /// Episodes of shards and segments that retention deletes, as long as the journal of the run may have their rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retired_episodes: Vec<RetiredEpisodes>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The episodes of a run that `filter` and `split` left out of a dataset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filtered {
    /// Whole episodes.
    pub episodes: u64,
    /// Their transitions.
    pub transitions: u64,
    /// The selections that left them out, in the order in which they were made.
    pub by: Vec<String>,
}

impl Filtered {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PendingDeletion {
    shard: ShardAccount,
}

impl RunAccount {
    pub(super) fn new(recording: &RecordingInfo, label: RunLabel) -> Self {
        Self {
            run: recording.run,
            recording: recording.schema.name().to_owned(),
            schema_hash: format!("{:016x}", recording.schema.hash()),
            status: RunStatus::Running,
            tick_rate: recording.tick_rate,
            seed: label.seed,
            build: label.build,
            buffers: recording.buffers.clone(),
            process: None,
            writer: concat!("bevy_experience ", env!("CARGO_PKG_VERSION")).to_owned(),
            started: seconds(recording.started),
            updated: seconds(SystemTime::now()),
            ended: None,
            account: RunReport::default(),
            shards: Vec::new(),
            segments: Vec::new(),
            retired: Retired::default(),
            filtered: Filtered::default(),
            upload: None,
            retiring: Vec::new(),
            retiring_segments: Vec::new(),
            retired_episodes: Vec::new(),
        }
    }

    /// A new account for a run whose own is missing.
    pub(super) fn reconstruct(
        run: RunId,
        schema: &Schema,
        tick_rate: Option<f64>,
        started: f64,
        label: RunLabel,
    ) -> Self {
        let recording = RecordingInfo {
            schema: schema.clone().into_shared(),
            run,
            tick_rate,
            started: UNIX_EPOCH + Duration::try_from_secs_f64(started).unwrap_or_default(),
            buffers: None,
        };
        Self::new(&recording, label)
    }

    /// The seed and the build.
    pub(crate) fn label(&self) -> RunLabel {
        RunLabel {
            seed: self.seed,
            build: self.build.clone(),
        }
    }

    /// Reads the account of a run in the folder `recording`.
    pub(crate) fn read(recording: &Path, run: RunId) -> io::Result<Self> {
        let path = recording.join(layout::RUNS).join(layout::account_name(run));
        Self::read_from(&path)
    }

    /// Reads the account at `path`, whose name must be that of its run. An error without a number of the system means that it is
    /// damaged.
    ///
    /// It is read as a stream, because version 0.1.0 listed every agent: an account of millions has hundreds of megabytes.
    pub(crate) fn read_from(path: &Path) -> io::Result<Self> {
        let account: Self = serde_json::from_reader(source::open(path)?)?;
        if path.file_name().and_then(layout::account_run) == Some(account.run) {
            Ok(account)
        } else {
            let reason = format!("it is the account of run {}, and its name is not", account.run);
            Err(io::Error::new(io::ErrorKind::InvalidData, reason))
        }
    }

    /// Creates the file of the account, which must not exist, in the folder `recording`.
    pub(super) fn reserve(&self, recording: &Path) -> Result<(), SinkError> {
        let path = self.path(recording);
        if files::create(&path, &self.to_json())? {
            Ok(())
        } else {
            Err(run_id::used(recording, self.run, "writes"))
        }
    }

    /// The process that records the run.
    pub(super) fn process(&self) -> Option<&ProcessRecord> {
        self.process.as_ref()
    }

    /// Sets the process that records the run.
    pub(super) fn set_process(&mut self, process: ProcessRecord) {
        self.process = Some(process);
    }

    /// Removes the process, and the folder of its buffers: nothing of the run is left outside of the dataset. Returns whether
    /// there was one of them.
    pub(crate) fn forget_process(&mut self) -> bool {
        self.buffers.take().is_some() | self.process.take().is_some()
    }

    /// Counts what a live process recorded after another one had recovered its run: it is dropped, for it is in no shard.
    pub(super) fn count_after_recovery(recording: &Path, run: RunId, report: &RunReport) -> io::Result<()> {
        let mut account = Self::read(recording, run)?;
        let counts = &mut account.account;
        if account.status == RunStatus::Running || counts.recorded >= report.recorded {
            return Ok(());
        }
        counts.recorded = report.recorded;
        counts.dropped = report
            .recorded
            .saturating_sub(counts.exported.saturating_add(counts.discarded));
        account.save(recording)
    }

    /// Sets the counts and the times, and saves the account. After an error the counts are unchanged.
    pub(super) fn update(&mut self, recording: &Path, report: &RunReport) -> Result<(), SinkError> {
        let before = self.account.clone();
        self.account = self.stored(report);
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
        source::replace(&self.path(recording), &self.to_json())
    }

    /// Sorts the shards by their numbers, which have five digits or more.
    pub(crate) fn sort_shards(&mut self) {
        self.shards
            .sort_by(|a, b| (a.file.len(), &a.file).cmp(&(b.file.len(), &b.file)));
    }

    /// When a shard was committed, for the order in which shards are deleted; see [`ShardAccount::committed`].
    pub(crate) fn commit_time(&self, shard: &ShardAccount) -> u64 {
        shard.committed.unwrap_or((self.started.max(0.0) * 1e3) as u64)
    }

    /// The latest commit time of its shards and segments.
    pub(super) fn last_commit_time(&self) -> u64 {
        let times = self.shards.iter().map(|shard| self.commit_time(shard));
        let segments = self.segments.iter().map(|segment| segment.committed);
        times.chain(segments).max().unwrap_or_default()
    }

    /// Removes the counts of `agent` from the totals of deleted shards, if an account of version 0.1.0 states them, and returns
    /// them.
    pub(crate) fn erase_retired(&mut self, agent: i64) -> AgentCounts {
        let counts = self.retired.agents.remove(&agent).unwrap_or_default();
        self.retired.episodes = self.retired.episodes.saturating_sub(counts.episodes);
        self.retired.transitions = self.retired.transitions.saturating_sub(counts.transitions);
        counts
    }

    /// Counts exported episodes and transitions as discarded: they were discarded after they had ended, and are no longer in a
    /// shard.
    pub(crate) fn discard(&mut self, episodes: u64, transitions: u64) {
        if episodes == 0 {
            return;
        }
        let report = &mut self.account;
        let transitions = transitions.min(report.exported);
        report.exported -= transitions;
        report.discarded = report.discarded.saturating_add(transitions);
        report.episodes = report.episodes.saturating_sub(episodes);
        self.forget_agents();
    }

    /// Makes this the account of a dataset that holds a part of the run's episodes, in `shards`. The dataset that it is made of
    /// holds `found` episodes and transitions, and `by` describes the selection.
    ///
    /// What was left out counts as discarded. Transitions that the account counts and that no shard holds are missing, and
    /// count as dropped. If it counts fewer than there are, returns why it cannot be continued.
    pub(crate) fn select(&mut self, shards: Vec<ShardAccount>, found: (u64, u64), by: &str) -> Result<(), String> {
        let report = &mut self.account;
        let listed = (
            report.episodes.saturating_sub(self.retired.episodes),
            report.exported.saturating_sub(self.retired.transitions),
        );
        if listed.0 < found.0 || listed.1 < found.1 {
            return Err(format!(
                "it counts {} transitions in {} episodes, and the shards hold {} in {}: `experience validate` says what differs; \
                 restore the account from a copy, or move shards that it does not list out of the dataset",
                listed.1, listed.0, found.1, found.0
            ));
        }
        report.set_missing(
            report.missing_episodes + listed.0 - found.0,
            report.missing + listed.1 - found.1,
        );
        let kept = shards.iter().fold((0, 0), |kept, shard| {
            (kept.0 + shard.episodes, kept.1 + shard.transitions)
        });
        let left_out = (found.0.saturating_sub(kept.0), found.1.saturating_sub(kept.1));
        report.episodes -= left_out.0;
        report.exported -= left_out.1;
        report.discarded = report.discarded.saturating_add(left_out.1);
        self.shards = shards;
        if left_out.0 > 0 {
            self.filtered.episodes += left_out.0;
            self.filtered.transitions += left_out.1;
            self.filtered.by.push(by.to_owned());
            self.forget_agents();
        }
        Ok(())
    }

    /// The part of a report that an account holds. Tags are in a file of their own, because their number has no bound; those
    /// that version 0.1.0 wrote stay.
    fn stored(&self, report: &RunReport) -> RunReport {
        RunReport {
            agents: BTreeMap::new(),
            tags: self.account.tags.clone(),
            ..report.clone()
        }
    }

    /// Whether a file with `saved_shards` shards is up to date with `report`, so that an idle game writes nothing.
    pub(super) fn is_current(&self, report: &RunReport, saved_shards: usize) -> bool {
        self.account == self.stored(report) && self.shards.len() == saved_shards
    }

    /// The file of the account in the folder `recording`.
    pub(crate) fn path(&self, recording: &Path) -> PathBuf {
        recording.join(layout::RUNS).join(layout::account_name(self.run))
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("an account holds only strings, numbers and lists");
        json.push(b'\n');
        json
    }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
