//! What a tick was worth to the living; deaths, and who stands up again.

use bevy_ecs::{prelude::*, query::QueryData};
use bevy_experience::prelude::{BeginEpisode, EndEpisode, Reward};
use bevy_transform::prelude::Transform;

use crate::{
    ArenaSettings,
    fighter::{Body, Fighter, Gear, Intent, Life, Score, stand_up},
    rules::{ALIVE_REWARD, RESPAWN_AFTER},
};

/// Rewards everyone alive for being so.
pub(crate) fn reward_the_living(mut fighters: Query<(&Body, &mut Reward)>) {
    for (body, mut reward) in &mut fighters {
        if body.is_alive() {
            reward.add("alive", ALIVE_REWARD);
        }
    }
}

/// Ends the lives of those who died in this tick. Their corpses stay as they are until they stand up again, so the final
/// observation is that of the dead.
pub(crate) fn bury(mut fighters: Query<(Entity, &Body, &mut Life, &mut Score)>, mut commands: Commands) {
    for (entity, body, mut life, mut score) in &mut fighters {
        if !body.is_alive() && life.respawn_in == 0.0 {
            life.respawn_in = RESPAWN_AFTER;
            score.deaths += 1;
            commands.trigger(EndEpisode::terminated(entity, "death"));
        }
    }
}

/// All that changes when a fighter begins another life.
#[derive(QueryData)]
#[query_data(mutable)]
pub(crate) struct Fresh {
    entity: Entity,
    fighter: &'static Fighter,
    transform: &'static mut Transform,
    pub(crate) body: &'static mut Body,
    gear: &'static mut Gear,
    life: &'static mut Life,
    intent: &'static mut Intent,
}

impl FreshItem<'_, '_> {
    /// Begins the fighter's next life, and with it an episode.
    pub(crate) fn begin(&mut self, settings: &ArenaSettings, commands: &mut Commands) {
        *self.life = Life {
            number: self.life.number + 1,
            respawn_in: 0.0,
        };
        *self.body = Body::default();
        *self.gear = Gear {
            shots: self.gear.shots,
            ..Gear::default()
        };
        *self.intent = Intent::default();
        stand_up(settings, self.fighter, &self.life, &mut self.transform);
        commands.trigger(BeginEpisode { entity: self.entity });
    }
}

/// Stands those up again whose corpse has lain long enough.
pub(crate) fn respawn(settings: Res<ArenaSettings>, mut fighters: Query<Fresh>, mut commands: Commands) {
    for mut fighter in &mut fighters {
        if fighter.body.is_alive() {
            continue;
        }
        fighter.life.respawn_in -= settings.dt();
        if fighter.life.respawn_in <= 0.0 {
            fighter.begin(&settings, &mut commands);
        }
    }
}
