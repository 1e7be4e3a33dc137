//! Pausing and resuming of recordings: [`PauseReason`] and the methods of [`Experience`].

use super::{experience::Experience, refs::RecordingRef};
use core::fmt;
use std::borrow::Cow;

/// Why a recording is paused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PauseReason {
    /// [`Experience::pause`] or [`Experience::pause_recording`] was called, with this reason.
    Requested(Cow<'static, str>),
    /// The disk of a sink is full. Recording resumes when it has space. Holds the description of the sink:
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
/// A paused recording writes no rows. The game is not affected: players stay registered, their rewards are cleared at
/// each capture, and [`EpisodeEnded`](crate::episode::EpisodeEnded) is triggered at the same moments.
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
    /// Pauses all recordings. The next capture ends open episodes: truncated, with the reason `paused`.
    ///
    /// Rewards during a pause belong to no episode, and do not count as orphaned.
    pub fn pause(&mut self, reason: impl Into<Cow<'static, str>>) {
        self.state_mut().pause = Some(PauseReason::Requested(reason.into()));
    }

    /// Reverts [`pause`](Self::pause). The next capture starts new episodes. A recording that was paused by
    /// [`pause_recording`](Self::pause_recording) stays paused until [`resume_recording`](Self::resume_recording).
    pub fn resume(&mut self) {
        self.state_mut().pause = None;
    }

    /// Whether [`pause`](Self::pause) is in effect. [`pause_reason`](Self::pause_reason) includes pauses of one
    /// recording.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.state().pause.is_some()
    }

    /// Pauses one recording. Returns false if it does not exist.
    pub fn pause_recording<'a>(
        &mut self,
        recording: impl Into<RecordingRef<'a>>,
        reason: impl Into<Cow<'static, str>>,
    ) -> bool {
        self.set_pause(recording.into(), Some(PauseReason::Requested(reason.into())))
    }

    /// Reverts [`pause_recording`](Self::pause_recording). Returns false if the recording does not exist.
    pub fn resume_recording<'a>(&mut self, recording: impl Into<RecordingRef<'a>>) -> bool {
        self.set_pause(recording.into(), None)
    }

    /// Why a recording is paused, individually or together with all others; `None` if it is not. A request takes
    /// precedence over a full disk.
    #[must_use]
    pub fn pause_reason<'a>(&self, recording: impl Into<RecordingRef<'a>>) -> Option<PauseReason> {
        let state = self.state();
        let slot = self.slot(recording.into())?;
        let full = || {
            let sink = state.exporter.as_ref()?.full_storage(slot.export_index?)?;
            Some(PauseReason::StorageFull(sink))
        };
        slot.pause.as_ref().or(state.pause.as_ref()).cloned().or_else(full)
    }

    fn set_pause(&mut self, recording: RecordingRef<'_>, pause: Option<PauseReason>) -> bool {
        let slot = self.slot_mut(recording);
        slot.map(|slot| slot.pause = pause).is_some()
    }
}
