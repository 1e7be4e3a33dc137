//! The journal of one recording, from the exporter's side: when what is written, and what may go.

use super::{notice::Notices, settings::ExportSettings, storage::Storage};
use crate::{
    assembly::{Draft, Shop},
    exporter::notice::{Notice, SinkFailure},
    journal::{Counts, Journal, JournalSettings, Owner, Record, Segments},
    sink::{RecordingInfo, SinkError},
};
use experience_core::{account::Counters, transition::Episode};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::{Instant, UNIX_EPOCH},
};

/// Held by everybody who still has something to do with episodes that were handed over: when nobody does, every sink has them
/// for good, or lost them and counted them.
#[derive(Debug)]
pub(super) struct Receipt;

/// Keeps the journal of a recording, from when a sink has a place for it. Before, and where none has, open episodes stay in
/// memory.
pub(super) struct Ledger {
    name: String,
    /// The place of the recording at the exporter.
    recording: usize,
    settings: Option<JournalSettings>,
    owner: Owner,
    journal: Option<Journal>,
    /// For reading back.
    segments: Option<Segments>,
    /// Bytes of rows that were drained since everything was written.
    unwritten: usize,
    written: Instant,
    /// What was handed over and is not settled yet.
    unsettled: Vec<Unsettled>,
    /// Episodes that are settled, and thrown away, since the last frame.
    settled: Vec<i64>,
    withdrawn: Vec<u32>,
    /// The last attempt failed, and that was said.
    is_failing: bool,
    /// Episodes that stay open cannot be told again, and that was said.
    stays_long: bool,
    /// Something was told again, and the disk not waited for since.
    is_unsecured: bool,
    /// Recording waits until the disk has room for so many bytes.
    waits_for_room: Option<usize>,
    /// The account as the journal has it.
    counts: Option<Counts>,
    storage: Arc<Storage>,
    notices: Arc<Notices>,
}

/// Episodes that were handed over together.
struct Unsettled {
    receipt: Weak<Receipt>,
    /// The oldest segment that they need.
    segment: u32,
    episodes: Vec<i64>,
}

impl Ledger {
    pub(super) fn new(
        recording: usize,
        info: &RecordingInfo,
        settings: &ExportSettings,
        storage: Arc<Storage>,
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
                // A path that is no text cannot be written down; those files are for whoever knows where they are.
                rings: info
                    .buffers
                    .as_ref()
                    .and_then(|folder| folder.to_str().map(str::to_owned)),
            },
            journal: None,
            segments: None,
            unwritten: 0,
            written: Instant::now(),
            unsettled: Vec::new(),
            settled: Vec::new(),
            withdrawn: Vec::new(),
            is_failing: false,
            stays_long: false,
            is_unsecured: false,
            waits_for_room: None,
            counts: None,
            storage,
            notices,
        }
    }

    /// Whether there is none yet, one is wanted, and the last attempt to begin it is not too recent.
    pub(super) fn is_wanted(&self) -> bool {
        self.settings.is_some() && self.journal.is_none() && (!self.is_failing || self.is_due())
    }

    /// Begins the journal in the folder `place`.
    pub(super) fn begin(&mut self, place: &Path, shop: &Shop) {
        let Some(settings) = self.settings.clone() else { return };
        match Journal::create(place, self.owner.clone(), shop.reasons.clone(), settings) {
            Ok(journal) => {
                self.segments = Some(journal.segments());
                self.journal = Some(journal);
                self.works();
            }
            Err(error) => self.fails(place.to_owned(), error),
        }
    }

    /// Nothing is written from here on, and nothing deleted.
    pub(super) fn end(&mut self) {
        self.settings = None;
        self.works();
        if let Some(journal) = self.journal.take() {
            tracing::error!(
                "`{}` stays: not everything in it found its place, and it is recovered at the next start",
                journal.folder().display()
            );
        }
    }

    /// So many bytes of rows were drained.
    pub(super) fn drained(&mut self, bytes: usize) {
        self.unwritten = self.unwritten.saturating_add(bytes);
    }

    /// Whether all drafts are to be written: it is time, or so much was drained.
    pub(super) fn wants_all(&self) -> bool {
        let Some(settings) = self.settings.as_ref().filter(|_| self.journal.is_some()) else {
            return false;
        };
        // Rows that were drained from a file may be overwritten there at once, and then are in this process alone.
        let outlives = self.owner.rings.is_some() && self.unwritten > 0;
        let is_full = outlives || self.unwritten >= settings.frame_bytes;
        self.is_due() || (is_full && !self.is_failing)
    }

    fn is_due(&self) -> bool {
        let due = |settings: &JournalSettings| self.written.elapsed() >= settings.flush_interval;
        self.settings.as_ref().is_some_and(due)
    }

    /// An episode must leave no trace.
    pub(super) fn withdraw(&mut self, captured_as: u32) {
        if self.journal.is_some() {
            self.withdrawn.push(captured_as);
        }
    }

    /// Writes what `drafts` have that the journal has not. What could not be written stays in memory.
    pub(super) fn write<'a>(
        &mut self,
        shop: &Shop,
        counters: &Counters,
        drafts: impl IntoIterator<Item = &'a mut Draft>,
    ) {
        let Some(mut journal) = self.journal.take() else { return };
        let mut drafts: Vec<_> = drafts.into_iter().filter(|draft| draft.has_news()).collect();
        self.find_settled();
        let written = match self.waits_for_room {
            // What little there is to write now may fit, and the next frame would not.
            Some(bytes) => journal.probe(bytes),
            None => Ok(()),
        };
        let written = written.and_then(|()| self.try_write(&mut journal, shop, counts(counters), &mut drafts));
        let written = written.map_err(|error| (journal.folder().to_owned(), error));
        self.journal = Some(journal);
        match written {
            Ok(()) => self.works(),
            Err((place, error)) => self.fails(place, error),
        }
    }

    fn try_write(
        &mut self,
        journal: &mut Journal,
        shop: &Shop,
        counts: Counts,
        drafts: &mut [&mut Draft],
    ) -> io::Result<()> {
        let layout = shop.schema.layout();
        let has_news = !(drafts.is_empty() && self.withdrawn.is_empty() && self.settled.is_empty());
        if !has_news && self.counts == Some(counts) {
            return Ok(());
        }
        journal.begin()?;
        for captured_as in self.withdrawn.iter().copied() {
            journal.put(&Record::Discard { captured_as });
        }
        for episode_id in self.settled.iter().copied() {
            journal.put(&Record::Settled { episode_id });
        }
        journal.put(&Record::Counts(counts));
        let mut first = 0;
        loop {
            let mut last = first;
            let mut is_whole = true;
            while last < drafts.len() && is_whole && (journal.room() > 0 || last == first) {
                is_whole = drafts[last].write(layout, journal);
                last += 1;
            }
            let committed = journal.commit();
            for draft in &mut drafts[first..last] {
                draft.settle(committed.is_ok());
            }
            committed?;
            self.withdrawn.clear();
            self.settled.clear();
            self.counts = Some(counts);
            // One that did not fit goes on in the next frame.
            first = if is_whole { last } else { last - 1 };
            if first == drafts.len() {
                return Ok(());
            }
            journal.begin()?;
        }
    }

    /// An episode keeps every segment since it began, and with it what everybody else did meanwhile. Where little in the oldest
    /// segments is of use, tells that again, so that they can go: never more than a quarter of what goes, so that few rows are
    /// written twice, and not much at once. All of `drafts` were written, as far as that was possible.
    pub(super) fn shorten(&mut self, drafts: &mut [&mut Draft]) {
        /// So many times as much goes as is told again.
        const WORTH: u64 = 4;
        if self.is_failing || self.stays_long {
            return;
        }
        let unsettled = self.oldest_unsettled();
        let (Some(journal), Some(segments)) = (&mut self.journal, &mut self.segments) else {
            return;
        };
        // From here on the segments are of use to others than open episodes.
        let busy = drafts.iter().filter(|draft| draft.is_closed() || draft.has_news());
        let busy = busy.filter_map(|draft| draft.segment());
        let end = busy.fold(unsettled.min(journal.segment()), u32::min);
        let all = journal.bytes_before(end);
        if all < WORTH * journal.segment_limit() {
            return;
        }
        let is_long = |draft: &Draft| draft.segment().is_some_and(|segment| segment < end);
        let mut long: Vec<_> = drafts.iter_mut().filter(|draft| is_long(draft)).collect();
        let useful: u64 = long.iter().map(|draft| draft.bytes_in_journal()).sum();
        if useful * WORTH > all {
            return;
        }
        long.sort_by_key(|draft| draft.segment());
        let mut told = 0;
        let mut result = Ok(());
        for draft in long {
            if result.is_err() || told >= journal.segment_limit() {
                break;
            }
            told += draft.bytes_in_journal();
            result = draft.tell_again(journal, segments);
            self.is_unsecured = true;
        }
        if let Err(error) = result {
            self.stays_long = true;
            tracing::warn!(
                "cannot shorten {}: {error}; it keeps all since the episodes began that are open",
                self.name
            );
        }
    }

    /// All drafts were written, as far as that was possible. Waits for the disk if it is time to, and deletes what is of no more
    /// use: `oldest` is the oldest segment that a draft needs.
    pub(super) fn wrote_all(&mut self, oldest: Option<u32>) {
        self.written = Instant::now();
        self.unwritten = 0;
        let unsettled = self.oldest_unsettled();
        let Some(journal) = &mut self.journal else { return };
        let needed = oldest.map_or(unsettled, |oldest| oldest.min(unsettled));
        let synced = if self.is_unsecured {
            // It is all that there is, once what was told before is deleted.
            journal.secure()
        } else {
            journal.sync_if_due()
        };
        self.is_unsecured &= synced.is_err();
        if let Err(error) = synced.and_then(|()| journal.release(needed)) {
            let place = journal.folder().to_owned();
            self.fails(place, error);
        }
    }

    /// The oldest segment that something needs that was handed over.
    fn oldest_unsettled(&self) -> u32 {
        let segments = self.unsettled.iter().map(|unsettled| unsettled.segment);
        segments.min().unwrap_or(u32::MAX)
    }

    fn find_settled(&mut self) {
        let settled = &mut self.settled;
        self.unsettled.retain_mut(|unsettled| {
            let keep = unsettled.receipt.strong_count() > 0;
            if !keep {
                settled.append(&mut unsettled.episodes);
            }
            keep
        });
    }

    /// Makes episodes of `drafts`, which have been written as far as that was possible. How many transitions are lost.
    pub(super) fn episodes(
        &mut self,
        shop: &Shop,
        drafts: impl Iterator<Item = Draft>,
        receipt: &Arc<Receipt>,
    ) -> (Vec<Episode>, u64) {
        let mut handed = Unsettled {
            receipt: Arc::downgrade(receipt),
            segment: u32::MAX,
            episodes: Vec::new(),
        };
        let (mut episodes, mut lost) = (Vec::new(), 0);
        for draft in drafts {
            let transitions = draft.transitions();
            if let Some(segment) = draft.segment() {
                handed.segment = handed.segment.min(segment);
                handed.episodes.push(draft.episode_id());
            }
            match draft.into_episode(&shop.schema, shop.run, self.segments.as_mut()) {
                Ok(episode) => episodes.push(episode),
                Err(error) => {
                    lost += transitions;
                    tracing::error!(
                        "cannot read an episode back from {}: {error}; its {transitions} transitions are counted as dropped",
                        self.name
                    );
                }
            }
        }
        if !handed.episodes.is_empty() {
            self.unsettled.push(handed);
        }
        (episodes, lost)
    }

    /// The run has ended, and every sink has all of it for good, or lost it.
    pub(super) fn finish(&mut self) {
        let Some(journal) = self.journal.take() else { return };
        let place = journal.folder().to_owned();
        if let Err(error) = journal.remove() {
            tracing::warn!("cannot remove `{}`: {error}; nothing in it is needed", place.display());
        }
    }

    fn works(&mut self) {
        if core::mem::replace(&mut self.is_failing, false) {
            self.stays_long = false;
            tracing::info!("{} works again", self.name);
        }
        if self.waits_for_room.take().is_some() {
            self.storage.go_on(&self.name);
        }
    }

    fn fails(&mut self, path: PathBuf, source: io::Error) {
        self.written = Instant::now();
        let action = "write to";
        let error = SinkError::Io { action, path, source };
        let is_full = error.is_storage_full();
        if is_full && self.waits_for_room.is_none() {
            /// So much at least, so that recording does not go on and off.
            const ROOM: usize = 64 << 10;
            let frame = self.journal.as_ref().map_or(0, Journal::frame_bytes);
            self.waits_for_room = Some(frame.saturating_mul(2).clamp(ROOM, 64 * ROOM));
            self.storage.wait(&self.name);
        }
        if core::mem::replace(&mut self.is_failing, true) {
            return;
        }
        let consequence = if is_full {
            "recording is paused until there is room"
        } else {
            "open episodes stay in memory, and are lost if the process dies"
        };
        tracing::error!("{} fails: {error}; {consequence}", self.name);
        self.notices.post(Notice::SinkFailed {
            recording: self.recording,
            sink: self.name.clone(),
            error: error.to_string(),
            consequence: if is_full {
                SinkFailure::StorageFull
            } else {
                SinkFailure::Refuses
            },
        });
    }
}

fn counts(counters: &Counters) -> Counts {
    // What leaves is read before what enters, so that nothing seems to leave that never entered.
    let (lost, non_finite, discarded) = (counters.lost.get(), counters.non_finite.get(), counters.discarded.get());
    Counts {
        recorded: counters.recorded.get(),
        non_finite,
        lost,
        discarded,
        empty_episodes: counters.empty_episodes.get(),
        orphaned_rewards: counters.orphaned_rewards.get(),
        ignored_ends: counters.ignored_ends.get(),
        refused_agents: counters.refused_agents.get(),
        unbuffered_agents: counters.unbuffered_agents.get(),
    }
}
