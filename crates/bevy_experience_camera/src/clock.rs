//! [`CameraClock`]: the tick in progress of each recording.

use crate::CameraImage;
use bevy_ecs::{
    resource::Resource,
    system::{Res, ResMut},
};
use bevy_experience::prelude::Experience;

/// The tick in progress of each recording, with which the age of an image is known.
///
/// A copy of what [`Experience::tick`] returns, because [`Experience`] is not in the world during a capture.
#[derive(Resource, Clone, Debug, Default)]
pub struct CameraClock {
    names: Vec<String>,
    next_ticks: Vec<i64>,
}

impl CameraClock {
    /// How many ticks of `recording` before the one in progress the image was drawn: at least 1. `None` if there is no such
    /// recording.
    #[must_use]
    pub fn age(&self, recording: &str, image: &CameraImage) -> Option<i64> {
        let index = self.index(recording)?;
        Some(self.next_ticks[index] - image.ticks.get(index)?)
    }

    /// The tick of `recording` whose observation the image shows; -1 before the first tick. `None` if there is no such recording.
    #[must_use]
    pub fn tick(&self, recording: &str, image: &CameraImage) -> Option<i64> {
        image.ticks.get(self.index(recording)?).copied()
    }

    fn index(&self, recording: &str) -> Option<usize> {
        self.names.iter().position(|name| name == recording)
    }

    /// Writes the last tick of each recording.
    pub(crate) fn last_ticks(&self, ticks: &mut Vec<i64>) {
        ticks.clear();
        ticks.extend(self.next_ticks.iter().map(|tick| tick - 1));
    }
}

/// Copies the ticks of all recordings. Their order never changes, because recordings are only added.
pub(crate) fn refresh_clock(experience: Option<Res<Experience>>, mut clock: ResMut<CameraClock>) {
    let Some(experience) = experience else { return };
    let CameraClock { names, next_ticks } = &mut *clock;
    names.extend(experience.recordings().skip(names.len()).map(str::to_owned));
    next_ticks.clear();
    next_ticks.extend(names.iter().map(|name| experience.tick(name).unwrap_or(0)));
}
