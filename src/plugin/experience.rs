//! The resource `Experience`: reports, schemas, live buffers, flushing and closing.

use super::{
    ExperiencePlugin, RecordingTiming,
    refs::{RecordingId, RecordingRef},
    state::{RecorderState, RecordingSlot},
};
use bevy_ecs::{component::Component, resource::Resource};
use core::{any::TypeId, time::Duration};
use experience_buffer::PlayerBuffers;
use experience_core::{account::RunReport, schema::Schema, transition::RunId};
use experience_export::ExportSettings;
use std::{borrow::Cow, sync::Arc};

/// All recordings of the app, as a resource: reports, schemas, live buffers, flushing and closing.
///
/// Methods that take a recording accept its name or a [`RecordingId`].
///
/// ```
/// # use bevy_ecs::prelude::*;
/// use bevy_experience::prelude::*;
///
/// fn show(experience: Res<Experience>) {
///     for report in experience.reports("fighter") {
///         println!("{} recorded, {} dropped", report.recorded, report.dropped);
///     }
/// }
/// ```
///
/// Dropping it closes all recordings, as does dropping the app.
///
/// During a capture it has no recordings, as a system of [`observe_system`](crate::recording::Recording::observe_system) can see.
#[derive(Resource)]
pub struct Experience {
    /// `None` while [`recorder_scope`](super::systems::recorder_scope) has it.
    state: Option<Box<RecorderState>>,
    /// What the methods use meanwhile: the same run, without recordings.
    vacant: Box<RecorderState>,
}

/// Progress of a recording, in transitions. With several sinks, each number is that of the worst sink.
///
/// The full account of each sink is in [`Experience::reports`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordingProgress {
    /// Closed by captures.
    pub recorded: u64,
    /// Written by every sink.
    pub exported: u64,
    /// Lost by at least one sink.
    pub dropped: u64,
    /// Not yet written by at least one sink.
    pub pending: u64,
    /// Duration of the last flush of a sink, including retries.
    pub flush: Duration,
    /// Age of the oldest episode that a sink has received and not written.
    pub lag: Duration,
}

/// Progress of one sink of a recording. Counts are transitions unless stated otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkProgress {
    /// The description of the sink: [`Sink::describe`](experience_export::Sink::describe).
    pub sink: String,
    /// Complete episodes that it has written.
    pub episodes: u64,
    /// Written.
    pub exported: u64,
    /// Lost.
    pub dropped: u64,
    /// Not yet written.
    pub pending: u64,
    /// Failed calls and stalls, including those that a retry resolved.
    pub failures: u64,
    /// Bytes of this run on disk at the last flush: [`Sink::disk_bytes`](experience_export::Sink::disk_bytes).
    pub disk_bytes: u64,
    /// Duration of the last flush, including retries.
    pub flush: Duration,
    /// Age of the oldest episode that it has received and not written.
    pub lag: Duration,
}

impl Experience {
    pub(super) fn new(plugin: &ExperiencePlugin) -> Self {
        let state = RecorderState::new(plugin);
        let vacant = RecorderState::new(&ExperiencePlugin {
            enabled: false,
            run: Some(state.run),
            ..plugin.clone()
        });
        Self {
            state: Some(Box::new(state)),
            vacant: Box::new(vacant),
        }
    }

    pub(super) fn state(&self) -> &RecorderState {
        self.state.as_ref().unwrap_or(&self.vacant)
    }

    pub(super) fn state_mut(&mut self) -> &mut RecorderState {
        self.state.as_mut().unwrap_or(&mut self.vacant)
    }

    /// Takes the state out. `None` if it is out already.
    pub(super) fn take_state(&mut self) -> Option<Box<RecorderState>> {
        self.state.take()
    }

    /// Puts back what [`take_state`](Self::take_state) has returned.
    pub(super) fn put_state(&mut self, state: Box<RecorderState>) {
        self.state = Some(state);
    }

    /// The id of `recording`, if it exists.
    pub(super) fn resolve(&self, recording: RecordingRef<'_>) -> Option<RecordingId> {
        match recording {
            RecordingRef::Id(id) => self.state().recording(id).map(|_| id),
            RecordingRef::Name(name) => self.state().find(name),
        }
    }

    pub(super) fn slot(&self, recording: RecordingRef<'_>) -> Option<&RecordingSlot> {
        self.state().recording(self.resolve(recording)?)
    }

    pub(super) fn slot_mut(&mut self, recording: RecordingRef<'_>) -> Option<&mut RecordingSlot> {
        let id = self.resolve(recording)?;
        self.state_mut().recording_mut(id)
    }

    /// Whether recording is active: the plugin is enabled, not closed, and not [paused](Self::pause) as a whole.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        let state = self.state();
        state.enabled && !state.closed && state.pause.is_none()
    }

    /// The id of this run.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.state().run
    }

    /// The export settings in effect: those of the plugin, with the changes made through
    /// [`LiveSettings`](super::LiveSettings).
    #[must_use]
    pub fn export_settings(&self) -> &ExportSettings {
        &self.state().settings
    }

    /// The memory limit of the buffers of all recordings, in bytes:
    /// [`memory_budget`](super::ExperiencePlugin::memory_budget).
    #[must_use]
    pub fn memory_budget(&self) -> usize {
        self.state().budget.limit()
    }

    /// The tick of a recording's next capture: the number of captures so far after the schedule after which it is captured.
    #[must_use]
    pub fn tick<'a>(&self, recording: impl Into<RecordingRef<'a>>) -> Option<i64> {
        let slot = self.slot(recording.into())?;
        Some(self.state().points[slot.point].next_tick)
    }

    /// When a recording is captured and when its actions are read. `None` until it has its first player, and until the first fixed tick
    /// or capture after that if nothing tells earlier.
    ///
    /// ```
    /// # use bevy_ecs::prelude::*;
    /// # use bevy_experience::prelude::*;
    /// fn show(experience: Res<Experience>) {
    ///     if let Some(timing) = experience.timing("fighter") {
    ///         println!("{timing}");
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn timing<'a>(&self, recording: impl Into<RecordingRef<'a>>) -> Option<&RecordingTiming> {
        self.slot(recording.into())?.timing.as_ref()
    }

    /// The names of the recordings, in the order in which they were added.
    pub fn recordings(&self) -> impl Iterator<Item = &str> {
        self.state().slots.iter().map(|slot| slot.recorder.name())
    }

    /// The recording with the marker component `P`. `None` if there is none, or more than one.
    #[must_use]
    pub fn recording<P: Component>(&self) -> Option<RecordingId> {
        let slots = self.state().slots.iter().enumerate();
        let mut with_marker = slots.filter(|(_, slot)| slot.marker_type == TypeId::of::<P>());
        let (index, _) = with_marker.next()?;
        with_marker.next().is_none().then(|| RecordingId::new(index))
    }

    /// The recording with this name.
    #[must_use]
    pub fn recording_named(&self, name: &str) -> Option<RecordingId> {
        self.state().find(name)
    }

    /// The schema of a recording.
    #[must_use]
    pub fn schema<'a>(&self, recording: impl Into<RecordingRef<'a>>) -> Option<&Arc<Schema>> {
        Some(self.slot(recording.into())?.recorder.schema())
    }

    /// The live buffers of a recording, by agent id.
    #[must_use]
    pub fn buffers<'a>(&self, recording: impl Into<RecordingRef<'a>>) -> Option<&Arc<PlayerBuffers>> {
        Some(self.slot(recording.into())?.recorder.buffers())
    }

    /// The label of what controlled a player, by its code in a row of the recording's buffers:
    /// [`StepHeader::controller`](experience_core::transition::StepHeader::controller). `None` for 0, which says nothing.
    #[must_use]
    pub fn controller_label<'a>(&self, recording: impl Into<RecordingRef<'a>>, code: u16) -> Option<Cow<'static, str>> {
        self.slot(recording.into())?.recorder.controller_label(code)
    }

    /// The accounts of a recording, one for each sink in their order. Empty before the first capture.
    #[must_use]
    pub fn reports<'a>(&self, recording: impl Into<RecordingRef<'a>>) -> Vec<RunReport> {
        let slot = self.slot(recording.into());
        match (&self.state().exporter, slot.and_then(|slot| slot.export_index)) {
            (Some(exporter), Some(index)) => exporter.reports(index),
            _ => Vec::new(),
        }
    }

    /// The progress of a recording. Copies a few numbers and does not wait for sinks, so it can be called every frame.
    #[must_use]
    pub fn progress<'a>(&self, recording: impl Into<RecordingRef<'a>>) -> Option<RecordingProgress> {
        let slot = self.slot(recording.into())?;
        let mut progress = RecordingProgress::default();
        let counters = slot.recorder.counters();
        let (Some(exporter), Some(index)) = (&self.state().exporter, slot.export_index) else {
            progress.recorded = counters.recorded.get();
            return Some(progress);
        };
        progress.exported = u64::MAX;
        for sink in exporter.sink_counters(index) {
            let balance = sink.balance(counters);
            progress.exported = progress.exported.min(balance.exported);
            progress.dropped = progress.dropped.max(balance.dropped);
            progress.pending = progress.pending.max(balance.pending());
        }
        for pace in exporter.paces(index) {
            progress.flush = progress.flush.max(pace.flush);
            progress.lag = progress.lag.max(pace.lag);
        }
        progress.recorded = counters.recorded.get();
        Some(progress)
    }

    /// The progress of each sink of a recording, in their order. Empty before the first capture. Does not wait for
    /// sinks, so it can be called every frame.
    #[must_use]
    pub fn sinks<'a>(&self, recording: impl Into<RecordingRef<'a>>) -> Vec<SinkProgress> {
        let slot = self.slot(recording.into());
        let (Some(exporter), Some(slot), Some(index)) =
            (&self.state().exporter, slot, slot.and_then(|slot| slot.export_index))
        else {
            return Vec::new();
        };
        let recorded = slot.recorder.counters();
        let sinks = exporter.sink_names(index).zip(exporter.sink_counters(index));
        sinks
            .zip(exporter.paces(index))
            .map(|((sink, counters), pace)| {
                let balance = counters.balance(recorded);
                SinkProgress {
                    sink: sink.to_owned(),
                    episodes: counters.episodes(),
                    exported: balance.exported,
                    dropped: balance.dropped,
                    pending: balance.pending(),
                    failures: counters.failures.get(),
                    disk_bytes: counters.disk_bytes(),
                    flush: pace.flush,
                    lag: pace.lag,
                }
            })
            .collect()
    }

    /// Waits until the sinks have every episode that has ended, and the journal, if there is one, has all steps of open
    /// episodes. Returns false if that takes longer than `timeout`. [`Duration::ZERO`] requests the flush without
    /// waiting.
    pub fn flush(&mut self, timeout: Duration) -> bool {
        let state = self.state_mut();
        state.hand_over_buffers();
        state.exporter.as_ref().is_none_or(|exporter| exporter.flush(timeout))
    }

    /// Closes all recordings: open episodes are truncated (reason `shutdown`), and everything is written.
    ///
    /// Returns false if that takes longer than `timeout`; the exporter thread then continues in the background. Returns
    /// false also if a sink could not be closed, or no longer stores all that it had accepted: those transitions count as
    /// dropped in the [reports](Self::reports), and the log names them.
    pub fn close(&mut self, timeout: Duration) -> bool {
        self.state_mut().close(None, timeout)
    }
}
