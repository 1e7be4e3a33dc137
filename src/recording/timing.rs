//! Methods of [`Recording`] that set when players are captured and when their actions are read.

use super::{Recording, RecordingSpec};
use bevy_ecs::{
    component::Component,
    schedule::{InternedScheduleLabel, ScheduleLabel},
};

/// The schedules that a recording names. `None` where the plugin chooses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GivenTiming {
    pub(crate) capture_after: Option<InternedScheduleLabel>,
    pub(crate) read_actions_after: Option<InternedScheduleLabel>,
}

impl<P: Component> Recording<P> {
    /// Captures players right after `schedule`: a schedule of the fixed loop such as `FixedLast`, or of the main loop such
    /// as `Last`, also one that another plugin adds to a loop.
    ///
    /// With any other label, the game runs [`ExperienceCapture`](crate::plugin::ExperienceCapture) itself; a warning is logged
    /// if there are players and it does not. Recordings with the same schedule share one capture.
    ///
    /// ```
    /// # use bevy_app::prelude::*;
    /// # use bevy_ecs::prelude::*;
    /// # use bevy_experience::prelude::*;
    /// # #[derive(Component)] struct Fighter;
    /// let recording = Recording::<Fighter>::new("fighter").capture_after(Last);
    /// ```
    pub fn capture_after(self, schedule: impl ScheduleLabel) -> Self {
        self.edit(|spec| spec.capture_after = Some(schedule.intern()))
    }

    /// Reads actions and info right after `schedule` instead of at capture. For games that clear the intent when they
    /// consume it, or write the next one before the capture.
    ///
    /// `schedule` is a schedule of the main loop or the fixed loop, such as `FixedPreUpdate`.
    pub fn read_actions_after(self, schedule: impl ScheduleLabel) -> Self {
        self.edit(|spec| spec.read_actions_after = Some(schedule.intern()))
    }
}

impl RecordingSpec {
    pub(super) fn given_timing(&self) -> GivenTiming {
        GivenTiming {
            capture_after: self.capture_after,
            read_actions_after: self.read_actions_after,
        }
    }
}
