//! Games with scripted input, recorded by each adapter: every row is compared with what the game has logged.

#[path = "../../../../tests/support/allocations.rs"]
mod allocations;
#[path = "../../../../tests/support/log_lines.rs"]
mod log_lines;

mod game;
mod gamepads;
mod keyboard;
mod schemas;
mod warm;

#[cfg(feature = "avian2d")]
mod bodies;
#[cfg(feature = "enhanced_input")]
mod enhanced_input;
#[cfg(feature = "leafwing")]
mod leafwing;
