//! The writer of one run of a [`JournalSink`](super::JournalSink): its segments and its account.

use super::{
    account::{RunAccount, RunStatus},
    card,
    files::io_error,
    journal_sink::Settings,
    layout,
    lock::RunLock,
    run_start::{StartedRun, start_run},
    tag_file::TagFile,
};
use core::fmt;
use experience_core::{
    account::{RunReport, TagChange},
    transition::{Episode, Outcome, StepHeader, WordTable},
};
use experience_export::{
    MissingEpisodes, RecordingInfo, SinkError,
    journal::{self, Journal, JournalSettings, Owner, Record},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::PathBuf,
    sync::Arc,
};

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
    /// The accepted episodes, by the segments that hold them.
    written: Vec<SegmentRange>,
    /// Accepted episodes whose segments are gone.
    missing: MissingEpisodes,
    accepted: u64,
    /// The first of the accepted episodes, which outlive the machine.
    durable: u64,
    /// Bytes of the segments at the last flush.
    bytes: u64,
}

/// Episodes whose rows are in the same segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SegmentRange {
    first: u32,
    last: u32,
    episodes: u64,
    transitions: u64,
}

impl SegmentWriter {
    pub(super) fn open(settings: Settings, recording: &RecordingInfo) -> Result<Self, SinkError> {
        let (seed, build) = (settings.seed, settings.build.clone());
        let StartedRun {
            folder,
            mut lock,
            account,
        } = start_run(&settings.root, settings.on_mismatch, recording, seed, build)?;
        let segments = layout::segments_folder(&folder, recording.run);
        let owner = Owner {
            run: recording.run,
            schema: recording.schema.clone(),
            tick_rate: recording.tick_rate,
            started: account.started,
            rings: None,
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
            written: Vec::new(),
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
        let failed = io_error("write to", &self.segments);
        let written = append(&mut self.journal, &self.words, episodes).map_err(failed)?;
        for range in written {
            match self.written.last_mut() {
                Some(last) if (last.first, last.last) == (range.first, range.last) => {
                    last.episodes += range.episodes;
                    last.transitions += range.transitions;
                }
                _ => self.written.push(range),
            }
        }
        self.accepted += episodes.len() as u64;
        // Until a sync succeeds, the journal of the run holds the rows too.
        if let Err(error) = self.journal.sync_if_due() {
            tracing::warn!("cannot sync `{}`: {error}; trying again", self.segments.display());
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
        let is_current = self.account.is_current(&self.with_missing(report), 0);
        let saved = if is_current { Ok(()) } else { self.save_account(report) };
        secured.and(saved)
    }

    pub(super) fn close(&mut self, report: &RunReport) -> Result<(), SinkError> {
        self.lock.check_account(&self.folder, &self.account, report)?;
        let secured = self.secure();
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
        Ok(())
    }

    /// Counts the accepted episodes whose segments another process has removed, and the size of the others.
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
        let known = self.missing;
        self.missing = MissingEpisodes::default();
        for range in &self.written {
            if !(range.first..=range.last).all(|segment| found.contains(&segment)) {
                self.missing.episodes += range.episodes;
                self.missing.transitions += range.transitions;
            }
        }
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
        self.account.update(&self.folder, &report)
    }
}

/// Appends episodes. Returns the segments that hold them.
fn append(journal: &mut Journal, words: &WordTable, episodes: &[Episode]) -> io::Result<Vec<SegmentRange>> {
    let codes: Vec<_> = episodes
        .iter()
        .map(|episode| controller_codes(words, episode))
        .collect();
    let mut written = Vec::new();
    journal.begin()?;
    for (episode, codes) in episodes.iter().zip(&codes) {
        if journal.frame_bytes_left() == 0 {
            journal.commit()?;
            journal.begin()?;
        }
        let first = journal.segment();
        put_episode(journal, codes, episode)?;
        written.push(SegmentRange {
            first,
            last: journal.segment(),
            episodes: 1,
            transitions: episode.len() as u64,
        });
    }
    journal.commit()?;
    Ok(written)
}

/// The codes that `words`, the table of a journal, assigns to the controllers of an episode, by the codes in the rows. The next frame
/// that begins holds the words that are new.
pub(crate) fn controller_codes(words: &WordTable, episode: &Episode) -> BTreeMap<u16, u16> {
    let code = |(code, label): &(u16, Box<str>)| {
        let assigned = words.controller_code(|known| *known == **label, || label.to_string());
        (*code, assigned.unwrap_or_else(|| words.other_code()))
    };
    episode.controllers().iter().map(code).collect()
}

/// The rows with other codes of their controllers. `None` if they have none.
fn recoded_controllers(codes: &BTreeMap<u16, u16>, episode: &Episode) -> Option<Vec<u64>> {
    if codes.is_empty() {
        return None;
    }
    let mut rows = episode.rows().to_vec();
    // The first row has no action.
    for row in rows.chunks_exact_mut(episode.schema().layout().row_words()).skip(1) {
        let header = StepHeader::of_mut(row);
        header.set_controller(codes.get(&header.controller()).copied().unwrap_or(0));
    }
    Some(rows)
}

/// Adds an episode to the frame of a journal, and commits the frame whenever it is full. `codes` are the [`controller_codes`] of the
/// episode, assigned before the frame was begun.
///
/// # Errors
/// If the file system refuses.
pub(crate) fn put_episode(journal: &mut Journal, codes: &BTreeMap<u16, u16>, episode: &Episode) -> io::Result<()> {
    let info = episode.info();
    let episode_id = info.episode_id;
    journal.put(&Record::Open {
        episode_id,
        captured_as: episode_id as u32,
        agent_id: info.agent_id,
        continues: info.continues,
    });
    let recoded = recoded_controllers(codes, episode);
    let words = episode.schema().layout().row_words();
    let mut rest = recoded.as_deref().unwrap_or(episode.rows());
    loop {
        let limit = (journal.frame_bytes_left() / (words * size_of::<u64>()))
            .max(1)
            .saturating_mul(words);
        let (now, later) = rest.split_at(rest.len().min(limit));
        let _ = journal.put_rows(episode_id, now);
        rest = later;
        if rest.is_empty() {
            break;
        }
        journal.commit()?;
        journal.begin()?;
    }
    journal.put(&Record::Close {
        episode_id,
        terminated: episode.outcome() == Outcome::Terminated,
        reason: episode.reason().as_str(),
        end: &[],
    });
    Ok(())
}

impl fmt::Debug for SegmentWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentWriter")
            .field("folder", &self.folder)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}
