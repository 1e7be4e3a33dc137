//! Builds Arrow arrays from the rows of episodes.
//!
//! Each column is filled in one pass over all rows. Its type is matched once before the pass, not per value.

use crate::{
    EpisodeSlice,
    columns::{ColumnId, is_wide},
};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, DictionaryArray, FixedSizeListArray, ListArray,
    PrimitiveArray, StringArray,
    types::{Float32Type, Float64Type, Int32Type, Int64Type, UInt8Type},
};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType};
use bytemuck::Pod;
use core::ops::Range;
use experience_core::{
    schema::{Column, DType, Schema},
    transition::{Episode, Outcome, StepHeader},
};
use std::sync::Arc;

/// Matches a [`DType`]: invokes the macro `$use` with the Rust and the Arrow type, and evaluates `$bool` for `Bool`.
///
/// The caller has [`DType`] in scope and depends on `arrow-array`. Internal to the `bevy_experience` crates.
#[macro_export]
macro_rules! match_dtype {
    ($dtype:expr, $use:ident, $bool:expr) => {
        match $dtype {
            DType::F32 => $use!(f32, arrow_array::types::Float32Type),
            DType::F64 => $use!(f64, arrow_array::types::Float64Type),
            DType::I8 => $use!(i8, arrow_array::types::Int8Type),
            DType::I16 => $use!(i16, arrow_array::types::Int16Type),
            DType::I32 => $use!(i32, arrow_array::types::Int32Type),
            DType::I64 => $use!(i64, arrow_array::types::Int64Type),
            DType::U8 => $use!(u8, arrow_array::types::UInt8Type),
            DType::U16 => $use!(u16, arrow_array::types::UInt16Type),
            DType::U32 => $use!(u32, arrow_array::types::UInt32Type),
            DType::U64 => $use!(u64, arrow_array::types::UInt64Type),
            DType::Bool => $bool,
        }
    };
}

/// The transitions of one batch.
pub(super) struct TransitionRows<'a> {
    schema: &'a Schema,
    slices: &'a [EpisodeSlice<'a>],
    len: usize,
}

impl<'a> TransitionRows<'a> {
    pub(super) fn new(schema: &'a Schema, slices: &'a [EpisodeSlice<'a>]) -> Self {
        let len = slices.iter().map(|slice| slice.steps.len()).sum();
        Self { schema, slices, len }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Builds the array of a column.
    pub(super) fn array(&self, column: ColumnId) -> Result<ArrayRef, ArrowError> {
        let layout = self.schema.layout();
        let data_type = column.data_type(self.schema);
        Ok(match column {
            ColumnId::EpisodeId => self.per_episode::<Int64Type>(|episode| episode.info().episode_id),
            ColumnId::AgentId => self.per_episode::<Int64Type>(|episode| episode.info().agent_id),
            ColumnId::Run => self.per_episode::<Int64Type>(|episode| episode.info().run.get()),
            ColumnId::Step => self.steps(),
            ColumnId::MatchId => nullable(self.before().map(|row| StepHeader::of(row).match_id()), self.len),
            ColumnId::Tick => self.primitive::<Int64Type>(self.before().map(|row| StepHeader::of(row).tick)),
            ColumnId::Timestamp => {
                self.primitive::<Float64Type>(self.before().map(|row| StepHeader::of(row).timestamp))
            }
            ColumnId::Ticks => {
                let ticks = |row| i32::try_from(StepHeader::of(row).ticks).unwrap_or(i32::MAX);
                self.primitive::<Int32Type>(self.after().map(ticks))
            }
            ColumnId::Reward => self.primitive::<Float64Type>(self.after().map(|row| StepHeader::of(row).reward)),
            ColumnId::RewardTerm(index) => {
                let start = layout.reward_terms().start + index * size_of::<f32>();
                scalars::<Float32Type>(gather(self.after(), start..start + size_of::<f32>(), self.len))
            }
            ColumnId::Observation => list(
                &data_type,
                scalars::<Float32Type>(gather(self.before(), layout.observation(), self.len)),
            )?,
            ColumnId::NextObservation if is_wide(self.schema) => self.final_observations(&data_type)?,
            ColumnId::NextObservation => list(
                &data_type,
                scalars::<Float32Type>(gather(self.after(), layout.observation(), self.len)),
            )?,
            ColumnId::Image(index) => self.images(index)?,
            ColumnId::NextImage(index) => self.final_images(index)?,
            ColumnId::Action if self.schema.is_single_discrete() => self.discrete_actions(),
            ColumnId::Action => list(&data_type, self.packed_actions())?,
            ColumnId::ActionPart(index) => {
                self.own_type(&self.schema.action()[index], layout.action_offsets()[index], &data_type)?
            }
            ColumnId::Info(index) => {
                self.own_type(&self.schema.info()[index], layout.info_offsets()[index], &data_type)?
            }
            ColumnId::Terminated => self.flags(Outcome::Terminated),
            ColumnId::Truncated => self.flags(Outcome::Truncated),
            ColumnId::EndReason => self.reasons()?,
            ColumnId::Controller => self.controllers()?,
            ColumnId::ActionMask => list(&data_type, self.mask(self.before()))?,
            ColumnId::NextActionMask => list(&data_type, self.mask(self.after()))?,
            ColumnId::Changed => list(&data_type, self.changed())?,
            ColumnId::Continues => nullable(
                self.slices
                    .iter()
                    .flat_map(|slice| core::iter::repeat_n(slice.episode.info().continues, slice.steps.len())),
                self.len,
            ),
        })
    }

    fn before(&self) -> impl Iterator<Item = &'a [u64]> {
        self.slices.iter().flat_map(EpisodeSlice::before)
    }

    fn after(&self) -> impl Iterator<Item = &'a [u64]> {
        self.slices.iter().flat_map(EpisodeSlice::after)
    }

    /// The row index of the last transition of each episode that ends in the batch.
    fn last_rows(&self) -> impl Iterator<Item = (usize, &'a Episode)> {
        let ends = self.slices.iter().scan(0, |end, slice| {
            *end += slice.steps.len();
            Some((*end - 1, slice))
        });
        ends.filter(|(_, slice)| slice.has_end())
            .map(|(last, slice)| (last, slice.episode))
    }

    fn per_episode<T: ArrowPrimitiveType>(&self, value: impl Fn(&Episode) -> T::Native) -> ArrayRef {
        let repeated = |slice: &EpisodeSlice<'_>| core::iter::repeat_n(value(slice.episode), slice.steps.len());
        self.primitive::<T>(self.slices.iter().flat_map(repeated))
    }

    fn primitive<T: ArrowPrimitiveType>(&self, from: impl Iterator<Item = T::Native>) -> ArrayRef {
        // `flat_map` has no exact size hint, hence the capacity.
        let mut values = Vec::with_capacity(self.len);
        values.extend(from);
        Arc::new(PrimitiveArray::<T>::new(values.into(), None))
    }

    fn steps(&self) -> ArrayRef {
        let steps = self
            .slices
            .iter()
            .flat_map(|slice| slice.first_step()..slice.first_step() + slice.steps.len());
        self.primitive::<Int32Type>(steps.map(|step| i32::try_from(step).unwrap_or(i32::MAX)))
    }

    fn flags(&self, outcome: Outcome) -> ArrayRef {
        let mut flags = BooleanBufferBuilder::new(self.len);
        flags.append_n(self.len, false);
        for (last, _) in self.last_rows().filter(|(_, episode)| episode.outcome() == outcome) {
            flags.set_bit(last, true);
        }
        Arc::new(BooleanArray::new(flags.finish(), None))
    }

    fn reasons(&self) -> Result<ArrayRef, ArrowError> {
        let mut words = WordColumn::new(self.len);
        for (last, episode) in self.last_rows() {
            words.set(last, episode.reason().as_str())?;
        }
        words.finish()
    }

    fn controllers(&self) -> Result<ArrayRef, ArrowError> {
        let mut words = WordColumn::new(self.len);
        let mut row = 0;
        for slice in self.slices {
            if slice.episode.controllers().is_empty() {
                row += slice.steps.len();
                continue;
            }
            for step in slice.steps.clone() {
                if let Some(label) = slice.episode.transition(step).controller() {
                    words.set(row, label)?;
                }
                row += 1;
            }
        }
        words.finish()
    }

    /// The final observation in the last row of each episode, and null in the others.
    fn final_observations(&self, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
        let DataType::List(item) = data_type else {
            unreachable!("the next observations of wide rows are lists of any size");
        };
        let mut values = Vec::new();
        let mut lengths = vec![0; self.len];
        let mut valid = BooleanBufferBuilder::new(self.len);
        valid.append_n(self.len, false);
        for (last, episode) in self.last_rows() {
            let observation = episode.row(episode.len()).observation();
            values.extend_from_slice(observation);
            lengths[last] = observation.len();
            valid.set_bit(last, true);
        }
        if i32::try_from(values.len()).is_err() {
            return Err(ArrowError::OffsetOverflowError(values.len()));
        }
        Ok(Arc::new(ListArray::try_new(
            item.clone(),
            OffsetBuffer::from_lengths(lengths),
            scalars::<Float32Type>(values),
            Some(NullBuffer::new(valid.finish())),
        )?))
    }

    /// The bytes of an image in each row.
    fn images(&self, index: usize) -> Result<ArrayRef, ArrowError> {
        let bytes = self.image_bytes(index);
        let lengths = core::iter::repeat_n(bytes.len(), self.len);
        let pixels: Vec<u8> = gather(self.before(), bytes, self.len);
        binary(lengths, pixels, None)
    }

    /// An image in the final observation, in the last row of each episode, and null in the others.
    fn final_images(&self, index: usize) -> Result<ArrayRef, ArrowError> {
        let mut pixels = Vec::new();
        let mut lengths = vec![0; self.len];
        let mut valid = BooleanBufferBuilder::new(self.len);
        valid.append_n(self.len, false);
        for (last, episode) in self.last_rows() {
            let image = episode.row(episode.len()).image(index);
            pixels.extend_from_slice(image);
            lengths[last] = image.len();
            valid.set_bit(last, true);
        }
        binary(lengths.into_iter(), pixels, Some(NullBuffer::new(valid.finish())))
    }

    fn image_bytes(&self, index: usize) -> Range<usize> {
        bytes_of(
            &self.schema.images()[index],
            self.schema.layout().image_offsets()[index],
        )
    }

    /// A single discrete action as integers.
    fn discrete_actions(&self) -> ArrayRef {
        let column = &self.schema.action()[0];
        let bytes = bytes_of(column, self.schema.layout().action_offsets()[0]);
        macro_rules! convert {
            ($native:ty, $arrow:ty) => {{
                let choices: Vec<$native> = gather(self.after(), bytes, self.len);
                self.primitive::<Int64Type>(choices.into_iter().map(|choice| choice as i64))
            }};
        }
        match_dtype!(column.dtype, convert, {
            let flags: Vec<u8> = gather(self.after(), bytes, self.len);
            self.primitive::<Int64Type>(flags.into_iter().map(|flag| i64::from(flag != 0)))
        })
    }

    /// The values of all action columns as `f32`.
    fn packed_actions(&self) -> ArrayRef {
        let width = self.schema.action_width();
        let mut packed = vec![0_f32; self.len * width];
        let mut start = 0;
        for (column, &offset) in self.schema.action().iter().zip(self.schema.layout().action_offsets()) {
            let bytes = bytes_of(column, offset);
            let slots = start..start + column.width();
            let rows = || {
                self.after()
                    .map(|row| &bytemuck::cast_slice::<u64, u8>(row)[bytes.clone()])
            };
            macro_rules! convert {
                ($native:ty, $arrow:ty) => {
                    for (row, packed) in rows().zip(packed.chunks_exact_mut(width)) {
                        let values = bytemuck::cast_slice::<u8, $native>(row);
                        for (slot, value) in packed[slots.clone()].iter_mut().zip(values) {
                            *slot = *value as f32;
                        }
                    }
                };
            }
            match_dtype!(column.dtype, convert, {
                for (row, packed) in rows().zip(packed.chunks_exact_mut(width)) {
                    for (slot, value) in packed[slots.clone()].iter_mut().zip(row) {
                        *slot = f32::from(u8::from(*value != 0));
                    }
                }
            });
            start = slots.end;
        }
        Arc::new(PrimitiveArray::<Float32Type>::new(packed.into(), None))
    }

    /// A column in its own type, from its offset in the row that a transition leads to.
    fn own_type(&self, column: &Column, offset: usize, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
        let bytes = bytes_of(column, offset);
        macro_rules! array {
            ($native:ty, $arrow:ty) => {
                scalars::<$arrow>(gather(self.after(), bytes, self.len))
            };
        }
        let values: ArrayRef = match_dtype!(column.dtype, array, {
            let flags: Vec<u8> = gather(self.after(), bytes, self.len);
            Arc::new(BooleanArray::new(flags.iter().map(|flag| *flag != 0).collect(), None))
        });
        if column.shape.is_empty() {
            Ok(values)
        } else {
            list(data_type, values)
        }
    }

    fn mask(&self, rows: impl Iterator<Item = &'a [u64]>) -> ArrayRef {
        let width = self.schema.action_mask_width();
        let bytes = self.schema.layout().mask();
        let mut bits = BooleanBufferBuilder::new(self.len * width);
        for row in rows {
            bits.append_packed_range(0..width, &bytemuck::cast_slice(row)[bytes.clone()]);
        }
        Arc::new(BooleanArray::new(bits.finish(), None))
    }

    /// A bit for each feature whose bits differ between the two observations of a transition.
    fn changed(&self) -> ArrayRef {
        let bytes = self.schema.layout().observation();
        let mut bits = Vec::with_capacity(self.len * self.schema.observation_width().div_ceil(8));
        for (before, after) in self.before().zip(self.after()) {
            let [before, after] = [before, after].map(|row| features(row, &bytes).as_chunks::<8>());
            bits.extend(
                before
                    .0
                    .iter()
                    .zip(after.0)
                    .map(|(before, after)| differing(before, after)),
            );
            if !before.1.is_empty() {
                bits.push(differing(before.1, after.1));
            }
        }
        Arc::new(PrimitiveArray::<UInt8Type>::new(bits.into(), None))
    }
}

/// Builds a dictionary of words, in which rows without a word are null.
struct WordColumn<'a> {
    words: Vec<&'a str>,
    keys: Vec<i32>,
    valid: BooleanBufferBuilder,
    /// The index of the last word: neighbouring rows usually have the same one.
    last: usize,
}

impl<'a> WordColumn<'a> {
    fn new(len: usize) -> Self {
        let mut valid = BooleanBufferBuilder::new(len);
        valid.append_n(len, false);
        Self {
            words: Vec::new(),
            keys: vec![0; len],
            valid,
            last: 0,
        }
    }

    fn set(&mut self, row: usize, word: &'a str) -> Result<(), ArrowError> {
        if self.words.get(self.last) != Some(&word) {
            let known = self.words.iter().position(|known| *known == word);
            self.last = known.unwrap_or(self.words.len());
            if known.is_none() {
                self.words.push(word);
            }
        }
        self.keys[row] = i32::try_from(self.last).map_err(|_| ArrowError::DictionaryKeyOverflowError)?;
        self.valid.set_bit(row, true);
        Ok(())
    }

    fn finish(mut self) -> Result<ArrayRef, ArrowError> {
        let valid = NullBuffer::new(self.valid.finish());
        let keys = PrimitiveArray::<Int32Type>::new(self.keys.into(), (valid.null_count() > 0).then_some(valid));
        let words = Arc::new(StringArray::from(self.words));
        Ok(Arc::new(DictionaryArray::try_new(keys, words)?))
    }
}

/// The bits of a row's features. Compared as integers, a NaN equals itself, and the two zeros differ.
fn features<'a>(row: &'a [u64], bytes: &Range<usize>) -> &'a [u32] {
    bytemuck::cast_slice(&bytemuck::cast_slice::<u64, u8>(row)[bytes.clone()])
}

/// A bit for each of at most 8 pairs that differs, the first in the lowest bit.
#[inline]
fn differing(before: &[u32], after: &[u32]) -> u8 {
    let pairs = before.iter().zip(after).enumerate();
    pairs.fold(0, |bits, (index, (before, after))| {
        bits | u8::from(before != after) << index
    })
}

fn bytes_of(column: &Column, offset: usize) -> Range<usize> {
    offset..offset + column.width() * column.dtype.size()
}

/// Collects the values at `bytes` of each row.
fn gather<'a, N: Pod>(rows: impl Iterator<Item = &'a [u64]>, bytes: Range<usize>, len: usize) -> Vec<N> {
    let mut gathered = Vec::with_capacity(len * bytes.len() / size_of::<N>());
    for row in rows {
        // The layout aligns every value to its size.
        gathered.extend_from_slice(bytemuck::cast_slice(
            &bytemuck::cast_slice::<u64, u8>(row)[bytes.clone()],
        ));
    }
    gathered
}

fn scalars<T: ArrowPrimitiveType>(values: Vec<T::Native>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(values.into(), None))
}

/// Values of the given lengths, one after the other in `bytes`.
fn binary(
    lengths: impl Iterator<Item = usize>,
    bytes: Vec<u8>,
    valid: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    if i32::try_from(bytes.len()).is_err() {
        return Err(ArrowError::OffsetOverflowError(bytes.len()));
    }
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(BinaryArray::try_new(offsets, bytes.into(), valid)?))
}

fn nullable(values: impl Iterator<Item = Option<i64>>, len: usize) -> ArrayRef {
    let mut plain = Vec::with_capacity(len);
    let mut valid = BooleanBufferBuilder::new(len);
    for value in values {
        plain.push(value.unwrap_or(0));
        valid.append(value.is_some());
    }
    let valid = NullBuffer::new(valid.finish());
    let valid = (valid.null_count() > 0).then_some(valid);
    Arc::new(PrimitiveArray::<Int64Type>::new(plain.into(), valid))
}

fn list(data_type: &DataType, values: ArrayRef) -> Result<ArrayRef, ArrowError> {
    let DataType::FixedSizeList(item, width) = data_type else {
        unreachable!("only list columns are built here");
    };
    Ok(Arc::new(FixedSizeListArray::try_new(
        item.clone(),
        *width,
        values,
        None,
    )?))
}
