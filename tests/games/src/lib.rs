//! What the patched games share: a headless app with scripted keys, the log that a game writes, and the comparison of
//! every recorded row with it.

mod headless;
mod log;
mod unreliable;
mod verdict;

pub use headless::{Headless, Paced, frame, rows, seed};
pub use log::Log;
pub use unreliable::Unreliable;
pub use verdict::compare;
