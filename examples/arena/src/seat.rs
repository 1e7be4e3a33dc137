//! Seats: who belongs to the arena, and whether they are here.

use bevy_ecs::prelude::*;

use crate::{ArenaSettings, MatchId, bot::Bot, fighter::Fighter, fighter::FighterBundle};

/// A place for one agent in one match, theirs for as long as the arena exists.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seat {
    /// The agent's fighter, while it is here.
    pub fighter: Option<Entity>,
    /// Visits so far, this one included.
    pub visits: u32,
    /// With churn: the tick at which the agent comes or goes next.
    pub next_move: u64,
}

/// All seats: the agent id is the place in the list, and matches follow one another.
#[derive(Resource, Debug)]
pub struct Seats {
    pub(crate) all: Vec<Seat>,
    players: u32,
}

impl FromWorld for Seats {
    fn from_world(world: &mut World) -> Self {
        let settings = world.resource::<ArenaSettings>();
        Self {
            all: vec![Seat::default(); settings.seats()],
            players: settings.players,
        }
    }
}

impl Seats {
    /// The fighter of an agent, while it is here.
    #[must_use]
    pub fn entity(&self, agent: i64) -> Option<Entity> {
        self.all.get(usize::try_from(agent).ok()?)?.fighter
    }

    /// The match of an agent.
    #[must_use]
    pub fn match_of(&self, agent: i64) -> MatchId {
        MatchId((agent / i64::from(self.players)) as u32)
    }

    /// Brings an agent in, steered by a bot. The skill goes with the seat: each match has all three in equal parts.
    pub(crate) fn sit_down(&mut self, agent: i64, settings: &ArenaSettings, commands: &mut Commands) {
        let match_id = self.match_of(agent);
        let place_in_match = agent % i64::from(self.players);
        let seat = &mut self.all[agent as usize];
        let fighter = Fighter {
            agent,
            visit: seat.visits,
        };
        seat.visits += 1;
        let bot = Bot::new(settings.seed, &fighter, place_in_match);
        seat.fighter = Some(
            commands
                .spawn((FighterBundle::new(settings, match_id, fighter), bot))
                .id(),
        );
    }

    /// Takes an agent out.
    pub(crate) fn leave(&mut self, agent: i64, commands: &mut Commands) {
        if let Some(fighter) = self.all[agent as usize].fighter.take() {
            commands.entity(fighter).despawn();
        }
    }
}

/// Brings everyone in.
pub(crate) fn open(settings: Res<ArenaSettings>, mut seats: ResMut<Seats>, mut commands: Commands) {
    for agent in 0..settings.seats() as i64 {
        seats.sit_down(agent, &settings, &mut commands);
    }
}
