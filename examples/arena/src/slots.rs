//! Agent slots: maps each agent id to its fighter while it is present.

use bevy_ecs::prelude::*;

use crate::{
    ArenaSettings, MatchId,
    bot::Bot,
    fighter::{Fighter, FighterBundle},
    seating::SeatController,
};

/// The slot of one agent in one match, for the lifetime of the arena.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AgentSlot {
    /// The agent's fighter, while it is present.
    pub fighter: Option<Entity>,
    /// Sessions so far, including the current one.
    pub sessions: u32,
    /// With churn: the tick at which the agent joins or leaves next.
    pub next_churn: u64,
}

/// The slots of all agents, indexed by agent id. The agents of one match have consecutive ids.
#[derive(Resource, Debug)]
pub struct AgentSlots {
    pub(crate) all: Vec<AgentSlot>,
    players: u32,
}

impl FromWorld for AgentSlots {
    fn from_world(world: &mut World) -> Self {
        let settings = world.resource::<ArenaSettings>();
        Self {
            all: vec![AgentSlot::default(); settings.agent_count()],
            players: settings.players,
        }
    }
}

impl AgentSlots {
    /// The fighter of an agent; `None` while it is absent, and for unknown ids.
    #[must_use]
    pub fn entity(&self, agent: i64) -> Option<Entity> {
        self.all.get(usize::try_from(agent).ok()?)?.fighter
    }

    /// The match of an agent.
    #[must_use]
    pub fn match_of(&self, agent: i64) -> MatchId {
        MatchId((agent / i64::from(self.players)) as u32)
    }

    /// Spawns an agent's fighter with the controller of its seat.
    pub(crate) fn join(&mut self, agent: i64, round: u64, settings: &ArenaSettings, commands: &mut Commands) {
        let match_id = self.match_of(agent);
        let slot = &mut self.all[agent as usize];
        let fighter = Fighter {
            agent,
            session: slot.sessions,
        };
        slot.sessions += 1;
        let controller = settings.controller(agent, round);
        let mut spawned = commands.spawn((FighterBundle::new(settings, match_id, fighter), controller));
        if let SeatController::Script(skill) = controller {
            spawned.insert((Bot::new(settings.seed, &fighter, skill, round), skill.controller()));
        }
        slot.fighter = Some(spawned.id());
    }

    /// Despawns an agent's fighter.
    pub(crate) fn leave(&mut self, agent: i64, commands: &mut Commands) {
        if let Some(fighter) = self.all[agent as usize].fighter.take() {
            commands.entity(fighter).despawn();
        }
    }
}

/// Spawns the fighters of all agents.
pub(crate) fn join_all(settings: Res<ArenaSettings>, mut slots: ResMut<AgentSlots>, mut commands: Commands) {
    for agent in 0..settings.agent_count() as i64 {
        slots.join(agent, 0, &settings, &mut commands);
    }
}
