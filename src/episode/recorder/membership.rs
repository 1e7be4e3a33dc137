//! Membership of players: assigns slots to players that join, and removes those of players that left.

use super::Recorder;
use crate::{
    capture::RowParts,
    episode::player_slot::PlayerSlot,
    player::{AgentId, DoNotRecord, Reward},
};
use bevy_ecs::{entity::Entity, entity_disabling::Disabled, world::World};
use core::sync::atomic::AtomicU32;
use experience_core::transition::{EndReason, Outcome};
use std::sync::Arc;

impl Recorder {
    /// Handles players with a slot that the capture did not find.
    ///
    /// - `DoNotRecord`: the open episode is discarded, and the slot is removed. Contract, consent.
    /// - Despawned, disabled or without the marker: the episode ends as after a despawn, and the slot is removed. A
    ///   pending end, with the observation read at the time, takes precedence. Contract, termination.
    /// - Without a component that the recording reads: the episode ends at its last row.
    /// - With another agent id than before: the slot is removed, and the player joins again.
    pub(super) fn sweep_missing_players(&mut self, world: &World) {
        for position in (0..self.players.len()).rev() {
            let context = &self.context;
            let slot = &mut self.players.slots_mut()[position];
            if slot.was_captured(self.capture_count) {
                continue;
            }
            let entity = world.get_entity(slot.entity).ok();
            let opted_out = entity.is_some_and(|entity| entity.contains::<DoNotRecord>());
            let is_player =
                entity.is_some_and(|entity| entity.contains_id(self.marker) && !entity.contains::<Disabled>());
            if opted_out {
                slot.discard_episode(context);
            } else if !is_player && !slot.is_leaving() {
                let (outcome, reason) = context.rules.leave_end();
                slot.request_end(outcome, &reason, true, false);
            } else if !slot.has_pending_end() {
                slot.end_at_last_row(context, Outcome::Truncated, &EndReason::COMPONENT_LOST);
            }
            let is_removed = opted_out || slot.is_leaving() || !is_player || slot.is_rejoining();
            if slot.holds_end() {
                // Without the marker or a component, the player is not found by captures, and can be given rewards.
                let reward = world.get::<Reward>(slot.entity);
                self.reward_terms.credit(reward, slot, context);
            }
            if is_player {
                // An entity that is a player again gets another slot.
                slot.release_end(context);
            }
            slot.capture(context, None);
            if is_removed && !slot.has_departed() {
                if is_player && !opted_out {
                    self.rejoining.push(slot.entity);
                }
                self.remove_slot(position);
            }
        }
    }

    /// Publishes the end of a player that has left, because another player joins with its agent id.
    fn release_departed(&mut self, agent_id: i64) {
        if self.context.rules.reward_window == 0 || self.players.agent_entity(agent_id).is_none() {
            return;
        }
        let mut slots = self.players.slots_mut().iter_mut();
        // Found by its agent id: another entity can have the index of the one that left.
        let departed = slots.position(|slot| slot.agent_id == agent_id && slot.has_departed());
        if let Some(position) = departed {
            self.players.slots_mut()[position].publish_pending_end(&self.context, None);
            self.remove_slot(position);
        }
    }

    /// Removes a slot whose episode has ended.
    pub(super) fn remove_slot(&mut self, position: usize) {
        let mut slot = self.players.remove(position);
        if slot.agent_id < 0 {
            // The number of a player without an `AgentId`, which no player has again.
            self.excluded_agents.remove(&slot.agent_id);
        }
        self.outputs.close(&mut slot);
        self.capture_pass.mark_slot_moved();
    }

    /// Inserts a slot for each player that the capture found without one, and begins its first episode.
    ///
    /// Contract, beginnings: players join in the order of their agent ids, those without an `AgentId` last.
    pub(super) fn join_players(&mut self, world: &World) {
        if self.joining.is_empty() {
            self.rejoining.clear();
            return;
        }
        self.players.retain_refused(|entity| world.get_entity(entity).is_ok());
        let mut joining = core::mem::take(&mut self.joining);
        joining.sort_by_key(|&entity| {
            let agent_id = world.get::<AgentId>(entity);
            (agent_id.is_none(), agent_id.copied(), entity.index_u32())
        });
        let shares_pool = self.outputs.shares_pool(self.players.len() + joining.len());
        for entity in joining.drain(..) {
            self.join_player(world, entity, shares_pool);
        }
        // Reuses the allocation.
        self.joining = joining;
        self.rejoining.clear();
    }

    pub(super) fn join_player(&mut self, world: &World, entity: Entity, shares_pool: bool) {
        let agent_id = world.get::<AgentId>(entity).map(|agent| agent.0);
        let Some(mut slot) = self.open_slot(entity, agent_id, archetype_row(world, entity), shares_pool) else {
            return;
        };
        slot.set_controller(self.context.controller_code(world, entity));
        let has_reward = world.get::<Reward>(entity).is_some_and(|reward| !reward.is_zero());
        if has_reward && self.enabled && !self.context.was_paused && !self.rejoining.contains(&entity) {
            self.context.counters.orphaned_rewards.add(1);
        }
        if self.is_recording()
            && self
                .encoder
                .encode_one(world, entity, RowParts::ALL, &mut self.scratch_row)
        {
            slot.capture(&self.context, Some(&mut self.scratch_row));
        }
        slot.begin_phase();
        self.insert_slot(slot);
    }

    /// A slot for a player that joins; `None` if it is refused. `agent_id` is that of its `AgentId`. Neighbours by `archetype_row`
    /// share a shard of the pool.
    pub(super) fn open_slot(
        &mut self,
        entity: Entity,
        agent_id: Option<i64>,
        archetype_row: usize,
        shares_pool: bool,
    ) -> Option<PlayerSlot> {
        let agent_id = match agent_id {
            Some(agent_id) => {
                if agent_id < 0 {
                    self.refuse_negative_id(entity, agent_id);
                    return None;
                }
                self.release_departed(agent_id);
                if let Some(holder) = self.players.agent_entity(agent_id) {
                    self.refuse_player(entity, holder, agent_id);
                    return None;
                }
                agent_id
            }
            None => self.players.next_agent_id(),
        };
        let transitions = Arc::<AtomicU32>::default();
        let output = match (self.enabled, shares_pool) {
            (false, _) => None,
            (true, false) => self
                .outputs
                .open_dedicated(agent_id, &transitions, &self.context, &mut self.warnings),
            (true, true) => self
                .outputs
                .open_pooled(archetype_row, &mut self.context, &mut self.warnings),
        };
        if self.enabled && output.is_none() {
            self.context.counters.unbuffered_agents.add(1);
        }
        let mut slot = PlayerSlot::new(&self.context, entity, agent_id, output, transitions);
        slot.mark_captured(self.capture_count);
        slot.set_excluded(self.excluded_agents.contains(&agent_id));
        Some(slot)
    }

    pub(super) fn insert_slot(&mut self, slot: PlayerSlot) {
        self.players.insert(slot);
        self.capture_pass.mark_slot_moved();
    }

    /// Does not record a player whose agent id could be the number of a player without one.
    fn refuse_negative_id(&mut self, entity: Entity, agent_id: i64) {
        if !self.players.refuse(entity) {
            return;
        }
        self.context.counters.refused_agents.add(1);
        if self.warnings.negative_agent.first_time() {
            let recording = self.name();
            tracing::warn!(
                "recording `{recording}`: {entity} has agent id {agent_id}, and negative ids are those of players without an \
                 `AgentId`: it is not recorded; give it an id of 0 or more, or remove its `AgentId`"
            );
        }
    }

    /// Does not record a player whose agent id belongs to another live player.
    fn refuse_player(&mut self, entity: Entity, holder: Entity, agent_id: i64) {
        if !self.players.refuse(entity) {
            return;
        }
        self.context.counters.refused_agents.add(1);
        if self.warnings.duplicate_agent.first_time() {
            let recording = self.name();
            tracing::warn!(
                "recording `{recording}`: {entity} has agent id {agent_id}, which {holder} already uses: it is not \
                 recorded until {holder} leaves; give each living player a unique `AgentId`"
            );
        }
    }
}

/// An entity's row in its archetype.
fn archetype_row(world: &World, entity: Entity) -> usize {
    world
        .get_entity(entity)
        .map_or(0, |entity| entity.location().archetype_row.index())
}
