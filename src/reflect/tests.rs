//! Tests of field plans, and helpers that encode values in every way and compare.
#![expect(unsafe_code, reason = "plans take values as pointers")]

mod allocations;
mod enums;
mod exact;
mod hand_written;
mod images;
mod masks;
mod observations;
mod random;
mod refusals;
mod restore;
mod selection;
mod time;
mod write;

use super::{op::OpKind, *};

/// Number of bytes before the first column and after the last one that must not be written.
const GUARD: usize = 8;
const GUARD_BYTE: u8 = 0xa5;

/// A value with other fields around it, for a stride that is not the size of the value.
#[repr(C)]
struct Embedded<T> {
    before: u8,
    value: T,
    after: [u16; 3],
}

/// A plan whose columns are placed one after the other, as in a row.
fn placed_plan<T: Reflect + Typed>(fields: Option<&[&str]>, encoding: LeafEncoding) -> FieldPlan {
    let mut plan = FieldPlan::new::<T>(&root_name::<T>(), fields, encoding).unwrap();
    let mut end = GUARD;
    let mut offsets = Vec::new();
    for column in plan.columns() {
        let offset = end.next_multiple_of(column.dtype.size());
        offsets.push(offset);
        end = offset + column.width() * column.dtype.size();
    }
    if encoding == LeafEncoding::Mask {
        offsets.push(GUARD);
    }
    plan.place(&offsets);
    plan
}

/// Encodes the values at `source`, and asserts that no guard byte was written.
///
/// # Safety
/// As for [`FieldPlan::encode`].
unsafe fn encode_at<T: Reflect>(plan: &FieldPlan, source: *const T, source_stride: usize, rows: usize) -> Vec<Vec<u8>> {
    assert_eq!(plan.type_id, TypeId::of::<T>());
    let stride = plan.row_end.next_multiple_of(8) + GUARD;
    let mut out = vec![GUARD_BYTE; rows * stride];
    // SAFETY: the caller's promise.
    unsafe { plan.encode(source.cast(), source_stride, rows, &mut out, stride) };
    let rows = out.chunks_exact(stride);
    rows.map(|row| {
        assert_eq!(row[..GUARD], [GUARD_BYTE; GUARD], "bytes before the first column");
        assert!(
            row[plan.row_end..].iter().all(|&byte| byte == GUARD_BYTE),
            "bytes after the last column"
        );
        row[GUARD..plan.row_end].to_vec()
    })
    .collect()
}

fn encode<T: Reflect>(plan: &FieldPlan, values: &[T]) -> Vec<Vec<u8>> {
    // SAFETY: the elements of a borrowed slice are live and not written to.
    unsafe { encode_at(plan, values.as_ptr(), size_of::<T>(), values.len()) }
}

/// The rows of `values`, without guard bytes. Encodes them through getters, compiled, and compiled with another stride,
/// and asserts that all results are equal.
fn encode_all_ways<T: Reflect + Typed>(plan: &mut FieldPlan, values: Vec<T>) -> Vec<Vec<u8>> {
    assert!(!plan.is_compiled());
    let by_getters = encode(plan, &values);
    plan.compile(&values[0]);
    assert!(plan.is_compiled());
    // The second call finds the discriminants that the first one inserted.
    for _ in 0..2 {
        assert_eq!(encode(plan, &values), by_getters, "compiled");
    }
    let embedded: Vec<_> = values
        .into_iter()
        .map(|value| Embedded {
            before: 255,
            value,
            after: [u16::MAX; 3],
        })
        .collect();
    // SAFETY: the values in the elements of a `Vec` are live, and as far apart as the elements.
    let strided = unsafe {
        encode_at(
            plan,
            &raw const (*embedded.as_ptr()).value,
            size_of::<Embedded<T>>(),
            embedded.len(),
        )
    };
    assert_eq!(strided, by_getters, "with another stride");
    assert!(
        embedded
            .iter()
            .all(|embedded| embedded.before == 255 && embedded.after == [u16::MAX; 3])
    );
    by_getters
}

/// The feature names of `T`, and the features of each of `values`.
fn observe<T: Reflect + Typed>(values: Vec<T>) -> (Vec<String>, Vec<Vec<f32>>) {
    observe_fields(None, false, values)
}

fn observe_fields<T: Reflect + Typed>(
    fields: Option<&[&str]>,
    allow_lossy: bool,
    values: Vec<T>,
) -> (Vec<String>, Vec<Vec<f32>>) {
    let mut plan = placed_plan::<T>(fields, LeafEncoding::Observation { allow_lossy });
    let rows = encode_all_ways(&mut plan, values)
        .iter()
        .map(|row| {
            row.chunks_exact(4)
                .map(|value| f32::from_ne_bytes(value.try_into().unwrap()))
                .collect()
        })
        .collect();
    let names = plan.columns().iter().flat_map(Column::element_names).collect();
    (names, rows)
}

/// Number of leaves of a compiled plan that are read through getters.
fn getter_leaves(plan: &FieldPlan) -> usize {
    assert!(plan.is_compiled());
    let by_getters = plan
        .ops
        .iter()
        .filter(|op| op.kind == OpKind::Reflect || op.is_demoted.load(core::sync::atomic::Ordering::Relaxed));
    by_getters.map(|op| op.leaves.len()).sum()
}
