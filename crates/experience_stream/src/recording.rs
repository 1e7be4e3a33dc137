//! [`StreamedRecording`]: a recording that is served, and its subscribers.

use crate::{
    Start, StreamSettings, SubscriberStatus, Ticket, Unit,
    codec::BatchCodec,
    log::{BatchLog, Cursor, NewBatch, Seek},
    position::Counts,
    subscriber::SubscriberCounters,
};
use arrow_schema::{Schema as ArrowSchema, SchemaRef};
use experience_arrow::{BatchEncoder, EpisodeSlice};
use experience_core::{
    schema::ExperienceFile,
    transition::{Episode, RunId},
};
use experience_export::{PartBatch, RecordingInfo, SinkError};
use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The metadata key of the content of `experience.json` in the Arrow schema of a stream.
pub const EXPERIENCE_KEY: &str = "bevy_experience.experience";

/// The maximum size of a batch in bytes of rows, unless one transition is larger.
const BATCH_BYTES: usize = 512 << 10;

/// A recording that is served.
pub(crate) struct StreamedRecording {
    pub(crate) name: String,
    pub(crate) run: RunId,
    /// The columns, with the recording's description as metadata.
    pub(crate) schema: SchemaRef,
    /// The content of `experience.json`.
    pub(crate) experience: Vec<u8>,
    episodes: BatchLog,
    transitions: BatchLog,
    subscribers: Mutex<Vec<Arc<SubscriberCounters>>>,
    /// What subscribers that are gone have missed.
    missed_before: Mutex<Counts>,
}

impl StreamedRecording {
    pub(crate) fn new(
        info: &RecordingInfo,
        encoder: &BatchEncoder,
        settings: &StreamSettings,
    ) -> Result<Self, SinkError> {
        let experience = ExperienceFile::new(&info.schema).to_json();
        let mut metadata = encoder.arrow_schema().metadata().clone();
        metadata.insert(
            EXPERIENCE_KEY.to_owned(),
            String::from_utf8_lossy(&experience).into_owned(),
        );
        let fields = encoder.arrow_schema().fields().clone();
        let schema = Arc::new(ArrowSchema::new_with_metadata(fields, metadata));
        Ok(Self {
            name: info.schema.name().to_owned(),
            run: info.run,
            schema,
            experience,
            episodes: BatchLog::new(settings.kept_bytes),
            transitions: BatchLog::new(settings.kept_bytes),
            subscribers: Mutex::default(),
            missed_before: Mutex::default(),
        })
    }

    pub(crate) fn log(&self, unit: Unit) -> &BatchLog {
        match unit {
            Unit::Episodes => &self.episodes,
            Unit::Transitions => &self.transitions,
        }
    }

    /// The place where `ticket` begins, and whether its position is of another run.
    pub(crate) fn start(&self, ticket: &Ticket) -> Result<(Cursor, bool), String> {
        let log = self.log(ticket.unit);
        match ticket.from {
            Start::Now => Ok((log.seek(Seek::Newest), false)),
            Start::Oldest => Ok((log.seek(Seek::Oldest), false)),
            Start::Position(position) if position.run != self.run => {
                // What this run had sent before its oldest batch is missed.
                let cursor = log.seek(Seek::Oldest);
                Ok((
                    Cursor {
                        counts: Counts::default(),
                        ..cursor
                    },
                    true,
                ))
            }
            Start::Position(position) => {
                let (transitions, episodes) = (position.transitions, position.episodes);
                let head = log.status().head;
                if transitions > head.transitions || episodes > head.episodes {
                    return Err(format!(
                        "the position is at transition {transitions} and episode {episodes}, and the stream ends at {} and {}: use a \
                         position that the server has sent",
                        head.transitions, head.episodes
                    ));
                }
                Ok((log.seek(Seek::After(Counts { transitions, episodes })), false))
            }
        }
    }

    /// Nothing follows.
    pub(crate) fn close(&self) {
        self.episodes.close();
        self.transitions.close();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.episodes.is_closed()
    }

    fn subscribers(&self) -> MutexGuard<'_, Vec<Arc<SubscriberCounters>>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add_subscriber(&self, subscriber: Arc<SubscriberCounters>) {
        self.subscribers().push(subscriber);
    }

    pub(crate) fn remove_subscriber(&self, gone: &Arc<SubscriberCounters>) {
        let mut missed = self.missed_before.lock().unwrap_or_else(PoisonError::into_inner);
        missed.add(gone.missed());
        self.subscribers().retain(|subscriber| !Arc::ptr_eq(subscriber, gone));
    }

    pub(crate) fn subscriber_count(&self) -> usize {
        self.subscribers().len()
    }

    pub(crate) fn subscriber_statuses(&self) -> Vec<SubscriberStatus> {
        let subscribers = self.subscribers();
        let statuses = subscribers.iter().map(|subscriber| {
            let behind = self.log(subscriber.unit).behind(subscriber.counts());
            subscriber.status(behind)
        });
        statuses.collect()
    }

    /// What all subscribers have missed, those that are gone included.
    pub(crate) fn missed(&self) -> Counts {
        let mut missed = *self.missed_before.lock().unwrap_or_else(PoisonError::into_inner);
        for subscriber in self.subscribers().iter() {
            missed.add(subscriber.missed());
        }
        missed
    }
}

/// The number of withdrawn episodes that are remembered, because rows of them may still be on their way.
const MAX_RECENT: usize = 4096;

/// Ids of the episodes that were withdrawn last.
#[derive(Default)]
struct RecentlyWithdrawn {
    order: VecDeque<i64>,
    ids: HashSet<i64>,
}

impl RecentlyWithdrawn {
    fn add(&mut self, episodes: &[i64]) {
        for &episode in episodes {
            if self.ids.insert(episode) {
                self.order.push_back(episode);
            }
        }
        while self.order.len() > MAX_RECENT {
            if let Some(oldest) = self.order.pop_front() {
                self.ids.remove(&oldest);
            }
        }
    }

    /// Those of `episodes` that were withdrawn.
    fn among(&self, episodes: impl Iterator<Item = i64>) -> Vec<i64> {
        if self.ids.is_empty() {
            return Vec::new();
        }
        episodes.filter(|episode| self.ids.contains(episode)).collect()
    }
}

/// Encodes the episodes of one recording into its logs.
pub(crate) struct RecordingWriter {
    recording: Arc<StreamedRecording>,
    encoder: BatchEncoder,
    codec: BatchCodec,
    withdrawn: RecentlyWithdrawn,
}

impl RecordingWriter {
    pub(crate) fn new(recording: Arc<StreamedRecording>, encoder: BatchEncoder) -> Self {
        Self {
            codec: BatchCodec::new(&recording.schema),
            recording,
            encoder,
            withdrawn: RecentlyWithdrawn::default(),
        }
    }

    pub(crate) fn recording(&self) -> &Arc<StreamedRecording> {
        &self.recording
    }

    /// Appends whole episodes: all, or none where one cannot be encoded.
    pub(crate) fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
        self.encoder.accepts(episodes)?;
        let mut batches = Vec::new();
        let mut group = Vec::new();
        let mut bytes = 0;
        for episode in episodes {
            let row_bytes = episode.schema().layout().row_bytes();
            let steps = (BATCH_BYTES / row_bytes).max(1);
            if bytes + episode.len() * row_bytes > BATCH_BYTES && !group.is_empty() {
                batches.push(self.encode(&group)?);
                (bytes, group) = (0, Vec::new());
            }
            if episode.len() > steps {
                // A batch has either whole episodes, or a part of one.
                for start in (0..episode.len()).step_by(steps) {
                    let end = episode.len().min(start + steps);
                    batches.push(self.encode(&[EpisodeSlice::new(episode, start..end)])?);
                }
            } else {
                bytes += episode.len() * row_bytes;
                group.push(EpisodeSlice::whole(episode));
            }
        }
        if !group.is_empty() {
            batches.push(self.encode(&group)?);
        }
        // A tag can be written before its episode, which must then be withdrawn after it was sent.
        let again = self
            .withdrawn
            .among(episodes.iter().map(|episode| episode.info().episode_id));
        if !again.is_empty() {
            batches.push(self.news(again)?);
        }
        self.recording.episodes.append(batches);
        Ok(())
    }

    /// Appends transitions as they happen. Those that cannot be encoded are missed by all subscribers.
    pub(crate) fn write_parts(&mut self, batch: &PartBatch) {
        let mut missed = Counts {
            transitions: batch.missed_transitions,
            episodes: batch.missed_episodes,
        };
        let mut batches = self.encode_parts(batch).unwrap_or_else(|error| {
            tracing::error!("{error}; {} transitions are missing in the stream", batch.transitions());
            missed.add(Counts {
                transitions: batch.transitions(),
                episodes: batch.episodes(),
            });
            Vec::new()
        });
        let before = batch.withdrawn.clone();
        let ids = batch.parts.iter().map(|part| part.info().episode_id);
        let mut after = self.withdrawn.among(ids);
        after.dedup();
        for (index, withdrawn) in [(0, before), (batches.len() + 1, after)] {
            if withdrawn.is_empty() {
                continue;
            }
            match self.news(withdrawn) {
                Ok(news) => batches.insert(index.min(batches.len()), news),
                Err(error) => tracing::error!("{error}; subscribers are not told of discarded episodes"),
            }
        }
        self.recording.transitions.skip(missed);
        self.recording.transitions.append(batches);
    }

    fn encode_parts(&mut self, batch: &PartBatch) -> Result<Vec<NewBatch>, SinkError> {
        let mut batches = Vec::new();
        let mut group = Vec::new();
        let mut bytes = 0;
        for part in batch.parts.iter() {
            let row_bytes = part.rows().schema().layout().row_bytes();
            let steps = (BATCH_BYTES / row_bytes).max(1);
            for start in (0..part.len()).step_by(steps) {
                let slice = EpisodeSlice::part_steps(part, start..part.len().min(start + steps));
                bytes += (part.len() - start).min(steps) * row_bytes;
                group.push(slice);
                if bytes >= BATCH_BYTES {
                    batches.push(self.encode(&group)?);
                    (bytes, group) = (0, Vec::new());
                }
            }
        }
        if !group.is_empty() {
            batches.push(self.encode(&group)?);
        }
        Ok(batches)
    }

    /// Tells the subscribers of both units that episodes are discarded.
    pub(crate) fn withdraw(&mut self, episodes: &[i64]) -> Result<(), SinkError> {
        self.withdrawn.add(episodes);
        for unit in [Unit::Episodes, Unit::Transitions] {
            let news = self.news(episodes.to_vec())?;
            self.recording.log(unit).append([news]);
        }
        Ok(())
    }

    /// A batch without rows, which withdraws episodes.
    fn news(&mut self, withdrawn: Vec<i64>) -> Result<NewBatch, SinkError> {
        Ok(NewBatch {
            withdrawn,
            ..self.encode(&[])?
        })
    }

    fn encode(&mut self, slices: &[EpisodeSlice<'_>]) -> Result<NewBatch, SinkError> {
        let batch = self.encoder.encode_slices(slices)?;
        let messages = self
            .codec
            .encode(&batch)
            .map_err(|error| SinkError::Other(format!("cannot encode recording `{}`: {error}", self.recording.name)))?;
        let transitions = batch.num_rows() as u64;
        Ok(NewBatch {
            batch,
            messages,
            counts: Counts {
                transitions,
                episodes: slices.iter().filter(|slice| slice.has_end()).count() as u64,
            },
            begins_episode: slices.first().is_none_or(|slice| slice.first_step() == 0),
            withdrawn: Vec::new(),
        })
    }
}
