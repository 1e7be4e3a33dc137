//! Datasets of recorded experience in Parquet: write, read, validate, diagnose, merge and convert them.
//!
//! A dataset is a folder with a recording for each kind of player. A recording has one schema, shards of whole episodes, and an
//! account of each run that wrote to it. [`DatasetSink`] writes the episodes that an
//! [`Exporter`](experience_export::Exporter) hands to it. [`Dataset`] reads them back:
//!
//! ```
//! use experience_core::{
//!     account::RunReport,
//!     schema::{Column, Schema},
//!     transition::{EndReason, Episode, EpisodeInfo, Outcome, RunId, StepHeader, StepKind},
//! };
//! use experience_dataset::{Dataset, DatasetSink};
//! use experience_export::{RecordingInfo, Sink};
//! use std::time::SystemTime;
//!
//! let schema = Schema::new("walker").with_observation([Column::feature("x")]).into_shared();
//! let run = RunId::from_bits(1);
//! // An episode of 3 transitions is 4 rows.
//! let words = schema.layout().row_words();
//! let mut rows = vec![0_u64; 4 * words];
//! for (step, row) in rows.chunks_exact_mut(words).enumerate() {
//!     *StepHeader::of_mut(row) = StepHeader::new(if step == 0 { StepKind::Begin } else { StepKind::Transition });
//!     StepHeader::of_mut(row).reward = step as f64;
//! }
//! let info = EpisodeInfo { episode_id: run.episode_id(0), agent_id: 7, run, continues: None };
//! let episode = Episode::new(schema.clone(), info, rows, Outcome::Terminated, EndReason::DEATH);
//!
//! // The exporter of a game makes these calls.
//! let folder = tempfile::tempdir()?;
//! let mut sink = DatasetSink::new(folder.path());
//! sink.open(&RecordingInfo { schema, run, tick_rate: None, started: SystemTime::now(), buffers: None })?;
//! sink.write(&[episode])?;
//! sink.close(&RunReport::default())?;
//!
//! let dataset = Dataset::open(folder.path())?;
//! let walker = dataset.recording("walker")?;
//! assert_eq!(walker.stats()?.transitions, 3);
//! for episode in walker.episodes() {
//!     for transition in episode?.transitions() {
//!         println!("{:?} → {}", transition.observation(), transition.reward());
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The crate `experience_cli` has a command for each operation, and [`bevy_experience`](https://docs.rs/bevy_experience)
//! records datasets in a Bevy app.
//!
//! # Operations
//! | item | what it does |
//! |---|---|
//! | [`RecordingData::episodes`], [`RecordingData::episode`], [`RecordingData::joint`] | read all episodes, one, or all players of a match at one tick |
//! | [`RecordingData::overview`], [`RecordingData::stats`], [`RecordingData::profile`] | count and summarise |
//! | [`RecordingData::validate`] | check every [`Rule`] of the format |
//! | [`RecordingData::diagnose`] | find problems of valid data that spoil training |
//! | [`merge`], [`densify`], [`filter`](filter()), [`split`](split()), [`compact`](compact()) | write a new dataset |
//! | [`Dataset::erase`] | erase an agent |
//! | [`Dataset::compact`] | turn many small shards into few |
//! | [`Dataset::recover`] | recover the runs of processes that died |
//! | [`convert`] | write other formats |
//!
//! # Files
//! ```text
//! data/arena/
//!   README.md                         the dataset card, with a Hugging Face config for each recording
//!   fighter/
//!     experience.json                 the schema, its hash, spaces and units
//!     data/<run>-00000.parquet        a shard of whole episodes, with the columns of `experience_arrow`
//!     runs/<run>.json                 the account of a run: its counts and shards
//!     runs/<run>.tags.jsonl           the tags of the run's episodes, if any
//!     journal/<run>/                  rows that are not in shards yet, until the run is closed or recovered
//!     segments/<run>/                 episodes of a `JournalSink`, until a recovery writes them to shards
//!     damaged/<run>/                  segments of a journal that a recovery could not read completely
//!     compaction.json                 which shards were compacted, if any
//! ```
//!
//! Every file belongs to one run, so any number of processes may write one dataset at once. A shard has a temporary name
//! until it is complete and durable: readers find all of it or nothing. A run holds a lock on the hidden file
//! `runs/.<run>.lock` until it is closed, and its account names its process, which distinguishes it from a run whose process died
//! and from a copy. Names that are read from a file become paths only if they are those of shards or accounts.
//!
//! Unfinished files are ignored, so a dataset can be read while games write to it. Damaged files never panic: they result in a
//! [`DatasetError`] that names the file.
//!
//! # Features
//! - `parquet`, by default: everything but [`JournalSink`] and the types of accounts. Without it the crate has no dependency on
//!   Arrow and Parquet, for games that are shipped.
//! - `foreign`, by default: files that pandas, polars or `DuckDB` have rewritten with other types of columns are read. Without it
//!   the columns must have the types that this crate writes.
//! - `object_store`: datasets in object stores, at addresses such as `s3://bucket/prefix`, in [`DatasetSink::new`] and
//!   [`Dataset::open`].
//! - `minari`: `convert::to_minari`, which writes Minari's HDF5 files without a C library.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(feature = "parquet"),
    expect(dead_code, reason = "the operations that read the files of a dataset need Parquet")
)]

#[cfg(feature = "parquet")]
mod adopt;
#[cfg(feature = "parquet")]
mod agents;
#[cfg(feature = "parquet")]
mod columns;
#[cfg(feature = "parquet")]
mod compact;
#[cfg(feature = "parquet")]
pub mod convert;
#[cfg(feature = "parquet")]
mod dataset;
#[cfg(feature = "parquet")]
mod dataset_builder;
#[cfg(feature = "parquet")]
mod densify;
#[cfg(feature = "parquet")]
mod doctor;
#[cfg(feature = "parquet")]
mod episode_table;
#[cfg(feature = "parquet")]
mod episodes;
#[cfg(feature = "parquet")]
mod erase;
#[cfg(feature = "parquet")]
mod error;
#[cfg(all(test, feature = "parquet"))]
mod faults;
#[cfg(feature = "parquet")]
mod filter;
#[cfg(feature = "parquet")]
mod image_histogram;
#[cfg(feature = "parquet")]
mod joint;
#[cfg(feature = "parquet")]
mod merge;
#[cfg(feature = "parquet")]
mod nominal_clock;
#[cfg(feature = "parquet")]
mod one_episode;
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
mod selection;
#[cfg(feature = "parquet")]
mod shard;
#[cfg(feature = "parquet")]
mod shard_packer;
#[cfg(feature = "parquet")]
mod shard_rewriter;
mod sink;
#[cfg(feature = "parquet")]
mod split;
#[cfg(feature = "parquet")]
mod stats;
mod store;
#[cfg(feature = "parquet")]
mod summary;
#[cfg(feature = "parquet")]
mod validate;

#[cfg(feature = "parquet")]
pub use adopt::{AdoptedJournal, AdoptedJournals, adopt_journals};
#[cfg(feature = "parquet")]
pub use compact::{CompactSettings, Compacted, compact};
#[cfg(feature = "parquet")]
pub use dataset::Dataset;
#[cfg(feature = "parquet")]
pub use densify::{Densified, DensifySettings, densify};
#[cfg(feature = "parquet")]
pub use doctor::{Diagnosis, Finding, Severity, Symptom};
#[cfg(feature = "parquet")]
pub use episodes::Episodes;
#[cfg(feature = "parquet")]
pub use erase::{Erasure, OUT_OF_REACH, OUT_OF_REACH_IN_STORE};
#[cfg(feature = "parquet")]
pub use error::DatasetError;
#[cfg(feature = "parquet")]
pub use filter::{EpisodeFilter, FilteredRecording, filter};
#[cfg(feature = "parquet")]
pub use joint::PlayerAt;
#[cfg(feature = "parquet")]
pub use merge::{MergeSettings, Merged, merge};
#[cfg(feature = "parquet")]
pub use one_episode::EpisodeQuery;
#[cfg(feature = "parquet")]
pub use overview::Overview;
#[cfg(feature = "parquet")]
pub use profile::{ActionClasses, ClassCount, ControllerProfile, FeatureSample, Profile, ValueProfile};
#[cfg(feature = "parquet")]
pub use progress::Progress;
#[cfg(feature = "parquet")]
pub use recording::RecordingData;
#[cfg(feature = "parquet")]
pub use recover::{RecoverSettings, RecoveredRecording, RecoveredRun, Recovery};
#[cfg(feature = "parquet")]
pub use sink::DatasetSink;
pub use sink::{
    AgentCounts, FileChecksum, Filtered, JournalSink, Retired, RunAccount, RunStatus, SegmentAccount, ShardAccount,
};
#[cfg(feature = "parquet")]
pub use split::{SplitBy, SplitPart, SplitSettings, split};
#[cfg(feature = "parquet")]
pub use stats::{RecordingStats, Summary};
pub use store::{address::is_address, upload_state::UploadState};
#[cfg(feature = "object_store")]
pub use store::{
    staging::StagedUploads,
    upload_status::UploadStatus,
    whole::{check_upload, upload, upload_staged},
};
#[cfg(feature = "parquet")]
pub use summary::{ControllerSteps, RecordingSummary};
#[cfg(feature = "parquet")]
pub use validate::{RewrittenShard, Rule, Validation, Violation};
