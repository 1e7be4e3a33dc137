//! What the patched games share: a headless app with scripted keys, the log that a game writes, and the comparison of
//! every recorded row with it.

mod headless;
mod log;
mod verdict;

pub use headless::{Headless, rows};
pub use log::Log;
