//! Bullets: flight, and what they hit.

use bevy_ecs::prelude::*;
use bevy_experience::prelude::Reward;
use bevy_math::{Vec2, Vec3Swizzles};
use bevy_reflect::Reflect;
use bevy_transform::prelude::Transform;

use crate::{
    ArenaSettings, MatchId,
    field::Field,
    fighter::{Body, Life, Score},
    rules::{BULLET_DAMAGE, FIGHTER_RADIUS, HIT_REWARD},
    seat::Seats,
};

/// A bullet in flight.
#[derive(Component, Clone, Copy, Debug, PartialEq, Reflect)]
pub struct Bullet {
    /// The agent who fired it. It may be dead or gone by now.
    pub owner: i64,
    /// Which of the owner's bullets this is; no two alive at once share it.
    pub number: u64,
    /// In units a second.
    pub velocity: Vec2,
    /// Where it was before this tick's flight.
    pub from: Vec2,
    /// Seconds of flight left.
    pub life: f32,
}

/// A bullet that reached someone in this tick.
///
/// The fields' order is the order in which hits are dealt out, so that it does not hang on the order of entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hit {
    target: i64,
    owner: i64,
    number: u64,
}

/// Moves bullets and takes away those that are spent or have left the floor.
pub(crate) fn fly(
    settings: Res<ArenaSettings>,
    mut bullets: Query<(Entity, &mut Bullet, &mut Transform)>,
    mut commands: Commands,
) {
    let dt = settings.dt();
    let half = settings.half();
    for (entity, mut bullet, mut transform) in &mut bullets {
        bullet.life -= dt;
        bullet.from = transform.translation.xy();
        let reached = bullet.from + bullet.velocity * dt;
        transform.translation = reached.extend(0.0);
        if bullet.life <= 0.0 || reached.abs().max_element() > half {
            commands.entity(entity).despawn();
        }
    }
}

/// Lets each bullet strike the first fighter on its way, and deals out damage and reward.
pub(crate) fn strike(
    field: Res<Field>,
    seats: Res<Seats>,
    bullets: Query<(Entity, &MatchId, &Bullet, &Transform)>,
    mut fighters: Query<(&mut Body, &mut Score, &mut Reward, &Life)>,
    mut hits: Local<Vec<Hit>>,
    mut commands: Commands,
) {
    for (entity, match_id, bullet, transform) in &bullets {
        let (from, to) = (bullet.from, transform.translation.xy());
        let reach = 0.5 * from.distance(to) + FIGHTER_RADIUS;
        let mut first: Option<(f32, i64)> = None;
        field
            .fighters
            .for_each_within(*match_id, 0.5 * (from + to), reach, |_, spot| {
                if spot.what.health > 0.0
                    && spot.what.agent != bullet.owner
                    && let Some(along) = entry(from, to, spot.position)
                    && first.is_none_or(|other| (along, spot.what.agent) < other)
                {
                    first = Some((along, spot.what.agent));
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
        if let Some(target) = seats.entity(hit.target)
            && let Ok((mut body, ..)) = fighters.get_mut(target)
        {
            body.health = (body.health - BULLET_DAMAGE).max(0.0);
        }
        // Two who shoot each other in one tick both score. A corpse does not: its life is over.
        if let Some(owner) = seats.entity(hit.owner)
            && let Ok((_, mut score, mut reward, life)) = fighters.get_mut(owner)
            && life.respawn_in == 0.0
        {
            score.hits += 1;
            reward.add("hit", HIT_REWARD);
        }
    }
}

/// How far along the way from `from` to `to`, from 0 to 1, a bullet comes nearest to a fighter at `center`; `None` if it
/// misses.
fn entry(from: Vec2, to: Vec2, center: Vec2) -> Option<f32> {
    let way = to - from;
    let along = ((center - from).dot(way) / way.length_squared().max(f32::MIN_POSITIVE)).clamp(0.0, 1.0);
    let nearest = from + way * along;
    (nearest.distance_squared(center) <= FIGHTER_RADIUS * FIGHTER_RADIUS).then_some(along)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bullet_strikes_what_lies_on_its_way_and_nothing_beside_it() {
        let (from, to) = (Vec2::ZERO, Vec2::new(10.0, 0.0));
        assert_eq!(entry(from, to, Vec2::new(5.0, 0.3)), Some(0.5));
        assert_eq!(entry(from, to, Vec2::new(5.0, 0.6)), None);
        assert_eq!(entry(from, to, Vec2::new(-0.4, 0.0)), Some(0.0));
        assert_eq!(entry(from, to, Vec2::new(10.6, 0.0)), None);
        assert_eq!(entry(from, from, Vec2::new(0.1, 0.0)), Some(0.0));
    }
}
