//! [`CameraReadback`]: the account of images.

use bevy_ecs::resource::Resource;
use std::sync::{Arc, Mutex, PoisonError};

/// The account of images that were copied from the GPU, as a resource.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// # use bevy_experience_camera::CameraReadback;
/// fn show(readback: Res<CameraReadback>) {
///     let report = readback.report();
///     println!("{} of {} images arrived, {} were skipped", report.received, report.requested, report.skipped);
/// }
/// ```
#[derive(Resource, Clone, Debug, Default)]
pub struct CameraReadback(Arc<Mutex<CameraReport>>);

/// Counts of images, one for each camera and frame, at the end of the last frame:
/// `requested = received + skipped + refused + failed + in_flight`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CameraReport {
    /// Images that players wanted: one for each camera that they look through, in each frame that shows a new tick.
    pub requested: u64,
    /// Arrived.
    pub received: u64,
    /// Left out, because the GPU was [`MAX_FRAMES_IN_FLIGHT`](crate::MAX_FRAMES_IN_FLIGHT) frames behind, or the memory budget was
    /// exhausted.
    pub skipped: u64,
    /// Left out, because the camera was not drawn in the frame, or draws to what cannot be recorded.
    pub refused: u64,
    /// Copied, and lost: the GPU was lost, or never completed the copy.
    pub failed: u64,
    /// Requested, and not yet arrived.
    pub in_flight: u64,
    /// The bytes of buffers and images, at most [`memory_budget`](crate::ExperienceCameraPlugin::memory_budget).
    pub bytes: usize,
}

impl CameraReadback {
    /// The counts at the end of the last frame.
    #[must_use]
    pub fn report(&self) -> CameraReport {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn publish(&self, report: CameraReport) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = report;
    }
}
