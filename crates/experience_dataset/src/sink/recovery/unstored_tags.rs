//! Stores the tags of episodes that are in the journal of a run and were not stored by its process.

use super::{RecoveredRun, recovered_state::RecoveredState};
use crate::sink::{
    files::{io_error, is_refusal},
    tag_file::{self, TagFile},
};
use experience_core::account::{TagChange, remaining_tags};
use experience_export::SinkError;
use std::path::Path;

/// Stores the tag changes in the journal. The process may have stored some of them, which are stored again without an effect.
pub(super) fn store(folder: &Path, state: &mut RecoveredState, recovered: &mut RecoveredRun) -> Result<(), SinkError> {
    let run = recovered.run;
    let mut changes = core::mem::take(&mut state.tag_changes);
    let discarded = state.discarded_episodes.iter();
    changes.extend(discarded.map(|episode| TagChange::Removed {
        removed: run.episode_id(*episode),
    }));
    let path = tag_file::path(folder, run);
    match tag_file::read(&path) {
        Ok(stored) => {
            let tags = remaining_tags(stored.iter().cloned().map(TagChange::Added).chain(changes));
            if tags == stored {
                return Ok(());
            }
            tag_file::replace(&path, tags).map_err(io_error("write", &path))
        }
        Err(error) if is_refusal(&error) => Err(io_error("read", &path)(error)),
        // Appended, so that nothing is lost when the damaged line is mended.
        Err(error) => {
            recovered
                .unread
                .push(format!("`{}` is damaged: {error}", path.display()));
            TagFile::at_end(folder, run).append(&changes)
        }
    }
}
