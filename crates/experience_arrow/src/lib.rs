//! Recorded experience as Arrow record batches, one row per transition.
//!
//! [`BatchEncoder`] turns whole [episodes](experience_core::transition::Episode) into [record
//! batches](arrow_array::RecordBatch). [`ChannelSink`] is a [`Sink`](experience_export::Sink) that sends such batches to a
//! trainer in the same process. The crate `experience_dataset` writes them to Parquet, and
//! [`bevy_experience`](https://docs.rs/bevy_experience) records them in a Bevy app.
//!
//! ```
//! use experience_arrow::BatchEncoder;
//! use experience_core::{
//!     schema::{Column, Schema},
//!     transition::{EndReason, Episode, EpisodeInfo, Outcome, RunId, StepHeader, StepKind},
//! };
//!
//! let schema = Schema::new("walker").with_observation([Column::feature("x")]).into_shared();
//! // An episode of 3 transitions is 4 rows, each with an observation.
//! let layout = schema.layout();
//! let mut rows = vec![0_u64; 4 * layout.row_words()];
//! for (step, row) in rows.chunks_exact_mut(layout.row_words()).enumerate() {
//!     *StepHeader::of_mut(row) = StepHeader::new(if step == 0 { StepKind::Begin } else { StepKind::Transition });
//!     let bytes: &mut [u8] = bytemuck::cast_slice_mut(row);
//!     bytes[layout.observation()].copy_from_slice(&(step as f32).to_ne_bytes());
//! }
//! let info = EpisodeInfo { episode_id: 1, agent_id: 7, run: RunId::from_bits(1), continues: None };
//! let episode = Episode::new(schema.clone(), info, rows, Outcome::Terminated, EndReason::DEATH);
//!
//! let batch = BatchEncoder::new(schema)?.encode(&[episode])?;
//! assert_eq!(batch.num_rows(), 3);
//! assert!(batch.column_by_name("next_observation").is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Columns
//! | column | type | notes |
//! |---|---|---|
//! | `episode_id` | i64 | unique across runs and merges |
//! | `agent_id` | i64 | |
//! | `match_id` | i64, nullable | the match within the process |
//! | `run` | i64 | rows of one (`run`, `match_id`, `tick`) are the joint state of a match |
//! | `step` | i32 | counted from 0 within the episode |
//! | `tick` | i64 | tick of the observation; the authoritative time |
//! | `ticks` | i32 | duration of the transition in ticks |
//! | `timestamp` | f64 | seconds from the start of the run to the observation |
//! | `observation` | fixed-size list of f32, `[N]` | flat, in C order |
//! | `observation.<name>` | binary | the pixels of an image: `u8` of `[height, width, channels]`, in C order; the shape is in the schema |
//! | `action` | i64, or fixed-size list of f32, `[M]` | i64 for a single discrete action |
//! | `action.<name>` | its own | if `action` alone loses information; see below |
//! | `reward` | f64 | |
//! | `reward.<term>` | f32 | |
//! | `next_observation` | as `observation`, nullable | in every row; if an observation is over 1 KiB, a list of variable size, only in the last row of an episode |
//! | `next_observation.<name>` | binary, nullable | the image in the final observation, only in the last row of an episode |
//! | `terminated`, `truncated` | bool | true only on last rows |
//! | `end_reason` | dictionary of strings, nullable | only on last rows |
//! | `action_mask`, `next_action_mask` | fixed-size list of bool, `[K]` | if the schema has a mask |
//! | `changed` | fixed-size list of u8, `[ceil(N / 8)]` | bit set of the features that differ in the next observation, lowest bit first |
//! | `info.<name>` | its own | |
//! | `continues` | i64, nullable | the episode that this one continues |
//! | `controller` | dictionary of strings, nullable | what chose the action: `person`, `script:<name>`, `policy:<name>@<version>` |
//!
//! A recording of images alone has no `observation`, no `next_observation` and no `changed`. `changed` has no bit for an image.
//!
//! Action columns get `action.<name>` columns of their own if one of them is not `f32`, or if discrete and continuous ones are
//! mixed. A column with a shape is flat, in C order, as a fixed-size list; its shape is in the schema. A column without values
//! (a shape with a 0) is omitted.
//!
//! All batches of a recording have the same Arrow schema.
//!
//! # Features
//! - `foreign`: columns are read whose types other tools have changed; see [`columns::conform()`].

mod channel;
pub mod columns;
mod encode;
mod slice;

pub use channel::ChannelSink;
pub use slice::EpisodeSlice;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, Field, Schema as ArrowSchema, SchemaRef};
use columns::{ColumnError, ColumnId, as_written, column_ids, conform};
use experience_core::{schema::Schema, transition::Episode};
use experience_export::SinkError;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// The metadata key of the schema's hash, 16 hexadecimal digits, in the Arrow schema.
pub const SCHEMA_HASH_KEY: &str = "bevy_experience.schema_hash";

/// The metadata key of the recording's name in the Arrow schema.
pub const RECORDING_KEY: &str = "bevy_experience.recording";

/// Encodes episodes of one recording as record batches.
///
/// ```
/// use experience_core::schema::{Column, Schema};
/// use experience_arrow::BatchEncoder;
///
/// let schema = Schema::new("fighter").with_observation([Column::feature("health")]);
/// let encoder = BatchEncoder::new(schema.into_shared())?;
/// let batch = encoder.encode(&[])?;
/// assert_eq!(batch.num_rows(), 0);
/// assert!(batch.column_by_name("observation").is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct BatchEncoder {
    schema: Arc<Schema>,
    columns: Vec<ColumnId>,
    arrow: SchemaRef,
}

impl BatchEncoder {
    /// An encoder for episodes of `schema`.
    ///
    /// # Errors
    /// If the schema has no observation, or if two columns would have the same name.
    pub fn new(schema: Arc<Schema>) -> Result<Self, SinkError> {
        let columns = column_ids(&schema);
        if !schema.has_observation() {
            return Err(SinkError::Other(format!(
                "recording `{}` observes nothing; add an `observe` that has at least one feature, or an image",
                schema.name()
            )));
        }
        let fields: Vec<Field> = columns.iter().map(|column| column.field(&schema)).collect();
        let mut names = HashSet::new();
        if let Some(duplicate) = fields.iter().find(|field| !names.insert(field.name().as_str())) {
            return Err(SinkError::Other(format!(
                "recording `{}` has two columns called `{}`; rename one of them",
                schema.name(),
                duplicate.name()
            )));
        }
        let metadata = HashMap::from([
            (SCHEMA_HASH_KEY.to_owned(), format!("{:016x}", schema.hash())),
            (RECORDING_KEY.to_owned(), schema.name().to_owned()),
        ]);
        Ok(Self {
            arrow: Arc::new(ArrowSchema::new_with_metadata(fields, metadata)),
            columns,
            schema,
        })
    }

    /// The schema of the episodes.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The Arrow schema of all batches.
    #[must_use]
    pub fn arrow_schema(&self) -> &SchemaRef {
        &self.arrow
    }

    /// Checks that `episodes` can be encoded.
    ///
    /// # Errors
    /// If an episode has another schema.
    pub fn accepts(&self, episodes: &[Episode]) -> Result<(), SinkError> {
        for episode in episodes {
            // Episodes of one run share one `Arc`. Only schemas of episodes from elsewhere are compared by value.
            if !Arc::ptr_eq(episode.schema(), &self.schema) && episode.schema() != &self.schema {
                return Err(SinkError::Other(format!(
                    "episode {} is not of the schema that recording `{}` was opened with",
                    episode.info().episode_id,
                    self.schema.name()
                )));
            }
        }
        Ok(())
    }

    /// Encodes all transitions of `episodes`, in order, as one batch.
    ///
    /// # Errors
    /// If an episode has another schema.
    pub fn encode(&self, episodes: &[Episode]) -> Result<RecordBatch, SinkError> {
        self.accepts(episodes)?;
        let slices: Vec<_> = episodes.iter().map(EpisodeSlice::whole).collect();
        self.encode_slices(&slices)
    }

    /// The columns of `batch`, which another tool may have written, as this encoder writes them. Other columns are left out.
    ///
    /// # Errors
    /// If a column is missing or has another meaning, or if a value is missing.
    pub fn recode(&self, batch: &RecordBatch) -> Result<RecordBatch, ColumnError> {
        let read = conform(&self.schema, &self.columns, batch)?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        as_written(&self.schema, &self.columns, &read)
            .and_then(|columns| RecordBatch::try_new_with_options(self.arrow.clone(), columns, &options))
            .map_err(|error| ColumnError::Schema(error.to_string()))
    }

    /// Encodes `slices` as one batch. Their episodes have passed [`accepts`](Self::accepts).
    ///
    /// # Errors
    /// If Arrow refuses an array, for example because it has too many end reasons.
    pub fn encode_slices(&self, slices: &[EpisodeSlice<'_>]) -> Result<RecordBatch, SinkError> {
        let rows = encode::TransitionRows::new(&self.schema, slices);
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let columns: Result<_, ArrowError> = self.columns.iter().map(|column| rows.array(*column)).collect();
        columns
            .and_then(|columns| RecordBatch::try_new_with_options(self.arrow.clone(), columns, &options))
            .map_err(|error| SinkError::Other(format!("cannot encode recording `{}`: {error}", self.schema.name())))
    }
}
