//! Bullets: movement, collision with fighters, and damage.

use bevy_ecs::prelude::*;
use bevy_experience::prelude::Reward;
use bevy_math::{Vec2, Vec3Swizzles};
use bevy_reflect::Reflect;
use bevy_transform::prelude::Transform;

use crate::{
    ArenaSettings, MatchId,
    fighter::{Body, RespawnState, Score},
    rules::{BULLET_DAMAGE, FIGHTER_RADIUS, HIT_REWARD},
    slots::AgentSlots,
    spatial_index::SpatialIndex,
};

/// A bullet in flight.
#[derive(Component, Clone, Copy, Debug, PartialEq, Reflect)]
pub struct Bullet {
    /// The agent that fired it, which may have died or left since.
    pub owner: i64,
    /// Unique among the owner's bullets in flight.
    pub number: u64,
    /// In units per second.
    pub velocity: Vec2,
    /// Its position before this tick's movement.
    pub previous_position: Vec2,
    /// Seconds until it despawns.
    pub time_left: f32,
}

/// A bullet's collision in this tick.
///
/// Hits are applied in the order of these fields, so that the result does not depend on the order of entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hit {
    target: i64,
    owner: i64,
    number: u64,
}

/// Moves bullets, and despawns those that expired or left the floor.
pub(crate) fn move_bullets(
    settings: Res<ArenaSettings>,
    mut bullets: Query<(Entity, &mut Bullet, &mut Transform)>,
    mut commands: Commands,
) {
    let dt = settings.dt();
    let half = settings.half_extent();
    for (entity, mut bullet, mut transform) in &mut bullets {
        bullet.time_left -= dt;
        bullet.previous_position = transform.translation.xy();
        let position = bullet.previous_position + bullet.velocity * dt;
        transform.translation = position.extend(0.0);
        if bullet.time_left <= 0.0 || position.abs().max_element() > half {
            commands.entity(entity).despawn();
        }
    }
}

/// Finds the first fighter on each bullet's path in this tick, then applies damage and rewards.
pub(crate) fn apply_hits(
    index: Res<SpatialIndex>,
    slots: Res<AgentSlots>,
    bullets: Query<(Entity, &MatchId, &Bullet, &Transform)>,
    mut fighters: Query<(&mut Body, &mut Score, &mut Reward, &RespawnState)>,
    mut hits: Local<Vec<Hit>>,
    mut commands: Commands,
) {
    for (entity, match_id, bullet, transform) in &bullets {
        let (from, to) = (bullet.previous_position, transform.translation.xy());
        let radius = 0.5 * from.distance(to) + FIGHTER_RADIUS;
        let mut first: Option<(f32, i64)> = None;
        index
            .fighters
            .for_each_within(*match_id, 0.5 * (from + to), radius, |_, spot| {
                if spot.value.health > 0.0
                    && spot.value.agent != bullet.owner
                    && let Some(fraction) = closest_approach(from, to, spot.position)
                    && first.is_none_or(|other| (fraction, spot.value.agent) < other)
                {
                    first = Some((fraction, spot.value.agent));
                }
            });
        if let Some((_, target)) = first {
            hits.push(Hit {
                target,
                owner: bullet.owner,
                number: bullet.number,
            });
            commands.entity(entity).despawn();
        }
    }
    hits.sort_unstable();
    for hit in hits.drain(..) {
        let mut kills = false;
        if let Some(target) = slots.entity(hit.target)
            && let Ok((mut body, ..)) = fighters.get_mut(target)
        {
            kills = body.is_alive() && body.health <= BULLET_DAMAGE;
            body.health = (body.health - BULLET_DAMAGE).max(0.0);
        }
        // Fighters that kill each other in one tick both score. One that died in an earlier tick does not: its episode
        // has ended.
        if let Some(owner) = slots.entity(hit.owner)
            && let Ok((_, mut score, mut reward, respawn)) = fighters.get_mut(owner)
            && respawn.respawn_in == 0.0
        {
            score.hits += 1;
            score.kills += u32::from(kills);
            score.reward += HIT_REWARD;
            reward.add("hit", HIT_REWARD);
        }
    }
}

/// The fraction of the path from `from` to `to`, from 0 to 1, at which it is closest to a fighter at `center`; `None`
/// if it misses the fighter.
fn closest_approach(from: Vec2, to: Vec2, center: Vec2) -> Option<f32> {
    let path = to - from;
    let fraction = ((center - from).dot(path) / path.length_squared().max(f32::MIN_POSITIVE)).clamp(0.0, 1.0);
    let nearest = from + path * fraction;
    (nearest.distance_squared(center) <= FIGHTER_RADIUS * FIGHTER_RADIUS).then_some(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bullet_hits_fighters_on_its_path_and_none_beside_it() {
        let (from, to) = (Vec2::ZERO, Vec2::new(10.0, 0.0));
        assert_eq!(closest_approach(from, to, Vec2::new(5.0, 0.3)), Some(0.5));
        assert_eq!(closest_approach(from, to, Vec2::new(5.0, 0.6)), None);
        assert_eq!(closest_approach(from, to, Vec2::new(-0.4, 0.0)), Some(0.0));
        assert_eq!(closest_approach(from, to, Vec2::new(10.6, 0.0)), None);
        assert_eq!(closest_approach(from, from, Vec2::new(0.1, 0.0)), Some(0.0));
    }
}
