//! Capture points: the schedules after which recordings are captured, each with its ticks.

use super::{
    schedules::Loop,
    state::{RecorderState, elapsed},
    tick_clock::TickClock,
};
use bevy_app::{FixedLast, Last};
use bevy_ecs::{
    schedule::{InternedScheduleLabel, ScheduleLabel},
    world::World,
};

/// A schedule after which recordings are captured. Recordings with the same point share one capture and its ticks.
pub(super) struct CapturePoint {
    pub(super) after: InternedScheduleLabel,
    /// The loop that contains the schedule. `None` if no loop does: the game runs `ExperienceCapture` itself.
    pub(super) parent_loop: Option<Loop>,
    /// The tick of the next capture.
    pub(super) next_tick: i64,
    /// The tick at which the game's count of speculative ticks is 0.
    pub(super) first_speculative_tick: Option<i64>,
    pub(super) tick_clock: TickClock,
    /// Whether a tick has begun since the last capture.
    pub(super) in_tick: bool,
}

impl CapturePoint {
    fn new(after: InternedScheduleLabel) -> Self {
        Self {
            after,
            parent_loop: None,
            next_tick: 0,
            first_speculative_tick: None,
            tick_clock: TickClock::default(),
            in_tick: true,
        }
    }

    /// Whether the game runs the captures of this point, and has not run one yet, and maybe neither the schedule that it names.
    pub(super) fn awaits_first_capture(&self) -> bool {
        self.parent_loop.is_none() && self.next_tick == 0
    }

    /// Whether ticks of this point can be simulated again: a frame of the main loop cannot.
    pub(super) fn can_be_speculative(&self) -> bool {
        self.parent_loop != Some(Loop::Main)
    }
}

/// The index of the default point of a loop.
pub(super) const fn point_of(parent: Loop) -> usize {
    match parent {
        Loop::Fixed => 0,
        Loop::Main => 1,
    }
}

/// The points that exist in every app.
pub(super) fn default_points() -> Vec<CapturePoint> {
    vec![CapturePoint::new(FixedLast.intern()), CapturePoint::new(Last.intern())]
}

impl RecorderState {
    /// The index of the point after `schedule`, which is added if it is new.
    pub(super) fn point_after(&mut self, schedule: InternedScheduleLabel) -> usize {
        let known = self.points.iter().position(|point| point.after == schedule);
        known.unwrap_or_else(|| {
            self.points.push(CapturePoint::new(schedule));
            self.points.len() - 1
        })
    }

    /// Notes that a schedule of a loop has run. Returns whether recordings are captured now.
    ///
    /// Recordings without a timing have no players yet, or only such that lack a component. Their captures in fixed ticks start
    /// the exporter, and report what players lack.
    pub(super) fn reach(&mut self, schedule: InternedScheduleLabel) -> bool {
        let point = self.points.iter().position(|point| point.after == schedule);
        self.reached_point = point.filter(|&point| self.slots.iter().any(|slot| slot.point == point));
        self.reached_point.is_some()
    }

    /// Counts a tick of a point, and notes how long it lasted.
    pub(super) fn note_tick(&mut self, world: &World, index: usize) {
        self.note_tick_duration(world, index);
        self.epoch.get_or_insert_with(|| elapsed(world));
        let point = &mut self.points[index];
        point.next_tick += 1;
        // Without `ExperienceTick`, the ticks of such a game cannot be told from what is between them.
        point.in_tick = point.parent_loop.is_none() && !self.has_own_ticks;
    }

    /// Whether no tick has begun since the last capture at a point.
    pub(super) fn is_between_ticks(&self, point: usize) -> bool {
        self.points.get(point).is_some_and(|point| !point.in_tick)
    }

    /// Whether a capture of `point` belongs to the schedule that runs now: its driver, or `ExperienceCapture` run by the game.
    pub(super) fn is_reached(&self, point: usize) -> bool {
        match self.reached_point {
            Some(reached) => reached == point,
            None => self.points[point].parent_loop.is_none(),
        }
    }
}
