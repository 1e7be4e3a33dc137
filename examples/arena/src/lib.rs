//! A multiplayer arena for recording: a top-down floor on which fighters run, aim, shoot, collect coins, die and stand up
//! again.
//!
//! It is a game like any other that `bevy_experience` records: it says what was worth something ([`Reward`]), when a life ends
//! ([`EndEpisode`]) and when the next begins ([`BeginEpisode`]), and knows nothing else of being recorded. What is recorded
//! stands in [`record`]. Scripted bots of three skills play it; they see what a fighter sees and act through
//! [`Intent`](fighter::Intent) alone, as a human or a trained policy would.
//!
//! # One tick
//! Everything happens in `FixedUpdate`, in the order of [`ArenaSystems`]. What makes the world larger or smaller, or puts
//! someone elsewhere, comes last, so that bots decide about just what was recorded at the end of the tick before.
//!
//! # The same again
//! Two arenas of equal [`ArenaSettings`] stay equal, whatever other plugins put into their worlds: chance comes from
//! streams named by agent and coin, ties are broken by agent, and nothing depends on entity ids or on the order of queries.
//! [`world_hash`] shows it.
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
mod chance;
mod churn;
pub mod coin;
mod field;
pub mod fighter;
mod grid;
mod hash;
pub mod human;
mod last_tick;
pub mod record;
mod round;
pub mod rules;
mod scoring;
mod seat;
mod settings;
pub mod view;
#[cfg(feature = "window")]
pub mod window;

pub use app::headless;
pub use hash::world_hash;
pub use last_tick::{LastTick, LastTickPlugin};
pub use seat::Seats;
pub use settings::ArenaSettings;

use bevy_app::{App, FixedUpdate, Plugin, Startup};
use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;
use bevy_time::{Fixed, Time};

/// Which match something belongs to. Nothing of one match ever touches another.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Reflect)]
pub struct MatchId(pub u32);

/// How much has been played.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// Ticks played since the arena opened.
    pub tick: u64,
    /// The same, summed over the fighters who were here at the end of each.
    pub player_ticks: u64,
}

/// The parts of a tick, in their order. All run in `FixedUpdate`.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArenaSystems {
    /// Bots look around and write their intents. Write those of humans and policies here as well.
    Think,
    /// Intents become velocities, dashes and bullets.
    Act,
    /// Fighters and bullets move.
    Move,
    /// Bullets hurt whom they reach.
    Hit,
    /// Coins go to whom they belong.
    Collect,
    /// What all this was worth; deaths.
    Score,
    /// The dead stand up, rounds begin, agents come and go.
    Reset,
}

/// Plays an arena in any app that runs `FixedUpdate`, and sets its fixed time step to that of the settings.
#[derive(Clone, Debug, Default)]
pub struct ArenaPlugin {
    /// What to play.
    pub settings: ArenaSettings,
}

impl Plugin for ArenaPlugin {
    fn build(&self, app: &mut App) {
        use ArenaSystems::{Act, Collect, Hit, Move, Reset, Score, Think};
        let settings = self.settings.clone();
        app.insert_resource(Time::<Fixed>::from_hz(f64::from(settings.hz)))
            .insert_resource(settings)
            .init_resource::<Clock>()
            .init_resource::<field::Field>()
            .init_resource::<Seats>()
            .init_resource::<churn::NextMove>()
            .configure_sets(FixedUpdate, (Think, Act, Move, Hit, Collect, Score, Reset).chain())
            .add_systems(Startup, (seat::open, coin::lay).chain())
            .add_systems(
                FixedUpdate,
                (
                    (field::survey, field::survey_coins, bot::think).chain().in_set(Think),
                    fighter::act.in_set(Act),
                    (fighter::move_fighters, bullet::fly, field::survey)
                        .chain()
                        .in_set(Move),
                    bullet::strike.in_set(Hit),
                    coin::collect.in_set(Collect),
                    (scoring::reward_the_living, scoring::bury).chain().in_set(Score),
                    (
                        (round::call_time, round::restart).chain().run_if(round::is_over),
                        scoring::respawn,
                        churn::churn.run_if(|settings: Res<ArenaSettings>| settings.churn),
                        advance,
                    )
                        .chain()
                        .in_set(Reset),
                ),
            );
    }
}

fn advance(mut clock: ResMut<Clock>, fighters: Query<(), With<fighter::Fighter>>) {
    clock.tick += 1;
    clock.player_ticks += fighters.iter().len() as u64;
}
