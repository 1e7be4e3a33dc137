//! Coins: collected by the nearest fighter within [`COIN_RADIUS`], and then moved to another position.

use bevy_ecs::prelude::*;
use bevy_experience::prelude::Reward;
use bevy_math::Vec3Swizzles;
use bevy_reflect::Reflect;
use bevy_transform::prelude::Transform;

use crate::{
    ArenaSettings, MatchId,
    fighter::{Body, Fighter, Score},
    random::{StreamPurpose, random_position, stream},
    rules::{COIN_RADIUS, COIN_REWARD},
    spatial_index::SpatialIndex,
};

/// A coin on the floor.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, Reflect)]
pub struct Coin {
    /// Its number within the match.
    pub number: u32,
    /// Number of times it was moved: when collected, and at the start of each round.
    pub relocations: u32,
}

/// A pair of a coin and a fighter within [`COIN_RADIUS`] of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PickupCandidate {
    match_id: MatchId,
    number: u32,
    squared_distance: f32,
    agent: i64,
    coin: Entity,
    fighter: Entity,
}

/// Spawns the coins of all matches.
pub(crate) fn spawn_coins(settings: Res<ArenaSettings>, mut commands: Commands) {
    for match_id in (0..settings.matches).map(MatchId) {
        for number in 0..settings.coins() {
            let coin = Coin { number, relocations: 0 };
            let mut transform = Transform::default();
            place_coin(&settings, match_id, &coin, &mut transform);
            commands.spawn((coin, match_id, transform));
        }
    }
}

/// Gives each coin to the nearest fighter within [`COIN_RADIUS`], and moves it. Ties go to the lower agent id.
pub(crate) fn collect(
    settings: Res<ArenaSettings>,
    index: Res<SpatialIndex>,
    mut fighters: Query<(Entity, &Fighter, &MatchId, &Transform, &Body, &mut Score, &mut Reward), Without<Coin>>,
    mut coins: Query<(&mut Coin, &mut Transform)>,
    mut candidates: Local<Vec<PickupCandidate>>,
) {
    for (entity, fighter, match_id, transform, body, ..) in &fighters {
        if !body.is_alive() {
            continue;
        }
        index.coins.for_each_within(
            *match_id,
            transform.translation.xy(),
            COIN_RADIUS,
            |squared_distance, spot| {
                candidates.push(PickupCandidate {
                    match_id: *match_id,
                    number: spot.value.number,
                    squared_distance,
                    agent: fighter.agent,
                    coin: spot.value.coin,
                    fighter: entity,
                });
            },
        );
    }
    candidates.sort_unstable_by(|a, b| {
        (a.match_id, a.number)
            .cmp(&(b.match_id, b.number))
            .then(a.squared_distance.total_cmp(&b.squared_distance))
            .then(a.agent.cmp(&b.agent))
    });
    candidates.dedup_by_key(|candidate| (candidate.match_id, candidate.number));
    for candidate in candidates.drain(..) {
        if let Ok((.., mut score, mut reward)) = fighters.get_mut(candidate.fighter)
            && let Ok((mut coin, mut transform)) = coins.get_mut(candidate.coin)
        {
            score.coins += 1;
            score.reward += COIN_REWARD;
            reward.add("coin", COIN_REWARD);
            coin.relocations += 1;
            place_coin(&settings, candidate.match_id, &coin, &mut transform);
        }
    }
}

/// Moves a coin to the random position that belongs to its count of relocations.
pub(crate) fn place_coin(settings: &ArenaSettings, match_id: MatchId, coin: &Coin, transform: &mut Transform) {
    let subject = u64::from(match_id.0) << 32 | u64::from(coin.number);
    let mut rng = stream(settings.seed, StreamPurpose::Coin, subject, u64::from(coin.relocations));
    transform.translation = random_position(&mut rng, settings.half_extent()).extend(0.0);
}
