//! Constants of the game. Lengths are in units of the floor, times in seconds.

/// The distance up to which a fighter observes others and coins.
pub const SIGHT: f32 = 20.0;
/// Area of floor per fighter, so that density does not depend on the number of fighters.
pub const FLOOR_PER_FIGHTER: f32 = 256.0;
/// Coins on the floor per fighter.
pub const COINS_PER_FIGHTER: u32 = 2;

/// Radius of a fighter's body.
pub const FIGHTER_RADIUS: f32 = 0.5;
/// Running speed, in units per second.
pub const RUN_SPEED: f32 = 6.0;
/// Rate at which velocity approaches the running velocity: the fraction of the difference per second.
pub const ACCELERATION: f32 = 10.0;
/// Initial speed of a dash, in units per second, which then decays to running speed at the rate of [`ACCELERATION`].
pub const DASH_SPEED: f32 = 24.0;
/// Seconds between two dashes.
pub const DASH_COOLDOWN: f32 = 2.0;
/// Health after a spawn.
pub const FULL_HEALTH: f32 = 100.0;
/// Seconds from a death to the respawn.
pub const RESPAWN_SECONDS: f32 = 3.0;

/// Seconds between two shots.
pub const SHOT_COOLDOWN: f32 = 0.5;
/// Speed of a bullet, in units per second.
pub const BULLET_SPEED: f32 = 24.0;
/// Seconds until a bullet despawns.
pub const BULLET_LIFETIME: f32 = 0.8;
/// Health lost per hit.
pub const BULLET_DAMAGE: f32 = 20.0;

/// The distance within which a fighter collects a coin.
pub const COIN_RADIUS: f32 = 1.0;

/// Length of a round in seconds. At its end all fighters respawn, and open episodes are truncated.
pub const ROUND_SECONDS: f32 = 120.0;

/// With churn: the shortest and longest session in a match, in seconds.
pub const SESSION_SECONDS: (f32, f32) = (8.0, 45.0);
/// With churn: the shortest and longest absence, in seconds. Longer than [`BULLET_LIFETIME`], so that no agent is
/// present together with bullets of its earlier session.
pub const ABSENCE_SECONDS: (f32, f32) = (1.0, 12.0);

/// Reward for surviving a tick.
pub const ALIVE_REWARD: f64 = 0.01;
/// Reward for collecting a coin.
pub const COIN_REWARD: f64 = 1.0;
/// Reward for hitting a fighter.
pub const HIT_REWARD: f64 = 0.5;
