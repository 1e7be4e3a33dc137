//! Gymnasium spaces as Minari stores them in `metadata.json`.

use experience_core::schema::{Column, DType, Space};
use serde_json::{Value, json};

/// The columns of `capacity` entities, those of one after the other, as a `Box` of the shape `[capacity, features]`.
pub(super) fn list_space(columns: &[Column], capacity: usize) -> Value {
    let each = columns
        .iter()
        .flat_map(|column| core::iter::repeat_n(bounds(column), column.width()));
    let (low, high): (Vec<_>, Vec<_>) = each.unzip();
    let features = low.len() / capacity;
    let nested = |values: &[Value]| values.chunks(features).map(<[Value]>::to_vec).collect::<Vec<_>>();
    json!({
        "type": "Box",
        "dtype": "float32",
        "shape": [capacity, features],
        "low": nested(&low),
        "high": nested(&high),
    })
}

/// All columns as one flat `Box`.
pub(super) fn packed_space(columns: &[Column], width: usize) -> Value {
    let each = columns
        .iter()
        .flat_map(|column| core::iter::repeat_n(bounds(column), column.width()));
    let (low, high): (Vec<_>, Vec<_>) = each.unzip();
    json!({ "type": "Box", "dtype": "float32", "shape": [width], "low": low, "high": high })
}

/// The space of one column of a `Dict`.
pub(super) fn column_space(column: &Column) -> Value {
    let nested = |value: Value| {
        let extents = shape(column).iter().rev();
        extents.fold(value, |inner, extent| Value::Array(vec![inner; *extent]))
    };
    if let Space::Discrete { n, .. } = column.space {
        return if column.shape.is_empty() {
            json!({ "type": "Discrete", "dtype": "int64", "start": 0, "n": n })
        } else {
            json!({ "type": "MultiDiscrete", "dtype": "int64", "nvec": nested(n.into()), "start": nested(0.into()) })
        };
    }
    let (low, high) = bounds(column);
    let dtype = column.dtype.numpy_name();
    json!({ "type": "Box", "dtype": dtype, "shape": shape(column), "low": nested(low), "high": nested(high) })
}

/// The shape of a column in a `Dict`. A scalar has one dimension: loaders such as `TorchRL` cannot batch a `Box` of shape `()`.
pub(super) fn shape(column: &Column) -> &[usize] {
    match column.space {
        Space::Box { .. } if column.shape.is_empty() => &[1],
        _ => &column.shape,
    }
}

/// The minimum and the maximum of a column. Minari reads infinite bounds of floats from strings; integers have the bounds of
/// their type, and the integers within those of the column.
fn bounds(column: &Column) -> (Value, Value) {
    let (low, high) = match column.space {
        Space::Box { low, high } => (low, high),
        Space::Discrete { n, .. } => (Some(0.0), Some(n.saturating_sub(1) as f64)),
    };
    let integers = |min: i128, max: i128| {
        // A bound may lie between two integers, or beyond the type.
        let low = low.map_or(min, |low| (low.ceil() as i128).clamp(min, max));
        let high = high.map_or(max, |high| (high.floor() as i128).clamp(min, max));
        (integer(low), integer(high))
    };
    match column.dtype {
        DType::F32 | DType::F64 => {
            let or_infinite = |bound: Option<f64>, infinite: &str| match bound.filter(|bound| bound.is_finite()) {
                Some(bound) => json!(bound),
                None => json!(infinite),
            };
            (or_infinite(low, "-Infinity"), or_infinite(high, "Infinity"))
        }
        DType::I8 => integers(i8::MIN.into(), i8::MAX.into()),
        DType::I16 => integers(i16::MIN.into(), i16::MAX.into()),
        DType::I32 => integers(i32::MIN.into(), i32::MAX.into()),
        DType::I64 => integers(i64::MIN.into(), i64::MAX.into()),
        DType::U8 => integers(0, u8::MAX.into()),
        DType::U16 => integers(0, u16::MAX.into()),
        DType::U32 => integers(0, u32::MAX.into()),
        DType::U64 => integers(0, u64::MAX.into()),
        DType::Bool => integers(0, 1),
    }
}

/// An integer in the range of `i64` or `u64`.
fn integer(value: i128) -> Value {
    i64::try_from(value).map_or_else(|_| json!(value as u64), |value| json!(value))
}
