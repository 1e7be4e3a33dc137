//! [`Replay`]: an episode that is played on an entity.

use crate::{report::ReplayReport, timeline::Timeline};
use bevy_ecs::component::Component;
use bevy_experience::{
    player::DoNotRecord,
    restore::{EpisodeRestorer, RestoreError},
    transition::Episode,
};
use std::sync::Arc;

/// Plays an episode on the entity that has it, its ghost: needs [`ReplayPlugin`](crate::ReplayPlugin). See the [crate](crate).
///
/// An episode of T transitions has T + 1 rows, of which one is shown: its [step](Self::step). Step 0 is the first observation, and
/// step T the final one, the last `next_observation`. A replay begins to play at step 0 in the first `PreUpdate` after it was inserted.
///
/// A replay that is replaced by another one begins anew. When it is removed, the entity keeps the components as they are, and
/// [`DoNotRecord`].
#[derive(Component, Debug)]
#[require(DoNotRecord)]
pub struct Replay {
    episode: Arc<Episode>,
    timeline: Timeline,
    /// The sum of the rewards before each row.
    returns: Box<[f64]>,
    writes_actions: bool,
    is_playing: bool,
    speed: f64,
    /// Seconds since the first row, at least those of `step` and less than those of the next one.
    position: f64,
    step: usize,
    /// The step whose row the ghost has.
    pub(crate) shown: Option<usize>,
    pub(crate) state: ReplayState,
    pub(crate) report: Option<ReplayReport>,
}

/// Whether a replay writes.
#[derive(Debug)]
pub(crate) enum ReplayState {
    /// It was inserted and has not written yet.
    New,
    Ready(Box<EpisodeRestorer>),
    Failed(RestoreError),
}

impl Replay {
    /// Plays `episode` once, at the speed at which it was recorded.
    #[must_use]
    pub fn new(episode: impl Into<Arc<Episode>>) -> Self {
        let episode = episode.into();
        let rewards = episode.transitions().scan(0.0, |sum, transition| {
            *sum += transition.reward();
            Some(*sum)
        });
        Self {
            timeline: Timeline::new(&episode, None),
            returns: core::iter::once(0.0).chain(rewards).collect(),
            writes_actions: false,
            is_playing: true,
            speed: 1.0,
            position: 0.0,
            step: 0,
            shown: None,
            state: ReplayState::New,
            report: None,
            episode,
        }
    }

    /// Also writes the components of the action: in each step the action that the player takes there, in the last one the action that
    /// led to it.
    #[must_use]
    pub fn with_actions(self) -> Self {
        Self {
            writes_actions: true,
            ..self
        }
    }

    /// Shows the rows by their ticks, at so many per second, and not by their timestamps.
    ///
    /// Without it an episode whose timestamps do not ascend has 64 ticks per second. A rate that is not a number above 0 is ignored.
    #[must_use]
    pub fn with_tick_rate(self, ticks_per_second: f64) -> Self {
        let is_valid = ticks_per_second.is_finite() && ticks_per_second > 0.0;
        Self {
            timeline: Timeline::new(&self.episode, is_valid.then_some(ticks_per_second)),
            ..self
        }
    }

    /// Begins as paused.
    #[must_use]
    pub fn paused(self) -> Self {
        Self {
            is_playing: false,
            ..self
        }
    }

    /// Begins with this [speed](Self::set_speed).
    #[must_use]
    pub fn at_speed(mut self, speed: f64) -> Self {
        self.set_speed(speed);
        self
    }

    /// Plays from the current step on; from the first one if it is at the last.
    pub fn play(&mut self) {
        if self.step == self.last_step() {
            self.seek(0);
        }
        self.is_playing = true;
    }

    /// Stops at the current step.
    pub fn pause(&mut self) {
        self.is_playing = false;
    }

    /// Whether it plays.
    #[must_use]
    pub fn is_playing(&self) -> bool {
        self.is_playing
    }

    /// Goes to a step, whose row the ghost has from the next `PreUpdate` on. A step beyond the last one is the last one.
    pub fn seek(&mut self, step: usize) {
        self.step = step.min(self.last_step());
        self.position = self.timeline.seconds(self.step);
    }

    /// The current step, 0 to [`last_step`](Self::last_step).
    #[must_use]
    pub fn step(&self) -> usize {
        self.step
    }

    /// The last step: the number of transitions of the episode.
    #[must_use]
    pub fn last_step(&self) -> usize {
        self.timeline.last()
    }

    /// The seconds of game time from the first step to the current one.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.timeline.seconds(self.step)
    }

    /// The seconds of game time from the first step to the last.
    #[must_use]
    pub fn duration(&self) -> f64 {
        self.timeline.seconds(self.last_step())
    }

    /// Sets how many seconds of the episode are played per second: 1 by default. A negative number and NaN are 0.
    pub fn set_speed(&mut self, speed: f64) {
        // A clamped NaN is NaN, and infinity times a paused clock is.
        self.speed = if speed.is_nan() {
            0.0
        } else {
            speed.clamp(0.0, f64::MAX)
        };
    }

    /// How many seconds of the episode are played per second.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.speed
    }

    /// The sum of the rewards of the transitions before the current step.
    #[must_use]
    pub fn reward(&self) -> f64 {
        self.returns[self.step]
    }

    /// The episode.
    #[must_use]
    pub fn episode(&self) -> &Arc<Episode> {
        &self.episode
    }

    /// What is restored and what is not. `None` before the first row is written.
    #[must_use]
    pub fn report(&self) -> Option<&ReplayReport> {
        self.report.as_ref()
    }

    /// Why nothing is written. `None` if it is.
    #[must_use]
    pub fn error(&self) -> Option<&RestoreError> {
        match &self.state {
            ReplayState::Failed(error) => Some(error),
            ReplayState::New | ReplayState::Ready(_) => None,
        }
    }

    pub(crate) fn writes_actions(&self) -> bool {
        self.writes_actions
    }

    /// Plays for `delta` seconds. Returns whether it has reached the last step, at which it pauses.
    pub(crate) fn advance(&mut self, delta: f64) -> bool {
        if !self.is_playing || matches!(self.state, ReplayState::Failed(_)) {
            return false;
        }
        // A step that was sought is shown before time passes.
        if self.shown == Some(self.step) {
            self.position = (self.position + delta * self.speed).min(self.duration());
            self.step = self.timeline.row_at(self.position, self.step);
        }
        let has_ended = self.step == self.last_step();
        self.is_playing = !has_ended;
        has_ended
    }
}
