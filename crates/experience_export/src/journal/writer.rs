//! Writer of a journal: frames, segments, syncs, and deletion of segments.

use super::{
    Extent, Fsync, Head, JournalSettings, Record, Segments,
    extent::{number, path},
    frame::{self, NUMBER},
    segment::Segment,
};
use crate::{disk, sink::RunLabel};
use experience_core::{
    schema::Schema,
    transition::{RunId, WordTable},
};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
use web_time::Instant;

/// Longest segment, without its last frame.
const MAX_SEGMENT: u64 = 1 << 30;
/// Longest frame, about.
const MAX_FRAME: usize = 256 << 20;

/// Recording and run of a journal; see [`Head`].
#[derive(Clone, Debug)]
pub struct Owner {
    /// The run that records.
    pub run: RunId,
    /// The columns of its rows.
    pub schema: Arc<Schema>,
    /// Ticks in a second of game time, where the recording has a fixed tick.
    pub tick_rate: Option<f64>,
    /// When the run began, in seconds since 1970 (UTC).
    pub started: f64,
    /// Folder of the buffers' files. `None` where the buffers are not in files.
    pub rings: Option<String>,
    /// The label of the run.
    pub label: RunLabel,
}

/// Writer of the journal of one recording of a run.
///
/// A frame is begun, filled, and committed. A call that fails can be repeated: the journal then holds what it held before.
///
/// A segment file of which a write or a sync has failed is replaced by a new file with the same content, because the system
/// reports a lost write only once. Until a sync succeeds, the segment's last bytes are therefore also in memory: at most
/// [`JournalSettings::frame_bytes`] and one frame.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    owner: Owner,
    /// The schema, as JSON.
    schema: String,
    words: Arc<WordTable>,
    settings: JournalSettings,
    segment: Option<Segment>,
    /// Bytes of the complete segments that were not deleted.
    ended: BTreeMap<u32, u64>,
    next_segment: u32,
    /// The oldest segment that was not deleted.
    oldest: u32,
    /// The released segment that was truncated to a mark instead of being deleted.
    mark: Option<u32>,
    /// Number of the next frame.
    number: u64,
    /// The frame that is being filled.
    frame: Vec<u8>,
    /// Number of words that the segment holds.
    words_written: usize,
    synced: Instant,
    /// Something was written and not synced.
    is_dirty: bool,
}

impl Journal {
    /// Begins a journal in `folder`, which is created where it is missing.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn create(folder: &Path, owner: Owner, words: Arc<WordTable>, settings: JournalSettings) -> io::Result<Self> {
        create_folder(folder)?;
        let mut journal = Self {
            folder: folder.to_owned(),
            schema: serde_json::to_string(&*owner.schema).map_err(io::Error::other)?,
            owner,
            words,
            settings,
            segment: None,
            ended: BTreeMap::new(),
            next_segment: 0,
            oldest: 0,
            mark: None,
            number: 0,
            frame: Vec::new(),
            words_written: 0,
            synced: Instant::now(),
            is_dirty: false,
        };
        journal.begin()?;
        journal.commit()?;
        Ok(journal)
    }

    /// The journal's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A reader of the rows that were written.
    #[must_use]
    pub fn segments(&self) -> Segments {
        Segments::new(&self.folder)
    }

    /// Begins a frame, in a new segment where the last one is full or ends with a partial frame.
    ///
    /// # Errors
    /// When the file system refuses another segment, and once when another process has removed or replaced the last one.
    pub fn begin(&mut self) -> io::Result<()> {
        let limit = self.segment_limit();
        if let Some(lost) = self.segment.take_if(|segment| !segment.is_in_place()) {
            self.is_dirty = false;
            create_folder(&self.folder)?;
            return Err(io::Error::other(format!(
                "another process has removed or replaced segment {}; what it held would be lost if the process died",
                lost.index()
            )));
        }
        if let Some(segment) = &mut self.segment {
            // Where this fails, another segment is begun.
            let _ = segment.repair(&self.folder);
        }
        if self
            .segment
            .as_ref()
            .is_none_or(|segment| segment.needs_repair() || segment.is_at_limit() || segment.len() >= limit)
        {
            self.begin_segment()?;
        }
        frame::begin(&mut self.frame, self.number);
        self.put_words();
        Ok(())
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        // The old segment is not synced again.
        self.secure()?;
        let index = self.next_segment;
        frame::begin(&mut self.frame, self.number);
        let head = Record::Head(Head {
            run: self.owner.run.get() as u32,
            segment: index,
            schema_hash: self.owner.schema.hash(),
            row_bytes: u32::try_from(self.owner.schema.layout().row_bytes()).unwrap_or(u32::MAX),
            schema: &self.schema,
            tick_rate: self.owner.tick_rate,
            started: self.owner.started,
            rings: self.owner.rings.as_deref(),
            writer: concat!("bevy_experience ", env!("CARGO_PKG_VERSION")),
        });
        head.encode(&mut self.frame);
        self.words_written = 0;
        self.put_words();
        frame::seal(&mut self.frame);
        let about_run = self.frame_about_run(self.number + 1);
        self.frame.extend_from_slice(&about_run);
        let keep_unsynced = self.settings.fsync != Fsync::Never;
        let created = Segment::create(&self.folder, index, &self.frame, keep_unsynced);
        // The number of a segment that could not be created is used again, unless its file stays.
        if created.is_ok() || path(&self.folder, index).exists() {
            self.next_segment += 1;
        }
        let segment = created?;
        self.number += 1 + u64::from(!about_run.is_empty());
        self.is_dirty = true;
        let before = self.segment.replace(segment);
        self.ended.extend(before.map(|before| (before.index(), before.len())));
        Ok(())
    }

    /// The frame `number`, with the label of the run, and whether releases leave a mark; empty if there is neither.
    fn frame_about_run(&self, number: u64) -> Vec<u8> {
        let RunLabel { seed, build } = &self.owner.label;
        let mut frame = Vec::new();
        frame::begin(&mut frame, number);
        if seed.is_some() || build.is_some() {
            let build = build.as_deref();
            Record::Label { seed: *seed, build }.encode(&mut frame);
        }
        if self.marks_releases() {
            Record::MarksReleases.encode(&mut frame);
        }
        if frame.len() == frame::HEADER + NUMBER || !frame::seal(&mut frame) {
            frame.clear();
        }
        frame
    }

    /// Whether the last segment that was released leaves a mark. Not in a journal that is never synced: after a loss of power, a
    /// deletion could be there without the mark.
    fn marks_releases(&self) -> bool {
        self.settings.fsync != Fsync::Never
    }

    /// Adds the words to the frame that the segment does not hold yet.
    fn put_words(&mut self) {
        while let Ok(code) = u16::try_from(self.words_written + 1)
            && let Some(word) = self.words.word(code)
        {
            Record::Word { code, word: &word }.encode(&mut self.frame);
            self.words_written += 1;
        }
    }

    /// Number of the segment that the frame is appended to.
    #[must_use]
    pub fn segment(&self) -> u32 {
        self.segment.as_ref().map_or(self.next_segment, Segment::index)
    }

    /// Adds a record to the frame.
    pub fn put(&mut self, record: &Record<'_>) {
        record.encode(&mut self.frame);
    }

    /// Adds rows to the frame. Returns their location, which is valid once the frame is committed.
    pub fn put_rows(&mut self, episode_id: i64, rows: &[u64]) -> Extent {
        let rows: &[u8] = bytemuck::cast_slice(rows);
        Record::Rows { episode_id, rows }.encode(&mut self.frame);
        let place = self.frame.len() - rows.len();
        Extent {
            segment: self.segment(),
            bytes: rows.len() as u32,
            offset: self.segment.as_ref().map_or(0, Segment::len) + place as u64,
            sum: crc32c::crc32c(rows),
        }
    }

    /// Bytes of rows that still fit in the frame. A single row may be larger.
    #[must_use]
    pub fn frame_bytes_left(&self) -> usize {
        self.frame_limit().saturating_sub(self.frame.len())
    }

    /// Bytes that a frame should not exceed.
    pub(crate) fn frame_limit(&self) -> usize {
        self.settings.frame_bytes.min(MAX_FRAME)
    }

    /// Bytes of a segment, about, before another is begun.
    pub(crate) fn segment_limit(&self) -> u64 {
        self.settings.segment_bytes.min(MAX_SEGMENT)
    }

    /// Bytes of the complete segments before `segment` that were not deleted.
    pub(crate) fn bytes_before(&self, segment: u32) -> u64 {
        self.ended.range(..segment).map(|(_, bytes)| bytes).sum()
    }

    /// Appends the frame, unless it is empty.
    ///
    /// # Errors
    /// When the file system refuses. The frame is dropped then, and nothing of it is in the journal.
    pub fn commit(&mut self) -> io::Result<()> {
        let Some(segment) = &mut self.segment else {
            return Err(io::Error::other("the journal has no open segment"));
        };
        if self.frame.len() <= frame::HEADER + NUMBER {
            return Ok(());
        }
        if !frame::seal(&mut self.frame) {
            return Err(io::Error::other("the frame is too long"));
        }
        if let Err(error) = segment.append(&self.frame) {
            // The words in the frame are written again.
            self.words_written = 0;
            // Readers of rows need the file before the next frame. Where this fails, the next frame tries again.
            let _ = segment.repair(&self.folder);
            return Err(error);
        }
        self.number += 1;
        self.is_dirty = true;
        if segment.unsynced_bytes() >= self.settings.frame_bytes.clamp(1, MAX_FRAME) {
            // The frame is in the journal. A sync that fails is repeated before the next one.
            let _ = self.sync();
        }
        Ok(())
    }

    /// Syncs the journal to the disk, if that is due.
    ///
    /// # Errors
    /// When the file system refuses. Committed frames stay in the journal.
    pub fn sync_if_due(&mut self) -> io::Result<()> {
        let due = match self.settings.fsync {
            Fsync::Never => false,
            Fsync::EveryFlush => true,
            Fsync::Interval(interval) => self.synced.elapsed() >= interval,
        };
        if due && self.is_dirty { self.sync() } else { Ok(()) }
    }

    /// Syncs the journal to the disk, unless that is switched off.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn secure(&mut self) -> io::Result<()> {
        if self.is_dirty && self.settings.fsync != Fsync::Never {
            return self.sync();
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if let Some(segment) = &mut self.segment {
            segment.sync(&self.folder)?;
        }
        self.is_dirty = false;
        self.synced = Instant::now();
        Ok(())
    }

    /// Bytes of the frame that is filled, or was committed last.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        self.frame.len()
    }

    /// Checks that `bytes` more fit on the disk.
    ///
    /// # Errors
    /// When they do not fit, or the file system refuses.
    pub fn probe(&self, bytes: usize) -> io::Result<()> {
        disk::probe_space(&self.folder, bytes)
    }

    /// Deletes the segments before `segment`, oldest first. The segment that frames are appended to is deleted too if it is
    /// before `segment` and large enough to be worth a new one.
    ///
    /// The last of them is truncated to a mark first, and stays until the next call that deletes a segment. So a reader knows that
    /// the segments before it were not lost. A truncation needs no space, which a full disk would refuse.
    ///
    /// # Errors
    /// When the file system refuses. The call can be repeated.
    pub fn release(&mut self, segment: u32) -> io::Result<()> {
        /// So that a game without players, or with a paused recording, gives disk space back.
        const WORTH_ANOTHER: u64 = 64 << 10;
        let is_releasable = |last: &mut Segment| last.index() < segment && last.len() >= WORTH_ANOTHER;
        if let Some(last) = self.segment.take_if(is_releasable) {
            self.ended.insert(last.index(), last.len());
            self.is_dirty = false;
        }
        let end = segment.min(self.segment());
        self.leave_mark(end)?;
        let end = end.min(self.mark.unwrap_or(end));
        while self.oldest < end {
            match disk::remove(&path(&self.folder, self.oldest)) {
                // Another process may have removed it.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {
                    self.ended.remove(&self.oldest);
                    self.oldest += 1;
                }
            }
        }
        Ok(())
    }

    /// Truncates the last segment before `end` to a mark, unless that is done.
    fn leave_mark(&mut self, end: u32) -> io::Result<()> {
        if !self.marks_releases() {
            return Ok(());
        }
        let first = self.mark.map_or(0, |mark| mark + 1);
        while first < end
            && let Some((&last, _)) = self.ended.range(first..end).next_back()
        {
            let truncated = disk::truncate(&path(&self.folder, last), frame::MARK as u64);
            match truncated {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => self.ended.remove(&last),
            };
            if truncated.is_ok() {
                self.mark = Some(last);
                break;
            }
        }
        Ok(())
    }

    /// Deletes the journal.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn remove(self) -> io::Result<()> {
        remove(&self.folder)
    }
}

/// Deletes the journal in `folder`, and the parent folder where that is empty then. A missing journal is no error.
///
/// The folder is renamed first, because a half deleted journal would be read as a damaged one.
///
/// # Errors
/// When the file system refuses.
pub fn remove(folder: &Path) -> io::Result<()> {
    let all = folder.parent().unwrap_or(Path::new("."));
    match disk::rename(folder, &disk::temporary(all)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(()) => disk::sync_folder(all),
    }
    sweep(all);
    Ok(())
}

/// Deletes the segments of the journal in `folder` that `is_needless` names. Errors are ignored.
pub fn remove_segments(folder: &Path, is_needless: impl Fn(u32) -> bool) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let segment = entry.file_name().to_str().and_then(number);
        if segment.is_some_and(&is_needless) {
            disk::remove_unfinished(&entry.path());
        }
    }
}

/// The number of the segment with this file name; `None` if it is not that of a segment.
#[must_use]
pub fn segment_number(name: &OsStr) -> Option<u32> {
    number(name.to_str()?)
}

/// The file of the segment `segment` of the journal in `folder`.
#[must_use]
pub fn segment_path(folder: &Path, segment: u32) -> PathBuf {
    path(folder, segment)
}

/// Completes deletions that were interrupted in `all`, a folder of journals, and deletes the folder if it is empty then.
pub fn sweep(all: &Path) {
    let Ok(entries) = std::fs::read_dir(all) else { return };
    for entry in entries.flatten() {
        if disk::is_temporary(&entry.file_name()) {
            // Another process may delete it at the same time. A folder of this name is never read.
            let _ = disk::remove_folder(&entry.path());
        }
    }
    // Fails where other journals are left.
    let _ = std::fs::remove_dir(all);
}

/// Creates the folder of a journal. Another process may delete the empty parent folder at the same time.
fn create_folder(folder: &Path) -> io::Result<()> {
    const ATTEMPTS: usize = 10;
    let mut result = disk::create_folders(folder);
    for _ in 1..ATTEMPTS {
        match &result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => result = disk::create_folders(folder),
            _ => break,
        }
    }
    result
}
