//! Who leads.

use bevy_ecs::prelude::*;

use crate::{
    MatchId,
    bot::{Bot, Skill},
    fighter::{Body, Fighter, Score},
    rules::{COIN_REWARD, HIT_REWARD},
};

/// How a fighter gets on in this round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Whose it is.
    pub agent: i64,
    /// How its bot plays; `None` where no bot does.
    pub skill: Option<Skill>,
    /// What it has achieved.
    pub score: Score,
    /// Whether it is alive at this moment.
    pub is_alive: bool,
}

impl Standing {
    /// What that was worth.
    #[must_use]
    pub fn points(&self) -> f64 {
        f64::from(self.score.coins) * COIN_REWARD + f64::from(self.score.hits) * HIT_REWARD
    }
}

/// The fighters of a match, the best first; of equals the one who died less often, then the lower agent.
#[must_use]
pub fn standings(
    fighters: &Query<(&MatchId, &Fighter, &Score, &Body, Option<&Bot>)>,
    match_id: MatchId,
) -> Vec<Standing> {
    let here = fighters.iter().filter(|(its, ..)| **its == match_id);
    let mut all: Vec<_> = here
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
