//! Observations for policies: the players that a policy acts for are encoded at each capture, from the recording's own plan.

use super::Recorder;
use crate::{
    capture::{ActionWriter, RowParts, SourceInverse},
    episode::NonFinite,
    policy::{PolicyControlled, PolicySlot},
    restore::ColumnGroup,
};
use bevy_ecs::{component::ComponentId, entity::Entity, world::World};
use core::ops::Range;

impl Recorder {
    /// Collects the observations of the players whose policy decides in the tick that begins after this capture, `next_tick`.
    ///
    /// What a policy sees is what the capture has recorded, or would record if recording was not disabled or paused.
    pub(crate) fn observe_for_policies(
        &mut self,
        world: &World,
        controlled: ComponentId,
        next_tick: i64,
        policies: &mut [PolicySlot],
    ) {
        for policy in &mut *policies {
            policy.begin_tick(next_tick);
        }
        let is_prepared = core::mem::take(&mut self.has_prepared_observation);
        let has_players = self.encoder.has_players_with(world, controlled);
        if let (Some(missing), Some(first)) = (self.encoder.missing_with(world, controlled), policies.first_mut()) {
            first.note_incomplete(&missing);
        }
        if self.context.rules.decides_on_demand || !has_players {
            return;
        }
        if !is_prepared && !self.encoder.prepare(world, RowParts::OBSERVATION) {
            for policy in &mut *policies {
                policy.note_unobserved();
            }
            return;
        }
        let Self {
            context,
            encoder,
            players,
            ..
        } = self;
        let replacement = match context.rules.non_finite {
            NonFinite::Replace(value) => Some(value),
            NonFinite::Keep | NonFinite::EndEpisode => None,
        };
        encoder.encode_with(world, RowParts::OBSERVATION, controlled, |mut block| {
            for player in block.iter_mut() {
                let Some(slot) = players
                    .position(player.entity)
                    .map(|position| &players.slots()[position])
                else {
                    continue;
                };
                if !slot.decides_next() {
                    continue;
                }
                let Some(controlled) = world.get::<PolicyControlled>(player.entity) else {
                    continue;
                };
                match policies.iter_mut().find(|policy| controlled.is_by(policy.name())) {
                    Some(policy) => {
                        policy.observe(player.entity, slot.agent_id, player.row, context.layout(), replacement);
                    }
                    None => {
                        if let Some(first) = policies.first_mut() {
                            first.note_unknown_policy(controlled);
                        }
                    }
                }
            }
        });
    }

    /// Collects the observation of one player, which has requested a decision. Returns false if there is none.
    pub(crate) fn observe_one_for_policy(
        &mut self,
        world: &World,
        player: Entity,
        tick: i64,
        policy: &mut PolicySlot,
    ) -> bool {
        if !self.encoder.prepare_one(world, RowParts::OBSERVATION, player)
            || !self
                .encoder
                .encode_one(world, player, RowParts::OBSERVATION, &mut self.scratch_row)
        {
            policy.note_unobserved();
            return false;
        }
        let Some(position) = self.players.position(player) else {
            return false;
        };
        let replacement = match self.context.rules.non_finite {
            NonFinite::Replace(value) => Some(value),
            NonFinite::Keep | NonFinite::EndEpisode => None,
        };
        let agent_id = self.players.slots()[position].agent_id;
        policy.set_tick(tick);
        policy.observe(
            player,
            agent_id,
            &mut self.scratch_row,
            self.context.layout(),
            replacement,
        );
        true
    }

    /// The writer of each component of the action that is recorded by its fields.
    pub(crate) fn action_writers(&self) -> impl Iterator<Item = ActionWriter> + '_ {
        self.encoder.action_writers()
    }

    /// The inverse of each source.
    pub(crate) fn inverses(&self) -> impl Iterator<Item = (ColumnGroup, Range<usize>, SourceInverse)> + '_ {
        self.encoder.inverses()
    }

    /// A policy acts for players of this recording.
    pub(crate) fn set_has_policy(&mut self) {
        self.has_policy = true;
    }

    /// Whether a policy acts for players of this recording.
    pub(crate) fn has_policy(&self) -> bool {
        self.has_policy
    }
}
