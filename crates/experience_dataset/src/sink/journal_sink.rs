//! [`JournalSink`], which keeps episodes in segments of the journal's format.

use super::{SchemaMismatch, folder_claim::FolderClaim, recording_folder, segment_writer::SegmentWriter};
use experience_core::{
    account::{RunReport, TagChange},
    schema::Schema,
    transition::{Episode, RunId},
};
use experience_export::{MissingEpisodes, RecordingInfo, RunLabel, Sink, SinkError, journal::Fsync};
use std::{borrow::Cow, path::PathBuf};

/// Writes episodes to a dataset as segments in the format of the [journal](experience_export::journal), without Arrow and
/// Parquet. `experience recover`, or [`Dataset::recover`](crate::Dataset::recover), writes them to shards.
///
/// A game that is shipped, or a server whose binary must be small, records with this sink, and needs neither the feature
/// `parquet` nor a C compiler. The dataset is the one that a [`DatasetSink`](crate::DatasetSink) writes, with the folder
/// `segments/<run>/` in place of the shards of a run. The recovery gives it the same rows, ids and account, and removes the
/// segments. Until then loaders find no row of the run.
///
/// ```
/// use experience_dataset::JournalSink;
///
/// let sink = JournalSink::new("data/arena").with_seed(7).with_build("1.2.0");
/// ```
///
/// What a process wrote outlives it, and what was synced outlives the machine; see [`with_fsync`](Self::with_fsync). Each frame
/// has a checksum, so damage costs the episodes in it, which are counted as dropped. Open episodes are in the journal of the run.
/// Segments take about the bytes of the rows, which is several times as much as shards; see
/// [`with_keep_bytes`](Self::with_keep_bytes).
#[derive(Debug)]
pub struct JournalSink {
    description: String,
    settings: Settings,
    writer: Option<SegmentWriter>,
    claim: Option<FolderClaim>,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) root: PathBuf,
    pub(super) segment_bytes: u64,
    pub(super) keep_bytes: Option<u64>,
    pub(super) fsync: Fsync,
    pub(super) on_mismatch: SchemaMismatch,
    pub(super) label: RunLabel,
}

impl JournalSink {
    /// A sink that writes to the folder `path`, which is created if it is missing.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let mut root = path.into();
        if root.as_os_str().is_empty() {
            // The working directory, with a path that can be checked like any other.
            root.push(".");
        }
        Self {
            description: format!("journal {}", root.display()),
            settings: Settings {
                root,
                segment_bytes: 64 << 20,
                keep_bytes: None,
                fsync: Fsync::default(),
                on_mismatch: SchemaMismatch::Sibling,
                label: RunLabel::default(),
            },
            writer: None,
            claim: None,
        }
    }

    /// Begins another segment when one has about this many bytes; 64 MiB by default, and at most a gibibyte.
    #[must_use]
    pub fn with_segment_bytes(mut self, bytes: u64) -> Self {
        self.settings.segment_bytes = bytes;
        self
    }

    /// Limits the size of the recording's segments, in bytes; unlimited by default.
    ///
    /// Whenever a segment is complete, and at each flush, the oldest segments are deleted until at most `bytes` are left: segments of
    /// this run, and of runs that are closed or whose process died. Segments of other live runs are neither counted nor deleted;
    /// their own sinks do that. Where a folder of the recording is a link to another folder, which other datasets may share, only
    /// segments of this run are counted and deleted. Shards of the recording do not count.
    ///
    /// The segment that is written is kept, and what was written to the last segment of a run whose process died. So are segments that
    /// were not synced: what is written between two flushes can exceed the limit. An episode is deleted with the segment that it
    /// begins in. The order is that of [`SegmentAccount::committed`](crate::SegmentAccount::committed). Deleted transitions still
    /// count as exported, and [`RunAccount::retired`](crate::RunAccount::retired) counts them.
    #[must_use]
    pub fn with_keep_bytes(mut self, bytes: u64) -> Self {
        self.settings.keep_bytes = Some(bytes);
        self
    }

    /// Sets when segments are synced to the disk; every 5 seconds by default, and at each flush unless it is
    /// [`Fsync::Never`].
    #[must_use]
    pub fn with_fsync(mut self, fsync: Fsync) -> Self {
        self.settings.fsync = fsync;
        self
    }

    /// Refuses to record if the recording's folder holds another schema, instead of writing to a sibling folder.
    #[must_use]
    pub fn refuse_other_schema(mut self) -> Self {
        self.settings.on_mismatch = SchemaMismatch::Refuse;
        self
    }

    /// Stores the seed of the game's random numbers in the run's account.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.settings.label.seed = Some(seed);
        self
    }

    /// Stores the build of the game, such as a commit or a version, in the run's account.
    #[must_use]
    pub fn with_build(mut self, build: impl Into<String>) -> Self {
        self.settings.label.build = Some(build.into());
        self
    }

    fn writer(&mut self) -> Result<&mut SegmentWriter, SinkError> {
        self.writer
            .as_mut()
            .ok_or_else(|| SinkError::Other(format!("{} is not open", self.description)))
    }
}

impl Sink for JournalSink {
    fn describe(&self) -> Cow<'_, str> {
        self.description.as_str().into()
    }

    fn check(&mut self, schema: &Schema) -> Result<(), SinkError> {
        recording_folder::check(&self.settings.root, schema, self.settings.on_mismatch)
    }

    fn check_run(&mut self, schema: &Schema, run: RunId) -> Result<(), SinkError> {
        FolderClaim::renew(&mut self.claim, &self.settings.root, schema, run)
    }

    fn open(&mut self, recording: &RecordingInfo) -> Result<(), SinkError> {
        self.writer = Some(SegmentWriter::open(self.settings.clone(), recording)?);
        Ok(())
    }

    fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
        self.writer()?.write(episodes)
    }

    fn write_tags(&mut self, changes: &[TagChange]) -> Result<(), SinkError> {
        self.writer()?.write_tags(changes)
    }

    fn missing(&self) -> MissingEpisodes {
        self.writer
            .as_ref()
            .map_or(MissingEpisodes::default(), SegmentWriter::missing)
    }

    fn flush(&mut self, report: &RunReport) -> Result<(), SinkError> {
        self.writer()?.flush(report)
    }

    fn disk_bytes(&self) -> u64 {
        self.writer.as_ref().map_or(0, SegmentWriter::disk_bytes)
    }

    fn durable(&self, _: u64) -> u64 {
        self.writer.as_ref().map_or(0, SegmentWriter::durable)
    }

    fn journal_folder(&self) -> Option<PathBuf> {
        self.writer.as_ref().map(SegmentWriter::journal_folder)
    }

    fn run_label(&self) -> RunLabel {
        self.settings.label.clone()
    }

    fn close(&mut self, report: &RunReport) -> Result<(), SinkError> {
        self.writer()?.close(report)?;
        self.writer = None;
        Ok(())
    }
}
