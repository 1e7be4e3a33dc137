//! Journal of one recording on the exporter thread: what is written when, and which segments can be deleted.

mod account_changes;
mod compaction;
mod failure;

use super::{
    ExportSettings,
    episode_batch::{DurabilityToken, EpisodeBatch, StoredBatch},
    notice::Notices,
    sink_context::{SinkAccounts, StoredChanges},
    storage::StorageMonitor,
};
use crate::{
    assembly::{AssemblyContext, EpisodeBuilder},
    journal::{self, Counts, Journal, JournalLock, JournalSettings, Owner, Record, Segments},
    sink::{RecordingInfo, RunLabel},
};
use account_changes::AccountChanges;
use experience_core::{account::Counters, transition::Episode};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};
use web_time::{Instant, UNIX_EPOCH};

/// Writes the journal of one recording, and tracks which of its segments are still needed.
///
/// The journal begins when a sink with a folder for it is open. Until then, and where no folder is known, open episodes stay
/// in memory and no batch can be stored.
pub(super) struct JournalTracker {
    name: String,
    /// Index of the recording at the exporter.
    recording: usize,
    settings: Option<JournalSettings>,
    owner: Owner,
    journal: Option<Journal>,
    /// Reader of the journal. Stays when the journal ends early, because its files do.
    segments: Option<Segments>,
    /// Bytes of rows that were drained since everything was written.
    unwritten: usize,
    /// When everything was written, or a write failed.
    written: Instant,
    /// Batches that some sink has not made durable.
    undurable: Vec<UndurableBatch>,
    /// Episodes that became durable, or were withdrawn, since the last frame.
    durable: Vec<i64>,
    withdrawn: Vec<u32>,
    /// The disk was not synced since the last episode was withdrawn.
    is_unsynced_withdrawal: bool,
    /// The last write failed. It was logged.
    is_failing: bool,
    /// A rewrite of an open episode failed. It was logged.
    cannot_compact: bool,
    /// An episode or an account change was rewritten, and the disk not synced since.
    is_unsynced_rewrite: bool,
    /// Bytes that must fit on the full disk before the journal is written again.
    needed_space: Option<usize>,
    /// The journal is in [`JournalSettings::folder`]: no sink makes a promise that depends on it, so that a full disk need not
    /// pause the recording.
    is_fallback: bool,
    /// The lock of a journal in that folder. Other journals are guarded by the sink whose folder they are in.
    lock: Option<JournalLock>,
    /// The account in the last frame.
    counts: Option<Counts>,
    /// The account changes in the last segment.
    changes: AccountChanges,
    storage: Arc<StorageMonitor>,
    notices: Arc<Notices>,
}

/// A batch in the journal that some sink has not made durable.
struct UndurableBatch {
    /// One for each sink.
    tokens: Vec<Weak<DurabilityToken>>,
    /// The oldest segment with a part of it.
    segment: u32,
    episodes: Vec<i64>,
}

impl UndurableBatch {
    fn is_needed(&self) -> bool {
        self.tokens.iter().any(|token| token.strong_count() > 0)
    }

    fn is_needed_without(&self, sink: usize) -> bool {
        let mut others = self.tokens.iter().enumerate().filter(|(index, _)| *index != sink);
        others.any(|(_, token)| token.strong_count() > 0)
    }
}

impl JournalTracker {
    pub(super) fn new(
        recording: usize,
        info: &RecordingInfo,
        settings: &ExportSettings,
        storage: Arc<StorageMonitor>,
        notices: Arc<Notices>,
    ) -> Self {
        let since = info.started.duration_since(UNIX_EPOCH);
        Self {
            name: format!("the journal of recording `{}`", info.schema.name()),
            recording,
            settings: settings.journal.clone(),
            owner: Owner {
                run: info.run,
                schema: info.schema.clone(),
                tick_rate: info.tick_rate,
                started: since.map_or(0.0, |since| since.as_secs_f64()),
                // The journal stores text. A path that is not Unicode is left out, and those ring files are not recovered.
                rings: info
                    .buffers
                    .as_ref()
                    .and_then(|folder| folder.to_str().map(str::to_owned)),
                label: RunLabel::default(),
            },
            journal: None,
            segments: None,
            unwritten: 0,
            written: Instant::now(),
            undurable: Vec::new(),
            durable: Vec::new(),
            withdrawn: Vec::new(),
            is_unsynced_withdrawal: false,
            is_failing: false,
            cannot_compact: false,
            is_unsynced_rewrite: false,
            needed_space: None,
            is_fallback: false,
            lock: None,
            counts: None,
            changes: AccountChanges::default(),
            storage,
            notices,
        }
    }

    /// Whether the journal has not begun, is wanted, and the last attempt to begin it is not too recent.
    pub(super) fn is_wanted(&self) -> bool {
        self.settings.is_some() && self.journal.is_none() && (!self.is_failing || self.is_due())
    }

    /// The journal's folder for a recording none of whose sinks has one.
    pub(super) fn fallback_folder(&self) -> Option<PathBuf> {
        let folder = self.settings.as_ref()?.folder.as_ref()?;
        Some(JournalSettings::run_folder(folder, self.owner.run, self.recording))
    }

    /// Sets the label of the run, before the journal begins.
    pub(super) fn set_label(&mut self, label: &RunLabel) {
        self.owner.label.clone_from(label);
    }

    /// Begins the journal in `folder`.
    pub(super) fn begin(&mut self, folder: &Path, is_fallback: bool, context: &AssemblyContext) {
        let Some(settings) = self.settings.clone() else { return };
        self.is_fallback = is_fallback;
        match Journal::create(folder, self.owner.clone(), context.words.clone(), settings) {
            Ok(journal) => {
                self.segments = Some(journal.segments());
                self.journal = Some(journal);
                if is_fallback {
                    // Without a lock the journal is unclear to other processes, which leave it as it is.
                    self.lock = JournalLock::take(folder)
                        .inspect_err(|error| tracing::debug!("cannot lock `{}`: {error}", folder.display()))
                        .ok();
                }
                self.report_success();
            }
            Err(error) => self.report_failure(folder.to_owned(), error),
        }
    }

    /// Ends the journal early: nothing more is written to it, and its files stay for a recovery.
    pub(super) fn abandon(&mut self) {
        self.settings = None;
        self.report_success();
        if let Some(journal) = self.journal.take() {
            tracing::error!(
                "`{}` stays: a sink failed before it made all of it durable; it is recovered at the next start",
                journal.folder().display()
            );
        }
    }

    /// Shows other processes that this one is alive.
    pub(super) fn keep_alive(&mut self) {
        if let Some(lock) = &mut self.lock {
            lock.beat_if_due();
        }
    }

    /// Counts bytes of rows that were drained.
    pub(super) fn add_drained(&mut self, bytes: usize) {
        self.unwritten = self.unwritten.saturating_add(bytes);
    }

    /// Whether it is time to write everything: the flush interval has passed, a frame's worth of rows was drained, or an
    /// episode was withdrawn, which a recovery must not find.
    pub(super) fn is_write_due(&self) -> bool {
        let Some(settings) = self.settings.as_ref().filter(|_| self.journal.is_some()) else {
            return false;
        };
        // Rows drained from a ring file can be overwritten there at once. Until they are in the journal, they would die with
        // the process, though the ring file outlives it.
        let outlives = self.owner.rings.is_some() && self.unwritten > 0;
        let is_full = outlives || self.unwritten >= settings.frame_bytes;
        let is_withdrawing = !self.withdrawn.is_empty() || self.is_unsynced_withdrawal;
        self.is_due() || ((is_full || is_withdrawing) && !self.is_failing)
    }

    fn is_due(&self) -> bool {
        let due = |settings: &JournalSettings| self.written.elapsed() >= settings.flush_interval;
        self.settings.as_ref().is_some_and(due)
    }

    /// Notes that an episode was discarded. Its records are void.
    pub(super) fn withdraw(&mut self, captured_as: u32) {
        if self.journal.is_some() {
            self.withdrawn.push(captured_as);
        }
    }

    /// Writes what `builders` have that the journal lacks. What could not be written stays in memory.
    pub(super) fn write<'a>(
        &mut self,
        context: &AssemblyContext,
        counters: &Counters,
        accounts: SinkAccounts,
        builders: impl IntoIterator<Item = &'a mut EpisodeBuilder>,
    ) {
        let Some(mut journal) = self.journal.take() else { return };
        let mut builders: Vec<_> = builders.into_iter().filter(|builder| builder.has_unwritten()).collect();
        self.collect_durable();
        let written = match self.needed_space {
            // A small frame may fit on a disk that the next frame would fill again.
            Some(bytes) => journal.probe(bytes),
            None => Ok(()),
        };
        let accounts = self.stored_elsewhere(accounts);
        // Before the rows, so that none is without its tick rate.
        let written = written.and_then(|()| {
            self.is_unsynced_rewrite |= self.changes.write(&mut journal, counters, accounts)?;
            Ok(())
        });
        let written = written.and_then(|()| self.try_write(&mut journal, context, Counts::of(counters), &mut builders));
        let written = written.map_err(|error| (journal.folder().to_owned(), error));
        self.journal = Some(journal);
        match written {
            Ok(()) => self.report_success(),
            Err((folder, error)) => self.report_failure(folder, error),
        }
    }

    fn try_write(
        &mut self,
        journal: &mut Journal,
        context: &AssemblyContext,
        counts: Counts,
        builders: &mut [&mut EpisodeBuilder],
    ) -> io::Result<()> {
        let layout = context.schema.layout();
        let is_empty = builders.is_empty() && self.withdrawn.is_empty() && self.durable.is_empty();
        if is_empty && self.counts == Some(counts) {
            return Ok(());
        }
        journal.begin()?;
        for captured_as in self.withdrawn.iter().copied() {
            journal.put(&Record::Discard { captured_as });
        }
        for episode_id in self.durable.iter().copied() {
            journal.put(&Record::Settled { episode_id });
        }
        journal.put(&Record::Counts(counts));
        let mut first = 0;
        loop {
            let mut last = first;
            let mut is_whole = true;
            while last < builders.len() && is_whole && (journal.frame_bytes_left() > 0 || last == first) {
                is_whole = builders[last].write(layout, journal);
                last += 1;
            }
            let committed = journal.commit();
            for builder in &mut builders[first..last] {
                builder.confirm_write(committed.is_ok());
            }
            committed?;
            self.is_unsynced_withdrawal |= !self.withdrawn.is_empty();
            self.withdrawn.clear();
            self.durable.clear();
            self.counts = Some(counts);
            // An episode that did not fit continues in the next frame.
            first = if is_whole { last } else { last - 1 };
            if first == builders.len() {
                return Ok(());
            }
            journal.begin()?;
        }
    }

    /// Ends a write of everything: syncs the disk if that is due, and deletes segments that are not needed. `oldest` is the
    /// oldest segment with a part of an episode that was not dispatched.
    pub(super) fn finish_write(&mut self, counters: &Counters, accounts: SinkAccounts, oldest: Option<u32>) {
        self.written = Instant::now();
        self.unwritten = 0;
        let undurable = self.oldest_undurable();
        let accounts = self.stored_elsewhere(accounts);
        let Some(journal) = &mut self.journal else { return };
        let mut needed = oldest.map_or(undurable, |oldest| oldest.min(undurable));
        if self.changes.is_needed(counters, accounts) {
            // Another segment may have begun since they were written.
            match self.changes.write(journal, counters, accounts) {
                Ok(has_moved) => self.is_unsynced_rewrite |= has_moved,
                Err(error) => {
                    let folder = journal.folder().to_owned();
                    self.report_failure(folder, error);
                    return;
                }
            }
            needed = needed.min(journal.segment());
        }
        let synced = if self.is_unsynced_rewrite || self.is_unsynced_withdrawal {
            // The rewritten rows are the only copy once the older segments are deleted. A withdrawn episode must not come back
            // after a power failure.
            journal.secure()
        } else {
            journal.sync_if_due()
        };
        self.is_unsynced_rewrite &= synced.is_err();
        self.is_unsynced_withdrawal &= synced.is_err();
        if let Err(error) = synced.and_then(|()| journal.release(needed)) {
            let folder = journal.folder().to_owned();
            self.report_failure(folder, error);
        }
    }

    /// The accounts that a reader of the journal finds elsewhere. No sink hosts a fallback journal, so that its reader has
    /// nothing else.
    fn stored_elsewhere(&self, accounts: SinkAccounts) -> SinkAccounts {
        if self.is_fallback {
            SinkAccounts {
                stored: StoredChanges::default(),
                ..accounts
            }
        } else {
            accounts
        }
    }

    /// Syncs what was written, at a flush that callers wait for.
    pub(super) fn secure(&mut self) {
        let Some(journal) = &mut self.journal else { return };
        if let Err(error) = journal.secure() {
            let folder = journal.folder().to_owned();
            self.report_failure(folder, error);
        }
    }

    /// The oldest segment with a part of a batch that some sink has not made durable.
    fn oldest_undurable(&self) -> u32 {
        let segments = self.undurable.iter().map(|batch| batch.segment);
        segments.min().unwrap_or(u32::MAX)
    }

    fn collect_durable(&mut self) {
        let durable = &mut self.durable;
        self.undurable.retain_mut(|batch| {
            let keep = batch.is_needed();
            if !keep {
                durable.append(&mut batch.episodes);
            }
            keep
        });
    }

    /// Bytes of the journal that only `sink` needs. `oldest` is the oldest segment with a part of an episode that was not
    /// dispatched.
    pub(super) fn bytes_needed_by(&self, sink: usize, oldest: Option<u32>) -> u64 {
        let Some(journal) = &self.journal else { return 0 };
        let needed = |batch: &&UndurableBatch| batch.is_needed_without(sink);
        let needed = self.undurable.iter().filter(needed).map(|batch| batch.segment);
        journal.bytes_before(needed.chain(oldest).min().unwrap_or(u32::MAX))
    }

    /// Keeps no batch for `sink` any more. Batches that no other sink needs are not marked as durable.
    pub(super) fn forget_sink(&mut self, sink: usize) {
        self.collect_durable();
        for batch in &mut self.undurable {
            batch.tokens[sink] = Weak::new();
        }
        self.undurable.retain(UndurableBatch::is_needed);
    }

    /// Tracks a batch that is about to be dispatched, until the `tokens` of all sinks are dropped.
    pub(super) fn track(&mut self, builders: &[EpisodeBuilder], tokens: &[Arc<DurabilityToken>]) {
        let in_journal = || builders.iter().filter(|builder| builder.is_in_journal());
        let Some(segment) = in_journal().filter_map(EpisodeBuilder::segment).min() else {
            return;
        };
        self.undurable.push(UndurableBatch {
            tokens: tokens.iter().map(Arc::downgrade).collect(),
            segment,
            episodes: in_journal().map(EpisodeBuilder::episode_id).collect(),
        });
    }

    /// The batch by its location in the journal. `None` unless the journal holds all of it.
    pub(super) fn stored_batch(
        &self,
        context: &AssemblyContext,
        builders: &[EpisodeBuilder],
        bytes: usize,
        created: Instant,
    ) -> Option<Arc<StoredBatch>> {
        let journal = self.segments.as_ref()?.folder().to_owned();
        let episodes = builders.iter().map(EpisodeBuilder::stored).collect::<Option<_>>()?;
        let words = context.words.clone();
        Some(Arc::new(StoredBatch::new(journal, episodes, words, bytes, created)))
    }

    /// The batch in memory.
    pub(super) fn episode_batch(
        &mut self,
        context: &AssemblyContext,
        builders: impl Iterator<Item = EpisodeBuilder>,
        created: Instant,
        stored: Option<Arc<StoredBatch>>,
    ) -> EpisodeBatch {
        let mut segments = self.segments.as_mut();
        let episodes = builders.map(|builder| {
            let transitions = builder.transitions();
            let episode = builder.into_episode(&context.schema, context.run, &context.words, segments.as_deref_mut());
            (transitions, episode)
        });
        collect(&self.name, episodes, created, stored)
    }

    /// Reads a batch back.
    pub(super) fn load(&mut self, context: &AssemblyContext, stored: &Arc<StoredBatch>) -> Arc<EpisodeBatch> {
        stored.load(|| {
            let mut segments = self.segments.as_mut();
            let episodes = stored.episodes.iter().map(|episode| {
                let loaded = match segments.as_deref_mut() {
                    Some(segments) => episode.load(&context.schema, context.run, &context.words, segments),
                    None => Err(io::Error::other("the recording has no journal")),
                };
                (episode.transitions(), loaded)
            });
            collect(&self.name, episodes, stored.created, Some(stored.clone()))
        })
    }

    /// Deletes the journal: the run has ended, and every sink has made all of it durable or counted it lost.
    pub(super) fn finish(&mut self) {
        let Some(journal) = self.journal.take() else { return };
        let folder = journal.folder().to_owned();
        if let Err(error) = journal.remove() {
            tracing::warn!("cannot remove `{}`: {error}; nothing in it is needed", folder.display());
        }
        if let Some(lock) = self.lock.take() {
            lock.remove();
            journal::sweep(folder.parent().unwrap_or(Path::new(".")));
        }
    }
}

/// Collects the episodes that could be read, and counts the transitions of the others.
fn collect(
    journal: &str,
    episodes: impl Iterator<Item = (u64, io::Result<Episode>)>,
    created: Instant,
    stored: Option<Arc<StoredBatch>>,
) -> EpisodeBatch {
    let mut unreadable = 0;
    let readable = episodes.filter_map(|(transitions, episode)| match episode {
        Ok(episode) => Some(episode),
        Err(error) => {
            unreadable += transitions;
            tracing::error!(
                "cannot read an episode back from {journal}: {error}; its {transitions} transitions are counted as dropped"
            );
            None
        }
    });
    let readable = readable.collect();
    EpisodeBatch::new(readable, unreadable, created, stored)
}
