//! Results of each controller over many rounds, for comparing policies with scripted bots.
//!
//! A fighter's result in a round is one sample. The controllers of one round play against each other, so that samples of
//! one round are not independent: intervals are computed over the means of rounds.

use std::collections::BTreeMap;

use bevy_app::{App, FixedUpdate, Plugin};
use bevy_ecs::prelude::*;

use crate::{ArenaSystems, fighter::Score, round::is_last_tick, seating::SeatController};

/// Collects [`TournamentResults`].
#[derive(Clone, Copy, Debug, Default)]
pub struct TournamentPlugin;

impl Plugin for TournamentPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<TournamentResults>().add_systems(
            FixedUpdate,
            collect_results
                .run_if(is_last_tick)
                .after(ArenaSystems::Score)
                .before(ArenaSystems::Reset),
        );
    }
}

/// Means of the fighters of one controller in one round.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RoundResult {
    /// The sum of rewards.
    pub reward: f64,
    /// Fighters that its bullets killed.
    pub kills: f64,
    /// Deaths.
    pub deaths: f64,
    /// Coins collected.
    pub coins: f64,
}

impl RoundResult {
    /// The names of [`values`](Self::values).
    pub const NAMES: [&str; 4] = ["return", "kills", "deaths", "coins"];

    /// The quantities, in the order of [`NAMES`](Self::NAMES).
    #[must_use]
    pub fn values(&self) -> [f64; 4] {
        [self.reward, self.kills, self.deaths, self.coins]
    }
}

/// The results of all rounds that ended, by controller.
#[derive(Resource, Clone, Debug, Default)]
pub struct TournamentResults {
    rounds: BTreeMap<SeatController, Vec<RoundResult>>,
}

/// A mean over rounds with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean over rounds.
    pub mean: f64,
    /// Half the width of the interval: 1.96 standard errors. Not finite with fewer than two rounds.
    pub margin: f64,
}

impl TournamentResults {
    /// The controllers, policies last.
    pub fn controllers(&self) -> impl Iterator<Item = SeatController> {
        self.rounds.keys().copied()
    }

    /// The results of a controller, one for each round in which it played.
    #[must_use]
    pub fn rounds(&self, controller: SeatController) -> &[RoundResult] {
        self.rounds.get(&controller).map_or(&[], Vec::as_slice)
    }

    /// The estimate of each quantity of a controller, in the order of [`RoundResult::NAMES`].
    #[must_use]
    pub fn estimates(&self, controller: SeatController) -> [Estimate; 4] {
        let rounds = self.rounds(controller);
        let count = rounds.len() as f64;
        core::array::from_fn(|quantity| {
            let values = || rounds.iter().map(|round| round.values()[quantity]);
            let mean = values().sum::<f64>() / count;
            let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
            Estimate {
                mean,
                margin: 1.96 * (variance / count).sqrt(),
            }
        })
    }
}

/// Adds the results of the round that ends in this tick.
fn collect_results(fighters: Query<(&SeatController, &Score)>, mut results: ResMut<TournamentResults>) {
    let mut sums = BTreeMap::<SeatController, (RoundResult, f64)>::new();
    for (controller, score) in &fighters {
        let (sum, count) = sums.entry(*controller).or_default();
        sum.reward += score.reward;
        sum.kills += f64::from(score.kills);
        sum.deaths += f64::from(score.deaths);
        sum.coins += f64::from(score.coins);
        *count += 1.0;
    }
    for (controller, (sum, count)) in sums {
        results.rounds.entry(controller).or_default().push(RoundResult {
            reward: sum.reward / count,
            kills: sum.kills / count,
            deaths: sum.deaths / count,
            coins: sum.coins / count,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bot::Skill;

    #[test]
    fn the_interval_is_that_of_the_means_of_rounds() {
        let hunter = SeatController::Script(Skill::Hunter);
        let mut results = TournamentResults::default();
        let round = |reward| RoundResult {
            reward,
            ..RoundResult::default()
        };
        results.rounds.insert(hunter, [1.0, 2.0, 3.0, 4.0].map(round).to_vec());
        let [estimate, kills, ..] = results.estimates(hunter);
        assert_eq!(estimate.mean, 2.5);
        // The standard deviation is the root of 5/3, and the standard error half of it.
        assert!((estimate.margin - 1.96 * (5.0_f64 / 3.0).sqrt() / 2.0).abs() < 1e-12);
        assert_eq!(kills, Estimate { mean: 0.0, margin: 0.0 });
        assert!(!results.estimates(SeatController::Policy(0))[0].mean.is_finite());
    }
}
