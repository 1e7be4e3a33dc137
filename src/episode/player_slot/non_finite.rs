//! NaN and infinity handling: applies the recording's [`NonFinite`] rule to encoded rows.

use crate::episode::{NonFinite, context::RecordingContext};
use core::sync::atomic::Ordering;
use experience_core::{schema::DType, transition::StepHeader};

/// The treatment of a non-finite value.
#[derive(Clone, Copy)]
enum Treatment {
    /// The value is replaced, and the row is written.
    Replace(f32),
    /// The row must not be written.
    Reject,
}

/// Applies the rule to the observation, action, reward and reward terms of a row. Returns false if the row must not be
/// written.
pub(super) fn sanitize_row(context: &RecordingContext, row: &mut [u64]) -> bool {
    let mut valid = sanitize_observation(context, row);
    let Some(treatment) = treatment(context) else {
        return true;
    };
    let mut sanitize = |value: &mut f64| {
        if !value.is_finite() {
            match treatment {
                Treatment::Replace(replacement) => *value = f64::from(replacement),
                Treatment::Reject => valid = false,
            }
        }
    };
    sanitize(&mut StepHeader::of_mut(row).reward);
    let layout = context.layout();
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(row);
    for (column, &start) in context.schema.action().iter().zip(layout.action_offsets()) {
        let bytes = &mut bytes[start..start + column.width() * column.dtype.size()];
        match column.dtype {
            DType::F64 => bytemuck::cast_slice_mut::<_, f64>(bytes)
                .iter_mut()
                .for_each(&mut sanitize),
            DType::F32 => sanitize_f32(bytes, &mut sanitize),
            _ => {}
        }
    }
    sanitize_f32(&mut bytes[layout.reward_terms()], &mut sanitize);
    valid
}

fn sanitize_f32(bytes: &mut [u8], mut sanitize: impl FnMut(&mut f64)) {
    for value in bytemuck::cast_slice_mut::<_, f32>(bytes) {
        let mut wide = f64::from(*value);
        sanitize(&mut wide);
        *value = wide as f32;
    }
}

/// Applies the rule to the observation of a row, and counts its non-finite values. Returns false if the row must not be
/// written.
pub(super) fn sanitize_observation(context: &RecordingContext, row: &mut [u64]) -> bool {
    let Some(treatment) = treatment(context) else {
        return true;
    };
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(row);
    let observation: &mut [f32] = bytemuck::cast_slice_mut(&mut bytes[context.layout().observation()]);
    // No early exit, so that the loop vectorizes. Non-finite values are rare.
    if !observation
        .iter()
        .fold(false, |found, value| found | !value.is_finite())
    {
        return true;
    }
    context.has_non_finite.store(true, Ordering::Relaxed);
    for (value, count) in observation.iter_mut().zip(&context.non_finite_counts) {
        if !value.is_finite() {
            count.add(1);
            if let Treatment::Replace(replacement) = treatment {
                *value = replacement;
            }
        }
    }
    matches!(treatment, Treatment::Replace(_))
}

/// `None` if non-finite values are recorded as they are.
fn treatment(context: &RecordingContext) -> Option<Treatment> {
    match context.rules.non_finite {
        NonFinite::Keep => None,
        NonFinite::EndEpisode => Some(Treatment::Reject),
        NonFinite::Replace(value) => Some(Treatment::Replace(value)),
    }
}
