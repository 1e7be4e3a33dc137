//! The recording of the fighters: its observations, actions, rewards and bounds.
//!
//! ```
//! use arena::{ArenaSettings, headless, record::recording};
//! use bevy_experience::prelude::*;
//!
//! let settings = ArenaSettings { players: 4, ..ArenaSettings::default() };
//! let sink = MemorySink::default();
//! let mut app = headless(settings.clone());
//! app.add_plugins(ExperiencePlugin::default()).add_recording(recording(&settings).sink(sink.clone()));
//! for _ in 0..100 {
//!     app.update();
//! }
//! app.world_mut().resource_mut::<Experience>().close(std::time::Duration::from_secs(10));
//! assert!(sink.episodes().len() >= 4);
//! ```

use bevy_experience::{episode::EpisodeStart, prelude::*};
use bevy_transform::prelude::Transform;

use crate::{
    ArenaSettings, MatchId,
    coin::Coin,
    fighter::{Body, Fighter, Gear, Intent},
    rules::{DASH_COOLDOWN, DASH_SPEED, FULL_HEALTH, SHOT_COOLDOWN, SIGHT},
};

/// The name of the recording, and of its folder in a dataset.
pub const FIGHTER: &str = "fighter";
/// Other fighters in an observation, nearest first.
pub const RIVALS: usize = 3;
/// Coins in an observation, nearest first.
pub const COINS: usize = 4;

/// Target capacity of all buffers together, in rows, within the limits of [`BUFFER_ROWS`].
const TOTAL_ROWS: usize = 1 << 20;
/// The smallest and largest capacity of one buffer, in rows.
const BUFFER_ROWS: (usize, usize) = (32, 512);

/// The recording of all fighters, without a sink.
///
/// An observation holds the fighter itself, the nearest other fighters and the nearest coins, and equals that of the
/// bots. An episode lasts from a spawn to a death, which terminates it, or to the end of the round, which truncates it.
/// Dead fighters have no episode.
pub fn recording(settings: &ArenaSettings) -> Recording<Fighter> {
    let recording = Recording::new(FIGHTER)
        .observe_fields::<Transform>(["translation.x", "translation.y"])
        .observe::<Body>()
        .observe_fields::<Gear>(["shot_in", "dash_in"])
        .observe_nearest_with(
            Nearest::<Fighter>::new(RIVALS, SIGHT)
                .xy()
                .with_field::<Body>("velocity")
                .with_field::<Body>("health"),
        )
        .observe_nearest_with(Nearest::<Coin>::new(COINS, SIGHT).xy())
        .act::<Intent>()
        .policy_info()
        .match_id::<MatchId>()
        .reward_terms(["alive", "coin", "hit"])
        .episodes(EpisodeRules {
            start: EpisodeStart::OnEvent,
            ..Default::default()
        })
        .scaling(PlayerScaling {
            expected_players: settings.agent_count().max(1),
            ..Default::default()
        })
        .buffers(buffers(settings));
    with_bounds(recording)
}

/// The buffers of [`recording`].
pub fn buffers(settings: &ArenaSettings) -> BufferSettings {
    BufferSettings {
        capacity: (TOTAL_ROWS / settings.agent_count().max(1)).clamp(BUFFER_ROWS.0, BUFFER_ROWS.1),
        ..Default::default()
    }
}

/// Adds bounds of features and actions that do not depend on the size of the floor, so that arenas of all sizes have
/// one schema.
fn with_bounds(mut recording: Recording<Fighter>) -> Recording<Fighter> {
    for axis in ["x", "y"] {
        for vector in ["body.facing", "intent.steer", "intent.aim"] {
            recording = recording.bounds(format!("{vector}.{axis}"), -1.0, 1.0);
        }
    }
    recording =
        recording
            .bounds("gear.shot_in", 0.0, SHOT_COOLDOWN.into())
            .bounds("gear.dash_in", 0.0, DASH_COOLDOWN.into());
    let prefixes = (0..RIVALS)
        .map(|index| format!("fighter[{index}]."))
        .chain([String::new()]);
    for prefix in prefixes {
        let speed = f64::from(DASH_SPEED);
        recording = recording
            .bounds(format!("{prefix}body.velocity.x"), -speed, speed)
            .bounds(format!("{prefix}body.velocity.y"), -speed, speed)
            .bounds(format!("{prefix}body.health"), 0.0, FULL_HEALTH.into());
    }
    recording
}
