//! Who comes and who goes, and where each is written.

use super::{NewBuffer, Recorder, crew::NEIGHBOURS, left};
use crate::{
    capture::Parts,
    episode::life::{Life, Output, OwnBuffer},
    player::{AgentId, DoNotRecord, Reward},
};
use bevy_ecs::{entity::Entity, world::World};
use core::sync::atomic::AtomicU32;
use experience_buffer::BufferError;
use experience_core::transition::{EndReason, Outcome};
use std::sync::{Arc, Mutex};

impl Recorder {
    /// Settles what became of players that the capture did not see.
    pub(super) fn sweep(&mut self, world: &World) {
        for place in (0..self.roster.lives().len()).rev() {
            let context = &self.context;
            let life = &mut self.roster.lives_mut()[place];
            if life.was_seen(self.captures) {
                continue;
            }
            let found = world.get_entity(life.entity).ok();
            let opted_out = found.is_some_and(|entity| entity.contains::<DoNotRecord>());
            let is_player = found.is_some_and(|entity| {
                entity.contains_id(self.marker) && !entity.contains::<bevy_ecs::entity_disabling::Disabled>()
            });
            if opted_out {
                life.discard(context);
            } else if !is_player && !life.leaves() {
                let (outcome, reason) = left(&context.rules);
                life.stage(outcome, &reason, true, false);
            } else if !life.is_staged() {
                life.end_where_it_stands(context, Outcome::Truncated, &EndReason::COMPONENT_LOST);
            }
            let goes = opted_out || life.leaves() || !is_player;
            life.capture(context, None);
            if goes {
                self.crew.moved(1);
                let mut life = self.roster.remove(place);
                self.ended_streams.extend(life.close_buffer());
            }
        }
    }

    /// Lets those in who are new, in the order of their agent ids.
    pub(super) fn join(&mut self, world: &World) {
        if self.joining.is_empty() {
            return;
        }
        let mut joining = core::mem::take(&mut self.joining);
        let key = |&entity: &Entity| {
            let given = world.get::<AgentId>(entity);
            (given.is_none(), given.copied(), entity.index_u32())
        };
        joining.sort_by_key(key);
        let crowded = self.roster.lives().len() + joining.len() > self.crowd.above;
        for entity in joining.drain(..) {
            let given = world.get::<AgentId>(entity).map(|id| id.0);
            if let Some(holder) = given.and_then(|id| self.roster.holder(id)) {
                self.refuse(entity, holder, given.unwrap_or_default());
                continue;
            }
            let agent_id = given.unwrap_or_else(|| self.roster.next_agent());
            let output = match (self.enabled, crowded) {
                (false, _) => None,
                (true, false) => self.open_buffer(agent_id),
                (true, true) => self.share_buffer(place(world, entity)),
            };
            if self.enabled && output.is_none() {
                self.context.counters.unbuffered_agents.add(1);
            }
            let mut life = Life::new(&self.context, entity, agent_id, output);
            life.see(self.captures);
            life.set_excluded(self.excluded.contains(&agent_id));
            if world.get::<Reward>(entity).is_some_and(|reward| !reward.is_clear())
                && self.enabled
                && !self.context.was_paused
            {
                self.context.counters.orphaned_rewards.add(1);
            }
            if self.is_watching() && self.encoder.encode_one(world, entity, Parts::ALL, &mut self.row) {
                life.capture(&self.context, Some(&mut self.row));
            }
            self.roster.insert(life);
            self.crew.moved(1);
        }
        self.joining = joining;
    }

    fn open_buffer(&mut self, agent_id: i64) -> Option<Output> {
        match self.players.open(agent_id) {
            Ok((writer, buffer)) => {
                let transitions = Arc::<AtomicU32>::default();
                self.new_buffers.push(NewBuffer {
                    agent_id,
                    buffer,
                    transitions: transitions.clone(),
                });
                Some(Output::Own(Box::new(OwnBuffer { writer, transitions })))
            }
            Err(error) => {
                if !core::mem::replace(&mut self.said.unbuffered_agent, true) {
                    let recording = self.name();
                    tracing::warn!(
                        "recording `{recording}`: agent {agent_id} is not recorded until it joins again, and others may not \
                         be: {error}"
                    );
                }
                None
            }
        }
    }

    /// A place in the pool, which is made for the first who needs it.
    fn share_buffer(&mut self, place: usize) -> Option<Output> {
        if self.players.pool().is_none() {
            self.open_pool();
        }
        let handle = self.players.pool()?.handle_in(place / NEIGHBOURS);
        self.streams = self.streams.wrapping_add(1);
        Some(Output::Shared {
            handle,
            stream: self.streams,
        })
    }

    /// Makes the pool that a crowd will share, before there is one, and takes all of its memory: a page that is first written
    /// while the game plays is one that the game waits for.
    ///
    /// # Errors
    /// When there is not so much memory.
    pub(crate) fn expect_crowd(&mut self) -> Result<(), BufferError> {
        self.make_pool()?;
        if let Some(pool) = self.players.pool() {
            pool.prefault();
        }
        tracing::info!(
            "recording `{}`: a pool of {} MiB is ready for players beyond the first {}; see `PlayerScaling::pool_above`",
            self.name(),
            self.crowd.pool.bytes >> 20,
            self.crowd.above,
        );
        Ok(())
    }

    fn make_pool(&mut self) -> Result<(), BufferError> {
        let writer = self.players.share(&self.crowd.pool)?;
        self.context.pool = Mutex::new(writer);
        self.new_pool = self.players.pool().cloned();
        Ok(())
    }

    fn open_pool(&mut self) {
        match self.make_pool() {
            Ok(()) => {
                tracing::info!(
                    "recording `{}`: players who join from now on share a pool of {} MiB, because there are more than {}; see \
                     `PlayerScaling::pool_above`",
                    self.name(),
                    self.crowd.pool.bytes >> 20,
                    self.crowd.above,
                );
            }
            Err(error) => {
                if !core::mem::replace(&mut self.said.unbuffered_agent, true) {
                    tracing::warn!(
                        "recording `{}`: there are more than {} players, and no pool for them to share, so they are not \
                         recorded: {error}",
                        self.name(),
                        self.crowd.above,
                    );
                }
            }
        }
    }

    fn refuse(&mut self, entity: Entity, holder: Entity, agent_id: i64) {
        if !self.roster.refuse(entity) {
            return;
        }
        self.context.counters.refused_agents.add(1);
        if !core::mem::replace(&mut self.said.refused_agent, true) {
            let recording = self.name();
            tracing::warn!(
                "recording `{recording}`: {entity} has agent id {agent_id}, which {holder} plays under: it is not \
                 recorded until {holder} is gone; give each living player an `AgentId` of its own"
            );
        }
    }
}

/// Where an entity stands among those with the same components.
fn place(world: &World, entity: Entity) -> usize {
    world
        .get_entity(entity)
        .map_or(0, |entity| entity.location().archetype_row.index())
}
