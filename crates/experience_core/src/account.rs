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
//! sink.count_episode(7, 90, 1.5);
//! let report = sink.report(&recording);
//! assert_eq!((report.exported, report.dropped, report.pending), (90, 3, 7));
//! ```

use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// The counts of one sink of a recording, over one run. Units are transitions unless the field says otherwise.
///
/// `recorded = exported + dropped + discarded + pending` always holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Transitions that capture closed.
    pub recorded: u64,
    /// Transitions that this sink accepted.
    pub exported: u64,
    /// Transitions that were lost: overwritten before the exporter thread read them, refused by the sink, or not
    /// finite.
    pub dropped: u64,
    /// Transitions that were discarded on request, by a player's opt-out for example.
    pub discarded: u64,
    /// Transitions that are recorded and not yet exported, dropped or discarded.
    pub pending: u64,
    /// Episodes that this sink accepted.
    pub episodes: u64,
    /// Episodes that ended without a transition. They are not exported.
    pub empty_episodes: u64,
    /// Captures at which a player outside of any episode had been given a reward.
    pub orphaned_rewards: u64,
    /// Transitions dropped because a value was NaN or infinite. Included in `dropped`.
    pub non_finite: u64,
    /// End events for players without an open episode.
    pub ignored_ends: u64,
    /// Players that were not recorded because another living player has their agent id.
    pub refused_agents: u64,
    /// Players that were not recorded because no buffer could be allocated for them.
    #[serde(default)]
    pub unbuffered_agents: u64,
    /// Failed calls of this sink, and times that it stalled. A call that succeeded on retry counts here and loses
    /// nothing.
    #[serde(default)]
    pub failures: u64,
    /// Totals of the episodes that this sink accepted, by agent id.
    pub agents: BTreeMap<i64, AgentTotals>,
    /// The tags of episodes, in ascending order of episode id. They include episodes that this sink did not accept.
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

/// A tag of an episode.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EpisodeTag {
    /// The tagged episode.
    pub episode_id: i64,
    /// The agent of the episode.
    pub agent_id: i64,
    /// The tag.
    pub tag: String,
}

/// Totals of the episodes of one agent that a sink accepted.
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
    /// Players that were not recorded because another living player has their agent id.
    pub refused_agents: Count,
    /// Players that were not recorded because no buffer could be allocated for them.
    pub unbuffered_agents: Count,

    /// Transitions that were overwritten before the exporter thread read them, or whose observation was.
    pub lost: Count,
    /// Transitions that were discarded on request.
    pub discarded: Count,

    /// Written by the game, read by reports. Never locked during a call of a sink.
    tags: Mutex<BTreeSet<EpisodeTag>>,
    /// As `tags`.
    tick_rates: Mutex<Vec<TickRate>>,
}

impl Counters {
    /// Tags an episode. An episode can have several tags; adding one again has no effect.
    #[inline]
    pub fn add_tag(&self, episode_id: i64, agent_id: i64, tag: String) {
        let tag = EpisodeTag {
            episode_id,
            agent_id,
            tag,
        };
        self.tags.lock().unwrap_or_else(PoisonError::into_inner).insert(tag);
    }

    /// Removes all tags of an episode.
    #[inline]
    pub fn remove_tags(&self, episode_id: i64) {
        let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        tags.retain(|tag| tag.episode_id != episode_id);
    }

    /// The tags of all episodes, in ascending order of episode id.
    #[must_use]
    #[inline]
    pub fn tags(&self) -> Vec<EpisodeTag> {
        let tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        tags.iter().cloned().collect()
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
    /// Transitions that the sink accepted.
    pub exported: Count,
    /// Transitions that the sink refused, or that did not fit into its queue.
    pub refused: Count,
    /// Failed calls of the sink, and times that it stalled.
    pub failures: Count,
    /// Episodes that the sink accepted.
    pub episodes: Count,
    /// Duration of the last flush in nanoseconds.
    flush_nanos: AtomicU64,
    /// Bytes on disk after the last flush.
    disk_bytes: AtomicU64,
    /// Written by the sink's worker thread, read by reports. Never locked during a call of a sink.
    agents: Mutex<BTreeMap<i64, AgentTotals>>,
}

impl SinkCounters {
    /// Counts an episode that the sink accepted.
    #[inline]
    pub fn count_episode(&self, agent_id: i64, transitions: u64, total_reward: f64) {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        let totals = agents.entry(agent_id).or_default();
        totals.episodes += 1;
        totals.transitions += transitions;
        totals.total_reward += total_reward;
        drop(agents);
        self.episodes.add(1);
        self.exported.add(transitions);
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

    /// Transitions that the sink has neither accepted nor lost yet.
    #[must_use]
    #[inline]
    pub fn pending(&self, recording: &Counters) -> u64 {
        self.balance(recording).pending()
    }

    /// Transitions that are lost to the sink.
    #[must_use]
    #[inline]
    pub fn dropped(&self, recording: &Counters) -> u64 {
        self.refused.get() + recording.lost.get() + recording.non_finite.get()
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
            episodes: self.episodes.get(),
            empty_episodes: recording.empty_episodes.get(),
            orphaned_rewards: recording.orphaned_rewards.get(),
            non_finite: recording.non_finite.get(),
            ignored_ends: recording.ignored_ends.get(),
            refused_agents: recording.refused_agents.get(),
            unbuffered_agents: recording.unbuffered_agents.get(),
            failures: self.failures.get(),
            agents: self.agents.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            tags: recording.tags(),
            tick_rates: recording.tick_rates(),
        }
    }

    #[inline]
    fn balance(&self, recording: &Counters) -> Balance {
        // The fields are evaluated in this order. `recorded` comes last: a transition is counted there before it is
        // counted anywhere else, so the others never add up to more.
        Balance {
            exported: self.exported.get(),
            dropped: self.dropped(recording),
            discarded: recording.discarded.get(),
            recorded: recording.recorded.get(),
        }
    }
}

/// The terms of `recorded = exported + dropped + discarded + pending` for one sink, as of one moment.
struct Balance {
    exported: u64,
    dropped: u64,
    discarded: u64,
    recorded: u64,
}

impl Balance {
    #[inline]
    fn pending(&self) -> u64 {
        self.recorded - self.exported - self.dropped - self.discarded
    }
}
