//! What a buffer is given when it is made, besides its settings.

use super::{
    BufferError, BufferSettings, Label,
    budget::Share,
    spill::{self, SpillFile},
};
use std::sync::Arc;

/// What a buffer is given by whoever makes many of them.
#[derive(Default)]
pub(super) struct Supplies {
    pub(super) label: Label,
    /// Its part of a budget, which it keeps for as long as its memory is there.
    pub(super) share: Option<Share>,
    /// Where it spills, if it does.
    pub(super) file: Option<Arc<SpillFile>>,
}

impl Supplies {
    /// Those of a buffer that is made by itself.
    pub(super) fn of(settings: &BufferSettings, row_words: usize) -> Result<Self, BufferError> {
        Ok(Self {
            file: spill::file(settings, row_words)?,
            ..Self::default()
        })
    }
}
