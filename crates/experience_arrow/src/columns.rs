//! Columns of a record batch: their names and Arrow types, and a typed view for readers.
//!
//! Internals of the `bevy_experience` crates, for the encoder and the dataset reader: this API may change in any release.
//! [The table](crate) of the crate describes the columns.

mod batch_columns;
mod conform;

pub use batch_columns::{BatchColumns, value_at};
pub(crate) use conform::as_written;
pub use conform::{ColumnError, check_columns, conform};

use arrow_schema::{DataType, Field};
use experience_core::schema::{Column, DType, Schema, Space};

/// Identifies a column of a record batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnId {
    /// `episode_id`.
    EpisodeId,
    /// `agent_id`.
    AgentId,
    /// `match_id`.
    MatchId,
    /// `run`.
    Run,
    /// `step`.
    Step,
    /// `tick`.
    Tick,
    /// `ticks`.
    Ticks,
    /// `timestamp`.
    Timestamp,
    /// `observation`. Absent if the recording observes images alone, as are `next_observation` and `changed`.
    Observation,
    /// `observation.<name>`: the image with this index in the schema.
    Image(usize),
    /// `action`. The whole action: one integer, or all values packed as `f32`.
    Action,
    /// `action.<name>`: the action column with this index in the schema.
    ActionPart(usize),
    /// `reward`.
    Reward,
    /// `reward.<term>`: the reward term with this index in the schema.
    RewardTerm(usize),
    /// `next_observation`.
    NextObservation,
    /// `next_observation.<name>`: the image with this index in the final observation.
    NextImage(usize),
    /// `terminated`.
    Terminated,
    /// `truncated`.
    Truncated,
    /// `end_reason`.
    EndReason,
    /// `action_mask`.
    ActionMask,
    /// `next_action_mask`.
    NextActionMask,
    /// `changed`.
    Changed,
    /// `info.<name>`: the info column with this index in the schema.
    Info(usize),
    /// `continues`.
    Continues,
    /// `controller`. Shards of versions before it lack it, and are read as if it were null in every row.
    Controller,
}

/// The columns of `schema`, in the order in which they are written.
pub fn column_ids(schema: &Schema) -> Vec<ColumnId> {
    use ColumnId::*;
    let mut columns = vec![EpisodeId, AgentId, MatchId, Run, Step, Tick, Ticks, Timestamp];
    let has_features = schema.observation_width() > 0;
    if has_features {
        columns.push(Observation);
    }
    columns.extend((0..schema.images().len()).map(Image));
    if schema.action_width() > 0 {
        columns.push(Action);
        if has_parts(schema) {
            columns.extend(non_empty(schema.action()).map(ActionPart));
        }
    }
    columns.push(Reward);
    columns.extend((0..schema.reward_terms().len()).map(RewardTerm));
    if has_features {
        columns.push(NextObservation);
    }
    columns.extend((0..schema.images().len()).map(NextImage));
    columns.extend([Terminated, Truncated, EndReason]);
    if schema.action_mask_width() > 0 {
        columns.extend([ActionMask, NextActionMask]);
    }
    if has_features {
        columns.push(Changed);
    }
    columns.extend(non_empty(schema.info()).map(Info));
    columns.extend([Continues, Controller]);
    columns
}

fn non_empty(columns: &[Column]) -> impl Iterator<Item = usize> + '_ {
    (0..columns.len()).filter(|&index| columns[index].width() > 0)
}

/// Whether `action` alone would lose the type or the space of an action column.
fn has_parts(schema: &Schema) -> bool {
    if schema.is_single_discrete() {
        // An `i64` holds every integer and bool, but no fraction.
        return schema.action()[0].dtype.is_float();
    }
    let discrete = |column: &&Column| matches!(column.space, Space::Discrete { .. });
    let choices = schema.action().iter().filter(discrete).count();
    schema.action().iter().any(|column| column.dtype != DType::F32) || (choices > 0 && choices < schema.action().len())
}

/// Whether `next_observation` is only in the last row of an episode, because an observation is over 1 KiB.
pub fn is_wide(schema: &Schema) -> bool {
    schema.has_wide_observation()
}

impl ColumnId {
    /// The name of the column.
    pub fn name(self, schema: &Schema) -> String {
        let fixed = match self {
            Self::EpisodeId => "episode_id",
            Self::AgentId => "agent_id",
            Self::MatchId => "match_id",
            Self::Run => "run",
            Self::Step => "step",
            Self::Tick => "tick",
            Self::Ticks => "ticks",
            Self::Timestamp => "timestamp",
            Self::Observation => "observation",
            Self::Image(index) => return format!("observation.{}", schema.images()[index].name),
            Self::NextImage(index) => return format!("next_observation.{}", schema.images()[index].name),
            Self::Action => "action",
            Self::ActionPart(index) => return format!("action.{}", schema.action()[index].name),
            Self::Reward => "reward",
            Self::RewardTerm(index) => return format!("reward.{}", schema.reward_terms()[index]),
            Self::NextObservation => "next_observation",
            Self::Terminated => "terminated",
            Self::Truncated => "truncated",
            Self::EndReason => "end_reason",
            Self::ActionMask => "action_mask",
            Self::NextActionMask => "next_action_mask",
            Self::Changed => "changed",
            Self::Info(index) => return format!("info.{}", schema.info()[index].name),
            Self::Continues => "continues",
            Self::Controller => "controller",
        };
        fixed.to_owned()
    }

    /// The type of the column that is written.
    pub fn data_type(self, schema: &Schema) -> DataType {
        match self {
            Self::EpisodeId | Self::AgentId | Self::MatchId | Self::Run | Self::Tick | Self::Continues => {
                DataType::Int64
            }
            Self::Step | Self::Ticks => DataType::Int32,
            Self::Timestamp | Self::Reward => DataType::Float64,
            // No list of some rows: pyarrow before 26 cannot read a null in a column of fixed-size lists.
            Self::NextObservation if is_wide(schema) => {
                DataType::List(Field::new_list_field(DataType::Float32, false).into())
            }
            Self::Observation | Self::NextObservation => list(DataType::Float32, schema.observation_width()),
            // Not a list of `u8`, which Parquet stores as one number and two levels for each byte.
            Self::Image(_) | Self::NextImage(_) => DataType::Binary,
            Self::Action if schema.is_single_discrete() => DataType::Int64,
            Self::Action => list(DataType::Float32, schema.action_width()),
            Self::ActionPart(index) => column_type(&schema.action()[index]),
            Self::RewardTerm(_) => DataType::Float32,
            Self::Terminated | Self::Truncated => DataType::Boolean,
            Self::EndReason | Self::Controller => {
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
            }
            Self::ActionMask | Self::NextActionMask => list(DataType::Boolean, schema.action_mask_width()),
            Self::Changed => list(DataType::UInt8, schema.observation_width().div_ceil(8)),
            Self::Info(index) => column_type(&schema.info()[index]),
        }
    }

    /// The type that the column is read as: every list has a fixed size. See [`conform()`].
    pub fn read_type(self, schema: &Schema) -> DataType {
        match self {
            Self::NextObservation => Self::Observation.data_type(schema),
            _ => self.data_type(schema),
        }
    }

    /// The number of bytes of each value of an image; `None` for other columns.
    pub(super) fn image_bytes(self, schema: &Schema) -> Option<usize> {
        match self {
            Self::Image(index) | Self::NextImage(index) => Some(schema.images()[index].width()),
            _ => None,
        }
    }

    fn is_nullable(self) -> bool {
        matches!(
            self,
            Self::MatchId
                | Self::NextObservation
                | Self::NextImage(_)
                | Self::EndReason
                | Self::Continues
                | Self::Controller
        )
    }

    /// Whether the column has values of the game that can be NaN. pandas writes NaN as a missing value.
    ///
    /// Not [`Reward`](Self::Reward): a row that a join has not found has no reward either, and is refused.
    pub(super) fn can_be_nan(self, schema: &Schema) -> bool {
        match self {
            Self::Observation | Self::NextObservation | Self::RewardTerm(_) => true,
            Self::Action => !schema.is_single_discrete(),
            Self::ActionPart(index) => schema.action()[index].dtype.is_float(),
            Self::Info(index) => schema.info()[index].dtype.is_float(),
            _ => false,
        }
    }

    /// Whether a shard may lack the column.
    pub(super) fn is_optional(self) -> bool {
        self == Self::Controller
    }

    pub(super) fn field(self, schema: &Schema) -> Field {
        Field::new(self.name(schema), self.data_type(schema), self.is_nullable())
    }
}

fn column_type(column: &Column) -> DataType {
    let item = match column.dtype {
        DType::F32 => DataType::Float32,
        DType::F64 => DataType::Float64,
        DType::I8 => DataType::Int8,
        DType::I16 => DataType::Int16,
        DType::I32 => DataType::Int32,
        DType::I64 => DataType::Int64,
        DType::U8 => DataType::UInt8,
        DType::U16 => DataType::UInt16,
        DType::U32 => DataType::UInt32,
        DType::U64 => DataType::UInt64,
        DType::Bool => DataType::Boolean,
    };
    if column.shape.is_empty() {
        item
    } else {
        list(item, column.width())
    }
}

fn list(item: DataType, width: usize) -> DataType {
    let width = i32::try_from(width).expect("the number of values of a schema fits an `i32`");
    DataType::FixedSizeList(Field::new_list_field(item, false).into(), width)
}
