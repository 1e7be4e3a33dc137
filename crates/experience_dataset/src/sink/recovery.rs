//! What a process that died left behind, brought into shards.
//!
//! Of each run that is over and was not closed in order: what its journal holds, and what its buffers' files hold beyond that,
//! becomes episodes. Those that the run's shards have already are passed over; the others are written to further shards. Then
//! the account is brought up to date, and the journal goes. A recovery that is interrupted is finished by the next one, which
//! finds what the first had written. While it goes on it holds the run's lock, so there is one at a time.

mod files_of_run;
mod remains;
mod rings;

use super::{
    account::{RunAccount, RunStatus},
    batches::batches,
    encoding::Encoding,
    files, layout,
    lock::{Claim, RunLock, wait_for_cleaning},
    shard::OpenShard,
};
use crate::arrow::BatchEncoder;
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
use files_of_run::FilesOfRun;
use remains::Remains;
use serde::Serialize;
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A shard of recovered episodes is finished when it has so many bytes.
const SHARD_BYTES: usize = 128 << 20;
/// So many bytes of rows are put together before they are written.
const BATCH_BYTES: usize = 16 << 20;

/// What was recovered of one run whose process died.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RecoveredRun {
    /// The run.
    pub run: RunId,
    /// Episodes that are in shards now and were not before.
    pub episodes: u64,
    /// Their transitions.
    pub transitions: u64,
    /// How many of these episodes had not ended: they are truncated, reason [`EndReason::CRASH`].
    pub cut_short: u64,
    /// Transitions of the run that are known to have been recorded and are nowhere; they count as dropped.
    pub lost: u64,
    /// What of the journal and of the buffers' files could not be read, one sentence each.
    pub unread: Vec<String>,
}

/// What a recovery found in one recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Recovery {
    /// Runs whose process died, and that are whole now.
    pub recovered: Vec<RecoveredRun>,
    /// Runs that are alive, and were left alone.
    pub alive: Vec<RunId>,
    /// Runs that left something behind and whose process cannot be told to be dead, because their lock is missing: the file
    /// system knows none, or it was removed.
    pub unclear: Vec<RunId>,
    /// Runs that could not be recovered, and why. Nothing of them is lost: it can be tried again.
    pub failed: Vec<(RunId, String)>,
}

impl Recovery {
    /// Whether no run was found that needed anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Recovers every run of the recording in `folder` whose process died. `unclear` says to recover those, too, of which that cannot
/// be told.
///
/// # Errors
/// When the folders cannot be listed.
pub(crate) fn recover(folder: &Path, schema: &Arc<Schema>, unclear: bool) -> Result<Recovery, SinkError> {
    recover_others(folder, schema, unclear, None)
}

fn recover_others(
    folder: &Path,
    schema: &Arc<Schema>,
    unclear: bool,
    own: Option<RunId>,
) -> Result<Recovery, SinkError> {
    let mut recovery = Recovery::default();
    journal::sweep(&folder.join(layout::JOURNALS));
    for run in runs_left_behind(folder)? {
        if Some(run) == own {
            continue;
        }
        let mut lock = match RunLock::claim(folder, run) {
            Claim::Dead(lock) => lock,
            Claim::Alive => {
                recovery.alive.push(run);
                continue;
            }
            Claim::Unclear if unclear || RunAccount::read(folder, run).is_ok_and(|account| is_over(&account)) => {
                RunLock::take(folder, run)
            }
            Claim::Unclear => {
                recovery.unclear.push(run);
                continue;
            }
        };
        // Another process may have done it between the look and the lock.
        if !is_left_behind(folder, run) {
            lock.remove();
            continue;
        }
        // Shards of this run may be on their way out, to make room.
        let _cleaning = wait_for_cleaning(folder);
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

/// Recovers what processes other than that of `own` left, and says in the log what that was. Whether it was anything.
pub(super) fn at_start(folder: &Path, schema: &Arc<Schema>, own: RunId) -> bool {
    let recovery = match recover_others(folder, schema, false, Some(own)) {
        Ok(recovery) => recovery,
        Err(error) => {
            tracing::error!("what earlier processes left is not recovered: {error}");
            return false;
        }
    };
    for found in &recovery.recovered {
        tracing::warn!(
            "run {} of `{}` did not end in order: {} transitions in {} episodes were recovered, {} of them cut short; {} \
             transitions are lost, and counted",
            found.run,
            folder.display(),
            found.transitions,
            found.episodes,
            found.cut_short,
            found.lost
        );
        for unread in &found.unread {
            tracing::warn!("run {}: not recovered: {unread}", found.run);
        }
    }
    for (run, error) in &recovery.failed {
        tracing::error!(
            "run {run} of `{}` is not recovered: {error}; it is tried again at the next start",
            folder.display()
        );
    }
    !recovery.recovered.is_empty()
}

/// The runs that have a journal, or an account that says that they go on.
fn runs_left_behind(folder: &Path) -> Result<BTreeSet<RunId>, SinkError> {
    let mut runs = BTreeSet::new();
    for (part, suffix) in [(layout::JOURNALS, ""), (layout::RUNS, ".json")] {
        let part = folder.join(part);
        match fs::read_dir(&part) {
            Ok(entries) => {
                for entry in entries {
                    let name = entry.map_err(files::failed("list", &part))?.file_name();
                    let run = name.to_str().and_then(|name| layout::run(name.strip_suffix(suffix)?));
                    runs.extend(run);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(files::failed("list", &part)(error)),
        }
    }
    runs.retain(|run| is_left_behind(folder, *run));
    Ok(runs)
}

fn is_left_behind(folder: &Path, run: RunId) -> bool {
    journal_of(folder, run).is_dir() || RunAccount::read(folder, run).is_ok_and(|account| !is_over(&account))
}

/// Whether the run ended in order, or was recovered.
fn is_over(account: &RunAccount) -> bool {
    account.status != RunStatus::Running
}

/// Where the journal of a run lies.
pub(super) fn journal_of(folder: &Path, run: RunId) -> PathBuf {
    folder.join(layout::JOURNALS).join(run.to_string())
}

/// Recovers one run, whose lock is held. `None` where there was nothing to do but to remove a journal that nobody needs.
fn recover_run(folder: &Path, schema: &Arc<Schema>, run: RunId) -> Result<Option<RecoveredRun>, SinkError> {
    let journal = journal_of(folder, run);
    let mut remains = Remains::read(&journal, schema, run)?;
    let known = RunAccount::read(folder, run).ok();
    let was_closed = known.as_ref().is_some_and(is_over);
    let buffers = remains.rings.take().or_else(|| known.as_ref()?.buffers.clone());
    let mut rings = buffers.map_or_else(Vec::new, |buffers| {
        rings::open(&buffers, schema, run, &mut remains.unread)
    });
    if !was_closed {
        rings::read(&mut rings, schema, &mut remains);
    }
    let mut there = FilesOfRun::read(folder, schema, run)?;
    let mut recovered = RecoveredRun {
        run,
        episodes: 0,
        transitions: 0,
        cut_short: 0,
        lost: 0,
        unread: core::mem::take(&mut remains.unread),
    };
    let drafts = core::mem::take(&mut remains.drafts);
    let drafts = drafts.into_iter().filter(|draft| {
        draft.transitions() > 0
            && !there.has(draft.episode_id())
            && !remains.settled.contains(&draft.episode_id())
            && !remains.withdrawn.contains(&draft.captured_as())
    });
    write(folder, schema, &journal, drafts.collect(), &mut there, &mut recovered)?;
    if !was_closed {
        // The process died before it could write one, or the disk lost it: the journal knows as much.
        let found = || RunAccount::found(run, schema, remains.tick_rate, remains.started);
        let mut account = known.unwrap_or_else(found);
        account.buffers = None;
        account.settle(folder);
        account.status = RunStatus::Recovered;
        account.shards = there.accounts();
        let report = there.report(&account, &remains);
        recovered.lost = report.dropped.saturating_sub(report.non_finite);
        account.write(folder, &report)?;
    }
    there.remove_unfinished();
    // Before the journal, which knows where they are. What is in them is in shards now, or not to be had.
    for ring in rings {
        disk::remove_unfinished(&ring.path);
    }
    journal::remove(&journal).map_err(files::failed("remove", &journal))?;
    Ok((!was_closed || recovered.episodes > 0).then_some(recovered))
}

/// Writes what is left to shards.
fn write(
    folder: &Path,
    schema: &Arc<Schema>,
    journal: &Path,
    drafts: Vec<EpisodeBuilder>,
    there: &mut FilesOfRun,
    recovered: &mut RecoveredRun,
) -> Result<(), SinkError> {
    let encoder = BatchEncoder::new(schema.clone())?;
    let mut segments = Segments::new(journal);
    let mut open: Option<OpenShard> = None;
    let mut episodes: Vec<Episode> = Vec::new();
    let mut bytes = 0;
    let mut drafts = drafts.into_iter().peekable();
    while let Some(mut draft) = drafts.next() {
        if !draft.is_closed() {
            draft.close(Outcome::Truncated, EndReason::CRASH);
            recovered.cut_short += 1;
        }
        let transitions = draft.transitions();
        match draft.into_episode(schema, recovered.run, Some(&mut segments)) {
            Ok(episode) => {
                bytes += size_of_val(episode.rows());
                there.note(&episode);
                recovered.episodes += 1;
                recovered.transitions += transitions;
                episodes.push(episode);
            }
            Err(error) => recovered
                .unread
                .push(format!("{transitions} transitions of an episode: {error}")),
        }
        if bytes < BATCH_BYTES && drafts.peek().is_some() {
            continue;
        }
        bytes = 0;
        for parts in batches(&episodes) {
            let batch = encoder.encode_parts(&parts)?;
            let shard = match &mut open {
                Some(shard) => shard,
                None => open.insert(OpenShard::create(
                    &folder.join(layout::DATA),
                    there.next_shard(),
                    encoder.arrow_schema(),
                    Encoding::default(),
                )?),
            };
            shard.write(&batch, &parts)?;
            shard.drain()?;
        }
        episodes.clear();
        let is_last = drafts.peek().is_none();
        if let Some(shard) = open.take_if(|shard| is_last || shard.bytes() >= SHARD_BYTES) {
            there.landed(shard.finish()?.land()?);
        }
    }
    Ok(())
}
