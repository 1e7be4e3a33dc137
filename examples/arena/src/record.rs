//! What is recorded: the one place that names the game's components for the recording.

/// Others in an observation, the nearest first.
pub const RIVALS: usize = 3;
/// Coins in an observation, the nearest first.
pub const COINS: usize = 4;
