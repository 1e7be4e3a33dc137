//! The choice of a recording's timing, from a [`Survey`] of the systems and the changes that were seen.

use super::{
    FIXED_TICKS,
    survey::{Survey, SurveyedSystem, name_hint},
    taken_actions::ReadProblem,
    watch::Changes,
};
use crate::{
    plugin::schedules::{Loop, tick_label},
    recording::GivenTiming,
};
use bevy_ecs::schedule::InternedScheduleLabel;

/// Why a loop was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Basis {
    /// Systems of one loop alone write what is observed.
    Systems,
    /// Only systems of schedules that run within one loop do. Such a schedule may run once, so changes that are seen later can
    /// change the choice.
    Nested,
    /// Systems of the fixed loop do, and others that run before its ticks, whose results are input of the ticks.
    Inputs,
    /// Systems of both loops do.
    Mixture,
    /// No system is known to. Changes that are seen later can change the choice.
    Unknown,
}

/// The loop in which a recording is captured.
#[derive(Clone, Debug)]
pub(super) struct LoopChoice {
    pub(super) parent: Loop,
    pub(super) basis: Basis,
    pub(super) reason: String,
}

/// Where the action is read. `after` is `None` at the capture.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadChoice {
    pub(super) after: Option<InternedScheduleLabel>,
    pub(super) reason: String,
    /// Why no schedule is right.
    pub(super) problem: Option<ReadProblem>,
}

/// The position of a system in the tick of a capture: its schedule, then its schedule in a loop that runs within it, then its
/// index, then its place in a schedule that the system of that index runs.
type Position = (usize, usize, usize, Option<(usize, usize)>);

impl Survey {
    /// The loop at whose end the recording is captured.
    pub(super) fn choose_loop(&self, changes: Changes) -> LoopChoice {
        let choose = |parent, basis, reason: String| LoopChoice { parent, basis, reason };
        let writes = |system: &SurveyedSystem| system.writes.is_some();
        let consumes = |system: &SurveyedSystem| system.reads_action && writes(system);
        // A system that writes the action is rather one that decides it.
        let reads = |system: &SurveyedSystem| system.reads_action && system.writes_action.is_none();
        let reads_opaquely = |system: &SurveyedSystem| reads(system) && system.is_opaque;
        let is_late = |system: &SurveyedSystem| writes(system) && !self.runs_before_ticks(system);
        let early = self.find(Loop::Main, writes);
        match (self.find(Loop::Fixed, writes), self.find(Loop::Main, is_late).or(early)) {
            (Some(fixed), None) => choose(Loop::Fixed, basis_of(fixed), writing(fixed)),
            (Some(fixed), Some(main)) if !is_late(main) => {
                let reason = format!("{}, and {} before the ticks", writing(fixed), writing(main));
                choose(Loop::Fixed, Basis::Inputs, reason)
            }
            (None, Some(main)) => choose(Loop::Main, basis_of(main), writing(main)),
            (Some(fixed), Some(main)) => {
                let is_led = |system: &SurveyedSystem| system.is_led;
                let consumer = self.only_loop(consumes).or_else(|| self.only_loop(is_led));
                let consumer = consumer.or_else(|| self.only_loop(reads));
                let both = format!("{} and {}", writing(fixed), writing(main));
                match consumer.or_else(|| changes.only_loop().map(|parent| (parent, fixed))) {
                    Some((parent, consumer)) if consumer.is_led && consumer.place.parent == parent => {
                        let reason = format!("{both}, and the action leads to what {} writes", consumer.name);
                        choose(parent, Basis::Mixture, reason)
                    }
                    Some((parent, consumer)) if consumer.reads_action => {
                        let reason = format!("{both}, and {} reads the action", consumer.name);
                        choose(parent, Basis::Mixture, reason)
                    }
                    Some((parent, _)) => choose(parent, Basis::Mixture, both),
                    None => choose(Loop::Fixed, Basis::Mixture, both),
                }
            }
            (None, None) => {
                let unknown = format!(
                    "no system is known to write what is observed{}",
                    self.exclusive_systems()
                );
                if !self.has_fixed_time {
                    let reason = format!("{unknown}, and the fixed loop does not run");
                    return choose(Loop::Main, Basis::Unknown, reason);
                }
                if let Some(parent) = changes.only_loop() {
                    let reason = format!("what is observed has changed {}", where_in(parent));
                    return choose(parent, Basis::Unknown, reason);
                }
                match self.only_loop(reads_opaquely).or_else(|| self.only_loop(reads)) {
                    Some((parent, reader)) => {
                        let reason = format!("{unknown}, and {} reads the action", reader.name);
                        choose(parent, Basis::Unknown, reason)
                    }
                    None => choose(Loop::Fixed, Basis::Unknown, unknown),
                }
            }
        }
    }

    /// The exclusive systems, which can write anything, as the end of a sentence.
    fn exclusive_systems(&self) -> String {
        /// More are only counted.
        const NAMES: usize = 3;
        let exclusive = || self.systems.iter().filter(|system| system.is_exclusive);
        let names: Vec<_> = exclusive().take(NAMES).map(|system| system.name.to_string()).collect();
        match exclusive().count() {
            0 => String::new(),
            count if count > NAMES => format!(
                ", but {} and {} more can write anything",
                names.join(", "),
                count - NAMES
            ),
            _ => format!(", but {} can write anything", names.join(", ")),
        }
    }

    /// The first system of a loop for which `is` holds.
    fn find(&self, parent: Loop, is: impl Fn(&SurveyedSystem) -> bool) -> Option<&SurveyedSystem> {
        self.systems
            .iter()
            .find(|system| system.place.parent == parent && is(system))
    }

    /// Whether a system of the main loop runs before the fixed ticks of the frame. Those beside the fixed loop, in its schedule, count
    /// too: they prepare input, or interpolate for rendering.
    fn runs_before_ticks(&self, system: &SurveyedSystem) -> bool {
        let fixed_loop = self.fixed_loop_in_main();
        system.place.parent == Loop::Main && fixed_loop.is_some_and(|fixed| system.place.schedule <= fixed)
    }

    /// The loop, with its first system for which `is` holds, if there are such systems in one loop only.
    fn only_loop(&self, is: impl Fn(&SurveyedSystem) -> bool) -> Option<(Loop, &SurveyedSystem)> {
        match (self.find(Loop::Fixed, &is), self.find(Loop::Main, &is)) {
            (Some(fixed), None) => Some((Loop::Fixed, fixed)),
            (None, Some(main)) => Some((Loop::Main, main)),
            _ => None,
        }
    }

    /// A message if the game's choice of the capture contradicts what its systems do.
    ///
    /// A schedule that runs within the other loop contradicts it only if what is observed was seen to change there, repeatedly.
    pub(super) fn contradiction(
        &self,
        recording: &str,
        parent: Loop,
        after: InternedScheduleLabel,
        changes: Changes,
    ) -> Option<String> {
        let choice = self.choose_loop(Changes::default());
        let is_certain = match choice.basis {
            Basis::Systems => true,
            Basis::Nested => changes.of(parent) == 0 && changes.of(choice.parent) >= FIXED_TICKS,
            Basis::Inputs | Basis::Mixture | Basis::Unknown => false,
        };
        if !is_certain || choice.parent == parent {
            return None;
        }
        let remedy = choice.parent.last_schedule();
        Some(format!(
            "{}, but recording `{recording}` is captured after `{after:?}`: transitions have actions of other ticks; remove \
             `capture_after({after:?})`, or name `{remedy:?}`{}",
            choice.reason,
            name_hint()
        ))
    }

    /// The system of a schedule outside of both loops that writes what is observed, in words, and a message if the game
    /// captures after that schedule although others do.
    pub(super) fn outside(&self, recording: &str, after: InternedScheduleLabel) -> (Option<String>, Option<String>) {
        let is_named = |system: &&SurveyedSystem| system.name.schedule == after;
        let writes = |system: &&SurveyedSystem| system.writes.is_some();
        if let Some(system) = self.systems.iter().filter(is_named).find(writes) {
            return (Some(writing(system)), None);
        }
        let choice = self.choose_loop(Changes::default());
        let can_write = self.systems.iter().filter(is_named).any(|system| system.is_opaque);
        let is_known = self.known_nested.contains(&after);
        let is_contradicted = is_known && !can_write && matches!(choice.basis, Basis::Systems | Basis::Nested);
        let message = is_contradicted.then(|| {
            format!(
                "{}, but recording `{recording}` is captured after `{after:?}`, none of whose systems writes what is observed: \
                 remove `capture_after({after:?})`, or name `{:?}`{}",
                choice.reason,
                choice.parent.last_schedule(),
                name_hint()
            )
        });
        (None, message)
    }

    /// Where the action of a recording that is captured after `capture` is read.
    pub(super) fn choose_read(&self, parent: Loop, capture: InternedScheduleLabel) -> ReadChoice {
        let labels = self.orders.of(parent);
        let Some(capture) = labels
            .iter()
            .position(|&label| label == capture)
            .filter(|_| self.has_action)
        else {
            return ReadChoice::default();
        };
        let position = |system: &SurveyedSystem| self.position(system, parent, capture);
        if self.is_led_from_outside(parent) {
            return self.read_outside(parent);
        }
        let consumers = self.consumers(parent);
        let Some(first) = consumers.iter().copied().min_by_key(|&system| position(system)) else {
            return self.read_outside(parent);
        };
        let last = consumers
            .iter()
            .copied()
            .max_by_key(|&system| position(system))
            .unwrap_or(first);
        let is_consumer = |system: &SurveyedSystem| consumers.iter().any(|consumer| consumer.place == system.place);
        let producers: Vec<_> = self
            .systems
            .iter()
            .filter(|system| system.writes_action.is_some() && !is_consumer(system))
            .collect();
        // The systems that write the action in the schedule of the first consumer, before it: what they write is not known yet
        // when that schedule begins.
        let produces_in_schedule = producers
            .iter()
            .copied()
            .find(|system| is_in_one_schedule(system, first) && position(system) < position(first));
        let may_take =
            |system: &&SurveyedSystem| system.writes_action.is_some() && (self.has_policy || !producers.is_empty());
        let takers: Vec<_> = consumers.iter().copied().filter(may_take).collect();
        let overwrites = producers
            .iter()
            .copied()
            .filter(|&system| position(system).is_some() && position(system) > position(last))
            .min_by_key(|&system| position(system));
        let cause = match (takers.first(), overwrites) {
            (Some(taker), _) => format!("{} reads the action, and may also clear it", taker.name),
            (None, Some(writer)) if !is_in_one_schedule(writer, last) => {
                return ReadChoice {
                    after: Some(self.loop_schedule(last)),
                    reason: format!(
                        "{} reads the action, and {} writes it after that",
                        last.name, writer.name
                    ),
                    ..Default::default()
                };
            }
            (None, Some(writer)) => format!(
                "{} writes the action again after {} has read it",
                writer.name, last.name
            ),
            (None, None) => {
                return ReadChoice {
                    after: None,
                    reason: format!("{} reads the action, and no system writes it after that", last.name),
                    ..Default::default()
                };
            }
        };
        if let Some(producer) = produces_in_schedule {
            return ReadChoice {
                after: None,
                reason: format!(
                    "{} writes the action in the schedule in which it is read",
                    producer.name
                ),
                problem: Some(ReadProblem {
                    message: format!(
                        "{cause}, and {} writes it before in the same schedule, so no moment between two schedules has the \
                         action that is taken: move {} to an earlier schedule, or keep the action until the next tick",
                        producer.name, producer.name
                    ),
                    takers: takers.iter().map(|taker| (taker.name.schedule, taker.key)).collect(),
                }),
            };
        }
        let schedule = first.place.schedule;
        let before = if schedule == 0 {
            Some(tick_label(parent))
        } else {
            // Directly after the capture, nothing has been read yet.
            labels.get(schedule - 1).copied().filter(|_| schedule - 1 != capture)
        };
        ReadChoice {
            after: before,
            reason: cause,
            ..Default::default()
        }
    }

    /// The systems of a loop that read the action to move the player: the first kind of [`READERS`] of which it has one.
    fn consumers(&self, parent: Loop) -> Vec<&SurveyedSystem> {
        let kinds = READERS.iter().map(|&is| self.readers(parent, is));
        kinds
            .into_iter()
            .find(|systems| !systems.is_empty())
            .unwrap_or_default()
    }

    /// The systems of a loop that read the action, and of which `is` holds.
    fn readers(&self, parent: Loop, is: fn(&SurveyedSystem) -> bool) -> Vec<&SurveyedSystem> {
        let in_loop = self.systems.iter().filter(|system| system.place.parent == parent);
        in_loop.filter(|system| system.reads_action && is(system)).collect()
    }

    /// Whether the other loop alone has systems that lead from the action to what is observed.
    fn is_led_from_outside(&self, parent: Loop) -> bool {
        let has_known = |parent: Loop, kinds: &[fn(&SurveyedSystem) -> bool]| {
            kinds.iter().any(|&is| !self.readers(parent, is).is_empty())
        };
        !has_known(parent, &[moves, leads]) && has_known(parent.other(), &[leads])
    }

    /// No system of the loop reads the action to move the player: it is read where the other loop does.
    fn read_outside(&self, parent: Loop) -> ReadChoice {
        let other = parent.other();
        let Some(consumer) = self.consumers(other).first().copied() else {
            return ReadChoice {
                reason: "no system is known to read the action".to_owned(),
                ..Default::default()
            };
        };
        let is_beside_ticks = parent == Loop::Fixed && self.fixed_loop_in_main() == Some(consumer.place.schedule);
        ReadChoice {
            // That schedule ends after the ticks, when the action may be cleared.
            after: (!is_beside_ticks).then(|| self.loop_schedule(consumer)),
            reason: format!("{} reads the action, outside of the loop of the capture", consumer.name),
            ..Default::default()
        }
    }

    /// The position of a system in the tick that ends with the capture. `None` if it is in no schedule of the tick.
    fn position(&self, system: &SurveyedSystem, parent: Loop, capture: usize) -> Option<Position> {
        let place = system.place;
        let in_tick = |schedule: usize| {
            let count = self.orders.of(parent).len();
            (schedule + count - 1 - capture) % count
        };
        if place.parent == parent {
            return Some((in_tick(place.schedule), 0, place.index, place.nested));
        }
        // A frame runs the fixed loop, a fixed tick runs nothing of the frame.
        let within = self.fixed_loop_in_main().filter(|_| parent == Loop::Main)?;
        Some((in_tick(within), 1 + place.schedule, place.index, place.nested))
    }

    /// A message for each pair of systems that access the action without an order, in the loop that reads it for the captures of
    /// `parent`.
    pub(super) fn unordered_messages(&self, recording: &str, parent: Loop) -> Vec<String> {
        let parent = if self.is_led_from_outside(parent) {
            parent.other()
        } else {
            parent
        };
        let consumers = self.consumers(parent);
        let is_consumer = |system: &SurveyedSystem| consumers.iter().any(|consumer| consumer.place == system.place);
        let pairs = self
            .unordered
            .iter()
            .map(|&(a, b)| (&self.systems[a], &self.systems[b]));
        pairs
            .filter(|(a, b)| a.place.parent == parent && (is_consumer(a) || is_consumer(b)))
            .filter_map(|(a, b)| {
                let (writer, reader) = if a.writes_action.is_some() { (a, b) } else { (b, a) };
                let component = writer.writes_action.as_ref()?;
                Some(format!(
                    "recording `{recording}`: {} writes the action `{component}` and {} reads it, in no order, so an action can \
                     be taken in this tick or in the next: order them with `.chain()` or `.before`{}",
                    writer.name,
                    reader.name,
                    name_hint()
                ))
            })
            .collect()
    }

    /// A message if the game reads the action where it is not the one that was taken.
    pub(super) fn read_contradiction(
        &self,
        recording: &str,
        (parent, capture): (Loop, InternedScheduleLabel),
        given: &GivenTiming,
    ) -> Option<String> {
        let read = given.read_actions_after.filter(|_| !self.is_led_from_outside(parent))?;
        let labels = self.orders.of(parent);
        let index = |label: InternedScheduleLabel| labels.iter().position(|&present| present == label);
        let (capture, read_index) = (index(capture)?, index(read)?);
        let count = labels.len();
        let read_at = (read_index + count - 1 - capture) % count;
        let consumers = self.consumers(parent);
        let last = consumers
            .iter()
            .copied()
            .max_by_key(|&system| self.position(system, parent, capture))?;
        let at = |system: &SurveyedSystem| self.position(system, parent, capture);
        let is_consumer = |system: &SurveyedSystem| consumers.iter().any(|consumer| consumer.place == system.place);
        let writer = self.systems.iter().find(|&system| {
            let Some(position) = at(system).filter(|_| system.writes_action.is_some() && !is_consumer(system)) else {
                return false;
            };
            let is_overwritten = Some(position) > at(last) && position.0 <= read_at;
            let is_missed = position.0 > read_at && Some(position) < at(last);
            is_overwritten || is_missed
        })?;
        Some(format!(
            "recording `{recording}` reads actions after `{read:?}`, but {} reads the action and {} writes it: the action that is \
             read is not the one that was taken; remove `read_actions_after({read:?})`{}",
            last.name,
            writer.name,
            name_hint()
        ))
    }
}

/// The kinds of systems that read the action, those first that are the likeliest to move the player. A system that also writes the
/// action, and what is observed only by way of others, is rather one that decides it.
const READERS: [fn(&SurveyedSystem) -> bool; 5] = [
    moves,
    leads,
    |system| system.is_opaque && system.writes_action.is_none(),
    |system| system.writes_action.is_none(),
    |system| system.leads,
];

/// Whether a system writes what is observed.
fn moves(system: &SurveyedSystem) -> bool {
    system.writes.is_some()
}

/// Whether a system only reads the action, and what it writes leads to what is observed.
fn leads(system: &SurveyedSystem) -> bool {
    system.leads && system.writes_action.is_none()
}

/// What a choice by the systems of one loop is based on.
fn basis_of(system: &SurveyedSystem) -> Basis {
    match system.place.nested {
        None => Basis::Systems,
        Some(_) => Basis::Nested,
    }
}

/// Whether two systems run in, or within, the same schedule of a loop.
fn is_in_one_schedule(a: &SurveyedSystem, b: &SurveyedSystem) -> bool {
    (a.place.parent, a.place.schedule) == (b.place.parent, b.place.schedule)
}

/// That a system writes a component that is observed.
fn writing(system: &SurveyedSystem) -> String {
    let component = system.writes.as_deref().unwrap_or_default();
    format!("{} writes `{component}`", system.name)
}

/// Where a loop runs, in words.
pub(super) fn where_in(parent: Loop) -> &'static str {
    match parent {
        Loop::Fixed => "in fixed ticks only",
        Loop::Main => "outside of fixed ticks only",
    }
}
