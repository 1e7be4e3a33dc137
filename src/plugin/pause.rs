//! Recording that stands still while the game goes on.

use super::{experience::Experience, works::Works};
use core::fmt;
use std::borrow::Cow;

/// Why a recording is paused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PauseReason {
    /// It was asked for, by [`Experience::pause`] or [`Experience::pause_recording`], and this is what was said.
    Requested(Cow<'static, str>),
    /// A sink waits for room on its disk; the recording goes on by itself when there is some. Which sink it is:
    /// [`Sink::describe`](experience_export::Sink::describe).
    StorageFull(String),
}

impl fmt::Display for PauseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested(why) => f.write_str(why),
            Self::StorageFull(sink) => write!(f, "the disk of `{sink}` is full"),
        }
    }
}

/// # Pausing
/// While a recording is paused nothing is captured, and the game does not notice: players stay known, rewards are taken
/// off them at each capture, [`EpisodeEnded`](crate::episode::EpisodeEnded) is triggered at the same moments.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// use bevy_experience::prelude::*;
///
/// fn toggle_cutscene(mut experience: ResMut<Experience>) {
///     if experience.is_paused() {
///         experience.resume();
///     } else {
///         experience.pause("a cutscene is shown");
///     }
/// }
/// ```
impl Experience {
    /// Pauses all recordings. At the next capture open episodes end, truncated with the reason `paused`.
    ///
    /// Rewards given to a player while nothing is recorded are nobody's; they do not count as orphans.
    pub fn pause(&mut self, reason: impl Into<Cow<'static, str>>) {
        if let Some(works) = self.works_mut() {
            works.pause = Some(PauseReason::Requested(reason.into()));
        }
    }

    /// Takes [`pause`](Self::pause) back: at the next capture new episodes begin. A recording that was paused by its name
    /// stays so until [`resume_recording`](Self::resume_recording).
    pub fn resume(&mut self) {
        if let Some(works) = self.works_mut() {
            works.pause = None;
        }
    }

    /// Whether [`pause`](Self::pause) holds. A single recording may be paused although it does not:
    /// [`pause_reason`](Self::pause_reason) knows.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.works().is_some_and(|works| works.pause.is_some())
    }

    /// Pauses the recording called `recording` alone. False when there is none of that name.
    pub fn pause_recording(&mut self, recording: &str, reason: impl Into<Cow<'static, str>>) -> bool {
        self.set_pause(recording, Some(PauseReason::Requested(reason.into())))
    }

    /// Takes [`pause_recording`](Self::pause_recording) back. False when there is no recording of that name.
    pub fn resume_recording(&mut self, recording: &str) -> bool {
        self.set_pause(recording, None)
    }

    /// Why the recording called `recording` is paused, alone or with all others; `None` where it is not. A request is named
    /// before a full disk.
    #[must_use]
    pub fn pause_reason(&self, recording: &str) -> Option<PauseReason> {
        let works = self.works()?;
        let slot = works.recording(recording)?;
        let full = || {
            Some(PauseReason::StorageFull(
                works.exporter.as_ref()?.full_storage(slot.exported_as?)?,
            ))
        };
        slot.pause.as_ref().or(works.pause.as_ref()).cloned().or_else(full)
    }

    fn set_pause(&mut self, recording: &str, pause: Option<PauseReason>) -> bool {
        let slots = self.works_mut().map_or(&mut [][..], Works::slots_mut);
        let slot = slots.iter_mut().find(|slot| slot.recorder.name() == recording);
        slot.map(|slot| slot.pause = pause).is_some()
    }
}
