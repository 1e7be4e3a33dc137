//! Controllers of players: their labels become codes, which the players' slots keep.

use super::Recorder;
use crate::{
    episode::context::RecordingContext,
    player::Controller,
    policy::{PolicyControlled, PolicySlot},
};
use bevy_ecs::{change_detection::Tick, entity::Entity, world::World};
use core::sync::atomic::Ordering;
use std::borrow::Cow;

impl Recorder {
    /// Takes over the [`Controller`] of a player, which was inserted.
    pub(crate) fn update_controller(&mut self, world: &World, entity: Entity) {
        if self.players.position(entity).is_some() {
            let code = self.context.controller_code(world, entity);
            self.set_controller(world, entity, code);
        }
    }

    /// Nothing says any more what controls a player.
    pub(crate) fn remove_controller(&mut self, world: &World, entity: Entity) {
        self.set_controller(world, entity, 0);
    }

    /// The label of a controller, by its code in a row.
    pub(crate) fn controller_label(&self, code: u16) -> Option<Cow<'static, str>> {
        self.context.words.word(code)
    }

    /// A policy decides next for players, or has decided for them by another version than before.
    pub(crate) fn label_policy(&mut self, world: &World, policy: &PolicySlot, players: &[Entity]) {
        let mut code = None;
        for &player in players {
            let acts = world
                .get::<PolicyControlled>(player)
                .is_some_and(|controlled| controlled.is_by(policy.name()));
            let Some(slot) = self.players.get_mut(player).filter(|_| acts) else {
                continue;
            };
            let code = *code.get_or_insert_with(|| self.context.code(policy.controller()));
            if slot.controller() != code {
                self.set_controller(world, player, code);
            }
        }
    }

    /// Keeps what a policy that acts in speculative ticks is in the data: its players' slots do not see these ticks yet.
    pub(crate) fn note_policy(&mut self, policy: &PolicySlot) {
        let policies = &mut self.context.policies;
        match policies.iter_mut().find(|(name, _)| name == policy.name()) {
            Some((_, controller)) if controller == policy.controller() => {}
            Some((_, controller)) => *controller = policy.controller().clone(),
            None => policies.push((policy.name().to_owned(), policy.controller().clone())),
        }
    }

    fn set_controller(&mut self, world: &World, entity: Entity, code: u16) {
        let Some(position) = self.players.position(entity) else {
            return;
        };
        let (slot, encoder) = (&mut self.players.slots_mut()[position], &self.encoder);
        let is_written = |since| encoder.action_written(world, entity, since) == Some(true);
        slot.check_takeover(is_written);
        let request = slot.open_request();
        if request.is_some_and(|request| is_written(request.since)) {
            // The run of the observer has advanced the change tick, so writes from now on have this tick or a later one.
            slot.keep_controller_of_action(Tick::new(world.read_change_tick().get().wrapping_sub(1)));
        }
        slot.set_controller(code);
    }
}

impl RecordingContext {
    /// The code of an entity's [`Controller`], 0 for none.
    pub(super) fn controller_code(&self, world: &World, entity: Entity) -> u16 {
        world
            .get::<Controller>(entity)
            .map_or(0, |controller| self.code(controller))
    }

    /// As [`controller_code`](Self::controller_code), in a speculative tick: that of the policy, if one has acted.
    pub(super) fn speculative_controller_code(&self, world: &World, entity: Entity) -> u16 {
        let controlled = world.get::<PolicyControlled>(entity);
        let acted = controlled.filter(|controlled| controlled.version().is_some());
        let policy = acted.and_then(|acted| self.policies.iter().find(|(name, _)| acted.is_by(name)));
        policy.map_or_else(
            || self.controller_code(world, entity),
            |(_, controller)| self.code(controller),
        )
    }

    fn code(&self, controller: &Controller) -> u16 {
        let code = self
            .words
            .controller_code(|label| controller.has_label(label), || controller.to_string());
        code.unwrap_or_else(|| {
            if !self.warned_controllers.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "recording `{}`: `{controller}` is one controller too many for a run, and is `other` in the data, as are those \
                     after it: give `Controller::Policy` a version for each model that is loaded, not for each episode",
                    self.schema.name()
                );
            }
            self.words.other_code()
        })
    }
}
