//! Record training data from any Bevy game.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod account;
pub mod buffer;
#[cfg(feature = "bevy")]
pub mod capture;
#[cfg(feature = "dataset")]
pub mod dataset;
#[cfg(feature = "bevy")]
pub mod episode;
pub mod export;
#[cfg(feature = "bevy")]
pub mod player;
#[cfg(feature = "bevy")]
pub mod plugin;
#[cfg(feature = "bevy")]
pub mod recording;
pub mod schema;
pub mod sink;
#[cfg(feature = "bevy")]
pub mod test_app;
pub mod transition;

/// What a game needs to name.
pub mod prelude {
    #[cfg(feature = "arrow")]
    pub use crate::sink::ChannelSink;
    #[cfg(feature = "dataset")]
    pub use crate::sink::DatasetSink;
    pub use crate::{
        buffer::Overflow,
        sink::MemorySink,
        transition::{EndReason, Outcome},
    };
    #[cfg(feature = "bevy")]
    pub use crate::{
        capture::Nearest,
        episode::{
            BeginEpisode, DecisionTick, EndEpisode, EpisodeEnded, EpisodeStart, FinalObservation, NonFinite, RecordMode,
        },
        player::{AgentId, DoNotRecord, Reward},
        plugin::{Experience, ExperienceAppExt, ExperiencePlugin, ExperienceSystems},
        recording::Recording,
    };
}
