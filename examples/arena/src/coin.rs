//! Coins: they lie still until the nearest fighter takes them, and turn up elsewhere at once.

use bevy_ecs::prelude::*;
use bevy_experience::prelude::Reward;
use bevy_math::Vec3Swizzles;
use bevy_reflect::Reflect;
use bevy_transform::prelude::Transform;

use crate::{
    ArenaSettings, MatchId,
    chance::{Purpose, place, stream},
    field::Field,
    fighter::{Body, Fighter, Score},
    rules::{COIN_REACH, COIN_REWARD},
};

/// A coin on the floor.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, Reflect)]
pub struct Coin {
    /// Which coin of its match.
    pub number: u32,
    /// How often it has been taken, or laid anew.
    pub moves: u32,
}

/// A fighter within reach of a coin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    match_id: MatchId,
    number: u32,
    distance: f32,
    agent: i64,
    coin: Entity,
    fighter: Entity,
}

/// Lays out the coins of all matches.
pub(crate) fn lay(settings: Res<ArenaSettings>, mut commands: Commands) {
    for match_id in (0..settings.matches).map(MatchId) {
        for number in 0..settings.coins() {
            let coin = Coin { number, moves: 0 };
            let mut transform = Transform::default();
            drop_somewhere(&settings, match_id, &coin, &mut transform);
            commands.spawn((coin, match_id, transform));
        }
    }
}

/// Gives each coin to the nearest fighter within reach, and drops it elsewhere.
pub(crate) fn collect(
    settings: Res<ArenaSettings>,
    field: Res<Field>,
    mut fighters: Query<(Entity, &Fighter, &MatchId, &Transform, &Body, &mut Score, &mut Reward), Without<Coin>>,
    mut coins: Query<(&mut Coin, &mut Transform)>,
    mut claims: Local<Vec<Claim>>,
) {
    for (entity, fighter, match_id, transform, body, ..) in &fighters {
        if !body.is_alive() {
            continue;
        }
        field
            .coins
            .for_each_within(*match_id, transform.translation.xy(), COIN_REACH, |distance, spot| {
                claims.push(Claim {
                    match_id: *match_id,
                    number: spot.what.number,
                    distance,
                    agent: fighter.agent,
                    coin: spot.what.coin,
                    fighter: entity,
                });
            });
    }
    claims.sort_unstable_by(|a, b| {
        (a.match_id, a.number)
            .cmp(&(b.match_id, b.number))
            .then(a.distance.total_cmp(&b.distance))
            .then(a.agent.cmp(&b.agent))
    });
    claims.dedup_by_key(|claim| (claim.match_id, claim.number));
    for claim in claims.drain(..) {
        if let Ok((.., mut score, mut reward)) = fighters.get_mut(claim.fighter)
            && let Ok((mut coin, mut transform)) = coins.get_mut(claim.coin)
        {
            score.coins += 1;
            reward.add("coin", COIN_REWARD);
            coin.moves += 1;
            drop_somewhere(&settings, claim.match_id, &coin, &mut transform);
        }
    }
}

/// Puts a coin where it belongs after so many moves.
pub(crate) fn drop_somewhere(settings: &ArenaSettings, match_id: MatchId, coin: &Coin, transform: &mut Transform) {
    let subject = u64::from(match_id.0) << 32 | u64::from(coin.number);
    let mut rng = stream(settings.seed, Purpose::Coin, subject, u64::from(coin.moves));
    transform.translation = place(&mut rng, settings.half()).extend(0.0);
}
