//! [`SpatialIndex`]: the positions of all fighters and coins, for radius queries.

use bevy_ecs::prelude::*;
use bevy_math::{Vec2, Vec3Swizzles};
use bevy_transform::prelude::Transform;

use crate::{
    ArenaSettings, MatchId,
    coin::Coin,
    fighter::{Body, Fighter},
    grid::{MatchGrids, Spot},
};

/// The state of a fighter that other fighters can observe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexedFighter {
    pub agent: i64,
    pub velocity: Vec2,
    pub health: f32,
}

/// A coin, and its number within the match.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexedCoin {
    pub number: u32,
    pub coin: Entity,
}

/// Grids of all fighters and coins.
#[derive(Resource, Debug)]
pub(crate) struct SpatialIndex {
    /// Half the side length of the floor.
    pub half: f32,
    /// All fighters, alive and dead, as of the last [`index_fighters`].
    pub fighters: MatchGrids<IndexedFighter>,
    /// All coins. They do not move by themselves, so it is rebuilt only when one was moved.
    pub coins: MatchGrids<IndexedCoin>,
}

impl FromWorld for SpatialIndex {
    fn from_world(world: &mut World) -> Self {
        let settings = world.resource::<ArenaSettings>();
        let half = settings.half_extent();
        let matches = settings.matches;
        Self {
            half,
            fighters: MatchGrids::new(matches),
            coins: MatchGrids::new(matches),
        }
    }
}

/// Rebuilds the grid of fighters. Runs before bots decide, and again after fighters have moved.
pub(crate) fn index_fighters(
    mut index: ResMut<SpatialIndex>,
    fighters: Query<(&MatchId, &Fighter, &Transform, &Body)>,
) {
    index
        .fighters
        .fill(fighters.iter().map(|(match_id, fighter, transform, body)| {
            let indexed = IndexedFighter {
                agent: fighter.agent,
                velocity: body.velocity,
                health: body.health,
            };
            (
                *match_id,
                Spot {
                    position: transform.translation.xy(),
                    value: indexed,
                },
            )
        }));
}

/// Rebuilds the grid of coins, if one was moved.
pub(crate) fn index_coins(
    mut index: ResMut<SpatialIndex>,
    moved: Query<(), (With<Coin>, Changed<Transform>)>,
    coins: Query<(Entity, &MatchId, &Coin, &Transform)>,
) {
    if moved.is_empty() {
        return;
    }
    index
        .coins
        .fill(coins.iter().map(|(entity, match_id, coin, transform)| {
            let indexed = IndexedCoin {
                number: coin.number,
                coin: entity,
            };
            (
                *match_id,
                Spot {
                    position: transform.translation.xy(),
                    value: indexed,
                },
            )
        }));
}
