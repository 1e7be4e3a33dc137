//! Rounds: every so often the match starts afresh, whoever is alive.

use bevy_ecs::prelude::*;
use bevy_transform::prelude::Transform;

use crate::{
    ArenaSettings, Clock, MatchId,
    bullet::Bullet,
    coin::{Coin, drop_somewhere},
    fighter::Score,
    scoring::Fresh,
};

/// Whether the tick that is being played is the last of a round.
pub(crate) fn is_over(settings: Res<ArenaSettings>, clock: Res<Clock>) -> bool {
    (clock.tick + 1).is_multiple_of(settings.round_ticks())
}

/// Gives everyone a new life and an empty score, lays all coins anew and takes bullets out of the air.
pub(crate) fn restart(
    settings: Res<ArenaSettings>,
    mut fighters: Query<(Fresh, &mut Score), Without<Coin>>,
    mut coins: Query<(&MatchId, &mut Coin, &mut Transform)>,
    bullets: Query<Entity, With<Bullet>>,
    mut commands: Commands,
) {
    for (mut fighter, mut score) in &mut fighters {
        fighter.begin(&settings);
        *score = Score::default();
    }
    for (match_id, mut coin, mut transform) in &mut coins {
        coin.moves += 1;
        drop_somewhere(&settings, *match_id, &coin, &mut transform);
    }
    for bullet in &bullets {
        commands.entity(bullet).despawn();
    }
}
