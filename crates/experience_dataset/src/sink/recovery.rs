//! Crash recovery: writes the episodes in journals and buffer files of dead processes to shards.
//!
//! For each run that was not closed and whose process is dead, the rows of its journal, and those of its buffer files that the
//! journal lacks, become episodes. Episodes that are in the run's shards already are skipped, and the others are written to new
//! shards. Then the account is updated, and the journal is removed. A recovery that was interrupted is finished by the next
//! one, which finds the shards that the first has committed. A recovery holds the run's lock, so no two processes recover one
//! run.

mod recovered_state;
mod rings;
mod run_shards;

use super::{
    account::{RunAccount, RunStatus},
    files::io_error,
    layout,
    lock::{Claim, RunLock, lock_retention},
    run_shard_writer::RunShardWriter,
};
use experience_core::{
    schema::Schema,
    transition::{EndReason, Episode, Outcome, RunId},
};
use experience_export::{
    SinkError,
    assembly::EpisodeBuilder,
    disk,
    journal::{self, Segments},
};
use recovered_state::RecoveredState;
use run_shards::RunShards;
use serde::Serialize;
use std::{collections::BTreeSet, fs, io, path::Path, sync::Arc};

/// Episodes are written when they have this many bytes of rows.
const BATCH_BYTES: usize = 16 << 20;

/// The result of the recovery of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RecoveredRun {
    /// The run.
    pub run: RunId,
    /// Episodes that were written to shards.
    pub episodes: u64,
    /// Their transitions.
    pub transitions: u64,
    /// Those of the episodes that were still open: they are truncated, reason [`EndReason::CRASH`].
    pub cut_short: u64,
    /// Transitions that were recorded and could not be recovered; they count as dropped.
    pub lost: u64,
    /// Parts of the journal and of the buffer files that could not be read, one sentence each.
    pub unread: Vec<String>,
}

/// The result of a recovery of one recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Recovery {
    /// Runs that were recovered.
    pub recovered: Vec<RecoveredRun>,
    /// Runs whose process is alive; they are unchanged.
    pub alive: Vec<RunId>,
    /// Unfinished runs whose process may be alive, because their lock file is missing: the file system has no locks, or the
    /// file was removed. They are unchanged.
    pub unclear: Vec<RunId>,
    /// Runs that could not be recovered, and why. No data of them was removed, so the recovery can be repeated.
    pub failed: Vec<(RunId, String)>,
}

impl Recovery {
    /// Whether no unfinished run was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Recovers every run of the recording in `folder` whose process is dead, and with `include_unclear` those for which that is
/// unknown.
///
/// # Errors
/// When the folders cannot be listed.
pub(crate) fn recover(folder: &Path, schema: &Arc<Schema>, include_unclear: bool) -> Result<Recovery, SinkError> {
    recover_others(folder, schema, include_unclear, None)
}

fn recover_others(
    folder: &Path,
    schema: &Arc<Schema>,
    include_unclear: bool,
    own: Option<RunId>,
) -> Result<Recovery, SinkError> {
    let mut recovery = Recovery::default();
    journal::sweep(&folder.join(layout::JOURNALS));
    for run in unfinished_runs(folder)? {
        if Some(run) == own {
            continue;
        }
        let mut lock = match RunLock::claim(folder, run) {
            Claim::Dead(lock) => lock,
            Claim::Alive => {
                recovery.alive.push(run);
                continue;
            }
            Claim::Unclear
                if include_unclear || RunAccount::read(folder, run).is_ok_and(|account| is_over(&account)) =>
            {
                RunLock::take(folder, run)
            }
            Claim::Unclear => {
                recovery.unclear.push(run);
                continue;
            }
        };
        // Another process may have recovered the run before the lock was taken.
        if !is_unfinished(folder, run) {
            lock.remove();
            continue;
        }
        // Retention of another process may be deleting shards of this run.
        let _lock = lock_retention(folder);
        match recover_run(folder, schema, run) {
            Ok(recovered) => {
                lock.remove();
                recovery.recovered.extend(recovered);
            }
            Err(error) => recovery.failed.push((run, error.to_string())),
        }
    }
    Ok(recovery)
}

/// Recovers the runs other than `own`, and logs the result. Returns whether a run was recovered.
pub(super) fn recover_at_start(folder: &Path, schema: &Arc<Schema>, own: RunId) -> bool {
    let recovery = match recover_others(folder, schema, false, Some(own)) {
        Ok(recovery) => recovery,
        Err(error) => {
            tracing::error!("cannot recover earlier runs: {error}");
            return false;
        }
    };
    for found in &recovery.recovered {
        tracing::warn!(
            "run {} of `{}` was not closed: recovered {} transitions in {} episodes, {} of them truncated; {} transitions are \
             lost and counted as dropped",
            found.run,
            folder.display(),
            found.transitions,
            found.episodes,
            found.cut_short,
            found.lost
        );
        for unread in &found.unread {
            tracing::warn!("cannot recover a part of run {}: {unread}", found.run);
        }
    }
    for (run, error) in &recovery.failed {
        tracing::error!(
            "cannot recover run {run} of `{}`: {error}; it will be tried again at the next start",
            folder.display()
        );
    }
    !recovery.recovered.is_empty()
}

/// The runs that have a journal, or whose account is neither closed nor recovered.
fn unfinished_runs(folder: &Path) -> Result<BTreeSet<RunId>, SinkError> {
    let mut runs = BTreeSet::new();
    for (part, suffix) in [(layout::JOURNALS, ""), (layout::RUNS, ".json")] {
        let part = folder.join(part);
        match fs::read_dir(&part) {
            Ok(entries) => {
                for entry in entries {
                    let name = entry.map_err(io_error("list", &part))?.file_name();
                    let run = name.to_str().and_then(|name| layout::run(name.strip_suffix(suffix)?));
                    runs.extend(run);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error("list", &part)(error)),
        }
    }
    runs.retain(|run| is_unfinished(folder, *run));
    Ok(runs)
}

fn is_unfinished(folder: &Path, run: RunId) -> bool {
    layout::journal_folder(folder, run).is_dir()
        || RunAccount::read(folder, run).is_ok_and(|account| !is_over(&account))
}

/// Whether the run was closed or recovered.
fn is_over(account: &RunAccount) -> bool {
    account.status != RunStatus::Running
}

/// Recovers one run, whose lock is held. Returns `None` if it only removed a journal that nothing refers to.
fn recover_run(folder: &Path, schema: &Arc<Schema>, run: RunId) -> Result<Option<RecoveredRun>, SinkError> {
    let journal = layout::journal_folder(folder, run);
    let mut state = RecoveredState::read(&journal, schema, run)?;
    let account = RunAccount::read(folder, run).ok();
    let was_over = account.as_ref().is_some_and(is_over);
    let buffers = state.rings.take().or_else(|| account.as_ref()?.buffers.clone());
    let mut rings = buffers.map_or_else(Vec::new, |buffers| {
        rings::open(&buffers, schema, run, &mut state.unread)
    });
    if !was_over {
        rings::read(&mut rings, schema, &mut state);
    }
    let mut shards = RunShards::read(folder, schema, run)?;
    let mut recovered = RecoveredRun {
        run,
        episodes: 0,
        transitions: 0,
        cut_short: 0,
        lost: 0,
        unread: core::mem::take(&mut state.unread),
    };
    let builders = core::mem::take(&mut state.builders);
    let builders = builders.into_iter().filter(|builder| {
        builder.transitions() > 0
            && !shards.has_episode(builder.episode_id())
            && !state.durable.contains(&builder.episode_id())
            && !state.discarded_episodes.contains(&builder.captured_as())
    });
    write(
        folder,
        schema,
        &journal,
        builders.collect(),
        &mut shards,
        &mut recovered,
    )?;
    if !was_over {
        // The process died before it wrote an account, or the disk lost it. The journal holds what a new one needs.
        let reconstruct = || RunAccount::reconstruct(run, schema, state.tick_rate, state.started);
        let mut account = account.unwrap_or_else(reconstruct);
        account.buffers = None;
        account.resolve_deletions(folder);
        account.status = RunStatus::Recovered;
        account.shards = shards.accounts();
        let report = shards.report(&account, &state);
        recovered.lost = report.dropped.saturating_sub(report.non_finite);
        account.update(folder, &report)?;
    }
    shards.remove_unfinished(folder);
    // The rings are removed before the journal, which holds their paths. What they held is in shards, or unreadable.
    for ring in rings {
        disk::remove_unfinished(&ring.path);
    }
    journal::remove(&journal).map_err(io_error("remove", &journal))?;
    Ok((!was_over || recovered.episodes > 0).then_some(recovered))
}

/// Writes `builders` to new shards. Open episodes are truncated.
fn write(
    folder: &Path,
    schema: &Arc<Schema>,
    journal: &Path,
    builders: Vec<EpisodeBuilder>,
    shards: &mut RunShards,
    recovered: &mut RecoveredRun,
) -> Result<(), SinkError> {
    let mut writer = RunShardWriter::new(folder, schema, recovered.run, shards.next_index())?;
    let mut segments = Segments::new(journal);
    let mut episodes: Vec<Episode> = Vec::new();
    let mut bytes = 0;
    for mut builder in builders {
        if !builder.is_closed() {
            builder.close(Outcome::Truncated, EndReason::CRASH);
            recovered.cut_short += 1;
        }
        let transitions = builder.transitions();
        match builder.into_episode(schema, recovered.run, Some(&mut segments)) {
            Ok(episode) => {
                bytes += size_of_val(episode.rows());
                shards.add_episode(&episode);
                recovered.episodes += 1;
                recovered.transitions += transitions;
                episodes.push(episode);
            }
            Err(error) => recovered
                .unread
                .push(format!("{transitions} transitions of an episode: {error}")),
        }
        if bytes >= BATCH_BYTES {
            bytes = 0;
            writer.write(&episodes)?;
            episodes.clear();
        }
    }
    writer.write(&episodes)?;
    shards.add_shards(writer.finish()?);
    Ok(())
}
