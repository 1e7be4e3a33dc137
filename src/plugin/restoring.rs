//! The method of [`Experience`] that restores recorded episodes.

use super::Experience;
use crate::restore::{EpisodeRestorer, RestoreError};
use experience_core::transition::Episode;
use std::sync::Arc;

impl Experience {
    /// What writes the rows of `episode` back to components, by the plan of the recording with its name. `with_actions` also writes
    /// the components of the action.
    ///
    /// Reads the episode once, to find out which of its columns determine components. Works in the same way while recording is
    /// disabled, paused or closed.
    ///
    /// # Errors
    /// When the app has no such recording, or records other columns than those of the episode.
    pub fn restorer(&self, episode: Arc<Episode>, with_actions: bool) -> Result<EpisodeRestorer, RestoreError> {
        let name = episode.schema().name();
        let slot = self.state().find(name).and_then(|id| self.state().recording(id));
        let Some(slot) = slot else {
            return Err(RestoreError::UnknownRecording {
                recording: name.to_owned(),
                known: self.recordings().map(str::to_owned).collect(),
            });
        };
        let (schema, inverses) = (slot.recorder.schema().clone(), slot.recorder.inverses());
        EpisodeRestorer::new(&schema, inverses, episode, with_actions)
    }
}
