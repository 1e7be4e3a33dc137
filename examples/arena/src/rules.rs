//! The numbers of the game, in units of the floor and seconds.

/// How far a fighter sees: what lies farther away reaches neither a bot nor its recorded observation.
pub const SIGHT: f32 = 20.0;
/// Floor for each fighter, so that an arena of 10,000 is as crowded as one of 16.
pub const FLOOR_PER_FIGHTER: f32 = 256.0;
/// Coins lying about for each fighter.
pub const COINS_PER_FIGHTER: u32 = 2;

/// Radius of a fighter's body.
pub const FIGHTER_RADIUS: f32 = 0.5;
/// Running speed, in units a second.
pub const RUN_SPEED: f32 = 6.0;
/// How fast a fighter's velocity follows its legs: the share of the difference made up in a second.
pub const GRIP: f32 = 10.0;
/// Speed at the first moment of a dash; [`GRIP`] wears it down to a run.
pub const DASH_SPEED: f32 = 24.0;
/// Seconds from one dash to the next.
pub const DASH_EVERY: f32 = 2.0;
/// Health of a fresh fighter.
pub const FULL_HEALTH: f32 = 100.0;
/// Seconds a corpse lies before the fighter stands up elsewhere.
pub const RESPAWN_AFTER: f32 = 3.0;

/// Seconds from one shot to the next.
pub const SHOT_EVERY: f32 = 0.5;
/// Speed of a bullet, in units a second.
pub const BULLET_SPEED: f32 = 24.0;
/// Seconds after which a bullet is spent.
pub const BULLET_LIFE: f32 = 0.8;
/// Health a bullet takes.
pub const BULLET_DAMAGE: f32 = 20.0;

/// How near a fighter must come to a coin to have it.
pub const COIN_REACH: f32 = 1.0;

/// Seconds of a round; at its end everyone starts afresh, and lives cut short count as truncated.
pub const ROUND: f32 = 120.0;

/// With churn: the shortest and longest stay in a match, in seconds.
pub const STAY: (f32, f32) = (8.0, 45.0);
/// With churn: the shortest and longest absence, in seconds. Longer than [`BULLET_LIFE`], so that nobody meets bullets
/// of their own earlier visit.
pub const ABSENCE: (f32, f32) = (1.0, 12.0);

/// Reward of a tick survived.
pub const ALIVE_REWARD: f64 = 0.01;
/// Reward of a coin.
pub const COIN_REWARD: f64 = 1.0;
/// Reward of a bullet that found its mark.
pub const HIT_REWARD: f64 = 0.5;
