//! Replay of a confirmed tick: the steps of [`Recorder::capture`], with the rows and rewards that were kept.

use super::held_tick::{EventKind, HeldEvent, HeldTick};
use crate::{
    capture::{RowParts, diff},
    episode::recorder::Recorder,
};
use bevy_ecs::entity::Entity;

impl Recorder {
    /// Passes a tick to the players' state machines.
    pub(super) fn replay(&mut self, held: &mut HeldTick) {
        self.context.time = held.time;
        self.context.was_paused = core::mem::replace(&mut self.context.paused, self.pause_next);
        self.capture_count = self.capture_count.wrapping_add(1);
        self.replay_events(held);
        let joining = self.replay_players(held);
        self.context.pool_writer().publish();
        self.end_missing_players();
        self.join_held_players(held, joining);
        self.context.was_paused = self.context.paused;
    }

    fn replay_events(&mut self, held: &HeldTick) {
        let row_words = self.context.layout().row_words();
        for (event, row) in held.events.iter().zip(held.event_rows.chunks_exact(row_words)) {
            if event.is_canceled || matches!(event.kind, EventKind::Leave) && held.has_player(event) {
                // It was restored after that.
                continue;
            }
            if let Some(position) = self.held_slot(event.entity, event.agent_id) {
                self.replay_event(position, event, row);
            }
        }
    }

    fn replay_event(&mut self, position: usize, event: &HeldEvent, row: &[u64]) {
        let context = &self.context;
        let slot = &mut self.players.slots_mut()[position];
        match &event.kind {
            EventKind::Begin => {
                slot.request_begin();
                return;
            }
            EventKind::End { outcome, reason } => {
                if !slot.request_end(*outcome, reason, false, false) && !slot.has_pending_end() {
                    context.counters.ignored_ends.add(1);
                }
            }
            EventKind::Leave => {
                for &(term, amount) in &event.rewards {
                    if slot.accepts_rewards() {
                        slot.add_reward(term, amount);
                    }
                }
                let (outcome, reason) = context.rules.leave_end();
                slot.request_end(outcome, &reason, true, false);
            }
        }
        if event.delays_begin {
            slot.delay_begin();
        }
        let parts = RowParts {
            observation: event.has_observation,
            action: event.has_action,
        };
        slot.set_final_row(&context.rules, context.layout(), row, parts);
    }

    /// Captures the players that have a slot. Returns the indices of the others.
    fn replay_players(&mut self, held: &mut HeldTick) -> Vec<usize> {
        let row_words = self.context.layout().row_words();
        let mut joining = Vec::new();
        let mut first_reward = 0;
        let mut rows = core::mem::take(&mut held.rows);
        for (index, (player, row)) in held.players.iter().zip(rows.chunks_exact_mut(row_words)).enumerate() {
            let rewards = &held.rewards[first_reward..][..player.rewards];
            first_reward += player.rewards;
            if player.is_forgotten {
                continue;
            }
            let position = self.held_slot(player.entity, player.agent_id);
            let context = &self.context;
            let slot = position.map(|position| &mut self.players.slots_mut()[position]);
            let Some(slot) = slot.filter(|slot| !slot.is_leaving()) else {
                joining.push(index);
                continue;
            };
            let accepts_rewards = slot.accepts_rewards();
            for &(term, amount) in rewards.iter().filter(|_| accepts_rewards) {
                slot.add_reward(term, amount);
            }
            if !accepts_rewards && !rewards.is_empty() && !slot.is_excluded() && !context.was_paused {
                context.counters.orphaned_rewards.add(1);
            }
            // A tick that is simulated again may have another action, so it is not read before the capture.
            if context.rules.reads_actions_early()
                && let Some(action) = slot.early_action_row(&context.rules)
            {
                diff::copy_action(context.layout(), row, action);
            }
            slot.mark_captured(self.capture_count);
            slot.capture(context, Some(row));
        }
        held.rows = rows;
        joining
    }

    /// Ends the episodes of players that the tick did not have.
    fn end_missing_players(&mut self) {
        for position in (0..self.players.len()).rev() {
            let slot = &mut self.players.slots_mut()[position];
            if slot.was_captured(self.capture_count) {
                continue;
            }
            if !slot.is_leaving() {
                let (outcome, reason) = self.context.rules.leave_end();
                slot.request_end(outcome, &reason, true, false);
            }
            slot.capture(&self.context, None);
            if !slot.has_departed() {
                self.remove_slot(position);
            }
        }
    }

    fn join_held_players(&mut self, held: &mut HeldTick, mut joining: Vec<usize>) {
        joining.sort_by_key(|&index| {
            let player = &held.players[index];
            (player.agent_id.is_none(), player.agent_id, player.entity.index_u32())
        });
        let row_words = self.context.layout().row_words();
        let shares_pool = self.outputs.shares_pool(self.players.len() + joining.len());
        for index in joining {
            let player = &held.players[index];
            let Some(mut slot) = self.open_slot(player.entity, player.agent_id, index, shares_pool) else {
                continue;
            };
            if player.rewards > 0 && !self.context.was_paused {
                self.context.counters.orphaned_rewards.add(1);
            }
            if !self.context.paused {
                slot.capture(&self.context, Some(&mut held.rows[index * row_words..][..row_words]));
            }
            self.insert_slot(slot);
        }
    }

    /// The position of the slot of a player, which may be on another entity than before.
    fn held_slot(&mut self, entity: Entity, agent_id: Option<i64>) -> Option<usize> {
        if let Some(agent_id) = agent_id {
            self.players.rebind(agent_id, entity)
        } else {
            let position = self.players.position(entity)?;
            (self.players.slots()[position].agent_id < 0).then_some(position)
        }
    }
}
