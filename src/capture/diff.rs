//! Bitwise comparison of encoded rows, for `RecordMode::OnChange`.
//!
//! Bevy's change ticks report mutable access, whether or not a value changed, and miss writes that bypass them. Rows
//! are therefore compared bit by bit: a NaN equals itself, and 0.0 differs from -0.0.

use experience_core::{schema::RowLayout, transition::StepHeader};

/// Whether two rows have the same observation, images and mask.
pub(crate) fn same_observation(layout: &RowLayout, a: &[u64], b: &[u64]) -> bool {
    let range = layout.observed();
    bytemuck::cast_slice::<_, u8>(a)[range.clone()] == bytemuck::cast_slice::<_, u8>(b)[range]
}

/// Whether two rows have the same action.
pub(crate) fn same_action(layout: &RowLayout, a: &[u64], b: &[u64]) -> bool {
    let range = layout.action();
    bytemuck::cast_slice::<_, u8>(a)[range.clone()] == bytemuck::cast_slice::<_, u8>(b)[range]
}

/// Copies the observation, the images and the mask.
pub(crate) fn copy_observation(layout: &RowLayout, from: &[u64], to: &mut [u64]) {
    let range = layout.observed();
    bytemuck::cast_slice_mut::<_, u8>(to)[range.clone()].copy_from_slice(&bytemuck::cast_slice(from)[range]);
}

/// Copies the action, the info and the controller.
pub(crate) fn copy_action(layout: &RowLayout, from: &[u64], to: &mut [u64]) {
    StepHeader::of_mut(to).set_controller(StepHeader::of(from).action_controller());
    let range = layout.action().start..layout.info().end;
    bytemuck::cast_slice_mut::<_, u8>(to)[range.clone()].copy_from_slice(&bytemuck::cast_slice(from)[range]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use experience_core::schema::{Column, DType, Schema, Space};

    #[test]
    fn rows_are_compared_bit_by_bit() {
        let schema = Schema::new("test")
            .with_observation([Column::feature("a"), Column::feature("b")])
            .with_action_mask(3)
            .with_action([Column::scalar("c", DType::F32, Space::unbounded())]);
        let layout = schema.layout();
        let row = |a: f32, mask: u8, action: f32| {
            let mut row = vec![0_u64; layout.row_words()];
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut row);
            bytes[layout.observation().start..][..4].copy_from_slice(&a.to_ne_bytes());
            bytes[layout.mask().start] = mask;
            bytes[layout.action_offsets()[0]..][..4].copy_from_slice(&action.to_ne_bytes());
            row
        };
        assert!(same_observation(layout, &row(f32::NAN, 1, 0.0), &row(f32::NAN, 1, 9.0)));
        assert!(!same_observation(layout, &row(0.0, 1, 0.0), &row(-0.0, 1, 0.0)));
        assert!(!same_observation(layout, &row(0.0, 1, 0.0), &row(0.0, 3, 0.0)));
        assert!(!same_action(layout, &row(0.0, 1, 0.0), &row(0.0, 1, 0.5)));
        let mut target = row(1.0, 7, 2.0);
        copy_observation(layout, &row(5.0, 2, 3.0), &mut target);
        assert_eq!(target, row(5.0, 2, 2.0));
        let mut labelled = row(5.0, 2, 3.0);
        StepHeader::of_mut(&mut labelled).set_controller(9);
        copy_action(layout, &labelled, &mut target);
        assert_eq!(target, labelled);
    }
}
