//! What is recorded: the one place that names the game's components for the recording.
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
    rules::{DASH_EVERY, DASH_SPEED, FULL_HEALTH, SHOT_EVERY, SIGHT},
};

/// The name of the recording, and of its folder in a dataset.
pub const FIGHTER: &str = "fighter";
/// Others in an observation, the nearest first.
pub const RIVALS: usize = 3;
/// Coins in an observation, the nearest first.
pub const COINS: usize = 4;

/// Steps that all buffers together hold at most, and those that each holds at least and at most.
const STEPS: usize = 1 << 20;
const STEPS_OF_ONE: (usize, usize) = (32, 512);

/// A recording of every fighter's lives, which still wants a sink.
///
/// A fighter sees itself, the nearest others and the nearest coins: all that bots get to know. A life is an episode: a death
/// terminates it, the end of a round truncates it, and the three seconds of a corpse are none.
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
        .match_id::<MatchId>()
        .reward_terms(["alive", "coin", "hit"])
        .episodes(EpisodeRules {
            start: EpisodeStart::OnEvent,
            ..Default::default()
        })
        .scaling(PlayerScaling {
            expected_players: settings.seats().max(1),
            ..Default::default()
        })
        .buffers(buffers(settings));
    bounded(recording)
}

/// The buffers of [`recording`].
pub fn buffers(settings: &ArenaSettings) -> BufferSettings {
    BufferSettings {
        capacity: (STEPS / settings.seats().max(1)).clamp(STEPS_OF_ONE.0, STEPS_OF_ONE.1),
        ..Default::default()
    }
}

/// States the bounds that are the same in every arena. Those of the floor are not, and arenas of all sizes share a dataset.
fn bounded(mut recording: Recording<Fighter>) -> Recording<Fighter> {
    for axis in ["x", "y"] {
        for unit in ["body.facing", "intent.steer", "intent.aim"] {
            recording = recording.bounds(format!("{unit}.{axis}"), -1.0, 1.0);
        }
    }
    recording = recording
        .bounds("gear.shot_in", 0.0, SHOT_EVERY.into())
        .bounds("gear.dash_in", 0.0, DASH_EVERY.into());
    let bodies = (0..RIVALS)
        .map(|place| format!("fighter[{place}]."))
        .chain([String::new()]);
    for body in bodies {
        let speed = f64::from(DASH_SPEED);
        recording = recording
            .bounds(format!("{body}body.velocity.x"), -speed, speed)
            .bounds(format!("{body}body.velocity.y"), -speed, speed)
            .bounds(format!("{body}body.health"), 0.0, FULL_HEALTH.into());
    }
    recording
}
