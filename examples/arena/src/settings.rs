//! What can be chosen about an arena.

use bevy_ecs::prelude::*;

use crate::rules::{COINS_PER_FIGHTER, FLOOR_PER_FIGHTER, ROUND};

/// How many play, how fast the clock ticks, and where chance starts from.
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct ArenaSettings {
    /// Fighters in each match.
    pub players: u32,
    /// Matches side by side in this world. Nothing of one ever touches another.
    pub matches: u32,
    /// Ticks in a second of the game.
    pub hz: u32,
    /// Where all chance starts from: two arenas of equal settings stay equal forever.
    pub seed: u64,
    /// Whether fighters leave in mid-match and come back later.
    pub churn: bool,
}

impl Default for ArenaSettings {
    fn default() -> Self {
        Self {
            players: 16,
            matches: 1,
            hz: 60,
            seed: 7,
            churn: false,
        }
    }
}

impl ArenaSettings {
    /// Seats in all matches together: the number of agent ids, which count from 0.
    #[must_use]
    pub fn seats(&self) -> usize {
        self.players as usize * self.matches as usize
    }

    /// Coins in each match.
    #[must_use]
    pub fn coins(&self) -> u32 {
        self.players * COINS_PER_FIGHTER
    }

    /// Half the side of the square floor, whose middle is the origin.
    #[must_use]
    pub fn half(&self) -> f32 {
        0.5 * (self.players.max(4) as f32 * FLOOR_PER_FIGHTER).sqrt()
    }

    /// Seconds of one tick.
    #[must_use]
    pub fn dt(&self) -> f32 {
        1.0 / self.hz as f32
    }

    /// Ticks of one round.
    #[must_use]
    pub fn round_ticks(&self) -> u64 {
        self.ticks(ROUND)
    }

    /// Whole ticks in so many seconds, at least one.
    #[must_use]
    pub fn ticks(&self, seconds: f32) -> u64 {
        ((seconds * self.hz as f32) as u64).max(1)
    }
}
