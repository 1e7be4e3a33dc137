//! Rounds: every so often the match starts afresh, whoever is alive.

use bevy_ecs::prelude::*;
use bevy_experience::prelude::EndEpisode;
use bevy_transform::prelude::Transform;

use crate::{
    ArenaSettings, Clock, MatchId,
    bullet::Bullet,
    coin::{Coin, drop_somewhere},
    fighter::{Body, Fighter, Score},
    scoring::Fresh,
};

/// Whether the tick that is being played is the last of a round.
pub(crate) fn is_over(settings: Res<ArenaSettings>, clock: Res<Clock>) -> bool {
    (clock.tick + 1).is_multiple_of(settings.round_ticks())
}

/// Ends the lives of everyone alive, who would have gone on.
pub(crate) fn call_time(fighters: Query<(Entity, &Body), With<Fighter>>, mut commands: Commands) {
    for (entity, body) in &fighters {
        if body.is_alive() {
            commands.trigger(EndEpisode::truncated(entity, "time_limit"));
        }
    }
}

/// Gives everyone a new life and an empty score, lays all coins anew and takes bullets out of the air.
///
/// Runs a sync point after [`call_time`]: by then the final observations have been taken.
pub(crate) fn restart(
    settings: Res<ArenaSettings>,
    mut fighters: Query<(Fresh, &mut Score), Without<Coin>>,
    mut coins: Query<(&MatchId, &mut Coin, &mut Transform)>,
    bullets: Query<Entity, With<Bullet>>,
    mut commands: Commands,
) {
    for (mut fighter, mut score) in &mut fighters {
        fighter.begin(&settings, &mut commands);
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
