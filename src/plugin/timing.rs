//! When a recording is captured and when its action is read: chosen by what the systems of the game access, and verified by
//! what changes.
//!
//! The choice is made at the first end of a fixed tick or of a frame at which the recording has a player, before anything of
//! it is captured. `survey` has the systems, `data_flow` the way of the action through them, `choice` the rules, `watch` the changes,
//! `nested` the schedules that run within those of the loops, `taken_actions` whether a system clears the action.

mod choice;
mod data_flow;
mod nested;
mod survey;
mod system_access;
mod taken_actions;
mod watch;

pub(super) use nested::NestedSchedules;
pub(super) use system_access::SystemAccesses;
pub(super) use taken_actions::TakerWatch;
pub(super) use watch::ChangeWatch;

use super::{
    capture_point::point_of,
    schedules::{self, Loop},
    state::RecorderState,
};
use crate::episode::ActionRead;
use bevy_ecs::{schedule::InternedScheduleLabel, world::World};
use choice::{Basis, LoopChoice, ReadChoice, where_in};
use core::fmt;
use survey::{Survey, name_hint};
use watch::Changes;

/// Fixed ticks with players until the changes in them are compared with those outside of them.
const FIXED_TICKS: u32 = 4;

/// Changes in the loop at whose end a recording is not captured, until they are reported.
const REPORTED_CHANGES: u32 = 32;

/// When a recording is captured and when its actions are read: [`Experience::timing`](super::Experience::timing).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordingTiming {
    /// The schedule after which players are captured.
    pub capture_after: InternedScheduleLabel,
    /// Whether [`Recording::capture_after`](crate::recording::Recording::capture_after) gave it.
    pub is_capture_given: bool,
    /// The schedule after which actions are read; `None` at the capture.
    pub read_actions_after: Option<InternedScheduleLabel>,
    /// Whether [`Recording::read_actions_after`](crate::recording::Recording::read_actions_after) gave it.
    pub is_read_given: bool,
    /// Why, in words.
    pub reason: String,
}

impl fmt::Display for RecordingTiming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "captured after `{:?}`", self.capture_after)?;
        match self.read_actions_after {
            Some(schedule) => write!(f, ", actions read after `{schedule:?}`")?,
            None => write!(f, ", actions read at the capture")?,
        }
        write!(f, ": {}", self.reason)
    }
}

/// The reasons of a choice that later changes are compared with.
#[derive(Debug)]
pub(super) struct TimingBasis {
    parent: Loop,
    basis: Basis,
    has_reported: bool,
    /// The systems were compared with the schedule that the game names, after changes were seen in the other loop only.
    has_compared: bool,
}

impl RecorderState {
    /// Whether a recording has players, and its timing is not chosen yet, or the exporter is about to start.
    pub(super) fn needs_timing(&mut self, world: &World, schedule: InternedScheduleLabel) -> bool {
        let starts = !self.is_frozen() && Loop::ending_with(schedule) == Some(Loop::Fixed);
        let has_new = self.nested.has_new();
        let points = &self.points;
        let mut slots = self.slots.iter_mut();
        starts
            || slots.any(|slot| {
                let awaits_capture = points[slot.point].awaits_first_capture();
                let awaits_tick = slot.watch.awaits_tick && slot.watch.changes == Changes::default() && !has_new;
                let waits = awaits_capture || awaits_tick;
                slot.timing.is_none() && !waits && slot.recorder.players_in(world).next().is_some()
            })
    }

    /// Chooses the timing of each recording that has players for the first time.
    pub(super) fn choose_timings(&mut self, world: &mut World) {
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            if slot.timing.is_some() {
                continue;
            }
            let has_players = slot.recorder.players_in(world).next().is_some();
            if has_players || !self.frozen {
                let survey = Survey::new(world, &mut slot.recorder, &self.accesses, &self.nested, &self.orders);
                if has_players {
                    self.choose_timing(world, index, &survey);
                } else if slot.given.capture_after.is_none() {
                    // The exporter starts with the tick rate that the recording will probably have.
                    slot.expected_loop = survey.choose_loop(Changes::default()).parent;
                }
            }
        }
    }

    fn choose_timing(&mut self, world: &mut World, index: usize, survey: &Survey) {
        let slot = &mut self.slots[index];
        let name = slot.recorder.name().to_owned();
        let choice = match slot.given.capture_after {
            None => {
                let changes = slot.watch.changes;
                let choice = survey.choose_loop(changes);
                // Nothing is captured until the first fixed tick, which may run a schedule that tells more.
                let is_open = choice.basis == Basis::Unknown && choice.parent == Loop::Fixed;
                slot.watch.awaits_tick = is_open && changes == Changes::default();
                if slot.watch.awaits_tick {
                    return;
                }
                choice
            }
            Some(schedule) => {
                let Some(parent) = self.points[slot.point].parent_loop else {
                    if !self.points[slot.point].awaits_first_capture() {
                        self.keep_given_timing(index, survey);
                    }
                    return;
                };
                let contradiction = survey.contradiction(&name, parent, schedule, slot.watch.changes);
                if let Some(message) = contradiction.filter(|_| self.enabled && !slot.recorder.decides_on_demand()) {
                    tracing::warn!("{message}");
                }
                LoopChoice {
                    parent,
                    basis: Basis::Systems,
                    reason: "`capture_after` names it".to_owned(),
                }
            }
        };
        self.apply_choice(world, index, survey, choice);
    }

    /// Places a recording as chosen, and logs it.
    fn apply_choice(&mut self, world: &mut World, index: usize, survey: &Survey, choice: LoopChoice) {
        let slot = &mut self.slots[index];
        let name = slot.recorder.name().to_owned();
        if slot.given.capture_after.is_none() {
            slot.point = point_of(choice.parent);
            let rates = self.points[slot.point].tick_clock.rates();
            if self.frozen && slot.expected_loop == Loop::Main && choice.parent == Loop::Fixed {
                // The exporter started without a tick rate.
                slot.recorder.counters().set_tick_rates(rates);
            }
            slot.expected_loop = choice.parent;
        }
        let capture = self.points[slot.point].after;
        let mut read = survey.choose_read(choice.parent, capture);
        let given_read = slot.given.read_actions_after;
        let on_demand = slot.recorder.decides_on_demand();
        if on_demand {
            read = ReadChoice {
                reason: "the game requests each decision".to_owned(),
                ..Default::default()
            };
        }
        if let Some(schedule) = given_read {
            read = ReadChoice {
                after: Some(schedule),
                reason: "`read_actions_after` names where actions are read".to_owned(),
                problem: None,
            };
        }
        if let Some(schedule) = read.after {
            schedules::add_read_actions(world, schedule);
        }
        slot.read_actions_after = read.after;
        slot.recorder.set_action_read(match read.after {
            None => ActionRead::AtCapture,
            Some(schedule) if self.orders.contains(choice.parent, schedule) => ActionRead::InTick,
            Some(_) => ActionRead::InOtherLoop,
        });
        let mut reason = choice.reason.clone();
        if survey.has_action {
            reason = format!("{reason}; {}", read.reason);
        }
        let timing = RecordingTiming {
            capture_after: capture,
            is_capture_given: slot.given.capture_after.is_some(),
            read_actions_after: read.after,
            is_read_given: given_read.is_some(),
            reason,
        };
        if self.enabled {
            tracing::info!("recording `{name}` is {timing}{}", name_hint());
        }
        slot.taker_watch = None;
        if self.enabled && !on_demand {
            match read.problem {
                Some(problem) if problem.takers.is_empty() => {
                    tracing::warn!("recording `{name}`: {}{}", problem.message, name_hint());
                }
                problem => slot.taker_watch = problem.map(|problem| TakerWatch::new(problem, choice.parent)),
            }
            for message in survey.unordered_messages(&name, choice.parent) {
                tracing::warn!("{message}");
            }
            if let Some(message) = survey.read_contradiction(&name, (choice.parent, capture), &slot.given) {
                tracing::warn!("{message}");
            }
        }
        slot.timing = Some(timing);
        // With decisions on demand, a step does not begin and end at captures.
        slot.basis = (!on_demand).then_some(TimingBasis {
            parent: choice.parent,
            basis: choice.basis,
            has_reported: false,
            has_compared: false,
        });
    }

    /// The timing of a recording whose captures the game runs itself.
    fn keep_given_timing(&mut self, index: usize, survey: &Survey) {
        let slot = &mut self.slots[index];
        let (writer, contradiction) = survey.outside(slot.recorder.name(), self.points[slot.point].after);
        let mut reason = "the game runs `ExperienceCapture`".to_owned();
        if let Some(writer) = writer {
            reason = format!("{reason}; {writer}");
        }
        let timing = RecordingTiming {
            capture_after: self.points[slot.point].after,
            is_capture_given: slot.given.capture_after.is_some(),
            read_actions_after: slot.given.read_actions_after,
            is_read_given: slot.given.read_actions_after.is_some(),
            reason,
        };
        if self.enabled {
            tracing::info!("recording `{}` is {timing}{}", slot.recorder.name(), name_hint());
            if let Some(message) = contradiction {
                tracing::warn!("{message}");
            }
        }
        slot.timing = Some(timing);
    }

    /// Compares the choices with the changes that were seen since. A choice that no system supports is changed, and any other
    /// that is contradicted is reported.
    pub(super) fn verify_timings(&mut self, world: &mut World) {
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            let unreported = |basis: &&mut TimingBasis| !basis.has_reported && basis.basis != Basis::Inputs;
            let Some(basis) = slot.basis.as_mut().filter(unreported) else {
                continue;
            };
            let (chosen, other) = (basis.parent, basis.parent.other());
            let changes = slot.watch.changes;
            let (here, there) = (changes.of(chosen), changes.of(other));
            let is_chosen = slot.given.capture_after.is_none();
            let is_seen = there >= 2 && changes.fixed_ticks >= FIXED_TICKS;
            if !is_chosen && !basis.has_compared && here == 0 && there >= FIXED_TICKS && is_seen {
                basis.has_compared = true;
                self.compare_given_timing(world, index, chosen);
                continue;
            }
            let can_move = match basis.basis {
                Basis::Unknown => here == 0,
                // The schedule that decided it may have run once.
                Basis::Nested => here <= 1 && there >= FIXED_TICKS,
                Basis::Systems | Basis::Inputs | Basis::Mixture => false,
            };
            if is_chosen && can_move && is_seen {
                self.move_capture(world, index, other);
            } else if there >= REPORTED_CHANGES && there * 4 >= here && changes.fixed_ticks >= FIXED_TICKS {
                basis.has_reported = true;
                if self.enabled {
                    let name = slot.recorder.name();
                    report(name, slot.timing.as_ref(), chosen, (here, there), is_chosen);
                }
            }
        }
    }

    /// The schedules whose systems are surveyed.
    pub(super) fn game_schedules(&self) -> Vec<InternedScheduleLabel> {
        self.orders.all().into_iter().chain(self.nested.labels()).collect()
    }

    /// Reports a schedule that the game names for captures, if what is observed is written by schedules that run within the other
    /// loop.
    fn compare_given_timing(&mut self, world: &World, index: usize, parent: Loop) {
        let slot = &mut self.slots[index];
        let survey = Survey::new(world, &mut slot.recorder, &self.accesses, &self.nested, &self.orders);
        let has_reported = survey.choose_loop(Changes::default()).basis == Basis::Systems;
        let after = self.points[slot.point].after;
        let message = survey.contradiction(slot.recorder.name(), parent, after, slot.watch.changes);
        if let Some(message) = message.filter(|_| self.enabled && !has_reported) {
            tracing::warn!("{message}");
        }
    }

    /// Moves captures if schedules that were seen to run within a loop since the choice tell something else, before anything
    /// observed has changed where it is captured.
    pub(super) fn reconsider_timings(&mut self, world: &mut World) {
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            let Some(parent) = slot.basis.as_ref().map(|basis| basis.parent) else {
                continue;
            };
            let changes = slot.watch.changes;
            if slot.given.capture_after.is_some() || changes.of(parent) > 0 {
                continue;
            }
            let survey = Survey::new(world, &mut slot.recorder, &self.accesses, &self.nested, &self.orders);
            let choice = survey.choose_loop(changes);
            if choice.parent != parent && choice.basis != Basis::Unknown {
                slot.recorder.discard_open_episodes();
                self.apply_choice(world, index, &survey, choice);
            }
        }
    }

    /// Moves the capture of a recording to the other loop. Nothing observed has changed at its captures so far, so its open
    /// episodes hold nothing of the game, and are discarded.
    fn move_capture(&mut self, world: &mut World, index: usize, parent: Loop) {
        let slot = &mut self.slots[index];
        slot.recorder.discard_open_episodes();
        let survey = Survey::new(world, &mut slot.recorder, &self.accesses, &self.nested, &self.orders);
        let known = survey.choose_loop(slot.watch.changes);
        let choice = if known.parent == parent && known.basis == Basis::Nested {
            known
        } else {
            LoopChoice {
                parent,
                basis: Basis::Unknown,
                reason: format!("what is observed has changed {}", where_in(parent)),
            }
        };
        self.apply_choice(world, index, &survey, choice);
    }
}

/// Reports a recording whose observation changes in the loop at whose end it is not captured.
fn report(recording: &str, timing: Option<&RecordingTiming>, chosen: Loop, (here, there): (u32, u32), is_chosen: bool) {
    let schedule = timing.map_or_else(|| chosen.last_schedule(), |timing| timing.capture_after);
    let reason = timing.map_or("", |timing| &timing.reason);
    let (loop_name, other) = match chosen {
        Loop::Fixed => ("in fixed ticks", "outside of them"),
        Loop::Main => ("outside of fixed ticks", "in them"),
    };
    if here == 0 {
        let remedy = chosen.other().last_schedule();
        let by = if is_chosen {
            ", by an exclusive system, a command or an observer"
        } else {
            ""
        };
        tracing::error!(
            "recording `{recording}` is captured after `{schedule:?}` ({reason}), but what it observes changes only {other}{by}: \
             its transitions have actions of other ticks; use `Recording::capture_after({remedy:?})`"
        );
    } else {
        tracing::warn!(
            "recording `{recording}` is captured after `{schedule:?}` ({reason}), and what it observes changes {loop_name} \
             ({here} times) and {other} ({there} times): observe a component that only the simulation writes, such as the position \
             of the physics instead of a `Transform` that is interpolated for rendering, or move the game in one loop"
        );
    }
}
