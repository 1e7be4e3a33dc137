//! The field: where everyone and every coin is, ready to be looked up by place.

use bevy_ecs::prelude::*;
use bevy_math::{Vec2, Vec3Swizzles};
use bevy_transform::prelude::Transform;

use crate::{
    ArenaSettings, MatchId,
    coin::Coin,
    fighter::{Body, Fighter},
    grid::{MatchGrids, Spot},
};

/// A fighter as seen from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub agent: i64,
    pub velocity: Vec2,
    pub health: f32,
}

/// A coin on the floor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lying {
    pub number: u32,
    pub coin: Entity,
}

/// Where everyone and every coin is.
#[derive(Resource, Debug)]
pub(crate) struct Field {
    /// Half the side of the floor.
    pub half: f32,
    /// Every fighter and corpse, as of the last `survey`.
    pub fighters: MatchGrids<Seen>,
    /// Every coin. They lie still, so this is rebuilt when one has moved.
    pub coins: MatchGrids<Lying>,
}

impl FromWorld for Field {
    fn from_world(world: &mut World) -> Self {
        let settings = world.resource::<ArenaSettings>();
        let matches = settings.matches;
        Self {
            half: settings.half(),
            fighters: MatchGrids::new(matches),
            coins: MatchGrids::new(matches),
        }
    }
}

/// Notes where everyone is. Runs before anyone looks: ahead of the bots, and again once all have moved.
pub(crate) fn survey(mut field: ResMut<Field>, fighters: Query<(&MatchId, &Fighter, &Transform, &Body)>) {
    field
        .fighters
        .fill(fighters.iter().map(|(match_id, fighter, transform, body)| {
            let seen = Seen {
                agent: fighter.agent,
                velocity: body.velocity,
                health: body.health,
            };
            (
                *match_id,
                Spot {
                    position: transform.translation.xy(),
                    what: seen,
                },
            )
        }));
}

/// Notes where the coins lie, when one has moved.
pub(crate) fn survey_coins(
    mut field: ResMut<Field>,
    moved: Query<(), (With<Coin>, Changed<Transform>)>,
    coins: Query<(Entity, &MatchId, &Coin, &Transform)>,
) {
    if moved.is_empty() {
        return;
    }
    field
        .coins
        .fill(coins.iter().map(|(entity, match_id, coin, transform)| {
            let lying = Lying {
                number: coin.number,
                coin: entity,
            };
            (
                *match_id,
                Spot {
                    position: transform.translation.xy(),
                    what: lying,
                },
            )
        }));
}
