//! Loss accounting: counters of what became of each transition, and the reports made of them.
//!
//! For each sink of each recording, at any moment, in transitions:
//!
//! ```text
//! recorded = exported + dropped + discarded + pending
//! ```
//!
//! Capture and the exporter thread write [`Counters`], one per recording. The exporter thread and the sink's worker
//! thread write [`SinkCounters`], one per sink. [`SinkCounters::report`] combines the two in a [`RunReport`].
//!
//! ```
//! use experience_core::account::{Counters, SinkCounters};
//!
//! let (recording, sink) = (Counters::default(), SinkCounters::default());
//! recording.recorded.add(100);
//! recording.lost.add(3);
//! sink.count_episode(90);
//! let report = sink.report(&recording);
//! assert_eq!((report.exported, report.dropped, report.pending), (90, 3, 7));
//! ```

mod tags;

pub use tags::{DISCARDED_TAG, EpisodeTag, NewTagChanges, TagChange, remaining_tags};

use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tags::TagLog;

/// The counts of one sink of a recording, over one run. Units are transitions unless the field says otherwise.
///
/// `recorded = exported + dropped + discarded + pending` always holds. The size does not depend on the number of agents and
/// episodes of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Transitions that capture closed.
    pub recorded: u64,
    /// Transitions that this sink accepted and that are not `missing`.
    pub exported: u64,
    /// Transitions that were lost: overwritten before the exporter thread read them, refused by the sink, not finite, or
    /// `missing`.
    pub dropped: u64,
    /// Transitions that were discarded on request, by a player's opt-out for example.
    pub discarded: u64,
    /// Transitions that are recorded and not yet exported, dropped or discarded.
    pub pending: u64,
    /// Episodes that this sink accepted and still stores.
    pub episodes: u64,
    /// Episodes that ended without a transition. They are not exported.
    pub empty_episodes: u64,
    /// Captures at which a player outside of any episode had been given a reward.
    pub orphaned_rewards: u64,
    /// Transitions dropped because a value was NaN or infinite. Included in `dropped`.
    pub non_finite: u64,
    /// End events for players without an open episode.
    pub ignored_ends: u64,
    /// Players that were not recorded because another living player has their agent id, or because it is negative.
    pub refused_agents: u64,
    /// Players that were not recorded because no buffer could be allocated for them.
    #[serde(default)]
    pub unbuffered_agents: u64,
    /// Failed calls of this sink, and times that it stalled. A call that succeeded on retry counts here and loses
    /// nothing.
    #[serde(default)]
    pub failures: u64,
    /// Transitions that this sink accepted and no longer stores, because its files were removed or could not be finished.
    /// Included in `dropped`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing: u64,
    /// Episodes that this sink accepted and no longer stores. Not included in `episodes`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing_episodes: u64,
    /// Totals by agent id, in accounts that version 0.1.0 wrote; empty in all others. A dataset derives them from its
    /// episodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub agents: BTreeMap<i64, AgentTotals>,
    /// The tags of episodes, in ascending order of episode id: those of the last 1,024 changes. They include episodes that
    /// this sink did not accept. A sink that stores all tags receives them as [`TagChange`]s.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<EpisodeTag>,
    /// The tick rates of the run in the order of their ticks, if the game changed its timestep; empty otherwise. At most
    /// [`MAX_TICK_RATES`]: later changes are in the timestamps alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tick_rates: Vec<TickRate>,
}

/// The maximum length of [`RunReport::tick_rates`].
pub const MAX_TICK_RATES: usize = 64;

/// A tick rate that holds until the next one of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TickRate {
    /// The first tick of which the next is `1 / ticks_per_second` seconds of game time away.
    pub from_tick: i64,
    /// Ticks per second of game time.
    pub ticks_per_second: f64,
}

impl RunReport {
    /// Sets the number of accepted episodes that the sink no longer stores, and of their transitions, and moves them from
    /// `exported` to `dropped`.
    pub fn set_missing(&mut self, episodes: u64, transitions: u64) {
        self.exported = (self.exported + self.missing).saturating_sub(transitions);
        self.dropped = (self.dropped + transitions).saturating_sub(self.missing);
        self.episodes = (self.episodes + self.missing_episodes).saturating_sub(episodes);
        (self.missing, self.missing_episodes) = (transitions, episodes);
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Totals of the episodes of one agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentTotals {
    /// Number of episodes.
    pub episodes: u64,
    /// Number of transitions.
    pub transitions: u64,
    /// Sum of the rewards.
    #[serde(deserialize_with = "number_or_nan")]
    pub total_reward: f64,
}

/// Reads `null` as NaN, because JSON has no NaN and `serde_json` writes it as `null`.
fn number_or_nan<'de, D: serde::Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// A counter that any thread can read.
///
/// Writers use either [`add`](Count::add), one thread at a time, or [`add_shared`](Count::add_shared), any number of
/// threads; never both for one counter at the same time.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds `n`, from one thread at a time: a load and a store, which are several times cheaper than an atomic
    /// addition.
    #[inline]
    pub fn add(&self, n: u64) {
        let count = self.0.load(Ordering::Relaxed);
        // Pairs with the acquire load in `get`: a reader that sees this count also sees the counts stored before it.
        self.0.store(count + n, Ordering::Release);
    }

    /// Adds `n` atomically, from any number of threads.
    #[inline]
    pub fn add_shared(&self, n: u64) {
        self.0.fetch_add(n, Ordering::AcqRel);
    }

    /// The current count.
    #[must_use]
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// The counters of one recording. Capture writes those down to `unbuffered_agents`, the exporter thread the rest.
#[derive(Debug, Default)]
pub struct Counters {
    /// Transitions that capture closed.
    pub recorded: Count,
    /// Transitions that capture dropped because a value was not finite.
    pub non_finite: Count,
    /// Episodes that ended without a transition.
    pub empty_episodes: Count,
    /// Captures at which a player outside of any episode had been given a reward.
    pub orphaned_rewards: Count,
    /// End events for players without an open episode.
    pub ignored_ends: Count,
    /// Players that were not recorded because another living player has their agent id, or because it is negative.
    pub refused_agents: Count,
    /// Players that were not recorded because no buffer could be allocated for them.
    pub unbuffered_agents: Count,

    /// Transitions that were overwritten before the exporter thread read them, or whose observation was.
    pub lost: Count,
    /// Transitions that were discarded on request.
    pub discarded: Count,

    /// Written by the game, read by reports and by sink workers. Never locked during a call of a sink.
    tags: Mutex<TagLog>,
    /// Locked as `tags` is.
    tick_rates: Mutex<Vec<TickRate>>,
}

impl Counters {
    /// Tags an episode. An episode can have several tags; adding one again has no effect.
    #[inline]
    pub fn add_tag(&self, episode_id: i64, agent_id: i64, tag: String) {
        self.tag_log().push(TagChange::Added(EpisodeTag {
            episode_id,
            agent_id,
            tag,
        }));
    }

    /// Removes all tags of an episode.
    #[inline]
    pub fn remove_tags(&self, episode_id: i64) {
        self.tag_log().push(TagChange::Removed { removed: episode_id });
    }

    /// The tags of the last 1,024 changes, in ascending order of episode id.
    #[must_use]
    #[inline]
    pub fn tags(&self) -> Vec<EpisodeTag> {
        remaining_tags(self.tag_log().reported().cloned())
    }

    /// The tag changes after the first `total`. The last 16,384 changes are kept.
    #[must_use]
    pub fn tag_changes_since(&self, total: u64) -> NewTagChanges {
        self.tag_log().since(total)
    }

    /// The number of all tag changes so far.
    #[must_use]
    pub fn tag_changes(&self) -> u64 {
        self.tag_log().total()
    }

    #[inline]
    fn tag_log(&self) -> MutexGuard<'_, TagLog> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the tick rates of the run, up to [`MAX_TICK_RATES`].
    pub fn set_tick_rates(&self, rates: &[TickRate]) {
        let rates = &rates[..rates.len().min(MAX_TICK_RATES)];
        rates.clone_into(&mut self.tick_rates.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The tick rates of the run, if there is more than one.
    #[must_use]
    pub fn tick_rates(&self) -> Vec<TickRate> {
        self.tick_rates.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The counters of one sink of a recording. The exporter thread and the sink's worker thread write them.
#[derive(Debug, Default)]
pub struct SinkCounters {
    /// Transitions that the sink accepted, the missing and the withdrawn ones included.
    accepted: Count,
    /// Transitions that the sink refused, or that did not fit into its queue.
    pub refused: Count,
    /// Transitions that the sink accepted and lost again, and that could not be written again. They are dropped, not exported.
    pub withdrawn: Count,
    /// Failed calls of the sink, and times that it stalled.
    pub failures: Count,
    /// Episodes that the sink accepted, the missing and the withdrawn ones included.
    accepted_episodes: Count,
    /// Episodes with the transitions in `withdrawn`.
    withdrawn_episodes: Count,
    /// Accepted transitions and episodes that the sink no longer stores.
    missing: AtomicU64,
    missing_episodes: AtomicU64,
    /// Duration of the last flush in nanoseconds.
    flush_nanos: AtomicU64,
    /// Bytes on disk after the last flush.
    disk_bytes: AtomicU64,
}

impl SinkCounters {
    /// Counts an episode that the sink accepted.
    #[inline]
    pub fn count_episode(&self, transitions: u64) {
        self.accepted_episodes.add(1);
        self.accepted.add(transitions);
    }

    /// Sets the number of accepted episodes that the sink no longer stores, and of their transitions.
    #[inline]
    pub fn set_missing(&self, episodes: u64, transitions: u64) {
        self.missing_episodes.store(episodes, Ordering::Release);
        self.missing.store(transitions, Ordering::Release);
    }

    /// Counts an episode that the sink accepted, and then lost, as dropped.
    #[inline]
    pub fn withdraw_episode(&self, transitions: u64) {
        self.withdrawn_episodes.add(1);
        self.withdrawn.add(transitions);
    }

    /// Sets the duration of the last flush.
    #[inline]
    pub fn set_last_flush(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.flush_nanos.store(nanos, Ordering::Relaxed);
    }

    /// Duration of the last flush; zero before the first.
    #[must_use]
    #[inline]
    pub fn last_flush(&self) -> Duration {
        Duration::from_nanos(self.flush_nanos.load(Ordering::Relaxed))
    }

    /// Sets the number of bytes that the sink keeps on disk.
    #[inline]
    pub fn set_disk_bytes(&self, bytes: u64) {
        self.disk_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Bytes that the sink kept on disk at its last flush.
    #[must_use]
    #[inline]
    pub fn disk_bytes(&self) -> u64 {
        self.disk_bytes.load(Ordering::Relaxed)
    }

    /// Episodes that the sink accepted and still stores.
    #[must_use]
    #[inline]
    pub fn episodes(&self) -> u64 {
        // Read first, so that they are not larger than the number of accepted episodes.
        let gone = self.missing_episodes.load(Ordering::Acquire) + self.withdrawn_episodes.get();
        self.accepted_episodes.get() - gone
    }

    /// All counts at this moment.
    #[must_use]
    pub fn report(&self, recording: &Counters) -> RunReport {
        let balance = self.balance(recording);
        RunReport {
            recorded: balance.recorded,
            exported: balance.exported,
            dropped: balance.dropped,
            discarded: balance.discarded,
            pending: balance.pending(),
            episodes: self.episodes(),
            empty_episodes: recording.empty_episodes.get(),
            orphaned_rewards: recording.orphaned_rewards.get(),
            non_finite: recording.non_finite.get(),
            ignored_ends: recording.ignored_ends.get(),
            refused_agents: recording.refused_agents.get(),
            unbuffered_agents: recording.unbuffered_agents.get(),
            failures: self.failures.get(),
            missing: balance.missing,
            missing_episodes: self.missing_episodes.load(Ordering::Acquire),
            agents: BTreeMap::new(),
            tags: recording.tags(),
            tick_rates: recording.tick_rates(),
        }
    }

    /// The counts of transitions at this moment. Cheaper than a [`report`](Self::report): it copies no tags.
    #[must_use]
    #[inline]
    pub fn balance(&self, recording: &Counters) -> Balance {
        // The fields are evaluated in this order. A transition is missing or withdrawn only after it was accepted, so these
        // counts come first, and each is read once. `recorded` comes last: a transition is counted there before it is counted
        // anywhere else, so the others never add up to more.
        let missing = self.missing.load(Ordering::Acquire);
        let gone = missing + self.withdrawn.get();
        Balance {
            missing,
            exported: self.accepted.get() - gone,
            dropped: gone + self.refused.get() + recording.lost.get() + recording.non_finite.get(),
            discarded: recording.discarded.get(),
            recorded: recording.recorded.get(),
        }
    }
}

/// The terms of `recorded = exported + dropped + discarded + pending` for one sink, as of one moment. In transitions; see
/// [`RunReport`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Accepted by the sink, and not missing.
    pub exported: u64,
    /// Lost.
    pub dropped: u64,
    /// Accepted by the sink and no longer stored. Included in `dropped`.
    pub missing: u64,
    /// Discarded on request.
    pub discarded: u64,
    /// Closed by capture.
    pub recorded: u64,
}

impl Balance {
    /// Recorded and not yet exported, dropped or discarded.
    #[must_use]
    #[inline]
    pub fn pending(&self) -> u64 {
        self.recorded - self.exported - self.dropped - self.discarded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_transitions_move_from_exported_to_dropped() {
        let (recording, sink) = (Counters::default(), SinkCounters::default());
        recording.recorded.add(10);
        sink.count_episode(4);
        sink.count_episode(5);
        sink.set_missing(1, 4);
        let report = sink.report(&recording);
        assert_eq!((report.exported, report.dropped, report.missing), (5, 4, 4));
        assert_eq!((report.episodes, report.pending), (1, 1));
    }

    #[test]
    fn a_report_is_as_large_after_a_million_lives_as_after_one() {
        let (recording, sink) = (Counters::default(), SinkCounters::default());
        let json = |lives: i64| {
            for agent in 0..lives {
                recording.add_tag(agent, agent, "tag".to_owned());
                recording.recorded.add(1);
                sink.count_episode(1);
            }
            serde_json::to_vec(&sink.report(&recording)).unwrap().len()
        };
        let (few, many) = (json(1_000), json(1_000_000));
        assert!(many < 2 * few, "{few} and {many} bytes");
    }
}
