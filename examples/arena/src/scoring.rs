//! Survival rewards, deaths and respawns, and the episode events that they trigger.

use bevy_ecs::{prelude::*, query::QueryData};
use bevy_experience::prelude::{BeginEpisode, EndEpisode, Reward};
use bevy_transform::prelude::Transform;

use crate::{
    ArenaSettings,
    fighter::{Body, Fighter, Gear, Intent, RespawnState, Score, move_to_spawn_point},
    rules::{ALIVE_REWARD, RESPAWN_SECONDS},
};

/// Gives every living fighter the reward for surviving a tick.
pub(crate) fn reward_survivors(mut fighters: Query<(&Body, &mut Score, &mut Reward)>) {
    for (body, mut score, mut reward) in &mut fighters {
        if body.is_alive() {
            score.reward += ALIVE_REWARD;
            reward.add("alive", ALIVE_REWARD);
        }
    }
}

/// Terminates the episodes of fighters that died in this tick. Their components stay unchanged until they respawn, so
/// the final observation shows a dead fighter.
pub(crate) fn process_deaths(
    mut fighters: Query<(Entity, &Body, &mut RespawnState, &mut Score)>,
    mut commands: Commands,
) {
    for (entity, body, mut respawn, mut score) in &mut fighters {
        if !body.is_alive() && respawn.respawn_in == 0.0 {
            respawn.respawn_in = RESPAWN_SECONDS;
            score.deaths += 1;
            commands.trigger(EndEpisode::terminated(entity, "death"));
        }
    }
}

/// The components that a respawn resets.
#[derive(QueryData)]
#[query_data(mutable)]
pub(crate) struct RespawnQuery {
    entity: Entity,
    fighter: &'static Fighter,
    transform: &'static mut Transform,
    pub(crate) body: &'static mut Body,
    gear: &'static mut Gear,
    state: &'static mut RespawnState,
    intent: &'static mut Intent,
}

impl RespawnQueryItem<'_, '_> {
    /// Moves the fighter to a new spawn point with full health, and begins an episode.
    pub(crate) fn respawn(&mut self, settings: &ArenaSettings, commands: &mut Commands) {
        *self.state = RespawnState {
            respawns: self.state.respawns + 1,
            respawn_in: 0.0,
        };
        *self.body = Body::default();
        *self.gear = Gear {
            shots: self.gear.shots,
            ..Gear::default()
        };
        *self.intent = Intent::default();
        move_to_spawn_point(settings, self.fighter, &self.state, &mut self.transform);
        commands.trigger(BeginEpisode { entity: self.entity });
    }
}

/// Respawns fighters whose respawn time is over.
pub(crate) fn respawn_fighters(
    settings: Res<ArenaSettings>,
    mut fighters: Query<RespawnQuery>,
    mut commands: Commands,
) {
    for mut fighter in &mut fighters {
        if fighter.body.is_alive() {
            continue;
        }
        fighter.state.respawn_in -= settings.dt();
        if fighter.state.respawn_in <= 0.0 {
            fighter.respawn(&settings, &mut commands);
        }
    }
}
