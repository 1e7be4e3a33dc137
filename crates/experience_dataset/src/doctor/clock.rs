//! Checks across time: the duration of ticks, and matches within an episode.

use super::{Diagnosis, MAX_PLACES, RunAccount, Severity, Symptom};
use crate::nominal_clock::NominalClock;
use experience_core::transition::{Episode, RunId};
use std::collections::BTreeMap;

const CHANGED_TIMESTEP: &str = "the game changed the timestep of `Time<Fixed>` in mid-run, so equal actions have unequal effects: \
                                keep the timestep, or train with the durations that follow from `timestamp`";

/// Compares the timestamps of episodes with the tick rate of their run.
pub(super) struct ClockCheck {
    /// The tick rate of each run that has one.
    rates: BTreeMap<RunId, f64>,
    episodes: u64,
    deviating: u64,
    places: Vec<String>,
    /// Runs whose account states several tick rates.
    changed: Vec<String>,
}

impl ClockCheck {
    pub(super) fn new(runs: &[RunAccount]) -> Self {
        Self {
            rates: runs.iter().filter_map(|run| Some((run.run, run.tick_rate?))).collect(),
            episodes: 0,
            deviating: 0,
            places: Vec::new(),
            changed: runs.iter().filter_map(changes).collect(),
        }
    }

    pub(super) fn add(&mut self, episode: &Episode) {
        self.episodes += 1;
        let info = episode.info();
        let Some(rate) = self.rates.get(&info.run) else { return };
        let Some(found) = NominalClock::new(*rate).deviation(episode) else {
            return;
        };
        self.deviating += 1;
        if self.places.len() < MAX_PLACES {
            self.places.push(format!(
                "episode {}: {:.6} seconds per tick at step {}, and its run has {rate} ticks per second",
                info.episode_id, found.seconds_per_tick, found.step
            ));
        }
    }

    pub(super) fn report(self, diagnosis: &mut Diagnosis) {
        if !self.changed.is_empty() {
            diagnosis.add(
                Symptom::TickRate,
                Severity::Warning,
                format!("the tick rate of {} runs changed", self.changed.len()),
                self.changed,
                CHANGED_TIMESTEP,
            );
        }
        if self.deviating > 0 {
            diagnosis.add(
                Symptom::TickRate,
                Severity::Warning,
                format!(
                    "{} of {} episodes have ticks that are longer or shorter than the tick rate of their run says",
                    self.deviating, self.episodes
                ),
                self.places,
                CHANGED_TIMESTEP,
            );
        }
    }
}

/// The tick rates of a run that has several.
fn changes(run: &RunAccount) -> Option<String> {
    let rates = &run.account.tick_rates;
    (rates.len() > 1).then(|| {
        let rates: Vec<_> = rates
            .iter()
            .map(|rate| {
                format!(
                    "{} ticks per second from tick {} on",
                    rate.ticks_per_second, rate.from_tick
                )
            })
            .collect();
        format!("run {}: {}", run.run, rates.join(", "))
    })
}

/// Finds episodes with several values of `match_id`.
#[derive(Default)]
pub(super) struct MatchCheck {
    episodes: u64,
    spanning: u64,
    places: Vec<String>,
}

impl MatchCheck {
    pub(super) fn add(&mut self, episode: &Episode) {
        self.episodes += 1;
        let next = episode.transitions().skip(1);
        let Some((before, after)) = episode
            .transitions()
            .zip(next)
            .find(|(before, after)| before.match_id() != after.match_id())
        else {
            return;
        };
        self.spanning += 1;
        if self.places.len() < MAX_PLACES {
            let name = |id: Option<i64>| id.map_or_else(|| "no match".to_owned(), |id| format!("match {id}"));
            self.places.push(format!(
                "episode {}: from {} to {} at step {}",
                episode.info().episode_id,
                name(before.match_id()),
                name(after.match_id()),
                after.step()
            ));
        }
    }

    pub(super) fn report(self, diagnosis: &mut Diagnosis) {
        if self.spanning > 0 {
            diagnosis.add(
                Symptom::SeveralMatches,
                Severity::Warning,
                format!("{} of {} episodes span several matches", self.spanning, self.episodes),
                self.places,
                "the game changed the match of a player without an end of its episode: trigger `EndEpisode` when a match ends, so that \
                 no return runs across two matches",
            );
        }
    }
}
