//! What a recovery has found and written: [`Recovery`], [`RecoveredRun`].

use experience_core::transition::RunId;
use serde::Serialize;
use std::path::{Path, PathBuf};

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
    /// Whether the run was closed, by a [`JournalSink`](crate::JournalSink): its episodes were in segments.
    pub closed: bool,
    /// Those of the episodes that were still open: they are truncated, reason [`EndReason::CRASH`](experience_core::transition::EndReason::CRASH).
    pub cut_short: u64,
    /// Transitions that are known to have been recorded and could not be recovered; they count as dropped. At least this many
    /// are lost: transitions that were captured after the last write of the journal, and were not in files of buffers, were in
    /// no count that has survived. A journal is written at least every
    /// [`JournalSettings::flush_interval`](experience_export::journal::JournalSettings::flush_interval) (1 second by default).
    pub lost: u64,
    /// The last tick from which a row has survived, in the journal, the files of buffers or the shards; `None` if none has.
    /// What is lost beyond `lost` was captured after it.
    pub last_tick: Option<i64>,
    /// Parts of the journal and of the buffer files that could not be read, one sentence each.
    pub unread: Vec<String>,
    /// Folder in which those segments of the journal are kept that could not be read completely.
    pub kept: Option<PathBuf>,
    /// Those of `unread` that are ordinary: the process died in the middle of a write, whose rows count as lost.
    pub torn: Vec<String>,
    /// The folder of buffer files that were read and not removed, because nothing proves that they are of this dataset: it is a
    /// copy, or version 0.1.0 wrote it. Remove the files whose names begin with the run if no dataset needs them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_buffers: Option<PathBuf>,
}

impl RecoveredRun {
    /// The parts that could not be read although the process had written them: `unread` without `torn`.
    pub fn damage(&self) -> impl Iterator<Item = &str> {
        let damage = self.unread.iter().filter(|unread| !self.torn.contains(unread));
        damage.map(String::as_str)
    }

    /// States from which tick on transitions may be lost that [`lost`](Self::lost) does not count; empty if no row has
    /// survived.
    #[must_use]
    pub fn after_last_tick(&self) -> String {
        self.last_tick.map_or_else(String::new, |tick| {
            format!(", and all that were captured after tick {tick}, since the last write of the journal")
        })
    }
}

/// The result of a recovery of one recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Recovery {
    /// Runs that were recovered.
    pub recovered: Vec<RecoveredRun>,
    /// Runs whose process is alive; they are unchanged.
    pub alive: Vec<RunId>,
    /// Unfinished runs whose process may be alive. They are unchanged. Either their lock file is missing: the file system has no
    /// locks, or the file was removed. Or their process is of another host, another container or an earlier boot, and gave a
    /// sign of life less than a minute ago: recover again in a minute.
    pub unclear: Vec<RunId>,
    /// Runs that could not be recovered, and why. No data of them was removed, so the recovery can be repeated.
    pub failed: Vec<(RunId, String)>,
    /// Runs whose recovery the file system refused, and why: a read-only disk, a full one, too many open files. They are
    /// unchanged, and the recovery can be repeated.
    pub refused: Vec<(RunId, String)>,
    /// Folders with damaged segments of journals that were removed on request.
    pub discarded: Vec<PathBuf>,
}

impl Recovery {
    /// Whether no unfinished run was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Logs what was recovered in the folder of a recording.
pub(super) fn log(folder: &Path, recovery: &Recovery) {
    for found in &recovery.recovered {
        if found.closed {
            tracing::info!(
                "wrote the segments of run {} of `{}` to shards: {} transitions in {} episodes; {} transitions are lost and counted \
                 as dropped",
                found.run,
                folder.display(),
                found.transitions,
                found.episodes,
                found.lost
            );
        } else {
            tracing::warn!(
                "run {} of `{}` was not closed: recovered {} transitions in {} episodes, {} of them truncated; at least {} \
                 transitions are lost and counted as dropped{}",
                found.run,
                folder.display(),
                found.transitions,
                found.episodes,
                found.cut_short,
                found.lost,
                found.after_last_tick()
            );
        }
        for unread in found.damage() {
            tracing::warn!("cannot recover a part of run {}: {unread}", found.run);
        }
        if let Some(kept) = &found.kept {
            tracing::warn!(
                "the damaged segments of run {} are kept in `{}`; `experience recover --discard-damaged` removes them",
                found.run,
                kept.display()
            );
        }
        if let Some(buffers) = &found.kept_buffers {
            tracing::warn!(
                "the buffer files of run {} in `{}` were read and stay: nothing proves that they are of this dataset",
                found.run,
                buffers.display()
            );
        }
    }
    for (run, error) in recovery.failed.iter().chain(&recovery.refused) {
        tracing::error!(
            "cannot recover run {run} of `{}`: {error}; it will be tried again at the next start",
            folder.display()
        );
    }
}
