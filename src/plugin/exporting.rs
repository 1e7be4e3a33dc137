//! Connection of the plugin to the exporter: spawning, buffer handover, backpressure and notices.

use super::{
    LiveSettings,
    schedules::Loop,
    state::{RecorderState, RecordingSlot},
};
use experience_buffer::Overflow;
use experience_export::{Exporter, Notice, RecordingExport, RecordingInfo};
use std::path::absolute;
use web_time::Instant;

impl RecorderState {
    /// Starts the exporter thread with the sinks of all recordings.
    pub(super) fn start_exporter(&mut self) {
        let mut exports = Vec::new();
        let mut shortest = usize::MAX;
        for slot in &mut self.slots {
            let recorder = &slot.recorder;
            if slot.sinks.get().is_empty() {
                tracing::warn!(
                    "recording `{}` has no sink: nothing is written, and its steps can be read only from the live buffers; add \
                     one with `Recording::sink`",
                    recorder.name()
                );
                continue;
            }
            shortest = shortest.min(recorder.captures_until_full());
            slot.export_index = Some(exports.len());
            exports.push(RecordingExport {
                info: RecordingInfo {
                    schema: recorder.schema().clone(),
                    run: self.run,
                    tick_rate: if slot.expected_loop == Loop::Fixed {
                        self.points[slot.point].tick_clock.first_rate()
                    } else {
                        None
                    },
                    started: self.started,
                    buffers: recorder.buffer_folder().and_then(|folder| absolute(folder).ok()),
                },
                counters: recorder.counters().clone(),
                words: recorder.words().clone(),
                episodes: self.episodes.clone(),
                discarded: recorder.discarded_episodes().clone(),
                players: recorder.buffers().clone(),
                sinks: core::mem::take(slot.sinks.get()),
            });
        }
        self.captures_until_wake = shortest / 4;
        if exports.is_empty() {
            return;
        }
        match Exporter::spawn(self.settings.clone(), exports) {
            Ok(exporter) => self.exporter = Some(exporter),
            Err(error) => tracing::error!(
                "cannot start the threads of the exporter, nothing will be written: {error}; without \
                 `ExportSettings::threads` the game runs the exporter"
            ),
        }
    }

    /// Runs a pass of an exporter that has no thread.
    pub(super) fn run_export_pass(&self) {
        if let Some(exporter) = &self.exporter {
            exporter.run_pass();
        }
    }

    /// With [`Overflow::Block`], waits until all buffers have free rows for a capture. All players share one deadline.
    pub(super) fn wait_for_free_rows(&self) {
        /// Maximum rows that one capture writes for one player: the unchanged decisions, the last transition, and the
        /// beginning of the next episode.
        const ROWS: usize = 3;
        let Some(exporter) = &self.exporter else { return };
        let blocking = || {
            self.slots
                .iter()
                .filter_map(|slot| match slot.recorder.buffer_settings().overflow {
                    Overflow::Block(patience) if slot.export_index.is_some() => Some((slot, patience)),
                    _ => None,
                })
        };
        let Some(patience) = blocking().map(|(_, patience)| patience).max() else {
            return;
        };
        let has_room = || blocking().all(|(slot, _)| slot.recorder.has_free_rows(ROWS));
        if !has_room() {
            exporter.wait_for_room(Instant::now() + patience, has_room);
        }
    }

    /// Applies settings that were changed during play.
    pub(super) fn apply_live_settings(&mut self, live: &LiveSettings) {
        if live.apply_to(&mut self.settings)
            && let Some(exporter) = &mut self.exporter
        {
            exporter.set(self.settings.clone());
        }
    }

    /// Hands new buffers to the exporter thread, and wakes it before a buffer can fill up.
    pub(super) fn export(&mut self) {
        self.hand_over_buffers();
        if self.captures_until_wake == 0 {
            let ahead = self.slots.iter().map(|slot| slot.recorder.captures_until_full());
            self.captures_until_wake = ahead.min().unwrap_or(usize::MAX) / 4;
            if let Some(exporter) = &self.exporter {
                exporter.wake();
            }
        }
        self.captures_until_wake = self.captures_until_wake.saturating_sub(1);
    }

    /// Hands new buffers, and streams of the pool that ended, to the exporter thread.
    pub(super) fn hand_over_buffers(&mut self) {
        for slot in &mut self.slots {
            let (Some(exporter), Some(index)) = (&self.exporter, slot.export_index) else {
                // Without an exporter, buffers stay in `PlayerBuffers`, and are evicted when new buffers need the
                // memory.
                drop(slot.recorder.take_new_buffers());
                drop(slot.recorder.take_ended_streams());
                continue;
            };
            for new in slot.recorder.take_new_buffers() {
                exporter.attach(index, new.agent_id, new.buffer, new.transitions);
            }
            if let Some(pool) = slot.recorder.take_new_pool() {
                exporter.attach_pool(index, pool);
            }
            for stream in slot.recorder.take_ended_streams() {
                exporter.leave(index, stream);
            }
        }
    }

    /// The next notice of the exporter thread.
    pub(super) fn take_notice(&mut self) -> Option<Notice> {
        self.exporter.as_ref()?.take_notice()
    }

    /// The recording with this index in the exporter.
    pub(super) fn recording_at_export_index(&self, index: usize) -> Option<&RecordingSlot> {
        self.slots.iter().find(|slot| slot.export_index == Some(index))
    }
}
