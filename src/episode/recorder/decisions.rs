//! Decisions on demand: requests of the game, which begin and end the steps of players between captures.

use super::{Recorder, capture_pass::has_other_agent_id};
use crate::{
    capture::{RowParts, diff},
    episode::{context::CaptureTime, player_slot::PlayerSlot},
    player::Reward,
};
use bevy_ecs::{change_detection::Tick, entity::Entity, world::World};
use experience_core::transition::StepHeader;

/// The result of a request for a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestDisposition {
    /// A step begins, or the player is not recorded now.
    Accepted,
    /// The player has not acted on its last request.
    Ignored,
    /// The entity is not a player of this recording.
    NotAPlayer,
}

impl Recorder {
    /// Whether the game requests each decision.
    pub(crate) fn decides_on_demand(&self) -> bool {
        self.context.rules.decides_on_demand
    }

    /// Credits the rewards that a player was given until now, before they are cleared.
    pub(crate) fn credit_now(&mut self, world: &World, entity: Entity) {
        let reward = world.get::<Reward>(entity);
        if let Some(slot) = self.players.get_mut(entity) {
            self.reward_terms.credit(reward, slot, &self.context);
            self.has_credited_rewards = true;
        } else if reward.is_some_and(|reward| !reward.is_zero()) && self.is_recording() && self.finds(world, entity) {
            self.context.counters.orphaned_rewards.add(1);
        }
    }

    /// Begins a step of `entity` at the observation of this moment, and ends the one before. `written_since` is the change tick
    /// that precedes writes of the action from now on.
    pub(crate) fn request_decision(
        &mut self,
        world: &World,
        entity: Entity,
        time: CaptureTime,
        written_since: Tick,
    ) -> RequestDisposition {
        if !self.is_player(world, entity) {
            return RequestDisposition::NotAPlayer;
        }
        self.context.time = time;
        if self.finds(world, entity) {
            self.join_before_capture(world, entity);
        }
        // `FinalObservation::AtCapture`: the game asks for the next decision before the capture.
        self.read_final_row(world, entity, true);
        let can_read = self.is_recording() && self.encoder.prepare_one(world, RowParts::ALL, entity);
        let row = &mut self.scratch_row;
        let is_read = can_read && self.encoder.encode_one(world, entity, RowParts::ALL, row);
        let Some(position) = self.players.position(entity) else {
            return RequestDisposition::Accepted;
        };
        let has_acted = is_read.then(|| self.has_acted(world, &self.players.slots()[position]));
        let has_acted = self.check_acted(has_acted.unwrap_or(Some(false)));
        let slot = &mut self.players.slots_mut()[position];
        slot.check_takeover(|takeover| self.encoder.action_written(world, entity, takeover) == Some(true));
        slot.label_action(&mut self.scratch_row);
        let row = is_read.then_some(self.scratch_row.as_mut_slice());
        if slot.request_decision(&self.context, row, has_acted, written_since) {
            RequestDisposition::Accepted
        } else {
            RequestDisposition::Ignored
        }
    }

    /// Reads the action that a policy has decided on for `entity`. The decisions of other players are told from others as before.
    pub(crate) fn note_policy_decision(&mut self, world: &World, entity: Entity) {
        let signals_decisions = self.context.signals_decisions;
        self.make_decision(world, entity);
        self.context.signals_decisions = signals_decisions;
    }

    /// Reads the action that `entity` has decided on. Returns false if the entity is not a player of this recording.
    pub(crate) fn make_decision(&mut self, world: &World, entity: Entity) -> bool {
        let is_player = self.is_player(world, entity);
        self.context.signals_decisions |= is_player;
        let Some(row) = self.players.get_mut(entity).and_then(|slot| slot.make_decision()) else {
            return is_player;
        };
        let (encoder, scratch) = (&mut self.encoder, &mut self.scratch_row);
        if encoder.prepare_one(world, RowParts::ACTION, entity)
            && encoder.encode_one(world, entity, RowParts::ACTION, scratch)
        {
            StepHeader::of_mut(scratch).set_controller(StepHeader::of(row).action_controller());
            diff::copy_action(self.context.layout(), scratch, row);
        }
        is_player
    }

    /// Whether a player has acted on its open request. `None` if that is not known. The scratch row has its action of this moment.
    pub(super) fn has_acted(&self, world: &World, slot: &PlayerSlot) -> Option<bool> {
        let Some(request) = slot.open_request() else {
            return Some(false);
        };
        let written = self.encoder.action_written(world, slot.entity, request.since);
        let differs = slot.has_other_action(self.context.layout(), &self.scratch_row);
        request.has_acted(self.context.signals_decisions, written, differs)
    }

    /// Warns once if it is not known whether a player has acted on its request. It counts as if it had not.
    pub(super) fn check_acted(&mut self, has_acted: Option<bool>) -> bool {
        if has_acted.is_none() && self.warnings.unknown_decision.first_time() {
            tracing::warn!(
                "recording `{}`: a player was asked for a decision, and its action, which a system computes, was the same afterwards. \
                 Whether it has acted is not known, so the request counts as not answered: trigger `DecisionMade` for each decision, \
                 or record the component or resource that holds the action, with `act`, `act_resource` or `act_related`",
                self.name()
            );
        }
        has_acted == Some(true)
    }

    /// Notes which players have written their action since their request, for the capture that pauses, which ends their episodes.
    pub(super) fn note_written_actions(&mut self, world: &World) {
        for slot in self.players.slots_mut() {
            if let Some(request) = slot.open_request() {
                slot.set_action_written(self.encoder.action_written(world, slot.entity, request.since));
            }
        }
    }

    /// Whether captures find `entity`: it has every component that the recording reads.
    fn finds(&mut self, world: &World, entity: Entity) -> bool {
        self.encoder.finds(world, entity)
    }

    /// Inserts a slot for a player that has none, because a game can ask for several decisions before the next capture.
    fn join_before_capture(&mut self, world: &World, entity: Entity) {
        let slots = self.players.slots();
        let position = self.players.position(entity);
        let is_replaced = position.is_some_and(|position| {
            let slot = &slots[position];
            slot.is_leaving() || slot.begins_episode(&self.context.rules) && has_other_agent_id(world, slot)
        });
        if let Some(position) = position {
            if !is_replaced {
                return;
            }
            self.players.slots_mut()[position].publish_pending_end(&self.context, None);
            self.remove_slot(position);
        }
        let shares_pool = self.outputs.shares_pool(self.players.len() + 1);
        self.join_player(world, entity, shares_pool);
    }
}
