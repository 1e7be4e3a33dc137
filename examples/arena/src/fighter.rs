//! Fighters: what they are made of, and how an intent becomes movement and shots.

use bevy_ecs::prelude::*;
use bevy_experience::prelude::{AgentId, Reward};
use bevy_math::{Vec2, Vec3Swizzles};
use bevy_reflect::Reflect;
use bevy_transform::prelude::Transform;

use crate::{
    ArenaSettings, MatchId,
    bullet::Bullet,
    chance::{Purpose, place, stream},
    rules::{
        BULLET_LIFE, BULLET_SPEED, DASH_EVERY, DASH_SPEED, FIGHTER_RADIUS, FULL_HEALTH, GRIP, RUN_SPEED, SHOT_EVERY,
    },
};

/// The marker of a fighter, and who it is.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, Reflect)]
pub struct Fighter {
    /// Stable for as long as the arena exists, over deaths and absences. Ids count from 0 through all matches.
    pub agent: i64,
    /// How often this agent has come before.
    pub visit: u32,
}

/// What everyone who looks at a fighter sees of it, beside the place where it stands.
#[derive(Component, Clone, Copy, Debug, PartialEq, Reflect)]
pub struct Body {
    /// In units a second.
    pub velocity: Vec2,
    /// Where the weapon points: a unit vector.
    pub facing: Vec2,
    /// From 0, a corpse, to [`FULL_HEALTH`].
    pub health: f32,
}

impl Default for Body {
    fn default() -> Self {
        Self {
            velocity: Vec2::ZERO,
            facing: Vec2::X,
            health: FULL_HEALTH,
        }
    }
}

impl Body {
    /// Whether it has any health left.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.health > 0.0
    }
}

/// What a fighter carries.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Reflect)]
pub struct Gear {
    /// Seconds until the weapon is ready; 0 when it is.
    pub shot_in: f32,
    /// Seconds until the legs are ready for another dash; 0 when they are.
    pub dash_in: f32,
    /// Shots fired in this visit.
    pub shots: u32,
}

/// Where a fighter is between standing up and standing up again.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Reflect)]
pub struct Life {
    /// Lives before this one, in this visit.
    pub number: u32,
    /// Seconds for which the corpse still lies; 0 for the living.
    pub respawn_in: f32,
}

/// What a fighter has achieved in this round.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
pub struct Score {
    /// Coins collected.
    pub coins: u32,
    /// Bullets that found their mark.
    pub hits: u32,
    /// Times died.
    pub deaths: u32,
}

/// What a fighter does with its hands in a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect)]
pub enum Deed {
    /// Nothing.
    #[default]
    Hold,
    /// Fire along the aim, if the weapon is ready.
    Shoot,
    /// Leap in the direction of movement, if the legs are ready.
    Dash,
}

/// What a fighter wants to do in this tick. Bots, keyboards and trained policies all act through this alone; it stays
/// until somebody writes another.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Reflect)]
pub struct Intent {
    /// Where to run, and how fast: at full speed for a unit vector, and never faster.
    pub steer: Vec2,
    /// Where to point the weapon; zero leaves it as it is.
    pub aim: Vec2,
    /// What to do.
    pub deed: Deed,
}

impl Intent {
    /// The intent with everything in it that no fighter can do taken out.
    fn sane(self) -> Self {
        let finite = |direction: Vec2| if direction.is_finite() { direction } else { Vec2::ZERO };
        Self {
            steer: finite(self.steer).clamp_length_max(1.0),
            aim: finite(self.aim),
            deed: self.deed,
        }
    }
}

/// Everything that a fresh fighter is made of, without anyone to steer it.
#[derive(Bundle, Debug)]
pub(crate) struct FighterBundle {
    fighter: Fighter,
    agent_id: AgentId,
    match_id: MatchId,
    transform: Transform,
    body: Body,
    gear: Gear,
    life: Life,
    score: Score,
    intent: Intent,
    reward: Reward,
}

impl FighterBundle {
    pub(crate) fn new(settings: &ArenaSettings, match_id: MatchId, fighter: Fighter) -> Self {
        let life = Life::default();
        let mut transform = Transform::default();
        stand_up(settings, &fighter, &life, &mut transform);
        Self {
            fighter,
            agent_id: AgentId(fighter.agent),
            match_id,
            transform,
            body: Body::default(),
            gear: Gear::default(),
            life,
            score: Score::default(),
            intent: Intent::default(),
            reward: Reward::default(),
        }
    }
}

/// Puts a fighter where its coming life begins.
pub(crate) fn stand_up(settings: &ArenaSettings, fighter: &Fighter, life: &Life, transform: &mut Transform) {
    let occasion = u64::from(fighter.visit) << 32 | u64::from(life.number);
    let mut rng = stream(settings.seed, Purpose::Spawn, fighter.agent.cast_unsigned(), occasion);
    transform.translation = place(&mut rng, settings.half()).extend(0.0);
}

/// Turns intents into velocities, facings, dashes and bullets.
pub(crate) fn act(
    settings: Res<ArenaSettings>,
    mut fighters: Query<(&Fighter, &MatchId, &Transform, &Intent, &mut Body, &mut Gear)>,
    mut commands: Commands,
) {
    let dt = settings.dt();
    let grip = (GRIP * dt).min(1.0);
    for (fighter, match_id, transform, intent, mut body, mut gear) in &mut fighters {
        if !body.is_alive() {
            continue;
        }
        let intent = intent.sane();
        gear.shot_in = (gear.shot_in - dt).max(0.0);
        gear.dash_in = (gear.dash_in - dt).max(0.0);
        body.facing = intent.aim.normalize_or(body.facing);
        let wanted = intent.steer * RUN_SPEED;
        let velocity = body.velocity;
        body.velocity += (wanted - velocity) * grip;
        match intent.deed {
            Deed::Shoot if gear.shot_in == 0.0 => {
                gear.shot_in = SHOT_EVERY;
                gear.shots += 1;
                let muzzle = transform.translation.xy() + body.facing * FIGHTER_RADIUS;
                commands.spawn((
                    Bullet {
                        owner: fighter.agent,
                        number: u64::from(fighter.visit) << 32 | u64::from(gear.shots),
                        velocity: body.facing * BULLET_SPEED,
                        from: muzzle,
                        life: BULLET_LIFE,
                    },
                    *match_id,
                    Transform::from_translation(muzzle.extend(0.0)),
                ));
            }
            Deed::Dash if gear.dash_in == 0.0 => {
                if let Some(direction) = intent.steer.try_normalize() {
                    gear.dash_in = DASH_EVERY;
                    body.velocity = direction * DASH_SPEED;
                }
            }
            Deed::Hold | Deed::Shoot | Deed::Dash => {}
        }
    }
}

/// Moves everyone alive, up to the walls.
pub(crate) fn move_fighters(settings: Res<ArenaSettings>, mut fighters: Query<(&mut Transform, &mut Body)>) {
    let dt = settings.dt();
    let wall = Vec2::splat(settings.half() - FIGHTER_RADIUS);
    for (mut transform, mut body) in &mut fighters {
        if !body.is_alive() {
            continue;
        }
        let wanted = transform.translation.xy() + body.velocity * dt;
        let reached = wanted.clamp(-wall, wall);
        if reached.x != wanted.x {
            body.velocity.x = 0.0;
        }
        if reached.y != wanted.y {
            body.velocity.y = 0.0;
        }
        transform.translation = reached.extend(0.0);
    }
}
