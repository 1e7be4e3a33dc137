//! Speculative ticks: captures and events are kept until their tick is confirmed, and then replayed in order.
//!
//! A tick that is simulated again replaces what is kept of it and of later ticks. So the players' state machines see each tick
//! once, as it was simulated last.

mod held_tick;
mod replay;

use super::{EndDisposition, EndRequest, Recorder};
use crate::{
    capture::RowParts,
    episode::{FinalObservation, context::CaptureTime},
    player::{AgentId, Reward},
};
use bevy_ecs::{entity::Entity, world::World};
use experience_core::transition::StepHeader;
use held_tick::{EventKind, HeldEvent, HeldTick};
use std::collections::VecDeque;

/// Maximum number of ticks that are kept.
const MAX_TICKS: usize = 1024;

/// The ticks of one recording that are not confirmed.
#[derive(Default)]
pub(super) struct Speculation {
    /// In ascending order.
    held: VecDeque<HeldTick>,
    /// The events of the tick that is being simulated.
    current: HeldTick,
    /// Cleared ticks, whose memory is used again.
    spare: Vec<HeldTick>,
    /// The last tick that was written.
    written: Option<i64>,
}

impl Speculation {
    /// Whether a speculative tick was captured.
    pub(super) fn is_active(&self) -> bool {
        self.written.is_some() || !self.held.is_empty()
    }

    /// Removes a player from all ticks that are kept.
    pub(super) fn forget(&mut self, player: Entity) {
        for tick in self.held.iter_mut().chain([&mut self.current]) {
            tick.forget(player);
        }
    }

    fn recycle(&mut self, mut tick: HeldTick) {
        tick.clear();
        self.spare.push(tick);
    }
}

impl Recorder {
    /// As [`stage_end`](Self::stage_end), for the tick that is being simulated. The game is told of the first end of a player in
    /// each simulation of a tick, because whether its episode is open is known only when the tick is confirmed.
    pub(crate) fn hold_end(&mut self, world: &World, request: &EndRequest) -> EndDisposition {
        if !self.is_player(world, request.entity) {
            return EndDisposition::NotAPlayer;
        }
        let is_first = !self.speculation.current.has_end(request.entity);
        let reads_now = self.context.rules.final_observation == FinalObservation::AtTrigger;
        let kind = EventKind::End {
            outcome: request.outcome,
            reason: request.reason.clone(),
        };
        let parts = RowParts {
            observation: reads_now,
            action: true,
        };
        self.hold_event(world, request.entity, kind, parts);
        match (is_first, reads_now) {
            (false, _) => EndDisposition::AlreadyStaged,
            (true, true) => EndDisposition::Staged,
            (true, false) => EndDisposition::StagedForCapture,
        }
    }

    /// As [`stage_leave`](Self::stage_leave), for the tick that is being simulated.
    pub(crate) fn hold_leave(&mut self, world: &World, entity: Entity) {
        // A despawn is observed before the removal of the marker.
        let agent_id = world.get::<AgentId>(entity).map(|agent| agent.0);
        if !self.speculation.current.cancel_leave(entity, agent_id) {
            return;
        }
        self.hold_event(world, entity, EventKind::Leave, RowParts::ALL);
    }

    /// As [`stage_begin`](Self::stage_begin), for the tick that is being simulated.
    pub(crate) fn hold_begin(&mut self, world: &World, entity: Entity) {
        self.setup_checks.has_begin_event = true;
        let nothing = RowParts {
            observation: false,
            action: false,
        };
        self.hold_event(world, entity, EventKind::Begin, nothing);
    }

    /// Reads the final observations of a player's ends in the tick that is being simulated, unless they were read.
    pub(super) fn read_held_observation(&mut self, world: &World, entity: Entity, delays_begin: bool) {
        let row = &mut self.scratch_row;
        if self.speculation.current.has_unread_end(entity)
            && self.encoder.prepare_one(world, RowParts::ALL, entity)
            && self.encoder.encode_one(world, entity, RowParts::ALL, row)
        {
            self.speculation
                .current
                .set_observation(self.context.layout(), entity, row, delays_begin);
        }
    }

    fn hold_event(&mut self, world: &World, entity: Entity, kind: EventKind, parts: RowParts) {
        if !self.enabled {
            // The game is told of the first end of a tick, as with an enabled plugin.
            self.speculation
                .current
                .push_event(HeldEvent::new(entity, None, kind), &[]);
            return;
        }
        let row = &mut self.scratch_row;
        let is_read = (parts.observation || parts.action)
            && self.encoder.prepare_one(world, parts, entity)
            && self.encoder.encode_one(world, entity, parts, row);
        let controller = self.context.speculative_controller_code(world, entity);
        StepHeader::of_mut(row).set_controller(controller);
        let mut event = HeldEvent::new(entity, world.get::<AgentId>(entity).map(|agent| agent.0), kind);
        event.has_observation = is_read && parts.observation;
        event.has_action = is_read && parts.action;
        if matches!(event.kind, EventKind::Leave)
            && let Some(reward) = world.get::<Reward>(entity)
        {
            // The component is removed before the capture.
            self.reward_terms
                .for_each_amount(reward, |term, amount| event.rewards.push((term, amount)));
        }
        self.speculation.current.push_event(event, row);
    }

    /// Keeps a capture of the tick `simulated`, in place of what is kept of it and of later ticks.
    pub(crate) fn hold_capture(&mut self, world: &World, simulated: i64, time: CaptureTime) {
        let mut current = core::mem::take(&mut self.speculation.current);
        if self.speculation.written.is_some_and(|written| simulated <= written) {
            if self.warnings.late_simulation.first_time() {
                tracing::warn!(
                    "recording `{}`: tick {simulated} was simulated again after `SpeculativeTicks::confirmed` included it: its rows \
                     were written, and stay as they are",
                    self.name()
                );
            }
            self.speculation.recycle(current);
        } else {
            while let Some(last) = self.speculation.held.pop_back_if(|held| held.tick >= simulated) {
                self.speculation.recycle(last);
            }
            (current.tick, current.time) = (simulated, time);
            self.read_players(world, &mut current);
            self.speculation.held.push_back(current);
        }
        self.speculation.current = self.speculation.spare.pop().unwrap_or_default();
        self.log_warnings(world);
    }

    fn read_players(&mut self, world: &World, tick: &mut HeldTick) {
        let decides_on_demand = self.context.rules.decides_on_demand;
        if !self.enabled || decides_on_demand || !self.encoder.prepare(world, RowParts::ALL) {
            return;
        }
        let Self {
            encoder,
            reward_terms,
            context,
            ..
        } = self;
        encoder.encode_all(world, RowParts::ALL, |mut block| {
            for player in block.iter_mut() {
                let agent_id = world.get::<AgentId>(player.entity).map(|agent| agent.0);
                // The tick may be simulated again, with another controller.
                StepHeader::of_mut(player.row)
                    .set_controller(context.speculative_controller_code(world, player.entity));
                tick.push_player(player.entity, agent_id, player.row);
                if let Some(reward) = player.reward {
                    reward_terms.for_each_amount(reward, |term, amount| tick.push_reward(term, amount));
                }
            }
        });
    }

    /// Writes the oldest tick that is kept, if it is confirmed. Returns false if there is none.
    pub(crate) fn write_confirmed(&mut self, confirmed: i64) -> bool {
        let is_full = self.speculation.held.len() > MAX_TICKS;
        let oldest = self
            .speculation
            .held
            .pop_front_if(|held| held.tick <= confirmed || is_full);
        let Some(mut held) = oldest else { return false };
        if held.tick > confirmed && self.warnings.unconfirmed_ticks.first_time() {
            tracing::warn!(
                "recording `{}`: more than {MAX_TICKS} ticks are not confirmed, so the oldest is written: set \
                 `SpeculativeTicks::confirmed` to the last tick that is not simulated again",
                self.name()
            );
        }
        self.speculation.written = Some(held.tick);
        self.replay(&mut held);
        self.speculation.recycle(held);
        true
    }

    pub(super) fn is_player(&self, world: &World, entity: Entity) -> bool {
        world
            .get_entity(entity)
            .is_ok_and(|found| found.contains_id(self.marker))
    }
}
