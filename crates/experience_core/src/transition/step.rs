//! A typed view of one encoded row.

use super::StepHeader;
use crate::schema::{Column, DType, Schema};
use core::fmt;

/// One encoded row, decoded through its schema.
#[derive(Clone, Copy)]
pub struct StepBytes<'a> {
    schema: &'a Schema,
    row: &'a [u64],
}

impl<'a> StepBytes<'a> {
    /// Views `row` as a row of `schema`.
    ///
    /// # Panics
    /// When the length of `row` is not the schema's `row_words`.
    #[must_use]
    #[inline]
    pub fn new(schema: &'a Schema, row: &'a [u64]) -> Self {
        assert_eq!(
            row.len(),
            schema.layout().row_words(),
            "the row does not have the schema's `row_words`"
        );
        Self { schema, row }
    }

    /// The schema of the row.
    #[must_use]
    #[inline]
    pub fn schema(self) -> &'a Schema {
        self.schema
    }

    #[inline]
    fn bytes(self) -> &'a [u8] {
        bytemuck::cast_slice(self.row)
    }

    #[inline]
    fn column_bytes(self, column: &Column, offset: usize) -> &'a [u8] {
        &self.bytes()[offset..offset + column.width() * column.dtype.size()]
    }

    /// The header.
    #[must_use]
    #[inline]
    pub fn header(self) -> &'a StepHeader {
        StepHeader::of(self.row)
    }

    /// The observation, `[observation_width]`.
    #[must_use]
    #[inline]
    pub fn observation(self) -> &'a [f32] {
        bytemuck::cast_slice(&self.bytes()[self.schema.layout().observation()])
    }

    /// The bytes of image `index`, in C order of `[height, width, channels]`.
    ///
    /// # Panics
    /// When the schema has no such image.
    #[must_use]
    #[inline]
    pub fn image(self, index: usize) -> &'a [u8] {
        self.column_bytes(
            &self.schema.images()[index],
            self.schema.layout().image_offsets()[index],
        )
    }

    /// The packed bits of the action mask, least significant bit first; empty where there is no mask.
    #[must_use]
    #[inline]
    pub fn mask_bits(self) -> &'a [u8] {
        &self.bytes()[self.schema.layout().mask()]
    }

    /// Whether the action mask allows alternative `index`.
    ///
    /// # Panics
    /// When `index` is not less than the mask's width.
    #[must_use]
    #[inline]
    pub fn allows(self, index: usize) -> bool {
        assert!(
            index < self.schema.action_mask_width(),
            "alternative {index} is outside of the action mask"
        );
        self.mask_bits()[index / 8] >> (index % 8) & 1 == 1
    }

    /// The bytes of action column `index`.
    ///
    /// # Panics
    /// When the schema has no such column.
    #[must_use]
    #[inline]
    pub fn action_bytes(self, index: usize) -> &'a [u8] {
        self.column_bytes(
            &self.schema.action()[index],
            self.schema.layout().action_offsets()[index],
        )
    }

    /// All elements of the action in order, `[action_width]`, converted to `f64`. Exact except for 64-bit integers
    /// beyond 2⁵³.
    pub fn action(self) -> impl Iterator<Item = f64> + 'a {
        self.schema
            .action()
            .iter()
            .enumerate()
            .flat_map(move |(index, column)| values(column.dtype, self.action_bytes(index)))
    }

    /// The bytes of info column `index`.
    ///
    /// # Panics
    /// When the schema has no such column.
    #[must_use]
    #[inline]
    pub fn info_bytes(self, index: usize) -> &'a [u8] {
        self.column_bytes(&self.schema.info()[index], self.schema.layout().info_offsets()[index])
    }

    /// The elements of the info column `name`, converted to `f64`; `None` where the schema has no such column.
    #[must_use]
    #[inline]
    pub fn info(self, name: &str) -> Option<Vec<f64>> {
        let index = self.schema.info().iter().position(|column| column.name == name)?;
        Some(values(self.schema.info()[index].dtype, self.info_bytes(index)).collect())
    }

    /// The reward terms, in the schema's order.
    #[must_use]
    #[inline]
    pub fn reward_terms(self) -> &'a [f32] {
        bytemuck::cast_slice(&self.bytes()[self.schema.layout().reward_terms()])
    }
}

impl fmt::Debug for StepBytes<'_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = self.header();
        f.debug_struct("StepBytes")
            .field("kind", &header.kind())
            .field("tick", &header.tick)
            .field("observation", &self.observation())
            .field("action", &self.action().collect::<Vec<_>>())
            .field("reward", &header.reward)
            .field("outcome", &header.outcome())
            .finish_non_exhaustive()
    }
}

/// Decodes the elements of a column as `f64`. Trailing bytes that are not a whole element are ignored.
pub fn values(dtype: DType, bytes: &[u8]) -> impl Iterator<Item = f64> + '_ {
    macro_rules! read {
        ($type:ty, $chunk:ident) => {
            <$type>::from_ne_bytes($chunk.try_into().expect("chunks are one element long")) as f64
        };
    }
    bytes.chunks_exact(dtype.size()).map(move |chunk| match dtype {
        DType::F32 => read!(f32, chunk),
        DType::F64 => read!(f64, chunk),
        DType::I8 => read!(i8, chunk),
        DType::I16 => read!(i16, chunk),
        DType::I32 => read!(i32, chunk),
        DType::I64 => read!(i64, chunk),
        DType::U8 => read!(u8, chunk),
        DType::U16 => read!(u16, chunk),
        DType::U32 => read!(u32, chunk),
        DType::U64 => read!(u64, chunk),
        DType::Bool => f64::from(u8::from(chunk[0] != 0)),
    })
}
