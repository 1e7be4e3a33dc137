//! What one buffer takes from its owner besides settings: a label, a budget share and a spill file.

use super::{
    BufferError, BufferSettings, Label,
    budget::Share,
    spill::{self, SpillFile},
};
use std::sync::Arc;

/// Resources that a buffer gets when it is created.
#[derive(Default)]
pub(super) struct BufferResources {
    pub(super) label: Label,
    /// The buffer's share of a budget. It is released with the buffer's memory.
    pub(super) share: Option<Share>,
    /// The file for rows that overflow, where the buffer spills.
    pub(super) file: Option<Arc<SpillFile>>,
}

impl BufferResources {
    /// Resources for a buffer that belongs to no recording.
    pub(super) fn of(settings: &BufferSettings, row_words: usize) -> Result<Self, BufferError> {
        Ok(Self {
            file: spill::file(settings, row_words)?,
            ..Self::default()
        })
    }
}
