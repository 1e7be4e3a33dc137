//! Standings: the fighters of a match, ranked by points.

use bevy_ecs::prelude::*;

use crate::{
    MatchId,
    bot::{Bot, Skill},
    fighter::{Body, Fighter, Score},
    rules::{COIN_REWARD, HIT_REWARD},
};

/// A fighter's result in the current round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// The fighter's agent id.
    pub agent: i64,
    /// The skill of its bot; `None` without a bot.
    pub skill: Option<Skill>,
    /// Its score.
    pub score: Score,
    /// Whether it is alive.
    pub is_alive: bool,
}

impl Standing {
    /// The rewards for coins and hits.
    #[must_use]
    pub fn points(&self) -> f64 {
        f64::from(self.score.coins) * COIN_REWARD + f64::from(self.score.hits) * HIT_REWARD
    }
}

/// The fighters of a match, best first. Ties go to fewer deaths, then to the lower agent id.
#[must_use]
pub fn standings(
    fighters: &Query<(&MatchId, &Fighter, &Score, &Body, Option<&Bot>)>,
    match_id: MatchId,
) -> Vec<Standing> {
    let in_match = fighters
        .iter()
        .filter(|(fighter_match, ..)| **fighter_match == match_id);
    let mut all: Vec<_> = in_match
        .map(|(_, fighter, score, body, bot)| Standing {
            agent: fighter.agent,
            skill: bot.map(|bot| bot.skill),
            score: *score,
            is_alive: body.is_alive(),
        })
        .collect();
    all.sort_unstable_by(|a, b| {
        b.points()
            .total_cmp(&a.points())
            .then(a.score.deaths.cmp(&b.score.deaths))
            .then(a.agent.cmp(&b.agent))
    });
    all
}
