//! The writer of one run of a [`JournalSink`](super::JournalSink): its segments and its account.

use super::{
    account::{RunAccount, RunStatus},
    card,
    files::io_error,
    journal_sink::Settings,
    layout,
    lock::RunLock,
    retention::{CommitClock, segments},
    run_start::{StartedRun, start_run},
    segment_episodes::append,
    segment_ranges::SegmentRanges,
    tag_file::TagFile,
};
use core::fmt;
use experience_core::{
    account::{RunReport, TagChange},
    transition::{Episode, WordTable},
};
use experience_export::{
    MissingEpisodes, RecordingInfo, SinkError,
    journal::{self, Journal, JournalSettings, Owner},
};
use std::{collections::BTreeSet, fs, io, path::PathBuf, sync::Arc};

/// Writes the segments of one run of a recording, and keeps the account of the run up to date.
pub(super) struct SegmentWriter {
    /// The folder of the recording.
    folder: PathBuf,
    /// The folder of the segments.
    segments: PathBuf,
    /// Held until the run is closed.
    lock: RunLock,
    account: RunAccount,
    tags: TagFile,
    journal: Journal,
    /// The words of the codes in the segments.
    words: Arc<WordTable>,
    /// The accepted episodes, by the segments that hold them. Those of deleted segments are removed.
    written: SegmentRanges,
    /// `None` before the first episode is accepted.
    clock: Option<CommitClock>,
    keep_bytes: Option<u64>,
    /// The segments before this one are complete and outlive the machine.
    durable_end: u32,
    /// The list of segments in the account is not in its file.
    has_unsaved_segments: bool,
    /// Accepted episodes whose segments are gone.
    missing: MissingEpisodes,
    accepted: u64,
    /// The first of the accepted episodes, which outlive the machine.
    durable: u64,
    /// Bytes of the segments at the last flush.
    bytes: u64,
}

impl SegmentWriter {
    pub(super) fn open(settings: Settings, recording: &RecordingInfo) -> Result<Self, SinkError> {
        let StartedRun {
            folder,
            mut lock,
            account,
        } = start_run(&settings.root, settings.on_mismatch, recording, settings.label.clone())?;
        let segments = layout::segments_folder(&folder, recording.run);
        let owner = Owner {
            run: recording.run,
            schema: recording.schema.clone(),
            tick_rate: recording.tick_rate,
            started: account.started,
            rings: None,
            label: settings.label,
        };
        let journal_settings = JournalSettings {
            segment_bytes: settings.segment_bytes,
            fsync: settings.fsync,
            ..JournalSettings::default()
        };
        let words = Arc::<WordTable>::default();
        let journal = Journal::create(&segments, owner, words.clone(), journal_settings)
            .map_err(io_error("create", &segments))
            .inspect_err(|_| {
                // The account would reserve the run, and refuse the next attempt to open it.
                let _ = fs::remove_file(account.path(&folder));
                lock.remove();
            })?;
        if let Err(error) = card::update(&settings.root) {
            // A dataset without its card still loads, shard by shard.
            tracing::warn!("cannot update the dataset card: {error}");
        }
        Ok(Self {
            tags: TagFile::new(&folder, recording.run),
            folder,
            segments,
            lock,
            account,
            journal,
            words,
            written: SegmentRanges::default(),
            clock: None,
            keep_bytes: settings.keep_bytes,
            durable_end: 0,
            has_unsaved_segments: false,
            missing: MissingEpisodes::default(),
            accepted: 0,
            durable: 0,
            bytes: 0,
        })
    }

    /// The folder of the run's journal, which holds the rows of open episodes.
    pub(super) fn journal_folder(&self) -> PathBuf {
        layout::journal_folder(&self.folder, self.account.run)
    }

    /// The number of accepted episodes, in order of acceptance, that a sync has followed.
    pub(super) fn durable(&self) -> u64 {
        self.durable
    }

    pub(super) fn missing(&self) -> MissingEpisodes {
        self.missing
    }

    /// The size of the segments, in bytes.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.bytes
    }

    /// Accepts all of `episodes`. After an error none of them is accepted. Those that are in segments nevertheless are written
    /// again, and readers take one of the copies.
    pub(super) fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
        if episodes.is_empty() {
            return Ok(());
        }
        self.lock.check_ownership(&self.folder, &self.account)?;
        let clock = self.clock.get_or_insert_with(|| CommitClock::begin(&self.folder));
        let before = self.journal.segment();
        let failed = io_error("write to", &self.segments);
        let written = append(&mut self.journal, &self.words, episodes, clock.now()).map_err(failed)?;
        written.into_iter().for_each(|range| self.written.add(range));
        self.accepted += episodes.len() as u64;
        // Until a sync succeeds, the journal of the run holds the rows too.
        if let Err(error) = self.journal.sync_if_due() {
            tracing::warn!("cannot sync `{}`: {error}; trying again", self.segments.display());
        }
        if self.keep_bytes.is_some() && self.journal.segment() > before {
            self.check_segments();
            self.enforce_retention();
        }
        Ok(())
    }

    /// Appends changes of the tags of episodes.
    pub(super) fn write_tags(&mut self, changes: &[TagChange]) -> Result<(), SinkError> {
        self.tags.append(changes)
    }

    pub(super) fn flush(&mut self, report: &RunReport) -> Result<(), SinkError> {
        self.lock.check_account(&self.folder, &self.account, report)?;
        if let Some(replaced) = self.lock.renew_process(&self.folder, &mut self.account) {
            self.save_account(report)?;
            return Err(replaced);
        }
        let secured = self.secure();
        self.enforce_retention();
        let is_current = !self.has_unsaved_segments && self.account.is_current(&self.with_missing(report), 0);
        let saved = if is_current { Ok(()) } else { self.save_account(report) };
        secured.and(saved)
    }

    pub(super) fn close(&mut self, report: &RunReport) -> Result<(), SinkError> {
        self.lock.check_account(&self.folder, &self.account, report)?;
        let secured = self.secure();
        self.enforce_retention();
        if secured.is_ok() {
            self.account.status = RunStatus::Journaled;
            self.account.forget_process();
            if self.accepted == 0 {
                // Nothing is left to write to shards.
                journal::remove(&self.segments).map_err(io_error("remove", &self.segments))?;
                self.account.status = RunStatus::Closed;
            }
        }
        let saved = self.save_account(report);
        secured.and(saved)?;
        self.lock.remove();
        if self.missing == MissingEpisodes::default() {
            return Ok(());
        }
        let reason = format!("segments of `{}` are gone", self.segments.display());
        Err(SinkError::Missing {
            missing: self.missing,
            reason,
        })
    }

    /// Syncs the segments, and counts episodes whose segments are gone.
    fn secure(&mut self) -> Result<(), SinkError> {
        self.check_segments();
        if let Err(error) = self.journal.secure() {
            // Gives up a segment that another process has removed: its episodes are counted above, and the next call succeeds.
            let _ = self.journal.begin();
            return Err(io_error("write to", &self.segments)(error));
        }
        self.durable = self.accepted;
        self.durable_end = self.journal.segment();
        Ok(())
    }

    /// Deletes the oldest segments beyond the limit. A recording that is too large is no reason to lose new data.
    fn enforce_retention(&mut self) {
        let Some(max_bytes) = self.keep_bytes else { return };
        let listed: BTreeSet<u32> = self.account.segments.iter().map(|listed| listed.segment).collect();
        let enforced = segments::enforce(&self.folder, &mut self.account, self.durable_end, max_bytes);
        // Also after an error: a deletion that is pending is finished later.
        let kept = self.account.segments.first().map(|listed| listed.segment);
        if let Some(last) = listed.range(..kept.unwrap_or(u32::MAX)).next_back() {
            self.written.remove_until(*last);
        }
        match enforced {
            Ok(true) => {
                // The account was saved.
                self.has_unsaved_segments = false;
                self.check_segments();
            }
            Ok(false) => {}
            Err(error) => tracing::warn!("cannot remove old segments of `{}`: {error}", self.folder.display()),
        }
    }

    /// Counts the accepted episodes whose segments another process has removed, and lists the others in the account.
    fn check_segments(&mut self) {
        let entries = match fs::read_dir(&self.segments) {
            Ok(entries) => Some(entries),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // Any other error does not mean that the segments are gone.
            Err(_) => return,
        };
        let mut found = BTreeSet::new();
        self.bytes = 0;
        for entry in entries.into_iter().flatten().flatten() {
            found.extend(journal::segment_number(&entry.file_name()));
            self.bytes += entry.metadata().map_or(0, |metadata| metadata.len());
        }
        for pending in self.account.pending_segment_deletions() {
            found.remove(&pending);
        }
        let listed = self.written.accounts(&found);
        self.has_unsaved_segments |= listed != self.account.segments;
        self.account.segments = listed;
        let known = self.missing;
        self.missing = self.written.missing(&found);
        if self.missing.transitions > known.transitions {
            tracing::error!(
                "segments of run {} are gone from `{}`: another process has removed them; their {} transitions in {} episodes are \
                 counted as dropped",
                self.account.run,
                self.segments.display(),
                self.missing.transitions,
                self.missing.episodes
            );
        }
    }

    fn with_missing(&self, report: &RunReport) -> RunReport {
        let mut report = report.clone();
        report.set_missing(self.missing.episodes, self.missing.transitions);
        report
    }

    fn save_account(&mut self, report: &RunReport) -> Result<(), SinkError> {
        let report = self.with_missing(report);
        self.account.update(&self.folder, &report)?;
        self.has_unsaved_segments = false;
        Ok(())
    }
}

impl fmt::Debug for SegmentWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentWriter")
            .field("folder", &self.folder)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}
