//! Reads a dataset back: its recordings, their episodes and transitions, statistics, and who was where at a tick.
//!
//! ```no_run
//! use experience_dataset::Dataset;
//!
//! let dataset = Dataset::open("data/arena")?;
//! let fighter = dataset.recording("fighter")?;
//! println!("{:?}", fighter.stats()?);
//! for episode in fighter.episodes() {
//!     for transition in episode?.transitions() {
//!         println!("{:?} → {}", transition.observation(), transition.reward());
//!     }
//! }
//! # Ok::<(), experience_dataset::DatasetError>(())
//! ```
//!
//! Unfinished files are not looked at, so a dataset can be read while games write to it. Whatever stands in the files, the
//! answer is data or a [`DatasetError`] that names the file.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod arrow;
mod channel;
pub use channel::ChannelSink;

#[cfg(feature = "parquet")]
mod atomic;
#[cfg(feature = "parquet")]
mod columns;
#[cfg(feature = "parquet")]
pub mod convert;
#[cfg(feature = "parquet")]
mod dataset;
#[cfg(feature = "parquet")]
mod densify;
#[cfg(feature = "parquet")]
pub mod doctor;
#[cfg(feature = "parquet")]
mod episodes;
#[cfg(feature = "parquet")]
mod erase;
#[cfg(feature = "parquet")]
mod error;
#[cfg(all(test, feature = "parquet"))]
mod faults;
#[cfg(feature = "parquet")]
mod joint;
#[cfg(feature = "parquet")]
mod make;
#[cfg(feature = "parquet")]
mod merge;
#[cfg(feature = "parquet")]
mod overview;
#[cfg(feature = "parquet")]
mod profile;
#[cfg(feature = "parquet")]
mod progress;
#[cfg(feature = "parquet")]
mod recording;
#[cfg(feature = "parquet")]
mod recover;
#[cfg(feature = "parquet")]
mod shard;
#[cfg(feature = "parquet")]
pub mod sink;
#[cfg(feature = "parquet")]
mod stats;
#[cfg(feature = "parquet")]
pub mod validate;
#[cfg(feature = "parquet")]
pub use crate::sink::{AgentCounts, Retired, RunAccount, RunStatus, ShardAccount};
#[cfg(feature = "parquet")]
pub use dataset::Dataset;
#[cfg(feature = "parquet")]
pub use densify::{Densified, DensifySettings, densify};
#[cfg(feature = "parquet")]
pub use doctor::{Diagnosis, Finding, Severity, Symptom};
#[cfg(feature = "parquet")]
pub use episodes::Episodes;
#[cfg(feature = "parquet")]
pub use erase::{Erased, OUT_OF_REACH};
#[cfg(feature = "parquet")]
pub use error::DatasetError;
#[cfg(feature = "parquet")]
pub use joint::PlayerAt;
#[cfg(feature = "parquet")]
pub use merge::{MergeSettings, Merged, merge};
#[cfg(feature = "parquet")]
pub use overview::Overview;
#[cfg(feature = "parquet")]
pub use profile::{Profile, ValueProfile};
#[cfg(feature = "parquet")]
pub use progress::Progress;
#[cfg(feature = "parquet")]
pub use recording::RecordingData;
#[cfg(feature = "parquet")]
pub use recover::{RecoverSettings, RecoveredRecording, RecoveredRun, Recovery};
#[cfg(feature = "parquet")]
pub use sink::DatasetSink;
#[cfg(feature = "parquet")]
pub use stats::{RecordingStats, Summary};
#[cfg(feature = "parquet")]
pub use validate::{Rule, Validation, Violation};
