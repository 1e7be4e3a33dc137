//! What every test of the room needs: values encoded in all ways at once.
#![expect(unsafe_code, reason = "plans take values as pointers")]

mod allocations;
mod enums;
mod exact;
mod hand_written;
mod masks;
mod observations;
mod random;
mod refusals;
mod selection;

use super::{op::Action, *};

/// Bytes before and behind each row that nobody may write to.
const GUARD: usize = 8;
const UNTOUCHED: u8 = 0xa5;

/// A value among other things, as in a table of structs.
#[repr(C)]
struct Among<T> {
    before: u8,
    value: T,
    behind: [u16; 3],
}

/// A plan with its columns one behind the other, as in a row.
fn planned<T: Reflect + Typed>(fields: Option<&[&str]>, target: Target) -> FieldPlan {
    let mut plan = FieldPlan::new::<T>(&root_name::<T>(), fields, target).unwrap();
    let mut end = GUARD;
    let mut offsets = Vec::new();
    for column in plan.columns() {
        let offset = end.next_multiple_of(column.dtype.size());
        offsets.push(offset);
        end = offset + column.width() * column.dtype.size();
    }
    if target == Target::Mask {
        offsets.push(GUARD);
    }
    plan.place(&offsets);
    plan
}

/// Encodes values at `source`, and looks whether only the plan's rows were written to.
///
/// # Safety
/// As for [`FieldPlan::encode`].
unsafe fn encode_at<T: Reflect>(plan: &FieldPlan, source: *const T, source_stride: usize, rows: usize) -> Vec<Vec<u8>> {
    assert_eq!(plan.type_id, TypeId::of::<T>());
    let stride = plan.extent.next_multiple_of(8) + GUARD;
    let mut out = vec![UNTOUCHED; rows * stride];
    // SAFETY: the caller's promise.
    unsafe { plan.encode(source.cast(), source_stride, rows, &mut out, stride) };
    let rows = out.chunks_exact(stride);
    rows.map(|row| {
        assert_eq!(row[..GUARD], [UNTOUCHED; GUARD], "bytes before the first column");
        assert!(
            row[plan.extent..].iter().all(|&byte| byte == UNTOUCHED),
            "bytes behind the last column"
        );
        row[GUARD..plan.extent].to_vec()
    })
    .collect()
}

fn encode<T: Reflect>(plan: &FieldPlan, values: &[T]) -> Vec<Vec<u8>> {
    // SAFETY: a slice holds as many live values as it is long, and is borrowed.
    unsafe { encode_at(plan, values.as_ptr(), size_of::<T>(), values.len()) }
}

/// The rows of `values`, without what surrounds them: through reflection, compiled, and from between other things.
fn record<T: Reflect + Typed>(plan: &mut FieldPlan, values: Vec<T>) -> Vec<Vec<u8>> {
    assert!(!plan.is_compiled());
    let reflected = encode(plan, &values);
    plan.compile(&values[0]);
    assert!(plan.is_compiled());
    // The second time, all that is learned has been.
    for _ in 0..2 {
        assert_eq!(encode(plan, &values), reflected, "compiled");
    }
    let among: Vec<_> = values
        .into_iter()
        .map(|value| Among {
            before: 255,
            value,
            behind: [u16::MAX; 3],
        })
        .collect();
    // SAFETY: as many live values as `among` is long, so far apart as its elements.
    let apart = unsafe {
        encode_at(
            plan,
            &raw const (*among.as_ptr()).value,
            size_of::<Among<T>>(),
            among.len(),
        )
    };
    assert_eq!(apart, reflected, "among other things");
    assert!(
        among
            .iter()
            .all(|among| among.before == 255 && among.behind == [u16::MAX; 3])
    );
    reflected
}

/// The names and the values of the features of `values`.
fn observe<T: Reflect + Typed>(values: Vec<T>) -> (Vec<String>, Vec<Vec<f32>>) {
    observe_fields(None, false, values)
}

fn observe_fields<T: Reflect + Typed>(
    fields: Option<&[&str]>,
    narrow: bool,
    values: Vec<T>,
) -> (Vec<String>, Vec<Vec<f32>>) {
    let mut plan = planned::<T>(fields, Target::Observation { narrow });
    let rows = record(&mut plan, values)
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

/// How many leaves of a compiled plan are still read through reflection.
fn reflected_leaves(plan: &FieldPlan) -> usize {
    assert!(plan.is_compiled());
    let reflected = plan
        .ops
        .iter()
        .filter(|op| op.action == Action::Reflect || op.distrusted.load(core::sync::atomic::Ordering::Relaxed));
    reflected.map(|op| op.leaves.len()).sum()
}
