//! Inputs of one buffer apart from its settings: a label and a budget share.

use super::{Label, budget::Share};

/// Resources that a buffer gets when it is created.
#[derive(Default)]
pub(super) struct BufferResources {
    pub(super) label: Label,
    /// The buffer's share of a budget. It is released with the buffer's memory.
    pub(super) share: Option<Share>,
}
