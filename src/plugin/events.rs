//! Events that the plugin triggers: [`SinkFailed`] and [`GapDetected`].

use super::{experience::Experience, state::RecorderState};
use bevy_ecs::{event::Event, world::World};
use experience_export::Notice;

pub use experience_export::SinkFailure;

/// A sink failed: retries were exhausted, or it cannot recover.
///
/// Triggered after a capture, for observers. Each failure is reported once until the sink works again.
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
    /// The name of the recording.
    pub recording: String,
    /// The description of the sink: [`Sink::describe`](experience_export::Sink::describe).
    pub sink: String,
    /// The message of its error.
    pub error: String,
    /// The consequence for the sink and the recording.
    pub consequence: SinkFailure,
}

/// Transitions were lost between capture and export: a sink is slower than the game, and a buffer overflowed.
///
/// Triggered after a capture, for observers: once for each gap that the exporter thread finds in a buffer, at most 256
/// times per capture.
#[derive(Event, Clone, Debug, PartialEq, Eq)]
pub struct GapDetected {
    /// The name of the recording.
    pub recording: String,
    /// The agent id of the player; `None` if the transitions were in a pool that players share.
    pub agent_id: Option<i64>,
    /// The number of lost transitions.
    pub lost: u64,
}

/// Triggers an event for each notice of the exporter thread.
pub(super) fn emit_events(world: &mut World) {
    // Limited, so that a burst of gaps does not stall the tick. Further notices are handled after the next capture.
    for _ in 0..256 {
        // Fetched in each iteration, because observers may access the resource.
        let mut experience = world.get_resource_mut::<Experience>();
        let state = experience.as_mut().map(|experience| experience.state_mut());
        let Some((recording, notice)) = state.and_then(next_notice) else {
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

/// The next notice, with the name of its recording.
fn next_notice(state: &mut RecorderState) -> Option<(String, Notice)> {
    let notice = state.take_notice()?;
    let recording = state
        .recording_at_export_index(notice.recording())?
        .recorder
        .name()
        .to_owned();
    Some((recording, notice))
}
