//! [`ArenaSettings`]: size, tick rate and random seed of an arena.

use bevy_ecs::prelude::*;

use crate::rules::{COINS_PER_FIGHTER, FLOOR_PER_FIGHTER, ROUND_SECONDS};

/// The size, tick rate and random seed of an arena.
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct ArenaSettings {
    /// Fighters in each match.
    pub players: u32,
    /// Independent matches in this world. Entities of one never interact with those of another.
    pub matches: u32,
    /// Ticks per second of game time.
    pub hz: u32,
    /// Random seed: arenas with equal settings play the same game.
    pub seed: u64,
    /// Whether fighters leave in mid-match and join again later.
    pub churn: bool,
    /// Seats of each policy in each match. Scripted bots have the others.
    pub policies: Vec<u32>,
    /// Whether each round moves every controller to the next seat.
    pub rotate_seats: bool,
}

impl Default for ArenaSettings {
    fn default() -> Self {
        Self {
            players: 16,
            matches: 1,
            hz: 60,
            seed: 7,
            churn: false,
            policies: Vec::new(),
            rotate_seats: false,
        }
    }
}

impl ArenaSettings {
    /// Agents in all matches together. Their ids start at 0.
    #[must_use]
    pub fn agent_count(&self) -> usize {
        self.players as usize * self.matches as usize
    }

    /// Coins in each match.
    #[must_use]
    pub fn coins(&self) -> u32 {
        self.players * COINS_PER_FIGHTER
    }

    /// Half the side length of the square floor, which is centred on the origin.
    #[must_use]
    pub fn half_extent(&self) -> f32 {
        0.5 * (self.players.max(4) as f32 * FLOOR_PER_FIGHTER).sqrt()
    }

    /// Seconds per tick.
    #[must_use]
    pub fn dt(&self) -> f32 {
        1.0 / self.hz as f32
    }

    /// Ticks per round.
    #[must_use]
    pub fn round_ticks(&self) -> u64 {
        self.ticks(ROUND_SECONDS)
    }

    /// Whole ticks in `seconds`, at least one.
    #[must_use]
    pub fn ticks(&self, seconds: f32) -> u64 {
        ((seconds * self.hz as f32) as u64).max(1)
    }
}
