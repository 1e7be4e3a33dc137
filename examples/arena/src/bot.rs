//! Bots of three skills, who see only what a fighter sees and act only through [`Intent`].

mod collector;
mod hunter;
mod sight;
mod wanderer;

use bevy_ecs::prelude::*;
use bevy_math::Vec3Swizzles;
use bevy_transform::prelude::Transform;
use rand_chacha::ChaCha8Rng;

use crate::{
    ArenaSettings, MatchId,
    chance::{Purpose, stream},
    field::Field,
    fighter::{Body, Fighter, Gear, Intent},
};
use sight::{Route, Sight};

/// How a bot plays, from clumsy to deadly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Skill {
    /// Strolls from place to place and fires at random.
    Wanderer,
    /// Goes for coins, keeps away from others and shoots only in need.
    Collector,
    /// Chases others and leads its aim.
    Hunter,
}

impl Skill {
    /// All skills, the clumsiest first.
    pub const ALL: [Self; 3] = [Self::Wanderer, Self::Collector, Self::Hunter];
}

/// Steers a fighter by script. A fighter without it is left to whoever writes its [`Intent`].
#[derive(Component, Clone, Debug)]
pub struct Bot {
    /// How it plays.
    pub skill: Skill,
    /// Where it goes when it sees nothing better.
    pub(crate) route: Route,
    /// Its whims.
    pub(crate) rng: ChaCha8Rng,
}

impl Bot {
    /// The bot for a fighter whose seat is the `place`th of its match.
    pub(crate) fn new(seed: u64, fighter: &Fighter, place: i64) -> Self {
        Self {
            skill: Skill::ALL[place as usize % Skill::ALL.len()],
            route: Route::default(),
            rng: stream(
                seed,
                Purpose::Bot,
                fighter.agent.cast_unsigned(),
                u64::from(fighter.visit),
            ),
        }
    }

    fn decide(&mut self, sight: &Sight) -> Intent {
        match self.skill {
            Skill::Wanderer => wanderer::decide(sight, &mut self.route, &mut self.rng),
            Skill::Collector => collector::decide(sight, &mut self.route, &mut self.rng),
            Skill::Hunter => hunter::decide(sight, &mut self.route, &mut self.rng),
        }
    }
}

/// Lets every bot alive decide what it wants.
pub(crate) fn think(
    settings: Res<ArenaSettings>,
    field: Res<Field>,
    mut bots: Query<(&Fighter, &MatchId, &Transform, &Body, &Gear, &mut Bot, &mut Intent)>,
) {
    let dt = settings.dt();
    for (fighter, match_id, transform, body, gear, mut bot, mut intent) in &mut bots {
        if body.is_alive() {
            let position = transform.translation.xy();
            let sight = Sight::new(&field, dt, *match_id, fighter.agent, position, body, gear);
            *intent = bot.decide(&sight);
        }
    }
}
