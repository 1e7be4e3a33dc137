//! Batches that a sink has taken and not made durable, and those of them that it lost again.

use super::episode_batch::{Dispatch, DurabilityToken, EpisodeBatch, StoredBatch};
use crate::{
    journal::Segments,
    sink::{RecordingInfo, Sink, SinkError},
};
use experience_core::{account::SinkCounters, transition::Episode};
use std::{collections::VecDeque, sync::Arc};

/// The batches of one sink whose durability tokens its worker holds.
#[derive(Default)]
pub(super) struct TakenBatches {
    /// Episodes that the sink took and has not lost.
    taken: u64,
    /// In the order in which the sink took them.
    undurable: VecDeque<TakenBatch>,
    /// Batches that the sink lost, to be written again before any other.
    lost: VecDeque<TakenBatch>,
}

/// A batch that a sink has taken.
struct TakenBatch {
    /// The value of `taken` after this batch.
    taken: u64,
    episodes: Vec<TakenEpisode>,
    _token: Arc<DurabilityToken>,
    /// Its location in the journal. `None` if the journal lacks it.
    stored: Option<Arc<StoredBatch>>,
}

/// An episode that was counted as exported.
struct TakenEpisode {
    episode_id: i64,
    transitions: u64,
}

impl TakenBatches {
    pub(super) fn is_empty(&self) -> bool {
        self.undurable.is_empty() && self.lost.is_empty()
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Adds a batch that the sink took, and counts it as exported.
    pub(super) fn push(&mut self, dispatch: &Dispatch<EpisodeBatch>, counters: &SinkCounters) {
        let batch = &dispatch.batch;
        let taken = |episode: &Episode| TakenEpisode {
            episode_id: episode.info().episode_id,
            transitions: episode.len() as u64,
        };
        let episodes: Vec<_> = batch.episodes.iter().map(taken).collect();
        for episode in &episodes {
            counters.count_episode(episode.transitions);
        }
        self.take(TakenBatch {
            taken: 0,
            episodes,
            _token: dispatch.token.clone(),
            stored: batch.stored.clone(),
        });
    }

    fn take(&mut self, batch: TakenBatch) {
        self.taken += batch.episodes.len() as u64;
        self.undurable.push_back(TakenBatch {
            taken: self.taken,
            ..batch
        });
    }

    /// Drops the tokens of the batches among the first `durable` episodes.
    pub(super) fn release(&mut self, durable: u64) {
        while self.undurable.pop_front_if(|batch| batch.taken <= durable).is_some() {}
    }

    pub(super) fn clear(&mut self) {
        self.undurable.clear();
        self.lost.clear();
    }

    /// Marks everything beyond the first `durable` episodes as lost by the sink. Returns the number of transitions.
    pub(super) fn lose(&mut self, durable: u64) -> u64 {
        self.release(durable);
        let mut lost = core::mem::take(&mut self.undurable);
        if let Some(first) = lost.front_mut() {
            let begun = first.taken - first.episodes.len() as u64;
            first.episodes.drain(..durable.saturating_sub(begun) as usize);
        }
        self.taken = self.taken.min(durable);
        let transitions = lost.iter().flat_map(|batch| &batch.episodes);
        let transitions = transitions.map(|episode| episode.transitions).sum();
        lost.append(&mut self.lost);
        self.lost = lost;
        transitions
    }

    /// Writes the lost batches to the sink again. Episodes that the journal lacks count as dropped.
    pub(super) fn rewrite(
        &mut self,
        sink: &mut dyn Sink,
        name: &str,
        info: &RecordingInfo,
        counters: &SinkCounters,
    ) -> Result<(), SinkError> {
        while let Some(batch) = self.lost.front_mut() {
            let episodes = batch.load(name, info, counters);
            if !episodes.is_empty() {
                sink.write(&episodes)?;
            }
            if let Some(batch) = self.lost.pop_front().filter(|batch| !batch.episodes.is_empty()) {
                self.take(batch);
            }
        }
        Ok(())
    }
}

impl TakenBatch {
    /// Reads the episodes back from the journal. Those that it lacks are removed from the batch and counted as dropped.
    fn load(&mut self, name: &str, info: &RecordingInfo, counters: &SinkCounters) -> Vec<Episode> {
        let mut loaded = Vec::with_capacity(self.episodes.len());
        let mut segments = self.stored.as_ref().map(|stored| Segments::new(&stored.journal));
        // Both lists are in the order of the batch.
        let mut locations = self
            .stored
            .iter()
            .flat_map(|stored| stored.episodes.iter().map(|episode| (episode, &stored.words)));
        self.episodes.retain(|episode| {
            let location = locations.find(|(location, _)| location.episode_id() == episode.episode_id);
            let read = match (location, &mut segments) {
                (Some((location, words)), Some(segments)) => location
                    .load(&info.schema, info.run, words, segments)
                    .map_err(|error| error.to_string()),
                _ => Err("the journal does not hold it".to_owned()),
            };
            let error = match read {
                Ok(episode) => {
                    loaded.push(episode);
                    return true;
                }
                Err(error) => error,
            };
            counters.withdraw_episode(episode.transitions);
            tracing::error!(
                "sink `{name}` lost an episode that cannot be written again: {error}; its {} transitions are counted as dropped",
                episode.transitions
            );
            false
        });
        loaded
    }
}
