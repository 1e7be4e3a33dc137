//! Changes of one value in a record batch.

use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray,
    cast::AsArray,
    types::{Float32Type, Float64Type, Int32Type, Int64Type},
};
use arrow_schema::Schema;
use std::sync::Arc;

pub fn with(batch: RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
    let mut columns = batch.columns().to_vec();
    let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
    let index = batch.schema().index_of(name).unwrap();
    fields[index] = Arc::new(
        fields[index]
            .as_ref()
            .clone()
            .with_data_type(column.data_type().clone()),
    );
    columns[index] = column;
    let schema = Schema::new_with_metadata(fields, batch.schema().metadata().clone());
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

pub fn long(name: &'static str, row: usize, value: i64) -> impl FnOnce(RecordBatch) -> RecordBatch {
    move |batch| {
        let mut values: Vec<Option<i64>> = batch[name].as_primitive::<Int64Type>().iter().collect();
        values[row] = Some(value);
        with(batch, name, Arc::new(Int64Array::from(values)))
    }
}

pub fn int(name: &'static str, row: usize, value: i32) -> impl FnOnce(RecordBatch) -> RecordBatch {
    move |batch| {
        let mut values = batch[name].as_primitive::<Int32Type>().values().to_vec();
        values[row] = value;
        with(batch, name, Arc::new(Int32Array::from(values)))
    }
}

pub fn double(name: &'static str, row: usize, value: f64) -> impl FnOnce(RecordBatch) -> RecordBatch {
    move |batch| {
        let mut values = batch[name].as_primitive::<Float64Type>().values().to_vec();
        values[row] = value;
        with(batch, name, Arc::new(Float64Array::from(values)))
    }
}

pub fn flag(name: &'static str, row: usize, value: bool) -> impl FnOnce(RecordBatch) -> RecordBatch {
    move |batch| {
        let mut values: Vec<_> = batch[name].as_boolean().iter().collect();
        values[row] = Some(value);
        with(batch, name, Arc::new(BooleanArray::from(values)))
    }
}

pub fn items(
    name: &'static str,
    change: impl FnOnce(&ArrayRef) -> ArrayRef,
) -> impl FnOnce(RecordBatch) -> RecordBatch {
    move |batch| {
        let list = batch[name].as_fixed_size_list().clone();
        let (field, width, values, valid) = list.into_parts();
        let list = FixedSizeListArray::new(field, width, change(&values), valid);
        with(batch, name, Arc::new(list))
    }
}

pub fn float_item(name: &'static str, item: usize, value: f32) -> impl FnOnce(RecordBatch) -> RecordBatch {
    items(name, move |values| {
        let mut values = values.as_primitive::<Float32Type>().values().to_vec();
        values[item] = value;
        Arc::new(Float32Array::from(values))
    })
}

pub fn reason(row: usize, value: Option<&'static str>) -> impl FnOnce(RecordBatch) -> RecordBatch {
    move |batch| {
        let mut words = words(&batch["end_reason"]);
        words[row] = value.map(str::to_owned);
        with(batch, "end_reason", Arc::new(StringArray::from(words)))
    }
}

fn words(array: &ArrayRef) -> Vec<Option<String>> {
    let dictionary = array.as_dictionary::<Int32Type>();
    let words = dictionary.values().as_string::<i32>();
    (0..array.len())
        .map(|row| dictionary.key(row).map(|key| words.value(key).to_owned()))
        .collect()
}
