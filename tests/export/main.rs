//! Set-up, buffers in memory, the exporter and its sinks, from a game's side.

mod accounts;
mod hostile_names;
mod live_settings;
mod memory;
mod set_up;
mod sinks;
