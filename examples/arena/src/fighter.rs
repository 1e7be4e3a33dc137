//! Fighters: their components, and the systems that turn intents into movement, dashes and bullets.

use bevy_ecs::prelude::*;
use bevy_experience::prelude::{AgentId, Reward};
use bevy_math::{Vec2, Vec3Swizzles};
use bevy_reflect::Reflect;
use bevy_transform::prelude::Transform;

use crate::{
    ArenaSettings, MatchId,
    bullet::Bullet,
    random::{StreamPurpose, random_position, stream},
    rules::{
        ACCELERATION, BULLET_LIFETIME, BULLET_SPEED, DASH_COOLDOWN, DASH_SPEED, FIGHTER_RADIUS, FULL_HEALTH, RUN_SPEED,
        SHOT_COOLDOWN,
    },
};

/// The marker component of a fighter, with its identity.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, Reflect)]
pub struct Fighter {
    /// The agent id, which persists across deaths and absences. Ids start at 0 and are unique among all matches.
    pub agent: i64,
    /// Number of earlier sessions of this agent.
    pub session: u32,
}

/// The state of a fighter that other fighters can observe, besides its position.
#[derive(Component, Clone, Copy, Debug, PartialEq, Reflect)]
pub struct Body {
    /// In units per second.
    pub velocity: Vec2,
    /// The direction of the weapon, a unit vector.
    pub facing: Vec2,
    /// From 0, which is dead, to [`FULL_HEALTH`].
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
    /// Whether health is above 0.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.health > 0.0
    }
}

/// Cooldowns of a fighter's abilities.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Reflect)]
pub struct Gear {
    /// Seconds until the next shot is possible; 0 when it is.
    pub shot_in: f32,
    /// Seconds until the next dash is possible; 0 when it is.
    pub dash_in: f32,
    /// Shots fired since the agent joined.
    pub shots: u32,
}

/// Deaths and respawns of a fighter.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Reflect)]
pub struct RespawnState {
    /// Number of respawns since the agent joined.
    pub respawns: u32,
    /// Seconds until a dead fighter respawns; 0 while it is alive.
    pub respawn_in: f32,
}

/// A fighter's score in the current round.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Reflect)]
pub struct Score {
    /// Coins collected.
    pub coins: u32,
    /// Bullets that hit a fighter.
    pub hits: u32,
    /// Bullets that killed a fighter.
    pub kills: u32,
    /// Deaths.
    pub deaths: u32,
    /// The sum of rewards.
    pub reward: f64,
}

/// The ability that a fighter uses in a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect)]
pub enum Deed {
    /// Nothing.
    #[default]
    Hold,
    /// Fire in the direction of aim, if the cooldown is over.
    Shoot,
    /// Dash in the direction of movement, if the cooldown is over.
    Dash,
}

/// The action of a fighter. Bots, the keyboard and trained policies control a fighter through this component alone. It
/// applies in every tick until it is overwritten.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Reflect)]
pub struct Intent {
    /// The direction and speed of running: a unit vector is full speed, longer ones are shortened.
    pub steer: Vec2,
    /// The direction to point the weapon in; zero leaves it unchanged.
    pub aim: Vec2,
    /// The ability to use.
    pub deed: Deed,
}

impl Intent {
    /// The intent with non-finite vectors replaced by zero and `steer` limited to unit length.
    fn sanitized(self) -> Self {
        let finite = |direction: Vec2| if direction.is_finite() { direction } else { Vec2::ZERO };
        Self {
            steer: finite(self.steer).clamp_length_max(1.0),
            aim: finite(self.aim),
            deed: self.deed,
        }
    }
}

/// The components of a new fighter, without a bot.
#[derive(Bundle, Debug)]
pub(crate) struct FighterBundle {
    fighter: Fighter,
    agent_id: AgentId,
    match_id: MatchId,
    transform: Transform,
    body: Body,
    gear: Gear,
    respawn: RespawnState,
    score: Score,
    intent: Intent,
    reward: Reward,
}

impl FighterBundle {
    pub(crate) fn new(settings: &ArenaSettings, match_id: MatchId, fighter: Fighter) -> Self {
        let respawn = RespawnState::default();
        let mut transform = Transform::default();
        move_to_spawn_point(settings, &fighter, &respawn, &mut transform);
        Self {
            fighter,
            agent_id: AgentId(fighter.agent),
            match_id,
            transform,
            body: Body::default(),
            gear: Gear::default(),
            respawn,
            score: Score::default(),
            intent: Intent::default(),
            reward: Reward::default(),
        }
    }
}

/// Moves a fighter to a random position that is determined by its agent id, session and number of respawns.
pub(crate) fn move_to_spawn_point(
    settings: &ArenaSettings,
    fighter: &Fighter,
    respawn: &RespawnState,
    transform: &mut Transform,
) {
    let occasion = u64::from(fighter.session) << 32 | u64::from(respawn.respawns);
    let mut rng = stream(
        settings.seed,
        StreamPurpose::Spawn,
        fighter.agent.cast_unsigned(),
        occasion,
    );
    transform.translation = random_position(&mut rng, settings.half_extent()).extend(0.0);
}

/// Turns intents into velocities, facings, dashes and bullets.
pub(crate) fn apply_intents(
    settings: Res<ArenaSettings>,
    mut fighters: Query<(&Fighter, &MatchId, &Transform, &Intent, &mut Body, &mut Gear)>,
    mut commands: Commands,
) {
    let dt = settings.dt();
    let blend = (ACCELERATION * dt).min(1.0);
    for (fighter, match_id, transform, intent, mut body, mut gear) in &mut fighters {
        if !body.is_alive() {
            continue;
        }
        let intent = intent.sanitized();
        gear.shot_in = (gear.shot_in - dt).max(0.0);
        gear.dash_in = (gear.dash_in - dt).max(0.0);
        body.facing = intent.aim.normalize_or(body.facing);
        let target_velocity = intent.steer * RUN_SPEED;
        let velocity = body.velocity;
        body.velocity += (target_velocity - velocity) * blend;
        match intent.deed {
            Deed::Shoot if gear.shot_in == 0.0 => {
                gear.shot_in = SHOT_COOLDOWN;
                gear.shots += 1;
                let muzzle = transform.translation.xy() + body.facing * FIGHTER_RADIUS;
                commands.spawn((
                    Bullet {
                        owner: fighter.agent,
                        number: u64::from(fighter.session) << 32 | u64::from(gear.shots),
                        velocity: body.facing * BULLET_SPEED,
                        previous_position: muzzle,
                        time_left: BULLET_LIFETIME,
                    },
                    *match_id,
                    Transform::from_translation(muzzle.extend(0.0)),
                ));
            }
            Deed::Dash if gear.dash_in == 0.0 => {
                if let Some(direction) = intent.steer.try_normalize() {
                    gear.dash_in = DASH_COOLDOWN;
                    body.velocity = direction * DASH_SPEED;
                }
            }
            Deed::Hold | Deed::Shoot | Deed::Dash => {}
        }
    }
}

/// Moves all living fighters, and stops them at the walls.
pub(crate) fn move_fighters(settings: Res<ArenaSettings>, mut fighters: Query<(&mut Transform, &mut Body)>) {
    let dt = settings.dt();
    let limit = Vec2::splat(settings.half_extent() - FIGHTER_RADIUS);
    for (mut transform, mut body) in &mut fighters {
        if !body.is_alive() {
            continue;
        }
        let target = transform.translation.xy() + body.velocity * dt;
        let position = target.clamp(-limit, limit);
        if position.x != target.x {
            body.velocity.x = 0.0;
        }
        if position.y != target.y {
            body.velocity.y = 0.0;
        }
        transform.translation = position.extend(0.0);
    }
}
