//! Episodes as Arrow record batches: one row for each transition.
//!
//! | column | type | notes |
//! |---|---|---|
//! | `episode_id` | i64 | unique across runs and merges |
//! | `agent_id` | i64 | |
//! | `match_id` | i64, nullable | which match of the process |
//! | `run` | i64 | rows of one (`run`, `match_id`, `tick`) are the joint state of a match |
//! | `step` | i32 | counted from 0 inside the episode |
//! | `tick` | i64 | of the observation; the authority on time |
//! | `ticks` | i32 | how long the transition lasted |
//! | `timestamp` | f64 | seconds from the start of the run to the observation |
//! | `observation` | fixed-size list of f32, `[N]` | flat, in C order |
//! | `action` | i64, or fixed-size list of f32, `[M]` | i64 where it is one discrete choice |
//! | `action.<name>` | its own | where `action` alone does not say all; see below |
//! | `reward` | f64 | |
//! | `reward.<term>` | f32 | |
//! | `next_observation` | as `observation`, nullable | in every row; only in an episode's last where an observation is over 1 KiB |
//! | `terminated`, `truncated` | bool | true only on last rows |
//! | `end_reason` | dictionary of strings, nullable | only on last rows |
//! | `action_mask`, `next_action_mask` | fixed-size list of bool, `[K]` | where there is a mask |
//! | `changed` | fixed-size list of u8, `[ceil(N / 8)]` | which features of the next observation differ, lowest bit first |
//! | `info.<name>` | its own | |
//! | `continues` | i64, nullable | the episode that this one was split from |
//!
//! Action columns get `action.<name>` columns of their own when they are of another type than `f32`, or when discrete and
//! continuous ones stand side by side. A column with a shape stays flat, in C order, as a fixed-size list; its shape is in
//! the schema. A column without values (a shape with a 0) is left out.
//!
//! A recording has one Arrow schema, from its first batch to its last, whatever happens in the game.

mod columns;
mod encode;

#[cfg(feature = "parquet")]
pub(crate) use columns::is_wide;
pub(crate) use columns::{Content, content};
pub(crate) use encode::Part;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, Field, Schema as ArrowSchema, SchemaRef};
use experience_core::{schema::Schema, transition::Episode};
use experience_export::SinkError;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// The key of the schema's hash, 16 hexadecimal digits, in the metadata of the Arrow schema.
pub const SCHEMA_HASH_KEY: &str = "bevy_experience.schema_hash";

/// The key of the recording's name in the metadata of the Arrow schema.
pub const RECORDING_KEY: &str = "bevy_experience.recording";

/// Turns episodes of one recording into record batches.
///
/// ```
/// use experience_core::schema::{Column, Schema};
/// use experience_dataset::arrow::BatchEncoder;
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
    content: Vec<Content>,
    arrow: SchemaRef,
}

impl BatchEncoder {
    /// Lays out the columns of `schema`.
    ///
    /// # Errors
    /// When there is nothing to observe, or when two columns would have one name.
    pub fn new(schema: Arc<Schema>) -> Result<Self, SinkError> {
        let columns = content(&schema);
        if schema.observation_width() == 0 {
            return Err(SinkError::Other(format!(
                "recording `{}` observes nothing; add an `observe` that has at least one feature",
                schema.name()
            )));
        }
        let fields: Vec<Field> = columns.iter().map(|column| column.field(&schema)).collect();
        let mut names = HashSet::new();
        if let Some(twice) = fields.iter().find(|field| !names.insert(field.name().as_str())) {
            return Err(SinkError::Other(format!(
                "recording `{}` has two columns called `{}`; rename one of them",
                schema.name(),
                twice.name()
            )));
        }
        let metadata = HashMap::from([
            (SCHEMA_HASH_KEY.to_owned(), format!("{:016x}", schema.hash())),
            (RECORDING_KEY.to_owned(), schema.name().to_owned()),
        ]);
        Ok(Self {
            arrow: Arc::new(ArrowSchema::new_with_metadata(fields, metadata)),
            content: columns,
            schema,
        })
    }

    /// The schema of every batch.
    #[must_use]
    pub fn arrow_schema(&self) -> &SchemaRef {
        &self.arrow
    }

    /// Checks that all of `episodes` can be encoded.
    ///
    /// # Errors
    /// When one is of another schema.
    pub fn accepts(&self, episodes: &[Episode]) -> Result<(), SinkError> {
        for episode in episodes {
            // Episodes of one run share one schema: the comparison by value is for hand-made ones.
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

    /// All transitions of `episodes`, in order, as one batch.
    ///
    /// # Errors
    /// When an episode is of another schema.
    pub fn encode(&self, episodes: &[Episode]) -> Result<RecordBatch, SinkError> {
        self.accepts(episodes)?;
        let parts: Vec<_> = episodes.iter().map(Part::whole).collect();
        self.encode_parts(&parts)
    }

    /// The transitions of `parts`, of episodes that are known to be [accepted](Self::accepts), as one batch.
    pub(crate) fn encode_parts(&self, parts: &[Part<'_>]) -> Result<RecordBatch, SinkError> {
        let rows = encode::Rows::new(&self.schema, parts);
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let columns: Result<_, ArrowError> = self.content.iter().map(|column| rows.array(*column)).collect();
        columns
            .and_then(|columns| RecordBatch::try_new_with_options(self.arrow.clone(), columns, &options))
            .map_err(|error| SinkError::Other(format!("cannot encode recording `{}`: {error}", self.schema.name())))
    }
}
