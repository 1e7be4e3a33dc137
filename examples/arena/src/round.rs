//! Rounds: after a fixed time, all matches restart and open episodes are truncated.

use bevy_ecs::prelude::*;
use bevy_experience::prelude::EndEpisode;
use bevy_transform::prelude::Transform;

use crate::{
    ArenaSettings, Clock, MatchId,
    bullet::Bullet,
    coin::{Coin, place_coin},
    fighter::{Body, Fighter, Score},
    scoring::RespawnQuery,
};

/// Whether the current tick is the last of a round.
pub(crate) fn is_last_tick(settings: Res<ArenaSettings>, clock: Res<Clock>) -> bool {
    (clock.tick + 1).is_multiple_of(settings.round_ticks())
}

/// Truncates the episodes of all fighters that are alive.
pub(crate) fn truncate_episodes(fighters: Query<(Entity, &Body), With<Fighter>>, mut commands: Commands) {
    for (entity, body) in &fighters {
        if body.is_alive() {
            commands.trigger(EndEpisode::truncated(entity, "time_limit"));
        }
    }
}

/// Respawns all fighters, resets their scores, moves all coins and despawns all bullets.
///
/// Runs a sync point after [`truncate_episodes`], when the final observations have been captured.
pub(crate) fn restart(
    settings: Res<ArenaSettings>,
    mut fighters: Query<(RespawnQuery, &mut Score), Without<Coin>>,
    mut coins: Query<(&MatchId, &mut Coin, &mut Transform)>,
    bullets: Query<Entity, With<Bullet>>,
    mut commands: Commands,
) {
    for (mut fighter, mut score) in &mut fighters {
        fighter.respawn(&settings, &mut commands);
        *score = Score::default();
    }
    for (match_id, mut coin, mut transform) in &mut coins {
        coin.relocations += 1;
        place_coin(&settings, *match_id, &coin, &mut transform);
    }
    for bullet in &bullets {
        commands.entity(bullet).despawn();
    }
}
