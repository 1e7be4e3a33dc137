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
    rules::SIGHT,
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
    let half = f64::from(settings.half());
    Recording::new(FIGHTER)
        .observe_fields::<Transform>(["translation.x", "translation.y"])
        .bounds("transform.translation.x", -half, half)
        .bounds("transform.translation.y", -half, half)
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
        .start(EpisodeStart::OnEvent)
        .capacity((STEPS / settings.seats().max(1)).clamp(STEPS_OF_ONE.0, STEPS_OF_ONE.1))
}
