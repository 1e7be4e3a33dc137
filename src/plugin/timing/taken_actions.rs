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

/// Why no schedule is one after which the action can be read.
#[derive(Clone, Debug)]
pub(super) struct ReadProblem {
    /// What is wrong, and the remedy.
    pub(super) message: String,
    /// The systems that may take the action: it is wrong only if one of them does. Empty if it is wrong in any case.
    pub(super) takers: Vec<(InternedScheduleLabel, SystemKey)>,
}

/// The watch over the systems of one recording that may take the action.
#[derive(Debug)]
pub(in crate::plugin) struct TakerWatch {
    problem: ReadProblem,
    parent: Loop,
    ticks_left: u32,
}

impl TakerWatch {
    pub(super) fn new(problem: ReadProblem, parent: Loop) -> Self {
        Self {
            problem,
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
            if watch.problem.is_seen(world, &slot.recorder) {
                let name = slot.recorder.name();
                tracing::warn!("recording `{name}`: {}{}", watch.problem.message, name_hint());
            } else if watch.ticks_left > 0 {
                watch.ticks_left -= 1;
                slot.taker_watch = Some(watch);
            }
        }
    }
}

impl ReadProblem {
    /// Whether one of the takers was the last to write the action of a player in the middle of an episode.
    fn is_seen(&self, world: &World, recorder: &Recorder) -> bool {
        let Some(schedules) = world.get_resource::<Schedules>() else {
            return false;
        };
        let last_run = |&(label, key): &(InternedScheduleLabel, SystemKey)| {
            let mut systems = schedules.get(label)?.systems().ok()?;
            systems.find_map(|(other, system)| (other == key).then(|| system.get_last_run()))
        };
        let mut last_runs = self.takers.iter().filter_map(last_run);
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
