//! Checks the final observations of episodes: those that repeat the observation before them, and those of a player that was reset
//! already.

use super::{Diagnosis, Severity, Symptom};
use core::hash::Hasher;
use experience_core::{
    schema::Schema,
    transition::{EndReason, Episode, Outcome, StepBytes},
};
use siphasher::sip::SipHasher24;
use std::{collections::HashMap, mem};

/// With fewer pairs of consecutive episodes, early resets are not reported.
const MIN_PAIRS: u64 = 5;
/// With fewer episodes in which a feature moved until the end, a feature that stops there is not reported.
const MIN_ENDS: u64 = 10;
/// The share of ends at which a feature must repeat.
const REPEATED: f64 = 0.8;
/// The share of other transitions at which a feature may stop. One that stops more often may have stopped at the end too.
const STOPS: f64 = 0.3;
/// How much larger a reset is than the largest change before it in the episode.
const JUMP: f64 = 3.0;
/// How many more features change at a reset than at any transition before it, and the least number of them.
const MANY_TIMES: usize = 2;
const MANY: usize = 4;
/// Final observations that are kept until the next episode of their player begins. In games that number each life, most players are
/// not seen again.
const MAX_WAITING: usize = 1 << 15;

/// The reasons of ends that are not the game's.
const OWN_REASONS: [EndReason; 9] = [
    EndReason::LEFT,
    EndReason::PAUSED,
    EndReason::GAP,
    EndReason::SPLIT,
    EndReason::COMPONENT_LOST,
    EndReason::NON_FINITE,
    EndReason::EXCLUDED,
    EndReason::SHUTDOWN,
    EndReason::CRASH,
];

pub(super) struct EndCheck {
    features: Vec<FeatureEnds>,
    final_observations: FinalObservations,
    /// Pairs of consecutive episodes of a player; those in which the second begins with the final observation of the first; and
    /// those of them in which that observation is a jump.
    pairs: u64,
    equal_pairs: u64,
    jumps: u64,
}

/// How a feature changes, counted in transitions.
#[derive(Clone, Copy, Default)]
struct FeatureEnds {
    /// Changes, but for the last two transitions of an episode, and those of them without a change after.
    changes: u64,
    stops: u64,
    /// Changes in the second to last transition of an episode, and those of them without a change in the last.
    last_changes: u64,
    last_stops: u64,
}

/// The final observation of a player's last episode.
#[derive(Clone, Copy)]
struct FinalObservation {
    hash: u64,
    is_jump: bool,
}

/// The last final observation by run and agent, for at least the last [`MAX_WAITING`] players.
#[derive(Default)]
struct FinalObservations {
    new: HashMap<(i64, i64), FinalObservation>,
    old: HashMap<(i64, i64), FinalObservation>,
}

impl FinalObservations {
    fn insert(&mut self, player: (i64, i64), observation: FinalObservation) {
        if self.new.len() == MAX_WAITING {
            self.old = mem::take(&mut self.new);
        }
        self.new.insert(player, observation);
    }

    fn take(&mut self, player: (i64, i64)) -> Option<FinalObservation> {
        let old = self.old.remove(&player);
        self.new.remove(&player).or(old)
    }
}

impl EndCheck {
    pub(super) fn new(schema: &Schema) -> Self {
        Self {
            features: vec![FeatureEnds::default(); schema.observation_width()],
            final_observations: FinalObservations::default(),
            pairs: 0,
            equal_pairs: 0,
            jumps: 0,
        }
    }

    pub(super) fn add(&mut self, episode: &Episode) {
        let info = episode.info();
        let player = (info.run.get(), info.agent_id);
        let first = observation_hash(episode.row(0));
        let last = observation_hash(episode.row(episode.len()));
        if let Some(before) = self.final_observations.take(player) {
            self.pairs += 1;
            if before.hash == first {
                self.equal_pairs += 1;
                self.jumps += u64::from(before.is_jump);
            }
        }
        if episode.outcome() == Outcome::Terminated {
            let observation = FinalObservation {
                hash: last,
                is_jump: ends_with_jump(episode),
            };
            self.final_observations.insert(player, observation);
        }
        if !OWN_REASONS.contains(episode.reason()) {
            self.count_stops(episode);
        }
    }

    fn count_stops(&mut self, episode: &Episode) {
        for step in 0..episode.len().saturating_sub(1) {
            let [from, to, next] = [step, step + 1, step + 2].map(|row| episode.row(row).observation());
            let is_end = step + 2 == episode.len();
            for (index, feature) in self.features.iter_mut().enumerate() {
                if from[index].to_bits() == to[index].to_bits() {
                    continue;
                }
                let stops = u64::from(to[index].to_bits() == next[index].to_bits());
                if is_end {
                    feature.last_changes += 1;
                    feature.last_stops += stops;
                } else {
                    feature.changes += 1;
                    feature.stops += stops;
                }
            }
        }
    }

    pub(super) fn report(self, schema: &Schema, diagnosis: &mut Diagnosis) {
        if self.pairs >= MIN_PAIRS && 2 * self.equal_pairs > self.pairs && 2 * self.jumps > self.equal_pairs {
            diagnosis.add(
                Symptom::ResetTooEarly,
                Severity::Error,
                format!(
                    "{} of {} final observations equal the first observation of the player's next episode, far from the one before",
                    self.equal_pairs, self.pairs
                ),
                Vec::new(),
                "the player was reset before `EndEpisode` was applied, so the true final observation is lost: reset in an \
                 observer of `EpisodeEnded`",
            );
        }
        let repeating: Vec<(String, FeatureEnds)> = core::iter::zip(schema.feature_names(), self.features)
            .filter(|(_, feature)| {
                let at_end = feature.last_stops as f64 / feature.last_changes as f64;
                let elsewhere = feature.stops as f64 / feature.changes as f64;
                feature.last_changes >= MIN_ENDS && at_end >= REPEATED && elsewhere <= STOPS
            })
            .collect();
        if repeating.is_empty() {
            return;
        }
        let places = repeating.iter().map(|(name, feature)| {
            let (stops, changes) = (feature.last_stops, feature.last_changes);
            format!(
                "`{name}` moved until the end in {changes} episodes, and not in the last transition of {stops} of them"
            )
        });
        diagnosis.add(
            Symptom::StaleFinalObservation,
            Severity::Warning,
            format!("final observations repeat the one before in {} features", repeating.len()),
            places.collect(),
            "`EndEpisode` is applied before the tick moves the player, so its result is not in the final observation: trigger it \
             after the movement or the physics, or use `FinalObservation::AtCapture` and reset the player in an observer of \
             `EpisodeEnded`; in a game that moves in `Update`, place the capture behind that with `Recording::capture_after(Last)`; a player that is \
             despawned at its death is despawned after the movement",
        );
    }
}

/// Whether the last transition changes more than those before it, as a reset does.
fn ends_with_jump(episode: &Episode) -> bool {
    let Some(last) = episode.len().checked_sub(1) else {
        return false;
    };
    let width = episode.schema().observation_width();
    let (mut largest, mut most) = (vec![0.0_f64; width], 0);
    let mut changes = vec![0.0_f64; width];
    for step in 0..=last {
        let (from, to) = (episode.row(step).observation(), episode.row(step + 1).observation());
        for (change, (from, to)) in changes.iter_mut().zip(from.iter().zip(to)) {
            *change = (f64::from(*to) - f64::from(*from)).abs();
        }
        let count = changes.iter().filter(|change| **change > 0.0).count();
        if step == last {
            let is_large = |(change, largest): (&f64, &f64)| *largest > 0.0 && *change > JUMP * largest;
            return changes.iter().zip(&largest).any(is_large) || (count >= MANY && count >= MANY_TIMES * most);
        }
        most = most.max(count);
        for (largest, change) in largest.iter_mut().zip(&changes) {
            *largest = largest.max(*change);
        }
    }
    false
}

fn observation_hash(row: StepBytes<'_>) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(bytemuck::cast_slice(row.observation()));
    for image in 0..row.schema().images().len() {
        hasher.write(row.image(image));
    }
    hasher.finish()
}
