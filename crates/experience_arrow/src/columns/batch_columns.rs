//! Typed view of the columns of a record batch that was read.

use super::ColumnId;
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, FixedSizeListArray, PrimitiveArray, RecordBatch,
    cast::AsArray,
    types::{Float64Type, Int32Type, Int64Type},
};
use arrow_schema::DataType;
use experience_core::schema::Schema;

/// Whether two types are equal, apart from the names and the nullability of list items.
pub(super) fn same_type(a: &DataType, b: &DataType) -> bool {
    match (a, b) {
        (DataType::FixedSizeList(a, n), DataType::FixedSizeList(b, m)) => {
            n == m && same_type(a.data_type(), b.data_type())
        }
        _ => a == b,
    }
}

/// The columns of a batch by [`ColumnId`].
///
/// The batch was returned by [`conform`](super::conform()).
///
/// # Panics
/// Methods other than [`get`](Self::get) panic for a column that the batch lacks or that has another type.
#[derive(Clone, Copy, Debug)]
pub struct BatchColumns<'a> {
    schema: &'a Schema,
    batch: &'a RecordBatch,
}

impl<'a> BatchColumns<'a> {
    /// A view of `batch`, whose rows are transitions of `schema`.
    pub fn new(schema: &'a Schema, batch: &'a RecordBatch) -> Self {
        Self { schema, batch }
    }

    /// The number of transitions.
    pub fn rows(self) -> usize {
        self.batch.num_rows()
    }

    /// The array of a column, or `None` if the batch does not have it.
    pub fn get(self, id: ColumnId) -> Option<&'a ArrayRef> {
        self.batch.column_by_name(&id.name(self.schema))
    }

    /// The array of a column.
    pub fn array(self, id: ColumnId) -> &'a ArrayRef {
        self.get(id).expect("the columns of a batch were checked")
    }

    /// A column of primitive values.
    pub fn primitive<T: ArrowPrimitiveType>(self, id: ColumnId) -> &'a PrimitiveArray<T> {
        self.array(id).as_primitive()
    }

    /// A column of `i32`.
    pub fn i32(self, id: ColumnId) -> &'a PrimitiveArray<Int32Type> {
        self.primitive(id)
    }

    /// A column of `i64`.
    pub fn i64(self, id: ColumnId) -> &'a PrimitiveArray<Int64Type> {
        self.primitive(id)
    }

    /// A column of `f64`.
    pub fn f64(self, id: ColumnId) -> &'a PrimitiveArray<Float64Type> {
        self.primitive(id)
    }

    /// A column of booleans.
    pub fn bool(self, id: ColumnId) -> &'a BooleanArray {
        self.array(id).as_boolean()
    }

    /// A column of images.
    pub fn binary(self, id: ColumnId) -> &'a BinaryArray {
        self.array(id).as_binary()
    }

    /// A column of fixed-size lists.
    pub fn list(self, id: ColumnId) -> &'a FixedSizeListArray {
        self.array(id).as_fixed_size_list()
    }

    /// For each transition, whether it is the last of its episode: terminated or truncated.
    pub fn is_last(self) -> BooleanArray {
        let [terminated, truncated] = [ColumnId::Terminated, ColumnId::Truncated].map(|flag| self.bool(flag).values());
        BooleanArray::new(terminated | truncated, None)
    }
}

/// The value in `row`, or `None` if it is null.
///
/// # Panics
/// If the array has no such row.
pub fn value_at<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, row: usize) -> Option<T::Native> {
    array.is_valid(row).then(|| array.value(row))
}
