//! Converts columns that other tools wrote to the types that readers expect.
//!
//! pandas, polars and DuckDB keep the values of a column and change its type: fixed-size lists become lists of any size, integers
//! with nulls become floats, and dictionaries and strings get other widths. pandas also writes NaN as a missing value, in lists too.
//! A type is accepted if all of its values can be converted without a change of meaning; the values are checked when they are
//! converted. Without the feature `foreign` only the types that this crate writes are converted.

use super::{ColumnId, batch_columns::same_type};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryArray, FixedSizeListArray, Float32Array, ListArray, NullArray,
    PrimitiveArray, RecordBatch, RecordBatchOptions,
    cast::AsArray,
    types::{Float32Type, Float64Type, Int64Type},
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType, Field, Schema as ArrowSchema};
use experience_core::schema::Schema;
use std::sync::Arc;

/// Why the columns of a batch cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnError {
    /// A column is missing, or its type or its values have another meaning. A sentence.
    Schema(String),
    /// A value is missing in a column that has one in every row. A sentence.
    Null(String),
}

/// Checks that the columns `ids` of `schema` are in `found`, with types that [`conform`] accepts. Further columns are ignored, and
/// [`ColumnId::Controller`] may be missing.
///
/// # Errors
/// The first column that is missing or has another type, as a sentence.
pub fn check_columns(schema: &Schema, ids: &[ColumnId], found: &ArrowSchema) -> Result<(), String> {
    for id in ids {
        let (name, expected) = (id.name(schema), id.read_type(schema));
        let field = match found.field_with_name(&name) {
            Ok(field) => field,
            Err(_) if id.is_optional() => continue,
            Err(_) => return Err(format!("it has no column `{name}`")),
        };
        if !is_convertible(field.data_type(), &expected, id.is_nullable() || id.can_be_nan(schema)) {
            return Err(format!(
                "column `{name}` is {} and should be {expected}",
                field.data_type()
            ));
        }
    }
    Ok(())
}

/// The columns `ids` of `batch` with their [`read_type`](ColumnId::read_type)s; other columns are left out.
///
/// Columns that have this type are not copied. A missing [`ColumnId::Controller`] is null in every row. A missing value of the game is
/// NaN if it is a float: an observation, an action, a reward term or info.
///
/// # Errors
/// If a column is missing or cannot be converted, or if a value is missing.
pub fn conform(schema: &Schema, ids: &[ColumnId], batch: &RecordBatch) -> Result<RecordBatch, ColumnError> {
    let mut fields = Vec::with_capacity(ids.len());
    let mut columns = Vec::with_capacity(ids.len());
    for &id in ids {
        let name = id.name(schema);
        let missing: ArrayRef;
        let array = match batch.column_by_name(&name) {
            Some(array) => array,
            None if id.is_optional() => {
                missing = Arc::new(NullArray::new(batch.num_rows()));
                &missing
            }
            None => return Err(ColumnError::Schema(format!("it has no column `{name}`"))),
        };
        let expected = id.read_type(schema);
        let array = if same_type(array.data_type(), &expected) {
            array.clone()
        } else {
            convert(array, &expected).map_err(|error| {
                let found = array.data_type();
                ColumnError::Schema(format!("column `{name}` is {found} and should be {expected}: {error}"))
            })?
        };
        let array = if id.can_be_nan(schema) {
            missing_as_nan(array, id.is_nullable())
        } else {
            array
        };
        if has_missing(&array, id.is_nullable()) {
            return Err(ColumnError::Null(format!("a value is missing in column `{name}`")));
        }
        if let Some(bytes) = id.image_bytes(schema) {
            check_image_sizes(&name, array.as_binary(), bytes)?;
        }
        fields.push(Field::new(name, array.data_type().clone(), true));
        columns.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(ArrowSchema::new(fields)), columns, &options)
        .map_err(|error| ColumnError::Schema(error.to_string()))
}

/// The columns of `batch`, which was returned by [`conform`] for all columns of `schema`, in the types that are written.
///
/// # Errors
/// If Arrow refuses an array.
pub(crate) fn as_written(schema: &Schema, ids: &[ColumnId], batch: &RecordBatch) -> Result<Vec<ArrayRef>, ArrowError> {
    let columns = ids.iter().zip(batch.columns());
    let written = columns.map(
        |(id, array)| match (id.data_type(schema), array.as_fixed_size_list_opt()) {
            (DataType::FixedSizeList(item, width), Some(list)) => {
                let (values, nulls) = (list.values().clone(), list.nulls().cloned());
                Ok(Arc::new(FixedSizeListArray::try_new(item, width, values, nulls)?) as ArrayRef)
            }
            (DataType::List(item), Some(list)) => without_null_lists(list, item),
            (data_type, _) if *array.data_type() == data_type => Ok(array.clone()),
            (data_type, _) => cast(array, &data_type),
        },
    );
    written.collect()
}

/// Lists of variable size, of which null ones have no values.
fn without_null_lists(list: &FixedSizeListArray, item: Arc<Field>) -> Result<ArrayRef, ArrowError> {
    let width = list.value_length() as usize;
    let mut values = Vec::new();
    let mut lengths = vec![0; list.len()];
    let all = list.values().as_primitive::<Float32Type>().values();
    for row in (0..list.len()).filter(|row| list.is_valid(*row)) {
        values.extend_from_slice(&all[row * width..][..width]);
        lengths[row] = width;
    }
    let values = Arc::new(Float32Array::from(values));
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(
        item,
        offsets,
        values,
        list.nulls().cloned(),
    )?))
}

/// Checks that each image has the size that the schema states.
fn check_image_sizes(name: &str, images: &BinaryArray, bytes: usize) -> Result<(), ColumnError> {
    match images.iter().flatten().find(|image| image.len() != bytes) {
        None => Ok(()),
        Some(image) => Err(ColumnError::Schema(format!(
            "column `{name}` has an image of {} bytes and should have {bytes} in each",
            image.len()
        ))),
    }
}

/// Floats with NaN for each that is missing, and lists of floats with NaN for each item that is missing. A list that is missing in
/// a nullable column stays so, and so does one in another column, which [`has_missing`] finds.
fn missing_as_nan(array: ArrayRef, is_nullable: bool) -> ArrayRef {
    if !is_nullable {
        if let Some(floats) = array.as_primitive_opt::<Float32Type>() {
            return filled(floats, f32::NAN).map_or(array, |filled| Arc::new(filled));
        }
        if let Some(floats) = array.as_primitive_opt::<Float64Type>() {
            return filled(floats, f64::NAN).map_or(array, |filled| Arc::new(filled));
        }
    }
    let Some(list) = array.as_fixed_size_list_opt().filter(|list| has_missing_items(list)) else {
        return array;
    };
    let values = missing_as_nan(list.values().clone(), false);
    let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let filled = FixedSizeListArray::try_new(item, list.value_length(), values, list.nulls().cloned());
    filled.map_or(array, |filled| Arc::new(filled))
}

/// The values with `missing` for each null; `None` if there is no null.
fn filled<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, missing: T::Native) -> Option<PrimitiveArray<T>> {
    (array.null_count() > 0)
        .then(|| PrimitiveArray::from_iter_values(array.iter().map(|value| value.unwrap_or(missing))))
}

/// Whether a row has no value, or its list lacks one. A row of a nullable column may have none.
fn has_missing(array: &ArrayRef, is_nullable: bool) -> bool {
    if !is_nullable && array.null_count() > 0 {
        return true;
    }
    array.as_fixed_size_list_opt().is_some_and(has_missing_items)
}

/// Whether a list that is there lacks an item.
fn has_missing_items(list: &FixedSizeListArray) -> bool {
    match (list.values().nulls(), list.nulls()) {
        (None, _) => false,
        (Some(values), None) => values.null_count() > 0,
        // The values of a null list are null in files of some writers.
        (Some(values), Some(lists)) => !lists.expand(list.value_length() as usize).contains(values),
    }
}

/// Whether values of the type `from` may be those of a column of the type `to`.
fn is_convertible(from: &DataType, to: &DataType, is_nullable: bool) -> bool {
    use DataType::*;
    match (from, to) {
        _ if same_type(from, to) => true,
        (Null, _) => is_nullable,
        (Dictionary(_, from), _) => is_convertible(from, to, is_nullable),
        (_, Dictionary(_, to)) => is_string(from) && is_string(to),
        (FixedSizeList(from, width), FixedSizeList(to, expected)) => {
            width == expected && is_convertible(from.data_type(), to.data_type(), false)
        }
        (List(from) | LargeList(from) | ListView(from) | LargeListView(from), FixedSizeList(to, _)) => {
            is_convertible(from.data_type(), to.data_type(), false)
        }
        (_, Binary) => is_bytes(from),
        _ => is_number(from) && is_number(to),
    }
}

fn is_string(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_bytes(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(data_type, Binary | LargeBinary | BinaryView | FixedSizeBinary(_))
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_integer() || matches!(data_type, DataType::Float32 | DataType::Float64)
}

/// Converts `array` to the type `to`, or to strings if `to` is a dictionary of strings.
fn convert(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let from = array.data_type();
    match (from, to) {
        _ if same_type(from, to) => Ok(array.clone()),
        (_, DataType::Dictionary(_, to)) => cast(array, to),
        (DataType::Dictionary(_, values), _) => convert(&cast(array, values)?, to),
        (DataType::Null, _) | (_, DataType::Binary) => cast(array, to),
        (_, DataType::FixedSizeList(item, width)) => convert_list(array, item, *width),
        _ if from.is_integer() && to.is_integer() => cast(array, to),
        _ if to.is_integer() => cast(&integers(array)?, to),
        _ => rounded(array, to),
    }
}

fn convert_list(array: &ArrayRef, item: &Arc<Field>, width: i32) -> Result<ArrayRef, ArrowError> {
    use DataType::{FixedSizeList, LargeList, LargeListView, List, ListView};
    let (List(own) | LargeList(own) | ListView(own) | LargeListView(own) | FixedSizeList(own, _)) = array.data_type()
    else {
        return Err(ArrowError::CastError("it has no lists".to_owned()));
    };
    if let Some(lists) = array.as_list_opt().and_then(|lists| padded(lists, item, width)) {
        return Ok(lists);
    }
    // Nullable, because a null list is padded with null values.
    let own = Field::new_list_field(own.data_type().clone(), true);
    let lists = cast(array, &FixedSizeList(Arc::new(own), width))?;
    let lists = lists.as_fixed_size_list();
    let values = convert(lists.values(), item.data_type())?;
    let item = Field::new_list_field(item.data_type().clone(), true);
    Ok(Arc::new(FixedSizeListArray::try_new(
        Arc::new(item),
        width,
        values,
        lists.nulls().cloned(),
    )?))
}

/// Lists of variable size, as this crate writes those of which some are null. `None` for lists of another size or type.
fn padded(lists: &ListArray, item: &Field, width: i32) -> Option<ArrayRef> {
    let all = lists.values().as_primitive_opt::<Float32Type>()?;
    if *item.data_type() != DataType::Float32 || all.null_count() > 0 {
        return None;
    }
    let width_in_values = usize::try_from(width).ok()?;
    let mut values = vec![0.0; width_in_values * lists.len()];
    for (row, to) in values.chunks_exact_mut(width_in_values.max(1)).enumerate() {
        if lists.is_valid(row) {
            let range = lists.value_offsets()[row] as usize..lists.value_offsets()[row + 1] as usize;
            if range.len() != width_in_values {
                return None;
            }
            to.copy_from_slice(&all.values()[range]);
        }
    }
    let item = Field::new_list_field(DataType::Float32, true);
    let values = Arc::new(Float32Array::from(values));
    let lists = FixedSizeListArray::try_new(Arc::new(item), width, values, lists.nulls().cloned());
    lists.ok().map(|lists| Arc::new(lists) as ArrayRef)
}

/// Floats as integers. pandas makes floats of integers with nulls, and NaN of the nulls.
fn integers(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    // Larger floats have lost the last digits of the integers that they were.
    let exact = if *array.data_type() == DataType::Float32 {
        f64::from(1_u32 << 24)
    } else {
        (1_u64 << 53) as f64
    };
    let floats = cast(array, &DataType::Float64)?;
    let floats = floats.as_primitive::<Float64Type>();
    for value in floats.iter().flatten().filter(|value| !value.is_nan()) {
        if value.fract() != 0.0 {
            return Err(ArrowError::CastError(format!("{value} is no integer")));
        }
        if value.abs() > exact {
            return Err(ArrowError::CastError(format!(
                "{value} has lost its last digits as a float; write integers with nulls, as pandas does with \
                 `dtype_backend=\"numpy_nullable\"`"
            )));
        }
    }
    Ok(Arc::new(floats.unary_opt::<_, Int64Type>(|value| {
        (!value.is_nan()).then_some(value as i64)
    })))
}

/// Numbers as floats, rounded if they do not fit exactly.
fn rounded(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let floats = cast(array, to)?;
    let wide = |array| cast(array, &DataType::Float64);
    let (before, after) = (wide(array)?, wide(&floats)?);
    let pairs = before
        .as_primitive::<Float64Type>()
        .iter()
        .zip(after.as_primitive::<Float64Type>());
    for (before, after) in pairs {
        if before.is_some_and(f64::is_finite) && after.is_some_and(f64::is_infinite) {
            return Err(ArrowError::CastError(format!(
                "{} is out of range",
                before.unwrap_or_default()
            )));
        }
    }
    Ok(floats)
}

#[cfg(feature = "foreign")]
fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let options = arrow_cast::CastOptions {
        // A value that does not fit is an error, not a null.
        safe: false,
        ..Default::default()
    };
    arrow_cast::cast_with_options(array, to, &options)
}

#[cfg(not(feature = "foreign"))]
fn cast(_: &ArrayRef, _: &DataType) -> Result<ArrayRef, ArrowError> {
    Err(ArrowError::CastError(
        "another tool has written it; build with the feature `foreign` to convert it".to_owned(),
    ))
}

#[cfg(all(test, feature = "foreign"))]
mod tests {
    use super::*;
    use arrow_array::{
        BooleanArray, DictionaryArray, Float64Array, Int8Array, Int64Array, LargeStringArray, NullArray, StringArray,
        StringViewArray, UInt64Array, types::UInt8Type,
    };

    fn array(array: impl Array + 'static) -> ArrayRef {
        Arc::new(array)
    }

    /// Converts if the type is accepted, and checks that a type that is refused is not converted either.
    fn converted(from: &ArrayRef, to: &DataType, is_nullable: bool) -> Result<ArrayRef, String> {
        if !is_convertible(from.data_type(), to, is_nullable) {
            return Err("the type".to_owned());
        }
        convert(from, to).map_err(|error| error.to_string())
    }

    #[test]
    fn floats_become_integers_if_no_digit_is_lost() {
        let to = DataType::Int64;
        let floats = array(Float64Array::from(vec![Some(3.0), None, Some(f64::NAN), Some(-7.0)]));
        let integers = converted(&floats, &to, true).unwrap();
        assert_eq!(
            integers.as_primitive::<Int64Type>(),
            &Int64Array::from(vec![Some(3), None, None, Some(-7)])
        );
        for (value, reason) in [
            (0.5, "0.5 is no integer"),
            (9.3e15, "lost its last digits"),
            (f64::INFINITY, "is no integer"),
        ] {
            let refusal = converted(&array(Float64Array::from(vec![value])), &to, true).unwrap_err();
            assert!(refusal.contains(reason), "{refusal}");
        }
        let narrow = array(Float32Array::from(vec![3e7]));
        assert!(converted(&narrow, &to, true).unwrap_err().contains("last digits"));
        let large = array(UInt64Array::from(vec![u64::MAX]));
        assert!(converted(&large, &to, false).is_err());
    }

    #[test]
    fn lists_of_the_right_length_become_fixed_size_lists() {
        let to = DataType::FixedSizeList(Arc::new(Field::new_list_field(DataType::Float32, false)), 2);
        let list =
            |rows: Vec<Option<Vec<Option<f64>>>>| array(ListArray::from_iter_primitive::<Float64Type, _, _>(rows));
        let lists = list(vec![
            Some(vec![Some(1.0), Some(2.0)]),
            None,
            Some(vec![Some(3.0), Some(4.0)]),
        ]);
        for lists in [&lists.slice(0, 3), &lists.slice(1, 2)] {
            let fixed = converted(lists, &to, true).unwrap();
            assert_eq!(fixed.len(), lists.len());
            let last = fixed.as_fixed_size_list().value(fixed.len() - 1);
            assert_eq!(last.as_primitive::<Float32Type>().values(), &[3.0, 4.0]);
            assert!(!has_missing(&fixed, true) && has_missing(&fixed, false));
        }
        for view in [DataType::ListView, DataType::LargeListView, DataType::LargeList] {
            let view = view(Arc::new(Field::new_list_field(DataType::Float64, true)));
            let fixed = converted(&cast(&lists, &view).unwrap(), &to, true).unwrap();
            assert_eq!(fixed.null_count(), 1);
        }
        let short = list(vec![Some(vec![Some(1.0)])]);
        assert!(converted(&short, &to, true).unwrap_err().contains("length 1"));
        let hole = converted(&list(vec![Some(vec![Some(1.0), None])]), &to, true).unwrap();
        assert!(has_missing(&hole, true));
        let large = list(vec![Some(vec![Some(1e300), Some(0.0)])]);
        assert!(converted(&large, &to, true).unwrap_err().contains("out of range"));
    }

    #[test]
    fn strings_of_any_width_are_a_dictionary() {
        let to = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let words = [Some("death"), None, Some("goal")];
        let narrow: DictionaryArray<UInt8Type> = words.into_iter().collect();
        let found = [
            array(StringArray::from_iter(words)),
            array(LargeStringArray::from_iter(words)),
            array(StringViewArray::from_iter(words)),
            array(narrow),
        ];
        for found in found {
            let strings = converted(&found, &to, true).unwrap();
            assert_eq!(strings.as_string::<i32>(), &StringArray::from_iter(words), "{found:?}");
        }
        assert!(converted(&array(Int8Array::from(vec![1])), &to, true).is_err());
    }

    #[test]
    fn other_kinds_are_refused() {
        let numbers = array(Int64Array::from(vec![0, 1]));
        assert!(converted(&numbers, &DataType::Boolean, false).is_err());
        let flags = array(BooleanArray::from(vec![false, true]));
        assert!(converted(&flags, &DataType::Int64, false).is_err());
        let nulls = array(NullArray::new(2));
        assert_eq!(converted(&nulls, &DataType::Int64, true).unwrap().null_count(), 2);
        assert!(converted(&nulls, &DataType::Int64, false).is_err());
        let words = array(StringArray::from(vec!["1"]));
        assert!(converted(&words, &DataType::Int64, false).is_err());
    }
}

#[cfg(test)]
mod own_types {
    use super::*;

    #[test]
    fn lists_of_a_wide_observation_are_read_without_the_casts_of_other_types() {
        let to = DataType::FixedSizeList(Arc::new(Field::new_list_field(DataType::Float32, false)), 2);
        let list = |rows: Vec<Option<Vec<Option<f32>>>>| ListArray::from_iter_primitive::<Float32Type, _, _>(rows);
        let lists = list(vec![
            None,
            Some(vec![Some(1.0), Some(2.0)]),
            None,
            Some(vec![Some(3.0), Some(4.0)]),
        ]);
        for lists in [lists.clone(), lists.slice(1, 3)] {
            let read = convert(&(Arc::new(lists.clone()) as ArrayRef), &to).unwrap();
            assert_eq!((read.len(), read.null_count()), (lists.len(), lists.null_count()));
            assert!(!has_missing(&read, true) && has_missing(&read, false));
            let last = read.as_fixed_size_list().value(read.len() - 1);
            assert_eq!(last.as_primitive::<Float32Type>().values(), &[3.0, 4.0]);
        }
        let short: ArrayRef = Arc::new(list(vec![Some(vec![Some(1.0)])]));
        assert!(convert(&short, &to).is_err());
    }
}
