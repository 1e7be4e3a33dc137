//! Deaths, and who stands up again.

use bevy_ecs::{prelude::*, query::QueryData};
use bevy_transform::prelude::Transform;

use crate::{
    ArenaSettings,
    fighter::{Body, Fighter, Gear, Intent, Life, Score, stand_up},
    rules::RESPAWN_AFTER,
};

/// Notes who died in this tick, and lets them lie.
pub(crate) fn bury(mut fighters: Query<(&Body, &mut Life, &mut Score)>) {
    for (body, mut life, mut score) in &mut fighters {
        if !body.is_alive() && life.respawn_in == 0.0 {
            life.respawn_in = RESPAWN_AFTER;
            score.deaths += 1;
        }
    }
}

/// All that changes when a fighter begins another life.
#[derive(QueryData)]
#[query_data(mutable)]
pub(crate) struct Fresh {
    fighter: &'static Fighter,
    transform: &'static mut Transform,
    body: &'static mut Body,
    gear: &'static mut Gear,
    life: &'static mut Life,
    intent: &'static mut Intent,
}

impl FreshItem<'_, '_> {
    /// Begins the fighter's next life.
    pub(crate) fn begin(&mut self, settings: &ArenaSettings) {
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
    }
}

/// Stands those up again whose corpse has lain long enough.
pub(crate) fn respawn(settings: Res<ArenaSettings>, mut fighters: Query<Fresh>) {
    for mut fighter in &mut fighters {
        if fighter.body.is_alive() {
            continue;
        }
        fighter.life.respawn_in -= settings.dt();
        if fighter.life.respawn_in <= 0.0 {
            fighter.begin(&settings);
        }
    }
}
