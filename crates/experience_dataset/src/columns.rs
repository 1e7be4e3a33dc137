//! Decodes the columns of a record batch into rows of episodes.

use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, DictionaryArray, Float64Array, Int32Array,
    Int64Array, StringArray,
    cast::AsArray,
    types::{Float32Type, Int32Type},
};
use arrow_buffer::Buffer;
use experience_arrow::{
    columns::{BatchColumns, ColumnId, value_at},
    match_dtype,
};
use experience_core::schema::{Column, DType, Schema};

/// The columns of a batch that episodes are made of.
pub(super) struct EpisodeColumns {
    pub(super) episode_id: Int64Array,
    pub(super) agent_id: Int64Array,
    pub(super) run: Int64Array,
    pub(super) step: Int32Array,
    pub(super) tick: Int64Array,
    pub(super) ticks: Int32Array,
    pub(super) timestamp: Float64Array,
    pub(super) reward: Float64Array,
    pub(super) terminated: BooleanArray,
    pub(super) truncated: BooleanArray,
    match_id: Int64Array,
    continues: Int64Array,
    reason: WordColumn,
    controller: WordColumn,
    /// Observation, images and mask.
    before: Vec<ColumnDecoder>,
    /// The next observation; `None` if the recording observes images alone.
    next_observation: Option<(ArrayRef, ColumnDecoder)>,
    next_images: Vec<(ArrayRef, ColumnDecoder)>,
    next_mask: Option<ColumnDecoder>,
    /// Action, info and reward terms.
    outcome: Vec<ColumnDecoder>,
}

impl EpisodeColumns {
    /// Takes the columns of `schema` out of a batch.
    pub(super) fn new(schema: &Schema, batch: BatchColumns<'_>) -> Self {
        let layout = schema.layout();
        let source = |id: ColumnId| SourceColumn::new(batch, id);
        let mask = |id| match schema.action_mask_width() {
            0 => None,
            _ => Some(source(id).flags(layout.mask().start, true)),
        };
        let mut outcome = Vec::new();
        for (index, (column, at)) in schema.action().iter().zip(layout.action_offsets()).enumerate() {
            if column.width() > 0 {
                outcome.push(action(schema, batch, index, *at));
            }
        }
        for (index, (column, at)) in schema.info().iter().zip(layout.info_offsets()).enumerate() {
            if column.width() > 0 {
                outcome.push(source(ColumnId::Info(index)).own_type(column, *at));
            }
        }
        for index in 0..schema.reward_terms().len() {
            let at = layout.reward_terms().start + index * size_of::<f32>();
            outcome.push(source(ColumnId::RewardTerm(index)).plain::<Float32Type>(at));
        }
        let features = |id| match schema.observation_width() {
            0 => None,
            _ => Some(source(id)),
        };
        let observation = |source: &SourceColumn| source.plain::<Float32Type>(layout.observation().start);
        let image = |id, at| {
            let source = source(id);
            (source.array.clone(), source.bytes(at))
        };
        let images = layout.image_offsets().iter().enumerate();
        let mut before: Vec<_> = features(ColumnId::Observation).iter().map(observation).collect();
        before.extend(images.clone().map(|(index, at)| image(ColumnId::Image(index), *at).1));
        before.extend(mask(ColumnId::ActionMask));
        Self {
            episode_id: batch.i64(ColumnId::EpisodeId).clone(),
            agent_id: batch.i64(ColumnId::AgentId).clone(),
            match_id: batch.i64(ColumnId::MatchId).clone(),
            run: batch.i64(ColumnId::Run).clone(),
            step: batch.i32(ColumnId::Step).clone(),
            tick: batch.i64(ColumnId::Tick).clone(),
            ticks: batch.i32(ColumnId::Ticks).clone(),
            timestamp: batch.f64(ColumnId::Timestamp).clone(),
            reward: batch.f64(ColumnId::Reward).clone(),
            terminated: batch.bool(ColumnId::Terminated).clone(),
            truncated: batch.bool(ColumnId::Truncated).clone(),
            continues: batch.i64(ColumnId::Continues).clone(),
            reason: WordColumn::new(batch.array(ColumnId::EndReason)),
            controller: WordColumn::new(batch.array(ColumnId::Controller)),
            before,
            next_observation: features(ColumnId::NextObservation).map(|next| (next.array.clone(), observation(&next))),
            next_images: images
                .map(|(index, at)| image(ColumnId::NextImage(index), *at))
                .collect(),
            next_mask: mask(ColumnId::NextActionMask),
            outcome,
        }
    }

    /// The number of transitions.
    pub(super) fn len(&self) -> usize {
        self.step.len()
    }

    pub(super) fn match_id(&self, row: usize) -> Option<i64> {
        value_at(&self.match_id, row)
    }

    pub(super) fn continues(&self, row: usize) -> Option<i64> {
        value_at(&self.continues, row)
    }

    pub(super) fn reason(&self, row: usize) -> Option<&str> {
        self.reason.get(row)
    }

    pub(super) fn controller(&self, row: usize) -> Option<&str> {
        self.controller.get(row)
    }

    /// Decodes the observation, the images and the mask before the action.
    pub(super) fn decode_before(&self, row: usize, into: &mut [u8]) {
        for column in &self.before {
            column.decode(row, into);
        }
    }

    /// Decodes the next observation, its images and its mask, and returns what the row has of them. The bytes of a part that it
    /// lacks are unspecified.
    pub(super) fn decode_after(&self, row: usize, into: &mut [u8]) -> NextParts {
        let features = self.next_observation.iter();
        for (_, next) in features.clone().chain(&self.next_images) {
            next.decode(row, into);
        }
        if let Some(mask) = &self.next_mask {
            mask.decode(row, into);
        }
        let is_valid = |(array, _): &(ArrayRef, ColumnDecoder)| array.is_valid(row);
        NextParts {
            features: features.clone().all(is_valid),
            images: self.next_images.iter().all(is_valid),
        }
    }

    /// Decodes the action, its info and the reward terms.
    pub(super) fn decode_outcome(&self, row: usize, into: &mut [u8]) {
        for column in &self.outcome {
            column.decode(row, into);
        }
    }
}

/// The parts of the next observation that a row has. A part that the recording does not observe counts as there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NextParts {
    pub(super) features: bool,
    pub(super) images: bool,
}

impl NextParts {
    pub(super) fn is_complete(self) -> bool {
        self.features && self.images
    }
}

/// The decoder of the action column `index`, from its own column or from a part of `action`.
fn action(schema: &Schema, batch: BatchColumns<'_>, index: usize, at: usize) -> ColumnDecoder {
    let column = &schema.action()[index];
    if batch.get(ColumnId::ActionPart(index)).is_some() {
        return SourceColumn::new(batch, ColumnId::ActionPart(index)).own_type(column, at);
    }
    let action = SourceColumn::new(batch, ColumnId::Action);
    if schema.is_single_discrete() {
        return ColumnDecoder::Discrete {
            values: action.array.as_primitive().clone(),
            dtype: column.dtype,
            at,
        };
    }
    let start: usize = schema.action()[..index].iter().map(Column::width).sum();
    action
        .plain::<Float32Type>(at)
        .slice(start * size_of::<f32>(), column.width() * size_of::<f32>())
}

/// A column of a batch from which a [`ColumnDecoder`] is made.
struct SourceColumn {
    array: ArrayRef,
    /// The values of a list column, or the array itself.
    items: ArrayRef,
}

impl SourceColumn {
    fn new(batch: BatchColumns<'_>, id: ColumnId) -> Self {
        let array = batch.array(id).clone();
        let items = array
            .as_fixed_size_list_opt()
            .map_or_else(|| array.clone(), |list| list.values().clone());
        Self { array, items }
    }

    fn plain<T: ArrowPrimitiveType>(&self, at: usize) -> ColumnDecoder {
        let stride = self.width() * size_of::<T::Native>();
        ColumnDecoder::Plain {
            buffer: self.items.as_primitive::<T>().values().inner().clone(),
            stride,
            start: 0,
            bytes: stride,
            at,
        }
    }

    fn bytes(&self, at: usize) -> ColumnDecoder {
        ColumnDecoder::Bytes {
            values: self.array.as_binary().clone(),
            at,
        }
    }

    fn flags(&self, at: usize, packed: bool) -> ColumnDecoder {
        ColumnDecoder::Flags {
            flags: self.items.as_boolean().clone(),
            width: self.width(),
            packed,
            at,
        }
    }

    /// The decoder of a column that is stored in the type of its schema column.
    fn own_type(&self, column: &Column, at: usize) -> ColumnDecoder {
        macro_rules! plain {
            ($native:ty, $arrow:ty) => {
                self.plain::<$arrow>(at)
            };
        }
        match_dtype!(column.dtype, plain, self.flags(at, false))
    }

    /// The number of values per row.
    fn width(&self) -> usize {
        self.array
            .as_fixed_size_list_opt()
            .map_or(1, |list| list.value_length() as usize)
    }
}

/// Copies the values of one column into the bytes of a row, at the offset `at`.
enum ColumnDecoder {
    /// The bytes are the same in the column and in the row.
    Plain {
        buffer: Buffer,
        /// Distance between two rows, in bytes.
        stride: usize,
        /// The part of a row that is copied.
        start: usize,
        bytes: usize,
        at: usize,
    },
    /// The bytes of an image, whose size was checked.
    Bytes { values: BinaryArray, at: usize },
    /// Bits become packed bits in a mask, or one byte each.
    Flags {
        flags: BooleanArray,
        width: usize,
        packed: bool,
        at: usize,
    },
    /// A 64-bit integer becomes a value of another type.
    Discrete {
        values: Int64Array,
        dtype: DType,
        at: usize,
    },
}

impl ColumnDecoder {
    /// Restricts a plain column to `bytes` bytes of each row, from `start`.
    fn slice(self, start: usize, bytes: usize) -> Self {
        match self {
            Self::Plain { buffer, stride, at, .. } => Self::Plain {
                buffer,
                stride,
                start,
                bytes,
                at,
            },
            other => other,
        }
    }

    fn decode(&self, row: usize, into: &mut [u8]) {
        match self {
            Self::Plain {
                buffer,
                stride,
                start,
                bytes,
                at,
            } => into[*at..at + bytes].copy_from_slice(&buffer[row * stride + start..][..*bytes]),
            Self::Bytes { values, at } => {
                // Empty where it is null.
                let bytes = values.value(row);
                into[*at..at + bytes.len()].copy_from_slice(bytes);
            }
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
            Self::Discrete { values, dtype, at } => decode_discrete(values.value(row), *dtype, &mut into[*at..]),
        }
    }
}

fn decode_discrete(value: i64, dtype: DType, into: &mut [u8]) {
    macro_rules! convert {
        ($native:ty, $arrow:ty) => {
            into[..size_of::<$native>()].copy_from_slice(&(value as $native).to_ne_bytes())
        };
    }
    match_dtype!(dtype, convert, into[0] = u8::from(value != 0));
}

/// The column `end_reason` or `controller`. Tools that rewrite a shard may turn the dictionary into plain strings.
pub(super) enum WordColumn {
    Dictionary(DictionaryArray<Int32Type>),
    Plain(StringArray),
}

impl WordColumn {
    pub(super) fn new(array: &ArrayRef) -> Self {
        match array.as_dictionary_opt() {
            Some(dictionary) => Self::Dictionary(dictionary.clone()),
            None => Self::Plain(array.as_string().clone()),
        }
    }

    /// How many rows have each word, and how many have none. A word may occur twice.
    pub(super) fn counts(&self) -> Vec<(Option<&str>, u64)> {
        let mut counts: Vec<(Option<&str>, u64)>;
        match self {
            Self::Dictionary(dictionary) => {
                let words = dictionary.values().as_string::<i32>();
                counts = (0..words.len())
                    .map(|index| (words.is_valid(index).then(|| words.value(index)), 0))
                    .collect();
                counts.push((None, dictionary.null_count() as u64));
                let keys = dictionary.keys();
                for row in (0..keys.len()).filter(|row| keys.is_valid(*row)) {
                    counts[keys.value(row) as usize].1 += 1;
                }
            }
            Self::Plain(words) => {
                counts = Vec::new();
                for word in words {
                    match counts.last_mut() {
                        Some((last, count)) if *last == word => *count += 1,
                        _ => counts.push((word, 1)),
                    }
                }
            }
        }
        counts.retain(|(_, count)| *count > 0);
        counts
    }

    pub(super) fn get(&self, row: usize) -> Option<&str> {
        let (words, index) = match self {
            Self::Dictionary(dictionary) => (dictionary.values().as_string(), dictionary.key(row)?),
            Self::Plain(words) => (words, row),
        };
        words.is_valid(index).then(|| words.value(index))
    }
}
