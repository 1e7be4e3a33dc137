//! Failures of the journal: logged once, posted as a notice, and cleared by the next write that succeeds.

use super::JournalTracker;
use crate::{
    exporter::notice::{Notice, SinkFailure},
    journal::Journal,
    sink::SinkError,
};
use std::{io, path::PathBuf};
use web_time::Instant;

impl JournalTracker {
    pub(super) fn report_success(&mut self) {
        if core::mem::replace(&mut self.is_failing, false) {
            self.cannot_compact = false;
            tracing::info!("{} works again", self.name);
        }
        if self.needed_space.take().is_some() && !self.is_fallback {
            self.storage.set_free(&self.name);
        }
    }

    pub(super) fn report_failure(&mut self, path: PathBuf, source: io::Error) {
        self.written = Instant::now();
        let action = "write to";
        let error = SinkError::Io { action, path, source };
        let is_full = error.is_storage_full();
        if is_full && self.needed_space.is_none() {
            /// Minimum of the space to wait for, so that recording does not pause and resume at every frame.
            const MIN_SPACE: usize = 64 << 10;
            let frame = self.journal.as_ref().map_or(0, Journal::frame_bytes);
            self.needed_space = Some(frame.saturating_mul(2).clamp(MIN_SPACE, 64 * MIN_SPACE));
            if !self.is_fallback {
                self.storage.set_full(&self.name);
            }
        }
        if core::mem::replace(&mut self.is_failing, true) {
            return;
        }
        let is_paused = is_full && !self.is_fallback;
        let consequence = if is_paused {
            "recording is paused until the disk has space"
        } else {
            "open episodes stay in memory and are lost if the process dies, and no sink has a backlog"
        };
        tracing::error!("{} fails: {error}; {consequence}", self.name);
        self.notices.post(Notice::SinkFailed {
            recording: self.recording,
            sink: self.name.clone(),
            error: error.to_string(),
            consequence: if is_paused {
                SinkFailure::StorageFull
            } else {
                SinkFailure::Refuses
            },
        });
    }
}
