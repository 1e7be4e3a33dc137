//! From buffers to sinks, on a thread that the game never waits for.
//!
//! The [`Exporter`] drains the [buffers](experience_buffer) of a recording, assembles rows into whole episodes, and hands
//! these to each [`Sink`]. What no sink has made durable yet is in the [`journal`].

pub mod assembly;
pub mod disk;
mod exporter;
pub mod journal;
mod sink;

pub use exporter::*;
pub use sink::{MemorySink, RecordingInfo, Sink, SinkError};
