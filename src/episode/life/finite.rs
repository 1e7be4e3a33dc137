//! Values that are NaN or infinite.

use super::Context;
use crate::episode::NonFinite;
use experience_core::{schema::DType, transition::StepHeader};

/// Applies the recording's rule for values that are not finite to the whole row. False when it must not be written.
pub(super) fn make_row_finite(context: &Context, row: &mut [u64]) -> bool {
    let mut finite = make_observation_finite(context, row);
    let Some(replacement) = replacement(context) else {
        return true;
    };
    let mut check = |value: &mut f64| {
        if !value.is_finite() {
            *value = replacement.map_or(*value, f64::from);
            finite &= replacement.is_some();
        }
    };
    check(&mut StepHeader::of_mut(row).reward);
    let layout = context.layout();
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(row);
    for (column, &start) in context.schema.action().iter().zip(layout.action_offsets()) {
        let bytes = &mut bytes[start..start + column.width() * column.dtype.size()];
        match column.dtype {
            DType::F64 => bytemuck::cast_slice_mut::<_, f64>(bytes)
                .iter_mut()
                .for_each(&mut check),
            DType::F32 => {
                for value in bytemuck::cast_slice_mut::<_, f32>(bytes) {
                    let mut wide = f64::from(*value);
                    check(&mut wide);
                    *value = wide as f32;
                }
            }
            _ => {}
        }
    }
    for value in bytemuck::cast_slice_mut::<_, f32>(&mut bytes[layout.reward_terms()]) {
        let mut wide = f64::from(*value);
        check(&mut wide);
        *value = wide as f32;
    }
    finite
}

/// The same for the observation alone.
pub(super) fn make_observation_finite(context: &Context, row: &mut [u64]) -> bool {
    let Some(replacement) = replacement(context) else {
        return true;
    };
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(row);
    let observation: &mut [f32] = bytemuck::cast_slice_mut(&mut bytes[context.layout().observation()]);
    // Without an early way out the loop vectorises; nearly always there is nothing to find.
    if !observation.iter().fold(false, |bad, value| bad | !value.is_finite()) {
        return true;
    }
    for (value, count) in observation.iter_mut().zip(&context.non_finite_features) {
        if !value.is_finite() {
            count.add(1);
            *value = replacement.unwrap_or(*value);
        }
    }
    replacement.is_some()
}

/// What takes the place of a value that is not finite: `None` where it may stay, `Some(None)` where nothing does.
fn replacement(context: &Context) -> Option<Option<f32>> {
    match context.rules.non_finite {
        NonFinite::Keep => None,
        NonFinite::EndEpisode => Some(None),
        NonFinite::Replace(value) => Some(Some(value)),
    }
}
