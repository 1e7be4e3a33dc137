//! What controls the fighter of each seat: a scripted bot, or a policy.
//!
//! A match has one seat for each fighter. Policies take the first seats, and scripted bots of all skills the others in
//! equal parts. If seats rotate, each round moves every controller to the next seat, so that over many rounds each plays
//! as every agent.

use bevy_ecs::prelude::*;
use bevy_experience::prelude::Controller;

use crate::{ArenaSettings, Clock, bot::Bot, bot::Skill, fighter::Fighter};

/// What controls a fighter. [`HumanPlugin`](crate::human::HumanPlugin) takes its place for one agent.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SeatController {
    /// A scripted bot.
    Script(Skill),
    /// The policy with this index in [`ArenaSettings::policies`].
    Policy(usize),
}

impl ArenaSettings {
    /// Seats of all policies in each match.
    #[must_use]
    pub fn policy_seats(&self) -> u32 {
        self.policies.iter().sum()
    }

    /// The controller of an agent in a round, which counts from 0.
    #[must_use]
    pub fn controller(&self, agent: i64, round: u64) -> SeatController {
        let players = u64::from(self.players.max(1));
        let shift = if self.rotate_seats { round } else { 0 };
        let mut seat = ((agent.cast_unsigned() + shift) % players) as u32;
        for (policy, seats) in self.policies.iter().enumerate() {
            if seat < *seats {
                return SeatController::Policy(policy);
            }
            seat -= seats;
        }
        SeatController::Script(Skill::ALL[seat as usize % Skill::ALL.len()])
    }
}

impl Clock {
    /// The round of the current tick, from 0.
    pub(crate) fn round(self, settings: &ArenaSettings) -> u64 {
        self.tick / settings.round_ticks()
    }
}

/// Gives every fighter the controller of its seat in the next round.
pub(crate) fn rotate(
    settings: Res<ArenaSettings>,
    clock: Res<Clock>,
    fighters: Query<(Entity, &Fighter, &SeatController)>,
    mut commands: Commands,
) {
    let round = clock.round(&settings) + 1;
    for (entity, fighter, controller) in &fighters {
        let next = settings.controller(fighter.agent, round);
        if next == *controller {
            continue;
        }
        let mut fighter_commands = commands.entity(entity);
        fighter_commands.insert(next);
        match next {
            SeatController::Script(skill) => {
                fighter_commands.insert((Bot::new(settings.seed, fighter, skill, round), skill.controller()));
            }
            SeatController::Policy(_) => {
                fighter_commands.remove::<(Bot, Controller)>();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_take_the_first_seats_and_scripts_of_all_skills_the_others() {
        let settings = ArenaSettings {
            players: 5,
            policies: vec![1, 1],
            ..ArenaSettings::default()
        };
        let seats: Vec<_> = (0..5).map(|agent| settings.controller(agent, 3)).collect();
        let mut expected = vec![SeatController::Policy(0), SeatController::Policy(1)];
        expected.extend(Skill::ALL.map(SeatController::Script));
        assert_eq!(seats, expected);
        assert_eq!(settings.controller(5, 3), settings.controller(0, 3), "each match alike");
    }

    #[test]
    fn rotation_moves_every_controller_through_all_seats() {
        let settings = ArenaSettings {
            players: 5,
            policies: vec![2],
            rotate_seats: true,
            ..ArenaSettings::default()
        };
        for agent in 0..5 {
            let rounds = (0..5).filter(|round| settings.controller(agent, *round) == SeatController::Policy(0));
            assert_eq!(rounds.count(), 2, "agent {agent}");
        }
    }
}
