//! What the game may want to know while it plays.

use super::{experience::Experience, works::Works};
use bevy_ecs::{event::Event, world::World};
use experience_export::Notice;

pub use experience_export::SinkFailure;

/// A sink failed, and not only for a moment: attempts to make it good were in vain, or it does not come back.
///
/// Triggered after a capture, for observers. Each failure is told once, until the sink works again.
///
/// ```
/// # use bevy_app::prelude::*;
/// # use bevy_ecs::prelude::*;
/// use bevy_experience::prelude::*;
///
/// # let mut app = App::new();
/// app.add_observer(|failed: On<SinkFailed>| {
///     println!("{} of {}: {}", failed.sink, failed.recording, failed.error);
/// });
/// ```
#[derive(Event, Clone, Debug, PartialEq, Eq)]
pub struct SinkFailed {
    /// The name of its recording.
    pub recording: String,
    /// What it is: [`Sink::describe`](experience_export::Sink::describe).
    pub sink: String,
    /// What it said.
    pub error: String,
    /// What follows.
    pub consequence: SinkFailure,
}

/// Transitions were lost between capture and export: a sink is slower than the game, and the buffers overflowed.
///
/// Triggered after a capture, for observers; once for every time that the exporter came to a buffer and found a gap, at most
/// 256 times a capture.
#[derive(Event, Clone, Debug, PartialEq, Eq)]
pub struct GapDetected {
    /// The name of the recording.
    pub recording: String,
    /// Whose transitions they were; `None` where players share a pool.
    pub agent_id: Option<i64>,
    /// How many.
    pub lost: u64,
}

/// Triggers an event for each thing that the exporter has to tell.
pub(super) fn tell(world: &mut World) {
    // No more than can have waited, so that a crowd of gaps does not keep the tick.
    for _ in 0..256 {
        // Observers may ask the works something, so these are at home while they run.
        let mut experience = world.get_resource_mut::<Experience>();
        let works = experience.as_mut().and_then(|experience| experience.works_mut());
        let Some((recording, notice)) = works.and_then(next) else {
            return;
        };
        match notice {
            Notice::SinkFailed {
                sink,
                error,
                consequence,
                ..
            } => world.trigger(SinkFailed {
                recording,
                sink,
                error,
                consequence,
            }),
            Notice::Gap { agent_id, lost, .. } => world.trigger(GapDetected {
                recording,
                agent_id,
                lost,
            }),
        }
    }
}

/// The next thing to tell, and the name of its recording.
fn next(works: &mut Works) -> Option<(String, Notice)> {
    let notice = works.take_notice()?;
    let recording = works.exported(notice.recording())?.recorder.name().to_owned();
    Some((recording, notice))
}
