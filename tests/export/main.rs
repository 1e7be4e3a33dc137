//! Tests of setup, buffer memory, the exporter and its sinks, from the side of a game.

#[path = "../support/player.rs"]
mod player;
mod support;

mod accounting;
mod hostile_names;
mod live_settings;
mod memory;
mod setup_errors;
mod sinks;
mod without_threads;
