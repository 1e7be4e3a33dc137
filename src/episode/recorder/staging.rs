//! Staging between captures: episode ends, leaving players, episode beginnings and early-read actions.
//!
//! Contract, true final observation: the player is read when the trigger is applied. The next capture publishes the
//! end.

use super::Recorder;
use crate::{
    capture::{RowParts, diff},
    episode::{FinalObservation, player_slot::PlayerSlot},
    player::Reward,
};
use bevy_ecs::{entity::Entity, world::World};
use experience_core::transition::{EndReason, Outcome};

/// An [`EndEpisode`](crate::episode::EndEpisode) for one recording.
#[derive(Clone, Debug)]
pub(crate) struct EndRequest {
    pub(crate) entity: Entity,
    pub(crate) outcome: Outcome,
    pub(crate) reason: EndReason,
    /// No tick has begun since the last capture.
    pub(crate) between_ticks: bool,
}

/// The result of an [`EndRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndDisposition {
    /// It ends the player's episode.
    Staged,
    /// It ends the player's episode, and the capture reads the final observation.
    StagedForCapture,
    /// An end is already staged. The stronger of the two is published.
    AlreadyStaged,
    /// The player is between episodes.
    Ignored,
    /// The player is not recorded, or not yet.
    NotRecorded,
    /// The entity is not a player of this recording.
    NotAPlayer,
}

impl Recorder {
    /// Stages the end of an episode, and reads the final observation.
    pub(crate) fn stage_end(&mut self, world: &World, request: &EndRequest) -> EndDisposition {
        let entity = request.entity;
        let Some(slot) = self.players.get_mut(entity) else {
            return if self.is_player(world, entity) {
                EndDisposition::NotRecorded
            } else {
                EndDisposition::NotAPlayer
            };
        };
        self.has_ends_between_ticks |= request.between_ticks;
        if slot.request_end(request.outcome, &request.reason, false, request.between_ticks) {
            self.read_final_row(world, entity, false);
            match self.context.rules.final_observation {
                FinalObservation::AtCapture if !request.between_ticks => EndDisposition::StagedForCapture,
                _ => EndDisposition::Staged,
            }
        } else if slot.has_pending_end() && !slot.holds_end() {
            EndDisposition::AlreadyStaged
        } else {
            self.context.counters.ignored_ends.add(1);
            EndDisposition::Ignored
        }
    }

    /// Discards the open episode of a player that gets [`DoNotRecord`](crate::player::DoNotRecord). The next capture removes
    /// its slot.
    ///
    /// Not staged, because there may be no further capture: fixed ticks stop while the game is paused, and the app can exit.
    ///
    /// Returns the run's number of the episode, if one was open.
    pub(crate) fn opt_out(&mut self, entity: Entity) -> Option<u32> {
        self.speculation.forget(entity);
        let slot = self.players.get_mut(entity).filter(|slot| slot.is_open())?;
        slot.discard_episode(&self.context);
        Some(slot.episode())
    }

    /// Stages that a player leaves: it is being despawned or loses the marker, and its components can still be read.
    pub(crate) fn stage_leave(&mut self, world: &World, entity: Entity, between_ticks: bool) {
        let Some(slot) = self.players.get_mut(entity).filter(|slot| !slot.is_leaving()) else {
            return;
        };
        // The component may be removed before the next capture.
        self.reward_terms
            .credit(world.get::<Reward>(entity), slot, &self.context);
        let (outcome, reason) = self.context.rules.leave_end();
        slot.request_end(outcome, &reason, true, between_ticks);
        self.has_ends_between_ticks |= between_ticks;
        // The component may be removed together with the marker, and before it.
        self.update_controller(world, entity);
        self.read_final_row(world, entity, false);
    }

    /// Reads the final observation of a staged end, and the action that led to it, unless the capture reads them.
    /// `is_last_chance` is set if the capture is too late.
    pub(super) fn read_final_row(&mut self, world: &World, entity: Entity, is_last_chance: bool) {
        let Self {
            players,
            encoder,
            context,
            ..
        } = self;
        let Some(slot) = players.get_mut(entity) else { return };
        let Some((row, parts)) = slot.final_row_request(&context.rules, is_last_chance) else {
            return;
        };
        if !encoder.prepare_one(world, parts, entity) || !encoder.encode_one(world, entity, parts, row) {
            return;
        }
        if parts.action {
            slot.check_takeover(|takeover| encoder.action_written(world, entity, takeover) == Some(true));
            slot.label_final_action();
        }
        slot.final_row_read(&context.rules, context.layout(), parts);
        let is_early = parts.observation && !is_last_chance && !slot.has_end_between_ticks();
        let is_leaving = slot.is_leaving();
        let mut has_acted = Some(false);
        if let Some(request) = slot.open_request() {
            let written = encoder.action_written(world, entity, request.since);
            has_acted = request.has_acted(
                context.signals_decisions,
                written,
                slot.has_other_final_action(context.layout()),
            );
            slot.set_acted(has_acted == Some(true));
        }
        self.check_acted(has_acted);
        if is_early {
            self.check_final_row(world, entity, is_leaving);
        }
    }

    /// Reads the final observation of a player whose end waits for this capture. `delays_begin` states that the next episode cannot
    /// begin at this capture.
    pub(crate) fn read_final_observation(&mut self, world: &World, entity: Entity, delays_begin: bool) {
        if self.speculation.is_active() {
            return self.read_held_observation(world, entity, delays_begin);
        }
        self.read_final_row(world, entity, true);
        if let Some(slot) = self.players.get_mut(entity).filter(|_| delays_begin) {
            slot.delay_begin();
        }
    }

    /// Stages that a player's next episode may begin. Ignored if the player is in an episode.
    pub(crate) fn stage_begin(&mut self, entity: Entity) {
        self.setup_checks.has_begin_event = true;
        if let Some(slot) = self.players.get_mut(entity) {
            slot.request_begin();
        }
    }

    /// Reads the action of every player, after the schedule given to `Recording::read_actions_after`.
    ///
    /// Contract, timing: the recorded action is the one that this tick consumed.
    pub(crate) fn read_actions(&mut self, world: &World) {
        self.has_reached_read = true;
        let keeps_actions = self.context.rules.keeps_actions();
        if keeps_actions {
            self.players.slots_mut().iter_mut().for_each(PlayerSlot::forget_action);
        }
        if !self.is_recording() || self.speculation.is_active() {
            return;
        }
        self.has_unread_actions = !self.encoder.prepare(world, RowParts::ACTION);
        if self.has_unread_actions {
            self.warn_unavailable();
            return;
        }
        let Self {
            encoder,
            players,
            context,
            ..
        } = self;
        encoder.encode_all(world, RowParts::ACTION, |mut block| {
            for player in block.iter_mut() {
                let Some(slot) = players.get_mut(player.entity) else {
                    continue;
                };
                slot.label_action(player.row);
                let row = if keeps_actions {
                    slot.kept_action_row()
                } else {
                    slot.early_action_row(&context.rules)
                };
                if let Some(row) = row {
                    diff::copy_action(context.layout(), player.row, row);
                }
            }
        });
    }

    /// The players whose end was staged since the last capture, before a tick began.
    pub(crate) fn ended_between_ticks(&self) -> impl Iterator<Item = Entity> + '_ {
        // Such ends are rare, so the scan of all slots is usually skipped.
        let slots = if self.has_ends_between_ticks {
            self.players.slots()
        } else {
            &[]
        };
        slots
            .iter()
            .filter(|slot| slot.has_end_between_ticks())
            .map(|slot| slot.entity)
    }

    /// Credits the rewards given until now, before a capture of other recordings clears them.
    pub(crate) fn credit_rewards(&mut self, world: &World) {
        for slot in self.players.slots_mut() {
            let reward = world.get::<Reward>(slot.entity).filter(|reward| !reward.is_zero());
            if reward.is_some() {
                self.reward_terms.credit(reward, slot, &self.context);
                self.has_credited_rewards = true;
            }
        }
    }

    /// A tick begins: credits `entity`'s rewards until now. If its episode ended before the tick, rewards given from
    /// now on do not belong to that episode.
    pub(crate) fn seal_rewards(&mut self, world: &World, entity: Entity) {
        if let Some(slot) = self.players.get_mut(entity) {
            self.reward_terms
                .credit(world.get::<Reward>(entity), slot, &self.context);
            self.has_credited_rewards = true;
            slot.seal_rewards(&self.context.rules);
        }
    }
}
