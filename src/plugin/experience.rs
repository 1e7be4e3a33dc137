//! The resource that holds everything, and what may be asked of it.

use super::works::{RecordingSlot, Works};
use bevy_ecs::resource::Resource;
use core::time::Duration;
use experience_buffer::PlayerBuffers;
use experience_core::{account::RunReport, schema::Schema, transition::RunId};
use experience_export::ExportSettings;
use std::sync::Arc;

/// Everything that is being recorded, as a resource: accounts, schemas, live buffers, flushing and closing.
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
/// Dropping it closes everything: so does the end of the app, however it ends, as long as the app is dropped.
#[derive(Resource)]
pub struct Experience(Option<Box<Works>>);

/// How a recording gets on; of several sinks the worst counts. Counts are transitions.
///
/// The whole account of each sink is in [`Experience::reports`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordingProgress {
    /// Closed by capture.
    pub recorded: u64,
    /// Taken by every sink.
    pub exported: u64,
    /// Lost to one sink, or to all.
    pub dropped: u64,
    /// On the way to one of the sinks.
    pub pending: u64,
    /// How long the last flush of a sink took, with all attempts.
    pub flush: Duration,
    /// How long the oldest of the episodes that a sink was handed has waited for it.
    pub lag: Duration,
}

/// How one sink of a recording gets on. Counts are transitions unless they say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkProgress {
    /// What it is: [`Sink::describe`](experience_export::Sink::describe).
    pub sink: String,
    /// Whole episodes that it took.
    pub episodes: u64,
    /// Taken.
    pub exported: u64,
    /// Lost to it.
    pub dropped: u64,
    /// On the way to it.
    pub pending: u64,
    /// Calls that failed, and times that it stalled; most of them were made good by another attempt.
    pub failures: u64,
    /// Bytes of this run that it kept on a disk at its last flush: [`Sink::disk_bytes`](experience_export::Sink::disk_bytes).
    pub disk_bytes: u64,
    /// How long its last flush took, with all attempts.
    pub flush: Duration,
    /// How long the oldest of the episodes that it was handed has waited for it.
    pub lag: Duration,
}

impl Experience {
    pub(super) fn new(works: Works) -> Self {
        Self(Some(Box::new(works)))
    }

    /// Takes the works out while they need the world, which they are part of.
    pub(super) fn borrow(&mut self) -> Option<Box<Works>> {
        self.0.take()
    }

    pub(super) fn give_back(&mut self, works: Box<Works>) {
        self.0 = Some(works);
    }

    pub(super) fn works(&self) -> Option<&Works> {
        self.0.as_deref()
    }

    pub(super) fn works_mut(&mut self) -> Option<&mut Works> {
        self.0.as_deref_mut()
    }

    /// Whether anything is recorded: the plugin is enabled, nothing was closed, and not all of it is
    /// [paused](Self::pause).
    #[must_use]
    pub fn is_recording(&self) -> bool {
        let records = |works: &Works| works.enabled && !works.closed && works.pause.is_none();
        self.works().is_some_and(records)
    }

    /// The identity of this run.
    #[must_use]
    pub fn run(&self) -> Option<RunId> {
        self.0.as_ref().map(|works| works.run)
    }

    /// How episodes are handed to sinks at this moment: as the plugin was told, but for what
    /// [`LiveSettings`](super::LiveSettings) changed.
    #[must_use]
    pub fn export_settings(&self) -> Option<&ExportSettings> {
        self.0.as_ref().map(|works| &works.settings)
    }

    /// Bytes that the buffers of all recordings may take together: [`memory_budget`](super::ExperiencePlugin::memory_budget).
    #[must_use]
    pub fn memory_budget(&self) -> Option<usize> {
        self.0.as_ref().map(|works| works.budget().limit())
    }

    /// The number of captures so far, which is the tick of the next one.
    #[must_use]
    pub fn tick(&self) -> i64 {
        self.0.as_ref().map_or(0, |works| works.next_tick)
    }

    /// The names of the recordings, in the order in which they were added.
    pub fn recordings(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .flat_map(|works| works.slots.iter().map(|slot| slot.recorder.name()))
    }

    fn slot(&self, recording: &str) -> Option<&RecordingSlot> {
        self.0.as_ref()?.recording(recording)
    }

    /// The columns of the recording called `recording`.
    #[must_use]
    pub fn schema(&self, recording: &str) -> Option<&Arc<Schema>> {
        Some(self.slot(recording)?.recorder.schema())
    }

    /// The live buffers of the recording called `recording`, by agent.
    #[must_use]
    pub fn buffers(&self, recording: &str) -> Option<&Arc<PlayerBuffers>> {
        Some(self.slot(recording)?.recorder.buffers())
    }

    /// The accounts of the recording called `recording`, one for each of its sinks in their order; empty before the first
    /// capture.
    #[must_use]
    pub fn reports(&self, recording: &str) -> Vec<RunReport> {
        let exporter = self.0.as_ref().and_then(|works| works.exporter.as_ref());
        match (exporter, self.slot(recording).and_then(|slot| slot.exported_as)) {
            (Some(exporter), Some(index)) => exporter.reports(index),
            _ => Vec::new(),
        }
    }

    /// How the recording called `recording` gets on. It copies nothing and waits for no sink, so it may be asked every frame.
    #[must_use]
    pub fn progress(&self, recording: &str) -> Option<RecordingProgress> {
        let slot = self.slot(recording)?;
        let mut progress = RecordingProgress::default();
        let exporter = self.works().and_then(|works| works.exporter.as_ref());
        let (Some(exporter), Some(index)) = (exporter, slot.exported_as) else {
            progress.recorded = slot.recorder.counters().recorded.get();
            return Some(progress);
        };
        let counters = slot.recorder.counters();
        progress.exported = u64::MAX;
        for sink in exporter.sink_counters(index) {
            // What leaves is read before what enters.
            progress.exported = progress.exported.min(sink.exported.get());
            progress.dropped = progress.dropped.max(sink.dropped(counters));
            progress.pending = progress.pending.max(sink.pending(counters));
        }
        for pace in exporter.paces(index) {
            progress.flush = progress.flush.max(pace.flush);
            progress.lag = progress.lag.max(pace.lag);
        }
        progress.recorded = counters.recorded.get();
        Some(progress)
    }

    /// How each sink of the recording called `recording` gets on, in their order; empty before the first capture. It waits for no
    /// sink, so it may be asked every frame.
    #[must_use]
    pub fn sinks(&self, recording: &str) -> Vec<SinkProgress> {
        let exporter = self.works().and_then(|works| works.exporter.as_ref());
        let slot = self.slot(recording);
        let (Some(exporter), Some(slot), Some(index)) = (exporter, slot, slot.and_then(|slot| slot.exported_as)) else {
            return Vec::new();
        };
        let recorded = slot.recorder.counters();
        let sinks = exporter.sink_names(index).zip(exporter.sink_counters(index));
        sinks
            .zip(exporter.paces(index))
            .map(|((sink, counters), pace)| SinkProgress {
                sink: sink.to_owned(),
                // What leaves is read before what enters.
                episodes: counters.episodes.get(),
                exported: counters.exported.get(),
                dropped: counters.dropped(recorded),
                pending: counters.pending(recorded),
                failures: counters.failures.get(),
                disk_bytes: counters.disk_bytes(),
                flush: pace.flush,
                lag: pace.lag,
            })
            .collect()
    }

    /// Waits until every episode that has ended is with its sinks, and of the others everything is in the journal where there is
    /// one, at most `timeout`. False when that takes longer: with [`Duration::ZERO`] it is asked for, and not waited for.
    pub fn flush(&mut self, timeout: Duration) -> bool {
        let Some(works) = &mut self.0 else { return false };
        works.hand_over();
        works.exporter.as_ref().is_none_or(|exporter| exporter.flush(timeout))
    }

    /// Ends all recording: open episodes are truncated (reason `shutdown`), and everything is written, within `timeout`. False
    /// when that takes longer; then the exporter's thread is left to finish by itself.
    pub fn close(&mut self, timeout: Duration) -> bool {
        self.0.as_mut().is_none_or(|works| works.close(None, timeout))
    }
}
