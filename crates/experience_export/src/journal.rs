//! Write-ahead journal of episodes, in append-only segment files.
//!
//! A [`Journal`] is appended the rows of open episodes, and then how each episode ended. It serves three purposes:
//! - **Crash recovery**: [`JournalReader`] reads what a process left that died.
//! - **Memory**: an open episode need not stay in memory. The location of its rows is a list of [`Extent`]s, and [`Segments`]
//!   reads them back.
//! - **Backlog**: a finished episode that does not fit in a sink's queue stays in the journal until it fits.
//!
//! The exporter writes one journal for each recording with a sink that has a
//! [folder for it](crate::sink::Sink::journal_folder), or for which [`JournalSettings::folder`] names one.
//!
//! A journal is a folder of segments, `00000.journal`, `00001.journal` and so on. A segment is deleted when it and those before
//! it hold nothing that is needed: every episode in them is durable at every sink, discarded or lost. Of the last one that was
//! deleted, the first 12 bytes stay as a **mark**, until the next deletion. So a segment that is missing for another reason is told
//! from one that was not needed any more.
//!
//! An episode that stays open would keep every segment since it began, with all other episodes in them. Where less
//! than a quarter of that is needed, the episode is written again to the end of the journal, so that the older segments can be
//! deleted. A reader that finds both copies takes the longer one: the shorter is a prefix or a suffix of the same rows.
//!
//! # The format
//! Numbers are little-endian and of fixed width, but for those in rows, which are in the machine's byte order. A segment begins
//! with
//!
//! | bytes | what |
//! |---|---|
//! | 0 | the letters `bevyjrnl` |
//! | 8 | version of this format, `u32`: 1; the bytes before it are the same in every version, and the checksums of frames in no two |
//! | 12 | `0x01020304` as a `u32` in the machine's byte order |
//!
//! and continues with frames, without gaps, until its end:
//!
//! | bytes | what |
//! |---|---|
//! | 0 | length of the batch in bytes, `u32` |
//! | 4 | CRC-32C of the four bytes of the length and of the batch, `u32` |
//! | 8 | the batch: |
//! | 8 | number of the frame, `u64`, counted from 0 through all segments of a run |
//! | 16 | records, each a `u32` tag and its fields, until the batch ends |
//!
//! | record | fields |
//! |---|---|
//! | 0, head | run `u32`, segment `u32`, schema hash `u64`, bytes of a row `u32`, schema *text* (JSON), ticks a second *maybe* `f64`, start of the run in seconds since 1970 `f64`, folder of ring files *maybe* *text*, crate and version that wrote it *text* |
//! | 1, open | episode id `i64`, number under which it was captured `u32`, agent id `i64`, episode that it continues *maybe* `i64` |
//! | 2, rows | episode id `i64`, rows *bytes* |
//! | 3, close | episode id `i64`, terminated or else truncated `u8`, reason *text*, row whose reward is added to the last row's, or nothing *bytes* |
//! | 4, discard | number under which the episode was captured `u32` |
//! | 5, word | code `u16`, end reason or controller *text* |
//! | 6, settled | episode id `i64`: it is durable at every sink |
//! | 7, counts | recorded, not finite, lost, discarded, empty episodes, orphaned rewards, ignored ends, refused agents, unbuffered agents: `u64` each |
//! | 8, tick rate | the first tick that it holds for `i64`, ticks a second `f64` |
//! | 9, tag | episode id `i64`, agent id `i64`, tag *text* |
//! | 10, untag | episode id `i64`: its tags so far are void |
//! | 11, label | seed of the run *maybe* `u64`, build of the game *maybe* *text* |
//! | 12, failures | failed calls so far of the sink whose folder contains the journal `u64` |
//! | 13, marks releases | none: the segments are numbered without gaps from 0 or from a mark on |
//!
//! *Text* and *bytes* are a `u64` length and that many bytes; *maybe* is a `u8`, and the value where that is 1. This is the
//! encoding of [bincode](https://docs.rs/bincode/2.0.1) with integers of fixed width. A row is a
//! [`StepHeader`](experience_core::transition::StepHeader) followed by the columns of
//! [`RowLayout`](experience_core::schema::RowLayout); the rows of one episode are in order, over any number of records. The
//! first frame of a segment holds a head and all words so far, so every segment can be read without the others.
//!
//! Records 8 to 13 are in frames of their own, so that version 0.1.0, which does not know them, skips nothing else. The second
//! frame of a segment holds the label, if the run has one, and record 13, unless the journal is never synced. The last segment restates all tick rates and the failures, and those tags
//! that a sink has not stored, before the segments that held them are deleted. So they outlive the account, of which the
//! journal is the only copy. Applying a tag change twice in the order of the changes has the effect of applying it once.
//!
//! # Damage
//! A frame that is truncated, such as the last one of a process that died, or has a wrong checksum, is skipped: the next frame
//! begins where a length, a checksum and a number match again. That is found in time proportional to the segment, whatever its
//! bytes. A segment whose preamble is damaged is read from its first frame on. All that is skipped is reported as [`Damage`],
//! the number of frames that are missing as [`JournalReader::missing`], and that of segments which are missing before the first as
//! [`JournalReader::absent_segments`].

mod extent;
mod frame;
mod lock;
mod reader;
mod record;
mod segment;
mod substring_sums;
mod writer;

#[cfg(test)]
mod tests;

pub use extent::{Extent, Segments};
pub use lock::{JournalClaim, JournalLock};
pub use reader::{Damage, JournalError, JournalReader, Place, Unread};
pub use record::{Counts, Head, Record};
pub use writer::{Journal, Owner};
pub use writer::{remove, remove_segments, segment_number, segment_path, sweep};

use crate::disk;
use core::time::Duration;
use experience_core::transition::RunId;
use std::{
    io,
    path::{Path, PathBuf},
};

/// Folder of all journals in [`JournalSettings::folder`]. It is deleted with the last journal, and the folder around it stays.
const JOURNALS: &str = "journal";

/// Digits of a run's id in the name of its journal.
const RUN_DIGITS: usize = 8;

/// How a journal is written.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalSettings {
    /// Longest time from draining a row until it is in the journal. A process that is killed loses at most this.
    pub flush_interval: Duration,
    /// Bytes of rows that are written before that interval ends. It bounds the memory of open episodes. The journal is synced
    /// when so many bytes are not, unless `fsync` is [`Fsync::Never`]: until then they are also in memory.
    pub frame_bytes: usize,
    /// Bytes of a segment, about, before another is begun; at most a gibibyte.
    pub segment_bytes: u64,
    /// When the journal is synced to the disk.
    pub fsync: Fsync,
    /// Most bytes of finished episodes that wait in the journal for one sink, because its queue is full: its **backlog**. Their
    /// rows count, and about 150 bytes of memory for each episode. One batch may exceed it. A sink whose backlog is over this
    /// holds up its recording; see [`ExportSettings::patience`](crate::ExportSettings::patience).
    ///
    /// The journal itself is larger: it also holds open episodes, and what sinks have taken and not made durable. For a sink
    /// that has stalled it keeps at most twice as much, or four segments where that is more. Then the backlog is counted as
    /// dropped, and what the sink has taken is lost if the process dies.
    pub backlog_bytes: u64,
    /// Folder for the journals of recordings none of whose sinks has a
    /// [folder of its own](crate::sink::Sink::journal_folder), such as those with a
    /// [`MemorySink`](crate::sink::MemorySink) alone. It is created where it is missing. `None` for no journal there, and no
    /// backlog.
    ///
    /// After a clean close the folder is empty. A process that dies leaves `journal/<run>-<recording>/` in it, with the open
    /// episodes and the backlogs. The command `experience recover` writes them to a dataset in this folder, and each start
    /// [logs](Self::prepare_folder) what is left. No later run passes them to its sinks, which may have received some of them. Do not
    /// name a folder in memory, such as `/tmp` on many systems. A full disk does not pause the recording: without a backlog the
    /// buffers overflow.
    pub folder: Option<PathBuf>,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_secs(1),
            frame_bytes: 4 << 20,
            segment_bytes: 16 << 20,
            fsync: Fsync::default(),
            backlog_bytes: 1 << 30,
            folder: None,
        }
    }
}

impl JournalSettings {
    /// Creates [`folder`](Self::folder), if one is named, and checks that files can be created in it. Logs the number and size of
    /// the journals that other processes have left in it.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn prepare_folder(&self) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        disk::create_folders(folder)?;
        disk::probe(folder)?;
        let (mut journals, mut bytes) = (0_u32, 0);
        for journal in run_folders(folder).into_iter().flatten() {
            match JournalLock::claim(&journal) {
                JournalClaim::Dead(_) => {
                    journals += 1;
                    bytes += bytes_in(&journal);
                }
                JournalClaim::Alive => {}
                JournalClaim::Unclear => tracing::warn!(
                    "`{}` is the journal of a process that may be alive: if it died, `experience recover --include-unclear {}` \
                     writes its episodes to a dataset in that folder",
                    journal.display(),
                    folder.display()
                ),
            }
        }
        if journals > 0 {
            tracing::warn!(
                "processes that died have left {journals} journals with {bytes} bytes in `{0}`, whose episodes reached no sink: \
                 `experience recover {0}` writes them to a dataset in that folder",
                folder.display()
            );
        }
        Ok(())
    }

    /// Checks that no earlier run with the id `run` has left a journal in [`folder`](Self::folder).
    ///
    /// # Errors
    /// When there is one, or the file system refuses.
    pub fn check_run(&self, run: RunId) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let entries = match std::fs::read_dir(folder.join(JOURNALS)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        let prefix = format!("{run}-");
        for entry in entries {
            if entry?
                .file_name()
                .to_str()
                .is_some_and(|name| name.starts_with(&prefix))
            {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    format!(
                        "an earlier process with the run id {run} left a journal in it: give each process another \
                         `ExperiencePlugin::run` or `None`, or move that journal away"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// The folder of one journal in [`folder`](Self::folder): see [`run_folders`].
    pub(crate) fn run_folder(folder: &Path, run: RunId, recording: usize) -> PathBuf {
        folder.join(JOURNALS).join(format!("{run}-{recording}"))
    }
}

/// The folders of the journals in `folder`, a [`JournalSettings::folder`], in the order of their names. The name of each begins with
/// the id of its run. Whether the process of a journal is alive, [`JournalLock::claim`] finds out.
///
/// # Errors
/// When the file system refuses. A missing folder has no journals, nor has a file.
pub fn run_folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder.join(JOURNALS)) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries?,
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        // Other folders are journals that are being deleted, or are of another program.
        let run = name
            .to_str()
            .and_then(|name| name.split_once('-'))
            .map_or("", |(run, _)| run);
        if run.len() == RUN_DIGITS && run.bytes().all(|digit| digit.is_ascii_hexdigit()) && entry.file_type()?.is_dir()
        {
            folders.push(entry.path());
        }
    }
    folders.sort();
    Ok(folders)
}

/// Bytes of the files in `folder`, as far as they can be counted.
fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}

/// When the journal is synced to the disk.
///
/// What a process wrote outlives the process, whatever the setting. A machine that loses power may lose what was not synced.
/// Shards are always synced. Except with [`Never`](Self::Never), the journal is also synced at a flush that callers wait for, and when
/// [`JournalSettings::frame_bytes`] are not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Never.
    Never,
    /// At every flush.
    EveryFlush,
    /// At the first flush after so long.
    Interval(Duration),
}

impl Default for Fsync {
    /// Every 5 seconds.
    fn default() -> Self {
        Self::Interval(Duration::from_secs(5))
    }
}
