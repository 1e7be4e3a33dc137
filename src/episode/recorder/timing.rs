//! What the choice of a recording's timing needs of its recorder, and what it changes.

use super::Recorder;
use crate::{capture::RowDependency, episode::ActionRead};
use bevy_ecs::{archetype::Archetype, component::ComponentId, entity::Entity, world::World};

impl Recorder {
    /// What the rows depend on.
    pub(crate) fn row_dependencies(&self) -> impl Iterator<Item = RowDependency<'_>> {
        self.encoder.dependencies()
    }

    /// The marker, and the components that a player needs to be recorded.
    pub(crate) fn required_components(&self) -> impl Iterator<Item = ComponentId> {
        let required = self.row_dependencies().filter(|dependency| dependency.is_required);
        core::iter::once(self.marker).chain(required.map(|dependency| dependency.component))
    }

    /// The archetypes with players that can be recorded.
    pub(crate) fn player_archetypes<'w>(&mut self, world: &'w World) -> impl Iterator<Item = &'w Archetype> {
        self.encoder.player_archetypes(world)
    }

    /// The players that can be recorded.
    pub(crate) fn players_in(&mut self, world: &World) -> impl Iterator<Item = Entity> {
        self.encoder.players(world)
    }

    /// When actions are read.
    pub(crate) fn set_action_read(&mut self, action_read: ActionRead) {
        self.context.rules.action_read = action_read;
        self.capture_pass.update_rules(&self.context, self.enabled);
        for slot in self.players.slots_mut() {
            slot.update_rules(&self.context);
        }
    }

    /// Whether actions are read in the loop that does not run the captures.
    pub(crate) fn keeps_actions(&self) -> bool {
        self.context.rules.keeps_actions()
    }

    /// Whether actions are read before captures, and no schedule has run after which they are read.
    pub(crate) fn awaits_first_read(&self) -> bool {
        !self.has_reached_read && self.context.rules.action_read != ActionRead::AtCapture
    }

    /// Whether the next capture may come before the next read of actions in the other loop.
    ///
    /// Contract, timing: an episode begins where the action of its first transition is known when that ends.
    pub(crate) fn set_awaits_actions(&mut self, awaits_actions: bool) {
        self.context.awaits_actions = awaits_actions;
    }

    /// Discards the open episodes: their rows were captured at the wrong moment of the tick. The next capture begins new ones.
    pub(crate) fn discard_open_episodes(&mut self) {
        for slot in self.players.slots_mut() {
            // A pending end is published as usual.
            if !slot.has_pending_end() {
                slot.discard_episode(&self.context);
            }
        }
    }
}
