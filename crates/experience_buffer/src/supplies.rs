//! What a buffer is given when it is made, besides its settings.

use super::{Label, budget::Share};

/// What a buffer is given by whoever makes many of them.
#[derive(Default)]
pub(super) struct Supplies {
    pub(super) label: Label,
    /// Its part of a budget, which it keeps for as long as its memory is there.
    pub(super) share: Option<Share>,
}
