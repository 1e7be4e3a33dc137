//! Converts recordings to other formats.
//!
//! | function | consumer |
//! |---|---|
//! | [`to_bincode`] | Rust programs that read the journal's format |
//! | [`to_jsonl`] | people, and programs that read JSON Lines |
//! | [`to_lerobot`] | `LeRobot` v3.0 |
//! | `to_minari`, with the feature `minari` | Minari 0.5, and readers of its files such as `TorchRL` |
//!
//! The output, a file or a folder, appears when it is complete.

mod bincode;
mod jsonl;
mod lerobot;
#[cfg(feature = "minari")]
mod minari;

pub use bincode::to_bincode;
pub use jsonl::{JsonLine, to_jsonl};
pub use lerobot::to_lerobot;
#[cfg(feature = "minari")]
pub use minari::{MinariObservations, to_minari};
