//! Failures of the journal: logged once, posted as a notice, and cleared by the next write that succeeds.

use super::JournalTracker;
use crate::{
    exporter::notice::{Notice, SinkFailure},
    journal::Journal,
    sink::SinkError,
};
use std::{io, path::PathBuf, time::Instant};

impl JournalTracker {
    pub(super) fn report_success(&mut self) {
        if core::mem::replace(&mut self.is_failing, false) {
            self.cannot_compact = false;
            tracing::info!("{} works again", self.name);
        }
        if self.needs_room.take().is_some() && !self.is_fallback {
            self.storage.set_free(&self.name);
        }
    }

    pub(super) fn report_failure(&mut self, path: PathBuf, source: io::Error) {
        self.written = Instant::now();
        let action = "write to";
        let error = SinkError::Io { action, path, source };
        let is_full = error.is_storage_full();
        if is_full && self.needs_room.is_none() {
            /// The least room to wait for, so that recording does not pause and resume at every frame.
            const ROOM: usize = 64 << 10;
            let frame = self.journal.as_ref().map_or(0, Journal::frame_bytes);
            self.needs_room = Some(frame.saturating_mul(2).clamp(ROOM, 64 * ROOM));
            if !self.is_fallback {
                self.storage.set_full(&self.name);
            }
        }
        if core::mem::replace(&mut self.is_failing, true) {
            return;
        }
        let is_paused = is_full && !self.is_fallback;
        let consequence = if is_paused {
            "recording is paused until there is room"
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
