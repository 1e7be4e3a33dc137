//! A batch's columns, ready to be copied into rows.

use crate::arrow::Content;
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    cast::AsArray,
    types::{
        ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
        UInt32Type, UInt64Type,
    },
};
use arrow_buffer::Buffer;
use experience_core::schema::{Column, DType, Schema};

/// The columns of a batch that an episode is made of.
pub(super) struct Columns {
    pub(super) episode_id: Int64Array,
    pub(super) agent_id: Int64Array,
    pub(super) match_id: Int64Array,
    pub(super) run: Int64Array,
    pub(super) step: Int32Array,
    pub(super) tick: Int64Array,
    pub(super) ticks: Int32Array,
    pub(super) timestamp: Float64Array,
    pub(super) reward: Float64Array,
    pub(super) terminated: BooleanArray,
    pub(super) truncated: BooleanArray,
    pub(super) continues: Int64Array,
    reason: Reasons,
    observation: Part,
    mask: Option<Part>,
    next_observation: (ArrayRef, Part),
    next_mask: Option<Part>,
    /// Action, info and reward terms.
    outcome: Vec<Part>,
}

impl Columns {
    /// Takes the columns of `schema` out of a batch whose types have been checked.
    pub(super) fn new(schema: &Schema, batch: &RecordBatch) -> Result<Self, String> {
        let layout = schema.layout();
        let take = |content: Content| Taken::new(schema, batch, content);
        let mask = |content| match schema.action_mask_width() {
            0 => Ok(None),
            _ => take(content)?.flags(layout.mask().start, true).map(Some),
        };
        let mut outcome = Vec::new();
        for (index, (column, at)) in schema.action().iter().zip(layout.action_offsets()).enumerate() {
            if column.width() > 0 {
                outcome.push(action(schema, batch, index, *at)?);
            }
        }
        for (index, (column, at)) in schema.info().iter().zip(layout.info_offsets()).enumerate() {
            if column.width() > 0 {
                outcome.push(take(Content::Info(index))?.own(column, *at)?);
            }
        }
        for index in 0..schema.reward_terms().len() {
            let at = layout.reward_terms().start + index * size_of::<f32>();
            outcome.push(take(Content::RewardTerm(index))?.plain::<Float32Type>(at)?);
        }
        let next = take(Content::NextObservation)?;
        Ok(Self {
            episode_id: take(Content::EpisodeId)?.primitive::<Int64Type>()?,
            agent_id: take(Content::AgentId)?.primitive::<Int64Type>()?,
            match_id: take(Content::MatchId)?.array.as_primitive().clone(),
            run: take(Content::Run)?.primitive::<Int64Type>()?,
            step: take(Content::Step)?.primitive::<Int32Type>()?,
            tick: take(Content::Tick)?.primitive::<Int64Type>()?,
            ticks: take(Content::Ticks)?.primitive::<Int32Type>()?,
            timestamp: take(Content::Timestamp)?.primitive::<Float64Type>()?,
            reward: take(Content::Reward)?.primitive::<Float64Type>()?,
            terminated: take(Content::Terminated)?.filled()?.as_boolean().clone(),
            truncated: take(Content::Truncated)?.filled()?.as_boolean().clone(),
            continues: take(Content::Continues)?.array.as_primitive().clone(),
            reason: Reasons::new(&take(Content::EndReason)?.array),
            observation: take(Content::Observation)?.plain::<Float32Type>(layout.observation().start)?,
            mask: mask(Content::ActionMask)?,
            next_observation: (
                next.array.clone(),
                next.items::<Float32Type>(layout.observation().start)?,
            ),
            next_mask: mask(Content::NextActionMask)?,
            outcome,
        })
    }

    pub(super) fn reason(&self, row: usize) -> Option<&str> {
        self.reason.get(row)
    }

    /// Copies what was seen before acting.
    pub(super) fn write_before(&self, row: usize, into: &mut [u8]) {
        self.observation.write(row, into);
        if let Some(mask) = &self.mask {
            mask.write(row, into);
        }
    }

    /// Copies what was seen after acting; `false` where it is not in the row.
    pub(super) fn write_after(&self, row: usize, into: &mut [u8]) -> bool {
        let (array, next) = &self.next_observation;
        next.write(row, into);
        if let Some(mask) = &self.next_mask {
            mask.write(row, into);
        }
        array.is_valid(row)
    }

    /// Copies the action and what came of it.
    pub(super) fn write_outcome(&self, row: usize, into: &mut [u8]) {
        for part in &self.outcome {
            part.write(row, into);
        }
    }
}

/// Where the action column `index` is: in a column of its own, or in `action`.
fn action(schema: &Schema, batch: &RecordBatch, index: usize, at: usize) -> Result<Part, String> {
    let column = &schema.action()[index];
    if batch.column_by_name(&Content::ActionPart(index).name(schema)).is_some() {
        return Taken::new(schema, batch, Content::ActionPart(index))?.own(column, at);
    }
    let whole = Taken::new(schema, batch, Content::Action)?;
    if schema.is_single_discrete() {
        return Ok(Part::Choice {
            choices: whole.primitive::<Int64Type>()?,
            dtype: column.dtype,
            at,
        });
    }
    let start: usize = schema.action()[..index].iter().map(Column::width).sum();
    whole
        .plain::<Float32Type>(at)
        .map(|part| part.slice(start * size_of::<f32>(), column.width() * size_of::<f32>()))
}

/// A column on its way into a [`Part`].
struct Taken {
    name: String,
    array: ArrayRef,
    /// The values of a list, or the array itself.
    items: ArrayRef,
}

impl Taken {
    fn new(schema: &Schema, batch: &RecordBatch, content: Content) -> Result<Self, String> {
        let name = content.name(schema);
        let array = batch
            .column_by_name(&name)
            .ok_or_else(|| format!("it has no column `{name}`"))?
            .clone();
        let items = array
            .as_fixed_size_list_opt()
            .map_or_else(|| array.clone(), |list| list.values().clone());
        Ok(Self { name, array, items })
    }

    /// The column, if no value is missing in it.
    fn filled(&self) -> Result<&ArrayRef, String> {
        if self.array.null_count() + self.items.null_count() > 0 {
            return Err(format!("a value is missing in column `{}`", self.name));
        }
        Ok(&self.array)
    }

    fn primitive<T: ArrowPrimitiveType>(&self) -> Result<arrow_array::PrimitiveArray<T>, String> {
        Ok(self.filled()?.as_primitive().clone())
    }

    fn plain<T: ArrowPrimitiveType>(&self, at: usize) -> Result<Part, String> {
        self.filled()?;
        self.items::<T>(at)
    }

    fn items<T: ArrowPrimitiveType>(&self, at: usize) -> Result<Part, String> {
        let buffer = self.items.as_primitive::<T>().values().inner().clone();
        let stride = self.width()? * size_of::<T::Native>();
        Ok(Part::Plain {
            buffer,
            stride,
            start: 0,
            bytes: stride,
            at,
        })
    }

    fn flags(&self, at: usize, packed: bool) -> Result<Part, String> {
        self.filled()?;
        Ok(Part::Flags {
            flags: self.items.as_boolean().clone(),
            width: self.width()?,
            packed,
            at,
        })
    }

    fn own(&self, column: &Column, at: usize) -> Result<Part, String> {
        match column.dtype {
            DType::F32 => self.plain::<Float32Type>(at),
            DType::F64 => self.plain::<Float64Type>(at),
            DType::I8 => self.plain::<Int8Type>(at),
            DType::I16 => self.plain::<Int16Type>(at),
            DType::I32 => self.plain::<Int32Type>(at),
            DType::I64 => self.plain::<Int64Type>(at),
            DType::U8 => self.plain::<UInt8Type>(at),
            DType::U16 => self.plain::<UInt16Type>(at),
            DType::U32 => self.plain::<UInt32Type>(at),
            DType::U64 => self.plain::<UInt64Type>(at),
            DType::Bool => self.flags(at, false),
        }
    }

    /// How many values a row has.
    fn width(&self) -> Result<usize, String> {
        let width = self
            .array
            .as_fixed_size_list_opt()
            .map_or(1, |list| list.value_length() as usize);
        if self.items.len() == self.array.len() * width {
            Ok(width)
        } else {
            Err(format!("a row of column `{}` has another number of values", self.name))
        }
    }
}

/// How the values of one column come into a row.
enum Part {
    /// Bytes that are the same in the column and in the row.
    Plain {
        buffer: Buffer,
        /// From one row's bytes to the next one's.
        stride: usize,
        start: usize,
        bytes: usize,
        at: usize,
    },
    /// Bits: packed in a mask, a byte each in a value.
    Flags {
        flags: BooleanArray,
        width: usize,
        packed: bool,
        at: usize,
    },
    /// One integer that stands for a value of another type.
    Choice {
        choices: Int64Array,
        dtype: DType,
        at: usize,
    },
}

impl Part {
    fn slice(self, from: usize, len: usize) -> Self {
        match self {
            Self::Plain { buffer, stride, at, .. } => Self::Plain {
                buffer,
                stride,
                start: from,
                bytes: len,
                at,
            },
            other => other,
        }
    }

    fn write(&self, row: usize, into: &mut [u8]) {
        match self {
            Self::Plain {
                buffer,
                stride,
                start,
                bytes,
                at,
            } => into[*at..at + bytes].copy_from_slice(&buffer[row * stride + start..][..*bytes]),
            Self::Flags {
                flags,
                width,
                packed,
                at,
            } => {
                for index in 0..*width {
                    let flag = u8::from(flags.value(row * width + index));
                    if *packed {
                        let byte = &mut into[at + index / 8];
                        *byte = *byte & !(1 << (index % 8)) | flag << (index % 8);
                    } else {
                        into[at + index] = flag;
                    }
                }
            }
            Self::Choice { choices, dtype, at } => write_choice(choices.value(row), *dtype, &mut into[*at..]),
        }
    }
}

fn write_choice(choice: i64, dtype: DType, into: &mut [u8]) {
    macro_rules! put {
        ($type:ty) => {
            into[..size_of::<$type>()].copy_from_slice(&(choice as $type).to_ne_bytes())
        };
    }
    match dtype {
        DType::F32 => put!(f32),
        DType::F64 => put!(f64),
        DType::I8 => put!(i8),
        DType::I16 => put!(i16),
        DType::I32 => put!(i32),
        DType::I64 => put!(i64),
        DType::U8 => put!(u8),
        DType::U16 => put!(u16),
        DType::U32 => put!(u32),
        DType::U64 => put!(u64),
        DType::Bool => into[0] = u8::from(choice != 0),
    }
}

/// Tools that rewrite a shard may turn the dictionary into plain strings.
pub(super) enum Reasons {
    Dictionary(DictionaryArray<Int32Type>),
    Plain(StringArray),
}

impl Reasons {
    pub(super) fn new(array: &ArrayRef) -> Self {
        match array.as_dictionary_opt() {
            Some(dictionary) => Self::Dictionary(dictionary.clone()),
            None => Self::Plain(array.as_string().clone()),
        }
    }

    pub(super) fn get(&self, row: usize) -> Option<&str> {
        let (words, index) = match self {
            Self::Dictionary(dictionary) => (dictionary.values().as_string(), dictionary.key(row)?),
            Self::Plain(words) => (words, row),
        };
        words.is_valid(index).then(|| words.value(index))
    }
}
