//! Watch over change ticks: whether what a recording observes changes in fixed ticks or outside of them.
//!
//! The access of systems says what they may write. The change ticks of the players' components say what was written, also by
//! exclusive systems, commands and observers. They are compared where a fixed tick begins and ends and where a frame ends,
//! until enough frames have been seen.

use crate::{
    capture::RowPart,
    episode::Recorder,
    plugin::{
        schedules::Loop,
        state::{RecorderState, RecordingSlot},
    },
};
use bevy_ecs::{change_detection::Tick, component::ComponentId, world::World};

/// Frames in which the changes of a recording are watched.
const FRAMES: u32 = 300;

/// Players that are watched, so that the watch takes no noticeable time.
const PLAYERS: usize = 16;

/// In how many fixed ticks, and in how many spans between them, an observed component has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) fixed: u32,
    pub(super) main: u32,
    /// All fixed ticks with players.
    pub(super) fixed_ticks: u32,
}

impl Changes {
    pub(super) fn of(self, parent: Loop) -> u32 {
        match parent {
            Loop::Fixed => self.fixed,
            Loop::Main => self.main,
        }
    }

    /// The loop in which alone there were changes.
    pub(super) fn only_loop(self) -> Option<Loop> {
        match (self.fixed, self.main) {
            (0, 0) => None,
            (_, 0) => Some(Loop::Fixed),
            (0, _) => Some(Loop::Main),
            _ => None,
        }
    }
}

/// The watch of one recording.
#[derive(Debug)]
pub(in crate::plugin) struct ChangeWatch {
    /// The observed components of players, without those of the action.
    components: Vec<ComponentId>,
    pub(super) changes: Changes,
    /// The choice waits for the first fixed tick.
    pub(super) awaits_tick: bool,
    frames_left: u32,
}

impl ChangeWatch {
    pub(in crate::plugin) fn new(recorder: &Recorder) -> Self {
        let dependencies = || recorder.row_dependencies().filter(|dependency| dependency.is_own);
        let is_action =
            |component| dependencies().any(|other| other.part == RowPart::Action && other.component == component);
        let observed = dependencies().filter(|dependency| dependency.part == RowPart::Observation);
        let mut components: Vec<_> = observed.map(|dependency| dependency.component).collect();
        if !components.iter().all(|&component| is_action(component)) {
            components.retain(|&component| !is_action(component));
        }
        Self {
            components,
            changes: Changes::default(),
            awaits_tick: false,
            frames_left: FRAMES,
        }
    }
}

impl RecorderState {
    /// Counts the changes since the last call, which happened in `span`, if a recording is watched. `span` is `None` for the time
    /// between two frames.
    pub(in crate::plugin) fn watch_changes(&mut self, world: &mut World, span: Option<Loop>) {
        if !self.slots.iter().any(|slot| slot.watch.frames_left > 0) {
            return;
        }
        let now = world.change_tick();
        if let (Some(span), Some(last)) = (span, self.watched_until) {
            self.watch_nested(world, span, (last, now));
            for slot in &mut self.slots {
                slot.watch_changes(world, span, (last, now));
            }
        }
        // Later writes must have newer ticks.
        self.watched_until = Some(world.increment_change_tick());
    }

    /// A frame ends.
    pub(in crate::plugin) fn count_watched_frame(&mut self, world: &World) {
        let mut is_over = false;
        for slot in &mut self.slots {
            if slot.watch.frames_left > 0 && slot.timing.is_some() && slot.recorder.players_in(world).next().is_some() {
                slot.watch.frames_left -= 1;
                is_over |= slot.watch.frames_left == 0;
            }
        }
        if is_over && self.slots.iter().all(|slot| slot.watch.frames_left == 0) {
            // No choice is made or changed from now on.
            self.accesses.clear();
        }
    }
}

impl RecordingSlot {
    fn watch_changes(&mut self, world: &World, span: Loop, (last, now): (Tick, Tick)) {
        let ChangeWatch {
            components,
            changes,
            frames_left,
            ..
        } = &mut self.watch;
        if *frames_left == 0 {
            return;
        }
        let mut players = self.recorder.players_in(world).take(PLAYERS).peekable();
        if span == Loop::Fixed && players.peek().is_some() {
            changes.fixed_ticks += 1;
        }
        let has_changed = players.any(|player| {
            world.get_entity(player).is_ok_and(|player| {
                components.iter().any(|&component| {
                    let ticks = player.get_change_ticks_by_id(component);
                    // A component that was only added, as when the player is spawned, was not moved.
                    ticks.is_some_and(|ticks| ticks.is_changed(last, now) && ticks.added != ticks.changed)
                })
            })
        });
        if has_changed {
            match span {
                Loop::Fixed => changes.fixed += 1,
                Loop::Main => changes.main += 1,
            }
        }
    }
}
