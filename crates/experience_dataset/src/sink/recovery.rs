//! Crash recovery: writes the episodes in journals and buffer files of dead processes to shards.
//!
//! For each run that was not closed and whose process is dead, the rows of its journal, and those of its buffer files that the
//! journal lacks, become episodes. The segments of a [`JournalSink`](crate::JournalSink) hold episodes of its run, which may be
//! closed. Episodes that are in the run's shards already are skipped, and the others are written to new
//! shards. Then the account is updated, and the journal is removed. Its segments that could not be read completely are kept in
//! the folder [`DAMAGED`](layout::DAMAGED). A recovery that was interrupted is finished by the next
//! one, which finds the shards that the first has committed. A recovery holds the run's lock, so no two processes recover one
//! run.

mod damaged_segments;
mod recovered_state;
mod report;
mod rings;
mod run_shards;
mod segment_episodes;
mod unstored_tags;

use super::{
    account::{RunAccount, RunStatus},
    files::{io_error, is_refusal},
    layout,
    lock::{Claim, Ownership, RunLock, is_retention_locked, lock_retention},
    partial,
    run_shard_writer::RunShardWriter,
    shard_name::ShardName,
};
use damaged_segments::keep_damaged;
pub(crate) use damaged_segments::{damaged_journals, discard_damaged};
use experience_core::{
    schema::Schema,
    transition::{EndReason, Episode, Outcome, RunId, WordTable},
};
use experience_export::{
    SinkError,
    assembly::EpisodeBuilder,
    disk,
    journal::{self, Segments},
};
use recovered_state::RecoveredState;
use report::log;
pub use report::{RecoveredRun, Recovery};
use run_shards::RunShards;
use segment_episodes::SegmentEpisodes;
use std::{
    collections::BTreeSet,
    fs, io,
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

/// Episodes are written when they have this many bytes of rows.
const BATCH_BYTES: usize = 16 << 20;

/// Recovers every run of the recording in `folder` whose process is dead, and with `include_unclear` those for which that is
/// unknown.
///
/// # Errors
/// When the folders cannot be listed.
pub(crate) fn recover(folder: &Path, schema: &Arc<Schema>, include_unclear: bool) -> Result<Recovery, SinkError> {
    recover_others(folder, schema, include_unclear, None).map(|(recovery, _)| recovery)
}

/// Recovers the runs other than `own`. Also returns after which time a run that is unclear may count as dead.
fn recover_others(
    folder: &Path,
    schema: &Arc<Schema>,
    include_unclear: bool,
    own: Option<RunId>,
) -> Result<(Recovery, Option<Duration>), SinkError> {
    let mut recovery = Recovery::default();
    let mut retry_after: Option<Duration> = None;
    layout::check_links(folder).map_err(|(link, target)| {
        SinkError::Other(format!(
            "`{}` is a link to `{}`, outside of the recording, where a recovery could delete files of another dataset; \
             replace it by a folder",
            link.display(),
            target.display()
        ))
    })?;
    for part in [layout::JOURNALS, layout::SEGMENTS] {
        journal::sweep(&folder.join(part));
    }
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
            Claim::Unclear(_)
                if include_unclear
                    || RunAccount::read(folder, run).is_ok_and(|account| account.status != RunStatus::Running) =>
            {
                let lock = RunLock::take(folder, run);
                if lock.check() == Ownership::Contended {
                    recovery.alive.push(run);
                    continue;
                }
                lock
            }
            Claim::Unclear(until) => {
                recovery.unclear.push(run);
                retry_after = retry_after.into_iter().chain(until).min();
                continue;
            }
            Claim::Refused(error) => {
                recovery.refused.push((run, error.to_string()));
                continue;
            }
        };
        // Another process may have recovered the run before the lock was taken.
        if !is_unfinished(folder, run) {
            lock.remove();
            continue;
        }
        // Retention of another process may be deleting shards of this run.
        let _lock = match lock_retention(folder) {
            Ok(lock) => lock,
            Err(error) => {
                recovery.refused.push((run, error.to_string()));
                continue;
            }
        };
        match recover_run(folder, schema, run) {
            Ok(recovered) => {
                lock.remove();
                recovery.recovered.extend(recovered);
            }
            Err(error @ SinkError::Io { .. }) => recovery.refused.push((run, error.to_string())),
            Err(error) => recovery.failed.push((run, error.to_string())),
        }
    }
    remove_unfinished_shards(folder);
    // The writer of `own` removes it at its close.
    if own.is_none() {
        partial::remove_if_empty(folder);
    }
    Ok((recovery, retry_after))
}

/// Removes the unfinished shards of runs that are over. Errors are ignored: readers open none of these files.
fn remove_unfinished_shards(folder: &Path) {
    // Another process is compacting shards of runs that are over.
    if is_retention_locked(folder) {
        return;
    }
    // Runs of version 0.1.0 wrote them to `data/`.
    let folders = [layout::PARTIAL, layout::DATA].map(|part| fs::read_dir(folder.join(part)));
    for entry in folders.into_iter().flatten().flatten().flatten() {
        let name = entry.file_name();
        let run = name.to_str().and_then(|name| {
            let shard = ShardName::parse(name.strip_suffix(layout::UNFINISHED)?)?;
            Some(shard.run())
        });
        // A process may be recovering what the journal of a run has left.
        let is_unfinished = run.is_some_and(|run| {
            RunAccount::read(folder, run).is_ok_and(|account| is_over(&account))
                && matches!(RunLock::claim(folder, run), Claim::Dead(_) | Claim::Unclear(_))
        });
        if is_unfinished {
            disk::remove_unfinished(&entry.path());
        }
    }
}

/// Recovers the runs other than `own`, logs the results, and calls `recovered` when there are new shards.
///
/// Waits for the leases of runs whose process cannot be checked, until the sender of `stopped` is dropped.
pub(super) fn recover_at_start(
    folder: &Path,
    schema: &Arc<Schema>,
    own: RunId,
    stopped: &Receiver<()>,
    recovered: impl Fn(),
) {
    loop {
        let (recovery, retry_after) = match recover_others(folder, schema, false, Some(own)) {
            Ok(found) => found,
            Err(error) => {
                tracing::error!("cannot recover earlier runs: {error}");
                return;
            }
        };
        log(folder, &recovery);
        if !recovery.recovered.is_empty() {
            recovered();
        }
        match retry_after.map(|wait| stopped.recv_timeout(wait)) {
            Some(Err(RecvTimeoutError::Timeout)) => {}
            _ => return,
        }
    }
}

/// The runs that have a journal or segments, or whose account is neither closed nor recovered.
fn unfinished_runs(folder: &Path) -> Result<BTreeSet<RunId>, SinkError> {
    let mut runs = BTreeSet::new();
    for (part, suffix) in [
        (layout::JOURNALS, ""),
        (layout::SEGMENTS, ""),
        (layout::RUNS, layout::ACCOUNT),
    ] {
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
        || layout::segments_folder(folder, run).is_dir()
        || match RunAccount::read(folder, run) {
            Ok(account) => !is_over(&account),
            // The recovery of the run reports the error.
            Err(error) => is_refusal(&error),
        }
}

/// Whether the run was closed or recovered, with all of its episodes in shards.
fn is_over(account: &RunAccount) -> bool {
    matches!(account.status, RunStatus::Closed | RunStatus::Recovered)
}

/// Recovers one run, whose lock is held. Returns `None` if it only removed a journal that nothing refers to.
fn recover_run(folder: &Path, schema: &Arc<Schema>, run: RunId) -> Result<Option<RecoveredRun>, SinkError> {
    let journal = layout::journal_folder(folder, run);
    let segments_folder = layout::segments_folder(folder, run);
    for part in [layout::DATA, layout::RUNS] {
        // Tools that copy a dataset may leave out empty folders.
        let part = folder.join(part);
        if !part.is_dir() {
            disk::create_folders(&part).map_err(io_error("create", &part))?;
        }
    }
    let mut state = RecoveredState::read(&journal, schema, run)?;
    let mut segments = SegmentEpisodes::read(&segments_folder, schema, run)?;
    let account = match RunAccount::read(folder, run) {
        Err(error) if is_refusal(&error) => return Err(io_error("read the account in", folder)(error)),
        read => read.ok(),
    };
    let was_over = account.as_ref().is_some_and(is_over);
    if let Some(account) = account.as_ref().filter(|_| !was_over) {
        segments.check_listed(&segments_folder, &account.segments);
    }
    let was_closed = account
        .as_ref()
        .is_some_and(|account| account.status == RunStatus::Journaled);
    let buffers = state.rings.take().or_else(|| account.as_ref()?.buffers.clone());
    // A copy of a dataset names the ring files of the original, whose run may be alive.
    let process = account.as_ref().and_then(RunAccount::process);
    let owns_buffers = process.is_some_and(|process| process.place().is_original(folder));
    let mut rings = match &buffers {
        Some(buffers) => rings::open(buffers, schema, run, &mut state.unread)?,
        None => Vec::new(),
    };
    if !was_over && !was_closed {
        rings::read(&mut rings, schema, &mut state);
    }
    let in_journal = state.builders.iter().map(EpisodeBuilder::episode_id);
    let in_journal = in_journal.chain(segments.ids.iter().copied()).collect();
    let mut shards = RunShards::read(folder, schema, run, account.as_ref(), in_journal)?;
    // Before the first write, which may need their space. The journal holds what they would have held.
    shards.remove_unfinished();
    let mut recovered = RecoveredRun {
        run,
        episodes: 0,
        transitions: 0,
        cut_short: 0,
        lost: 0,
        closed: was_closed,
        last_tick: state.last_tick.max(shards.last_tick()).max(segments.last_tick),
        unread: [
            core::mem::take(&mut segments.unread),
            core::mem::take(&mut state.unread),
        ]
        .concat(),
        torn: [core::mem::take(&mut segments.torn), core::mem::take(&mut state.torn)].concat(),
        kept_buffers: buffers.filter(|_| !owns_buffers && !rings.is_empty()),
        kept: None,
    };
    let builders = core::mem::take(&mut segments.builders).into_iter();
    let builders = builders.filter(|builder| !shards.has_episode(builder.episode_id()));
    write(
        folder,
        schema,
        &segments_folder,
        builders.collect(),
        &segments.word_table(),
        &mut shards,
        &mut recovered,
    )?;
    let deleted = account.as_ref().map(|account| account.deleted_episodes(folder));
    let is_deleted = |episode_id: i64| deleted.as_ref().is_some_and(|is_deleted| is_deleted(episode_id));
    let builders = core::mem::take(&mut state.builders);
    let builders = builders.into_iter().filter(|builder| {
        builder.transitions() > 0
            && !is_deleted(builder.episode_id())
            && !segments.ids.contains(&builder.episode_id())
            && !shards.has_episode(builder.episode_id())
            && !state.durable.contains(&builder.episode_id())
            && !state.discarded_episodes.contains(&builder.captured_as())
    });
    write(
        folder,
        schema,
        &journal,
        builders.collect(),
        &state.word_table(),
        &mut shards,
        &mut recovered,
    )?;
    // The process died before it wrote an account, or the disk lost it. The journal holds what a new one needs.
    let reconstruct = || {
        let (started, label) = if state.started > 0.0 {
            (state.started, state.label.clone())
        } else {
            (segments.started, segments.label.clone())
        };
        RunAccount::reconstruct(run, schema, state.tick_rate.or(segments.tick_rate), started, label)
    };
    let mut account = account.unwrap_or_else(reconstruct);
    // A run that is over has a journal with other episodes where its process went on after a recovery.
    if !was_over || recovered.episodes > 0 {
        account.resolve_deletions(folder);
        account.status = if was_closed {
            RunStatus::Closed
        } else {
            RunStatus::Recovered
        };
        let ended = account.ended;
        account.shards = shards.accounts();
        account.segments.clear();
        let report = shards.report(&account, &state);
        unstored_tags::store(folder, &mut state, &mut recovered)?;
        recovered.lost = report.dropped.saturating_sub(report.non_finite);
        account.update(folder, &report)?;
        if was_closed {
            account.ended = ended;
            account.save(folder).map_err(io_error("write", &account.path(folder)))?;
        }
    }
    // The rings are removed before the journal, which holds their paths, and before the account forgets that they are of this
    // dataset. What they held is in shards, or unreadable.
    for ring in rings.into_iter().filter(|_| owns_buffers) {
        disk::remove_unfinished(&ring.path);
    }
    if account.forget_process() {
        account.save(folder).map_err(io_error("write", &account.path(folder)))?;
    }
    // The segments are removed last: without them a repeated recovery would take their episodes for lost.
    for (journal, damaged) in [
        (&journal, &state.damaged_segments),
        (&segments_folder, &segments.damaged_segments),
    ] {
        if damaged.is_empty() {
            journal::remove(journal).map_err(io_error("remove", journal))?;
        } else {
            recovered.kept = Some(keep_damaged(folder, journal, damaged)?);
        }
    }
    Ok((!was_over || recovered.episodes > 0 || !recovered.unread.is_empty()).then_some(recovered))
}

/// Writes `builders` to new shards. Open episodes are truncated. `words` has the words of the codes in rows.
fn write(
    folder: &Path,
    schema: &Arc<Schema>,
    journal: &Path,
    builders: Vec<EpisodeBuilder>,
    words: &WordTable,
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
        match builder.into_episode(schema, recovered.run, words, Some(&mut segments)) {
            Ok(episode) => {
                bytes += size_of_val(episode.rows());
                recovered.episodes += 1;
                recovered.transitions += transitions;
                episodes.push(episode);
            }
            // They could be read a moment ago.
            Err(error) => return Err(io_error("read", journal)(error)),
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
