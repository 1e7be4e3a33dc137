//! Observations for policies: the players that a policy acts for are encoded at each capture, from the recording's own plan.

use super::Recorder;
use crate::{
    capture::{ActionWriter, RowParts, SourceInverse},
    episode::{NonFinite, context::RecordingContext, outcome_log::OutcomeLog, player_table::PlayerTable},
    player::AgentId,
    policy::{PolicyControlled, PolicySlot},
    restore::ColumnGroup,
};
use bevy_ecs::{component::ComponentId, entity::Entity, world::World};
use core::ops::Range;
use experience_core::transition::RunId;
use std::sync::Mutex;

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
        self.begin_outcomes(policies);
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
        self.collect(world, controlled, policies, |players, _, player| {
            let slot = &players.slots()[players.position(player)?];
            slot.decides_next().then_some(slot.agent_id)
        });
    }

    /// As [`observe_for_policies`](Self::observe_for_policies), at the begin of a speculative tick: the players are read as they
    /// are, because the game may have restored an earlier tick since the last capture. `simulated` is the game's number of the
    /// tick.
    pub(crate) fn observe_speculative(
        &mut self,
        world: &World,
        controlled: ComponentId,
        (tick, simulated): (i64, i64),
        policies: &mut [PolicySlot],
    ) {
        self.has_prepared_observation = false;
        for policy in &mut *policies {
            policy.begin_tick(tick);
            policy.begin_speculative(simulated);
            self.note_policy(policy);
        }
        let Some(first) = policies.first_mut() else { return };
        let has_players = self.encoder.has_players_with(world, controlled);
        if let Some(missing) = self.encoder.missing_with(world, controlled) {
            first.note_incomplete(&missing);
        }
        let rules = &self.context.rules;
        if rules.decides_on_demand || !has_players {
            return;
        }
        if rules.decision_interval > 1 {
            first.note_speculative_interval();
            return;
        }
        if !self.encoder.prepare(world, RowParts::OBSERVATION) {
            for policy in &mut *policies {
                policy.note_unobserved();
            }
            return;
        }
        let mut lacks_agent_id = false;
        self.collect(world, controlled, policies, |_, world, player| {
            // Players have slots, and ids of their own, only once a tick of theirs is confirmed.
            let agent = world.get::<AgentId>(player);
            lacks_agent_id |= agent.is_none();
            agent.map(|agent| agent.0)
        });
        if lacks_agent_id && let Some(first) = policies.first_mut() {
            first.note_incomplete(&["AgentId"]);
        }
    }

    /// Whether any player is controlled by a policy.
    pub(crate) fn has_policy_players(&mut self, world: &World, controlled: ComponentId) -> bool {
        self.encoder.has_players_with(world, controlled)
    }

    /// Collects the observation of each player for which `agent_of` returns an agent id.
    fn collect(
        &mut self,
        world: &World,
        controlled: ComponentId,
        policies: &mut [PolicySlot],
        mut agent_of: impl FnMut(&PlayerTable, &World, Entity) -> Option<i64>,
    ) {
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
                let Some(agent_id) = agent_of(players, world, player.entity) else {
                    continue;
                };
                let Some(controlled) = world.get::<PolicyControlled>(player.entity) else {
                    continue;
                };
                match policies.iter_mut().find(|policy| controlled.is_by(policy.name())) {
                    Some(policy) => {
                        policy.observe(player.entity, agent_id, player.row, context.layout(), replacement);
                        tell_progress(context, players, policy, player.entity, agent_id);
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
        if policy.players().len() == 1 {
            // Further requests before the policy acts belong to the same decision.
            self.begin_outcomes(core::slice::from_mut(policy));
        }
        tell_progress(&self.context, &self.players, policy, player, agent_id);
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

    /// Keeps what becomes of the actions of a policy, from now on.
    pub(crate) fn log_outcomes(&mut self, run: RunId, policy: &PolicySlot) {
        if self.context.outcome_log.is_none() {
            self.context.outcome_log = Some(Mutex::new(OutcomeLog::new(run, policy.layout().clone())));
        }
    }

    /// Hands the ends of episodes to the policy that needs them.
    fn begin_outcomes(&self, policies: &mut [PolicySlot]) {
        let policy = policies.iter_mut().find(|policy| policy.needs_outcomes());
        if let (Some(policy), Some(mut log)) = (policy, self.context.outcome_log()) {
            log.begin_decision(policy.outcomes_mut());
        }
    }

    /// What was told of the players at the last decision has been delivered.
    pub(crate) fn confirm_outcomes(&self) {
        if let Some(mut log) = self.context.outcome_log() {
            log.confirm();
        }
    }

    /// The players that are in an episode whose end is not pending.
    pub(crate) fn players_in_episodes(&self) -> impl Iterator<Item = Entity> + '_ {
        let slots = self.players.slots().iter();
        slots.filter(|slot| slot.is_in_game_episode()).map(|slot| slot.entity)
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

/// Tells a policy that needs it what a player has got since its last decision.
fn tell_progress(
    context: &RecordingContext,
    players: &PlayerTable,
    policy: &mut PolicySlot,
    player: Entity,
    agent_id: i64,
) {
    if policy.needs_outcomes()
        && let Some(mut log) = context.outcome_log()
    {
        let open = players
            .position(player)
            .and_then(|position| players.slots()[position].open_episode());
        let (progress, terms) = log.progress(agent_id, open);
        policy.observe_progress(progress, terms);
    }
}
