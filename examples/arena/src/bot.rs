//! Scripted bots of three skill levels. They read the same observations that are recorded, and act only through
//! [`Intent`].

mod collector;
mod hunter;
mod observation;
mod wanderer;

use bevy_ecs::prelude::*;
use bevy_experience::player::Controller;
use bevy_math::Vec3Swizzles;
use bevy_transform::prelude::Transform;
use rand_chacha::ChaCha8Rng;

use crate::{
    ArenaSettings, MatchId,
    fighter::{Body, Fighter, Gear, Intent},
    random::{StreamPurpose, stream},
    spatial_index::SpatialIndex,
};
use observation::{Observation, Route};

/// The policy of a bot, from weakest to strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skill {
    /// Walks between random positions and fires at random.
    Wanderer,
    /// Collects coins, and dashes away from or shoots at fighters that come near.
    Collector,
    /// Pursues the nearest fighter and aims ahead of it.
    Hunter,
}

impl Skill {
    /// All skills, weakest first.
    pub const ALL: [Self; 3] = [Self::Wanderer, Self::Collector, Self::Hunter];

    /// What the data calls a bot of this skill.
    pub(crate) fn controller(self) -> Controller {
        Controller::script(match self {
            Self::Wanderer => "wanderer",
            Self::Collector => "collector",
            Self::Hunter => "hunter",
        })
    }
}

/// A scripted policy, which writes the [`Intent`] of its fighter in every tick.
#[derive(Component, Clone, Debug)]
pub struct Bot {
    /// Its policy.
    pub skill: Skill,
    /// The random position that it walks to while it observes no rival and no coin.
    pub(crate) route: Route,
    /// The source of its random decisions.
    pub(crate) rng: ChaCha8Rng,
}

impl Bot {
    /// A bot for a fighter, from a round on.
    pub(crate) fn new(seed: u64, fighter: &Fighter, skill: Skill, round: u64) -> Self {
        let occasion = round << 32 | u64::from(fighter.session);
        Self {
            skill,
            route: Route::default(),
            rng: stream(seed, StreamPurpose::Bot, fighter.agent.cast_unsigned(), occasion),
        }
    }

    fn decide(&mut self, observation: &Observation) -> Intent {
        match self.skill {
            Skill::Wanderer => wanderer::decide(observation, &mut self.route, &mut self.rng),
            Skill::Collector => collector::decide(observation, &mut self.route, &mut self.rng),
            Skill::Hunter => hunter::decide(observation, &mut self.route, &mut self.rng),
        }
    }
}

/// Writes the intent of every fighter that has a bot and is alive.
pub(crate) fn write_intents(
    settings: Res<ArenaSettings>,
    index: Res<SpatialIndex>,
    mut bots: Query<(&Fighter, &MatchId, &Transform, &Body, &Gear, &mut Bot, &mut Intent)>,
) {
    let dt = settings.dt();
    for (fighter, match_id, transform, body, gear, mut bot, mut intent) in &mut bots {
        if body.is_alive() {
            let position = transform.translation.xy();
            let observation = Observation::new(&index, dt, *match_id, fighter.agent, position, body, gear);
            *intent = bot.decide(&observation);
        }
    }
}
