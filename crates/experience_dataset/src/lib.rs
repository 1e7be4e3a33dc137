//! Datasets of recorded experience in Parquet: writes, reads, checks, converts and merges them.
//!
//! A [`DatasetSink`] writes the episodes that an exporter hands to it. A [`Dataset`] reads them back:
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
//! Unfinished files are ignored, so a dataset can be read while games write to it. Damaged files never panic: they result in a
//! [`DatasetError`] that names the file.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod columns;
pub mod convert;
mod dataset;
mod dataset_builder;
mod densify;
pub mod doctor;
mod episodes;
mod erase;
mod error;
#[cfg(test)]
mod faults;
mod joint;
mod merge;
mod overview;
mod profile;
mod progress;
mod recording;
mod recover;
mod shard;
pub mod sink;
mod stats;
pub mod validate;
pub use crate::sink::{AgentCounts, Retired, RunAccount, RunStatus, ShardAccount};
pub use dataset::Dataset;
pub use densify::{Densified, DensifySettings, densify};
pub use doctor::{Diagnosis, Finding, Severity, Symptom};
pub use episodes::Episodes;
pub use erase::{Erasure, OUT_OF_REACH};
pub use error::DatasetError;
pub use joint::PlayerAt;
pub use merge::{MergeSettings, Merged, merge};
pub use overview::Overview;
pub use profile::{Profile, ValueProfile};
pub use progress::Progress;
pub use recording::RecordingData;
pub use recover::{RecoverSettings, RecoveredRecording, RecoveredRun, Recovery};
pub use sink::DatasetSink;
pub use stats::{RecordingStats, Summary};
pub use validate::{Rule, Validation, Violation};
