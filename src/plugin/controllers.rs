//! Observers of [`Controller`] and [`PolicyControlled`]: recordings learn when something else takes over a player, and look at the component at no other
//! time.

use super::observers::TakenSlots;
use crate::{episode::Recorder, player::Controller, policy::PolicyControlled};
use bevy_app::App;
use bevy_ecs::{
    entity::Entity,
    lifecycle::{Insert, Remove},
    observer::On,
    world::{DeferredWorld, World},
};

pub(super) fn add(app: &mut App) {
    app.add_observer(|insert: On<Insert, Controller>, world: DeferredWorld| {
        update(insert.entity, world, Recorder::update_controller);
    });
    app.add_observer(|remove: On<Remove, Controller>, world: DeferredWorld| {
        update(remove.entity, world, Recorder::remove_controller);
    });
    // From now on the component decides the label, and no longer the policy.
    app.add_observer(|remove: On<Remove, PolicyControlled>, world: DeferredWorld| {
        update(remove.entity, world, Recorder::update_controller);
    });
}

fn update(player: Entity, world: DeferredWorld, update: fn(&mut Recorder, &World, Entity)) {
    if let Some(mut taken) = TakenSlots::new(world) {
        let TakenSlots { world, slots } = &mut taken;
        for slot in slots {
            update(&mut slot.recorder, world, player);
        }
    }
}
