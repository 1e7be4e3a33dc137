//! Retention of segments, for a [`JournalSink`](crate::JournalSink).
//!
//! The segments of a run are deleted from the first on, because an episode ends with the segment that it begins in.

use super::{DeletionCandidate, choose_deletions, others, save};
use crate::sink::{
    account::{RunAccount, RunStatus},
    files, layout, lock,
    retired_episodes::RetiredFile,
};
use experience_core::transition::RunId;
use experience_export::{
    SinkError, disk,
    journal::{self, JournalReader, Record},
};
use std::{collections::BTreeSet, fs, path::Path};

/// Deletes the oldest segments of `own` before the segment `end`, and of runs that are over, until at most `max_bytes` are left.
/// Returns whether a segment was deleted and the account saved.
pub(in crate::sink) fn enforce(
    recording: &Path,
    own: &mut RunAccount,
    end: u32,
    max_bytes: u64,
) -> Result<bool, SinkError> {
    let Some(_lock) = lock::try_lock_retention(recording) else {
        return Ok(false);
    };
    let mut others = others(recording, own.run)?;
    others.retain(|account| matches!(account.status, RunStatus::Running | RunStatus::Journaled));
    let mut bytes = bytes_of(recording, own.run);
    let mut candidates = candidates(recording, own, end);
    for account in &others {
        bytes += bytes_of(recording, account.run);
        let end = match account.status {
            RunStatus::Journaled => u32::MAX,
            // More episodes may be in the last segment than the account of a dead process counts.
            _ => account.segments.last().map_or(0, |last| last.segment),
        };
        candidates.extend(self::candidates(recording, account, end));
    }
    let mut deletions = choose_deletions(candidates, bytes, max_bytes);
    let mut has_deleted = false;
    for account in others.iter_mut().chain([own]) {
        let segments = deletions.remove(&account.run).unwrap_or_default();
        // Deletions that an earlier process did not finish are finished here.
        if !segments.is_empty() || account.pending_segment_deletions().next().is_some() {
            delete_segments(recording, account, &segments)?;
            has_deleted = true;
        }
    }
    Ok(has_deleted)
}

/// The size of all segments of a run.
fn bytes_of(recording: &Path, run: RunId) -> u64 {
    let entries = fs::read_dir(layout::segments_folder(recording, run));
    let segments = entries.into_iter().flatten().flatten();
    let segments = segments.filter(|entry| journal::segment_number(&entry.file_name()).is_some());
    segments.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}

/// The segments before `end` that the account of a run lists.
fn candidates(recording: &Path, account: &RunAccount, end: u32) -> Vec<DeletionCandidate> {
    let folder = layout::segments_folder(recording, account.run);
    let listed = account.segments.iter().filter(|listed| listed.segment < end);
    let candidates = listed.filter_map(|listed| {
        let metadata = fs::metadata(journal::segment_path(&folder, listed.segment)).ok()?;
        Some(DeletionCandidate {
            order: (listed.committed, account.run, listed.segment),
            bytes: metadata.len(),
        })
    });
    candidates.collect()
}

/// Deletes the segments `numbers` of a run, and those whose deletion is pending, in the order of their numbers.
fn delete_segments(recording: &Path, account: &mut RunAccount, numbers: &[u32]) -> Result<(), SinkError> {
    let folder = layout::segments_folder(recording, account.run);
    for number in numbers.iter().copied() {
        account.note_episodes(recording, RetiredFile::Segment(number), || {
            episodes(&journal::segment_path(&folder, number))
        });
        account.begin_segment_deletion(number);
    }
    save(recording, account)?;
    let mut pending: Vec<u32> = account.pending_segment_deletions().collect();
    pending.sort_unstable();
    for number in pending {
        files::remove(&journal::segment_path(&folder, number))?;
    }
    disk::sync_folder(&folder);
    account.resolve_deletions(recording);
    if account.status == RunStatus::Journaled && account.segments.is_empty() {
        // Nothing is left to write to shards.
        account.status = RunStatus::Closed;
        // Fails while files are in it.
        let _ = fs::remove_dir(&folder);
    }
    save(recording, account)
}

/// The episodes that begin in a segment. One that cannot be read is deleted like any other.
fn episodes(path: &Path) -> BTreeSet<i64> {
    let mut episodes = BTreeSet::new();
    let bytes = fs::read(path).unwrap_or_default();
    let read = JournalReader::read_segment(&bytes, |_, record| {
        if let Record::Open { episode_id, .. } = record {
            episodes.insert(episode_id);
        }
    });
    if let Err(error) = read {
        tracing::debug!("cannot read the episodes of `{}`: {error}", path.display());
    }
    episodes
}
