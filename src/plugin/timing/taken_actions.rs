//! Watch over systems that read the action and may also clear it, in the schedule in which another system writes it.
//!
//! The access of a system does not tell whether it clears the action that it has read, or resets the action of players whose
//! episode has ended. A component's change tick is that of the last run of the system that wrote it last, so it tells which system
//! that was. A player in the middle of an episode has no action to reset.

use super::survey::name_hint;
use crate::{
    capture::RowPart,
    episode::Recorder,
    plugin::{schedules::Loop, state::RecorderState},
};
use bevy_ecs::{
    change_detection::Tick,
    entity::Entity,
    schedule::{InternedScheduleLabel, Schedules, SystemKey},
    world::World,
};

/// Ticks or frames in which the systems are watched: ten minutes at 60 Hz, because a person acts rarely.
const TICKS: u32 = 36_000;

/// Players that are watched, so that the watch takes no noticeable time.
const PLAYERS: usize = 16;

/// The systems that may take the action, in a loop that has no schedule after which the action could be read.
#[derive(Clone, Debug)]
pub(super) struct ActionTakers {
    pub(super) systems: Vec<(InternedScheduleLabel, SystemKey)>,
    /// What is wrong if one of them does, and the remedy.
    pub(super) problem: String,
}

/// The watch over the systems of one recording that may take the action.
#[derive(Debug)]
pub(in crate::plugin) struct TakerWatch {
    takers: ActionTakers,
    parent: Loop,
    ticks_left: u32,
}

impl TakerWatch {
    pub(super) fn new(takers: ActionTakers, parent: Loop) -> Self {
        Self {
            takers,
            parent,
            ticks_left: TICKS,
        }
    }
}

impl RecorderState {
    /// Reports each recording whose action a system was seen to take in the tick of `parent` that ends.
    pub(in crate::plugin) fn watch_taken_actions(&mut self, world: &World, parent: Loop) {
        for slot in &mut self.slots {
            let Some(mut watch) = slot.taker_watch.take_if(|watch| watch.parent == parent) else {
                continue;
            };
            if watch.takers.has_taken(world, &slot.recorder) {
                let name = slot.recorder.name();
                tracing::warn!("recording `{name}`: {}{}", watch.takers.problem, name_hint());
            } else if watch.ticks_left > 0 {
                watch.ticks_left -= 1;
                slot.taker_watch = Some(watch);
            }
        }
    }
}

impl ActionTakers {
    /// Whether one of the systems was the last to write the action of a player in the middle of an episode.
    fn has_taken(&self, world: &World, recorder: &Recorder) -> bool {
        let Some(schedules) = world.get_resource::<Schedules>() else {
            return false;
        };
        let last_run = |&(label, key): &(InternedScheduleLabel, SystemKey)| {
            let mut systems = schedules.get(label)?.systems().ok()?;
            systems.find_map(|(other, system)| (other == key).then(|| system.get_last_run()))
        };
        let mut last_runs = self.systems.iter().filter_map(last_run);
        let is_written_in = |run: Tick, player: Entity| {
            let Ok(player) = world.get_entity(player) else {
                return false;
            };
            let mut dependencies = recorder.row_dependencies();
            dependencies.any(|dependency| {
                let is_action = dependency.is_own && dependency.part == RowPart::Action;
                let ticks = player
                    .get_change_ticks_by_id(dependency.component)
                    .filter(|_| is_action);
                ticks.is_some_and(|ticks| ticks.added != ticks.changed && ticks.changed == run)
            })
        };
        let players = || recorder.players_in_episodes().take(PLAYERS);
        last_runs.any(|run| players().any(|player| is_written_in(run, player)))
    }
}
