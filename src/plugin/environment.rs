//! [`EnvironmentReset`]: a trainer asks the game to begin anew.

use super::{experience::Experience, final_observations, systems::recorder_scope};
use crate::episode::EndEpisode;
use bevy_ecs::{entity::Entity, event::Event, observer::Observer, world::World};
use experience_policy::ModelRequests;
use std::sync::Arc;

/// A trainer asks the game to begin anew: `reset` of an [environment](https://docs.rs/bevy_experience) over a remote policy.
///
/// It is triggered at the begin of a capture. All open episodes have been truncated before, with the reason `reset`, and
/// [`EpisodeEnded`](crate::episode::EpisodeEnded) has been triggered for their players. The observer sets up the world, and
/// what it leaves is the first observation of the next episodes. A game without an observer cannot begin anew: the trainer starts it
/// again, or is refused.
///
/// With the same seed and the same actions the world should be the same, so the observer sets all that the game depends on: the state
/// of its random numbers, clocks and timers, and all entities.
///
/// ```
/// # use bevy_app::prelude::*;
/// # use bevy_ecs::prelude::*;
/// use bevy_experience::prelude::*;
///
/// # #[derive(Component)] struct Walker;
/// # #[derive(Component)] struct Position(f32);
/// # #[derive(Resource)] struct Random(u64);
/// fn reset(reset: On<EnvironmentReset>, mut random: ResMut<Random>, mut walkers: Query<&mut Position, With<Walker>>) {
///     if let Some(seed) = reset.seed {
///         random.0 = seed;
///     }
///     walkers.iter_mut().for_each(|mut position| position.0 = 0.0);
/// }
///
/// # let mut app = App::new();
/// app.add_observer(reset);
/// ```
#[derive(Event, Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentReset {
    /// The recording whose policy asks.
    pub recording: String,
    /// The seed. `None` where the trainer gives none: the game goes on with its random numbers.
    pub seed: Option<u64>,
}

/// Handles the resets that were asked for since the last capture, for the recordings that are captured now.
pub(super) fn reset(world: &mut World) {
    // Nearly always there is none.
    while let Some((recording, seed, requests)) = take_reset(world) {
        let can_reset = has_observer(world);
        if can_reset {
            for player in players(world) {
                if world.get_entity(player).is_ok() {
                    world.trigger(EndEpisode::truncated(player, "reset"));
                }
            }
            world.flush();
            final_observations::trigger_ends(world);
            world.trigger(EnvironmentReset { recording, seed });
            world.flush();
        }
        requests.answer_reset(can_reset);
    }
}

fn take_reset(world: &mut World) -> Option<(String, Option<u64>, Arc<ModelRequests>)> {
    let state = world.get_resource_mut::<Experience>()?.into_inner().state_mut();
    for index in 0..state.slots.len() {
        let point = state.slots[index].point;
        if !state.is_reached(point) {
            continue;
        }
        let slot = &mut state.slots[index];
        for policy in &mut slot.policies {
            if let Some((seed, requests)) = policy.take_reset() {
                return Some((slot.recorder.name().to_owned(), seed, requests));
            }
        }
    }
    None
}

fn players(world: &mut World) -> Vec<Entity> {
    let players = recorder_scope(world, |_, state| {
        let mut players: Vec<_> = state
            .slots
            .iter()
            .flat_map(|slot| slot.recorder.players_in_episodes())
            .collect();
        players.sort_unstable();
        players.dedup();
        players
    });
    players.unwrap_or_default()
}

fn has_observer(world: &mut World) -> bool {
    let Some(key) = world.event_key::<EnvironmentReset>() else {
        return false;
    };
    let mut observers = world.query::<&Observer>();
    observers
        .iter(world)
        .any(|observer| observer.descriptor().event_keys().contains(&key))
}
