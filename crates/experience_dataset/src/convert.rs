//! A dataset in other formats.
//!
//! | function | for |
//! |---|---|
//! | [`to_bincode`] | programs in Rust that read the journal's frames |
//! | [`to_jsonl`] | people, and programs that read lines |
//! | [`to_lerobot`] | `LeRobot` v3.0: one folder, with its own names |
//! | `to_minari`, with the feature `minari` | Minari 0.5, and what reads its files (`TorchRL`) |
//!
//! Each makes something new: a folder that comes into being when all of it is written.

mod bincode;
mod jsonl;
mod lerobot;
#[cfg(feature = "minari")]
mod minari;

pub use bincode::to_bincode;
pub use jsonl::{JsonLine, to_jsonl};
pub use lerobot::to_lerobot;
#[cfg(feature = "minari")]
pub use minari::to_minari;
