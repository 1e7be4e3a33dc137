//! What became of every transition.
//!
//! For each sink of each recording, at any moment, in transitions:
//! `recorded = exported + dropped + discarded + pending`. Capture, the exporter and the sinks each write their part; a
//! [`RunReport`] is the whole.

use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// The account of one recording of a run, as one sink sees it. All counts are transitions unless they say otherwise.
///
/// `recorded = exported + dropped + discarded + pending` always holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Closed by capture.
    pub recorded: u64,
    /// Taken by this sink.
    pub exported: u64,
    /// Lost: overwritten before export, refused by the sink, or not finite.
    pub dropped: u64,
    /// Thrown away on request: by `DoNotRecord`, for example.
    pub discarded: u64,
    /// Recorded and not yet exported, dropped or discarded.
    pub pending: u64,
    /// Episodes that this sink took.
    pub episodes: u64,
    /// Episodes that ended without a transition; they are counted, never written.
    pub empty_episodes: u64,
    /// Rewards that were given to a player outside any episode.
    pub orphaned_rewards: u64,
    /// Transitions dropped because a value was not finite; also in `dropped`.
    pub non_finite: u64,
    /// Ends that were asked for where no episode was open.
    pub ignored_ends: u64,
    /// Players that were refused because another living player has their agent id.
    pub refused_agents: u64,
    /// Players that were not recorded because there was no memory for their buffer.
    #[serde(default)]
    pub unbuffered_agents: u64,
    /// Calls of this sink that failed, and times that it stalled; most of them were made good by another attempt.
    #[serde(default)]
    pub failures: u64,
    /// Transitions and episodes taken by this sink, by agent.
    pub agents: BTreeMap<i64, AgentTotals>,
    /// What episodes were marked with, in the order of their ids. Not each of them need have reached the sink.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<EpisodeTag>,
}

/// A word that an episode was marked with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EpisodeTag {
    /// The episode.
    pub episode_id: i64,
    /// Whose it is.
    pub agent_id: i64,
    /// The word.
    pub tag: String,
}

/// What a sink took of one agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentTotals {
    /// Whole episodes.
    pub episodes: u64,
    /// Their transitions.
    pub transitions: u64,
    /// The sum of their rewards.
    #[serde(deserialize_with = "number_or_nan")]
    pub total_reward: f64,
}

/// JSON has no NaN: it stands there as `null`.
fn number_or_nan<'de, D: serde::Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// A count that one thread writes and any may read.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds `n`. One thread at a time: a load and a store are several times cheaper than an atomic addition.
    pub fn add(&self, n: u64) {
        let count = self.0.load(Ordering::Relaxed);
        // Whoever sees a row counted as exported has seen it counted as recorded.
        self.0.store(count + n, Ordering::Release);
    }

    /// Adds `n`. For counts that several threads write, all of them by this.
    pub fn add_shared(&self, n: u64) {
        self.0.fetch_add(n, Ordering::AcqRel);
    }

    /// The count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// The counts of one recording. The game writes the first group, the exporter the second.
#[derive(Debug, Default)]
pub struct Counters {
    /// Transitions that capture closed.
    pub recorded: Count,
    /// Transitions that capture dropped because a value was not finite.
    pub non_finite: Count,
    /// Episodes without a transition.
    pub empty_episodes: Count,
    /// Captures at which a player outside any episode had been given a reward.
    pub orphaned_rewards: Count,
    /// Ends that found no episode open.
    pub ignored_ends: Count,
    /// Players refused because of their agent id.
    pub refused_agents: Count,
    /// Players for whom no buffer could be made.
    pub unbuffered_agents: Count,

    /// Transitions that were overwritten before the exporter came, or had lost their predecessor.
    pub lost: Count,
    /// Transitions thrown away on request.
    pub discarded: Count,

    /// The game writes it, and whoever reports reads it; never held while a sink works.
    tags: Mutex<BTreeSet<EpisodeTag>>,
}

impl Counters {
    /// Marks an episode.
    pub fn tag(&self, episode_id: i64, agent_id: i64, tag: String) {
        let tag = EpisodeTag {
            episode_id,
            agent_id,
            tag,
        };
        self.tags.lock().unwrap_or_else(PoisonError::into_inner).insert(tag);
    }

    /// Takes all marks off an episode.
    pub fn untag(&self, episode_id: i64) {
        let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        tags.retain(|tag| tag.episode_id != episode_id);
    }

    /// What episodes were marked with, in the order of their ids.
    #[must_use]
    pub fn tags(&self) -> Vec<EpisodeTag> {
        let tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        tags.iter().cloned().collect()
    }
}

/// The counts of one sink of a recording. The exporter writes them.
#[derive(Debug, Default)]
pub struct SinkCounters {
    /// Transitions that the sink took.
    pub exported: Count,
    /// Transitions that the sink refused, or that did not fit in its queue.
    pub refused: Count,
    /// Calls of the sink that failed, and times that it stalled.
    pub failures: Count,
    /// Episodes that the sink took.
    pub episodes: Count,
    /// How long the last flush took, in nanoseconds.
    flush_nanos: AtomicU64,
    /// What the sink keeps on a disk.
    disk_bytes: AtomicU64,
    /// Written by the exporter, read by whoever asks; never held while a sink works.
    agents: Mutex<BTreeMap<i64, AgentTotals>>,
}

impl SinkCounters {
    /// Counts an episode that the sink took.
    pub fn took(&self, agent_id: i64, transitions: u64, total_reward: f64) {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        let totals = agents.entry(agent_id).or_default();
        totals.episodes += 1;
        totals.transitions += transitions;
        totals.total_reward += total_reward;
        drop(agents);
        self.episodes.add(1);
        self.exported.add(transitions);
    }

    /// Notes how long a flush took.
    pub fn flush_took(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.flush_nanos.store(nanos, Ordering::Relaxed);
    }

    /// How long the last flush took.
    #[must_use]
    pub fn last_flush(&self) -> Duration {
        Duration::from_nanos(self.flush_nanos.load(Ordering::Relaxed))
    }

    /// Notes what the sink keeps on a disk.
    pub fn note_disk_bytes(&self, bytes: u64) {
        self.disk_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Bytes that the sink kept on a disk at its last flush.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.disk_bytes.load(Ordering::Relaxed)
    }

    /// Transitions that the sink has neither taken nor lost yet.
    #[must_use]
    pub fn pending(&self, recording: &Counters) -> u64 {
        // What leaves is read before what enters, so that nothing seems to leave that never entered.
        let left = self.exported.get() + self.dropped(recording) + recording.discarded.get();
        recording.recorded.get() - left
    }

    /// Transitions that are lost to the sink.
    #[must_use]
    pub fn dropped(&self, recording: &Counters) -> u64 {
        self.refused.get() + recording.lost.get() + recording.non_finite.get()
    }

    /// The account as it stands.
    #[must_use]
    pub fn report(&self, recording: &Counters) -> RunReport {
        // What leaves is read before what enters, so that nothing seems to leave that never entered.
        let exported = self.exported.get();
        let episodes = self.episodes.get();
        let dropped = self.dropped(recording);
        let discarded = recording.discarded.get();
        let recorded = recording.recorded.get();
        RunReport {
            recorded,
            exported,
            dropped,
            discarded,
            pending: recorded - exported - dropped - discarded,
            episodes,
            empty_episodes: recording.empty_episodes.get(),
            orphaned_rewards: recording.orphaned_rewards.get(),
            non_finite: recording.non_finite.get(),
            ignored_ends: recording.ignored_ends.get(),
            refused_agents: recording.refused_agents.get(),
            unbuffered_agents: recording.unbuffered_agents.get(),
            failures: self.failures.get(),
            agents: self.agents.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            tags: recording.tags(),
        }
    }
}
