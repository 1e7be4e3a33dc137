//! Example game with a recording: a top-down multiplayer arena, in which fighters run, aim, shoot, collect coins, die
//! and respawn.
//!
//! The game gives rewards ([`Reward`]), and announces when an episode ends ([`EndEpisode`]) and when the next begins
//! ([`BeginEpisode`]). It does not otherwise depend on the recording, which is defined in [`record`]. Scripted bots of
//! three skills play it. They read the same observations that are recorded, and act through [`Intent`](fighter::Intent)
//! alone, as a human or a trained policy would.
//!
//! # One tick
//! All systems run in `FixedUpdate`, in the order of [`ArenaSystems`]. Respawns, joins and leaves come last, so that
//! bots decide on the state that was recorded at the end of the tick before.
//!
//! # Determinism
//! Arenas with equal [`ArenaSettings`] play the same game, whatever other plugins add to their worlds: random numbers
//! come from streams keyed by agent and coin, ties are broken by agent id, and nothing depends on entity ids or query
//! order. Compare [`world_hash`].
//!
//! ```
//! use arena::{ArenaSettings, headless, world_hash};
//!
//! let settings = ArenaSettings { players: 4, ..ArenaSettings::default() };
//! let mut one = headless(settings.clone());
//! let mut other = headless(settings);
//! for _ in 0..100 {
//!     one.update();
//!     other.update();
//! }
//! assert_eq!(world_hash(one.world_mut()), world_hash(other.world_mut()));
//! ```
//!
//! [`Reward`]: bevy_experience::prelude::Reward
//! [`EndEpisode`]: bevy_experience::prelude::EndEpisode
//! [`BeginEpisode`]: bevy_experience::prelude::BeginEpisode

mod app;
pub mod bot;
pub mod bullet;
mod churn;
pub mod coin;
pub mod fighter;
mod grid;
mod hash;
pub mod human;
mod random;
pub mod record;
mod round;
pub mod rules;
mod scoring;
pub mod seating;
mod settings;
mod slots;
mod spatial_index;
mod tick_limit;
pub mod tournament;
pub mod view;
#[cfg(feature = "window")]
pub mod window;

pub use app::headless;
pub use hash::world_hash;
pub use settings::ArenaSettings;
pub use slots::AgentSlots;
pub use tick_limit::{TickLimit, TickLimitPlugin};

use bevy_app::{App, FixedUpdate, Plugin, Startup};
use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;
use bevy_time::{Fixed, Time};

/// The match that an entity belongs to. Entities of different matches never interact.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Reflect)]
pub struct MatchId(pub u32);

/// Counts of ticks played.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// Ticks since the arena was opened.
    pub tick: u64,
    /// Fighters present at the end of each tick, summed over all ticks.
    pub player_ticks: u64,
}

/// The system sets of a tick, in order. All run in `FixedUpdate`.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArenaSystems {
    /// Bots write their intents. Systems of human players and policies belong here as well.
    Think,
    /// Intents become velocities, dashes and bullets.
    Act,
    /// Fighters and bullets move.
    Move,
    /// Bullets hit fighters.
    Hit,
    /// Fighters collect coins.
    Collect,
    /// Survival rewards and deaths.
    Score,
    /// Fighters respawn, rounds begin, agents join and leave.
    Reset,
}

/// The simulation, for any app that runs `FixedUpdate`. Sets the fixed time step to that of the settings.
#[derive(Clone, Debug, Default)]
pub struct ArenaPlugin {
    /// The settings of the arena.
    pub settings: ArenaSettings,
}

impl Plugin for ArenaPlugin {
    fn build(&self, app: &mut App) {
        use ArenaSystems::{Act, Collect, Hit, Move, Reset, Score, Think};
        let settings = self.settings.clone();
        app.insert_resource(Time::<Fixed>::from_hz(f64::from(settings.hz)))
            .insert_resource(settings)
            .init_resource::<Clock>()
            .init_resource::<spatial_index::SpatialIndex>()
            .init_resource::<AgentSlots>()
            .init_resource::<churn::NextChurn>()
            .configure_sets(FixedUpdate, (Think, Act, Move, Hit, Collect, Score, Reset).chain())
            .add_systems(Startup, (slots::join_all, coin::spawn_coins).chain())
            .add_systems(
                FixedUpdate,
                (
                    (
                        spatial_index::index_fighters,
                        spatial_index::index_coins,
                        bot::write_intents,
                    )
                        .chain()
                        .in_set(Think),
                    fighter::apply_intents.in_set(Act),
                    (
                        fighter::move_fighters,
                        bullet::move_bullets,
                        spatial_index::index_fighters,
                    )
                        .chain()
                        .in_set(Move),
                    bullet::apply_hits.in_set(Hit),
                    coin::collect.in_set(Collect),
                    (scoring::reward_survivors, scoring::process_deaths)
                        .chain()
                        .in_set(Score),
                    (
                        (
                            round::truncate_episodes,
                            round::restart,
                            seating::rotate.run_if(|settings: Res<ArenaSettings>| settings.rotate_seats),
                        )
                            .chain()
                            .run_if(round::is_last_tick),
                        scoring::respawn_fighters,
                        churn::churn.run_if(|settings: Res<ArenaSettings>| settings.churn),
                        advance_clock,
                    )
                        .chain()
                        .in_set(Reset),
                ),
            );
    }
}

fn advance_clock(mut clock: ResMut<Clock>, fighters: Query<(), With<fighter::Fighter>>) {
    clock.tick += 1;
    clock.player_ticks += fighters.iter().len() as u64;
}
