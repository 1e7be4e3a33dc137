//! Methods of [`Recording`] that observe where a player is in the world.

use super::{PlacedSource, PlannedSource, SourcePlan};
use crate::{
    capture::{PlayerPositionSource, RowPart},
    recording::Recording,
    reflect::{FieldPlan, FieldUsage, LeafEncoding},
};
use bevy_ecs::component::Component;
use bevy_math::Vec3;

/// With what the names of the columns begin.
const ROOT: &str = "world_position";

impl<P: Component> Recording<P> {
    /// Observes the position of a player in the world, at the moment of the capture: `world_position.x`, `.y` and `.z`.
    ///
    /// The `Transform` of a player that has a parent is transformed by those of all ancestors, up to 1,024. `GlobalTransform`,
    /// which Bevy computes at the end of a frame, is not used. For players without a parent it is the translation of the
    /// `Transform`, which each player must have.
    pub fn observe_world_position(self) -> Self {
        self.observed(position_plan(None))
    }

    /// As [`observe_world_position`](Self::observe_world_position), with some of the coordinates: `["x", "y"]` in a game of
    /// two dimensions.
    pub fn observe_world_position_fields(self, fields: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.observed(position_plan(Some(fields.into_iter().map(Into::into).collect())))
    }
}

fn position_plan(fields: Option<Vec<String>>) -> SourcePlan {
    Box::new(move |_, allow_lossy| {
        let fields: Option<Vec<&str>> = fields
            .as_ref()
            .map(|fields| fields.iter().map(String::as_str).collect());
        let plan = FieldPlan::new::<Vec3>(ROOT, fields.as_deref(), LeafEncoding::Observation { allow_lossy });
        let plan = plan.map_err(|error| error.for_usage(FieldUsage::Observation))?;
        let columns = plan.columns().to_vec();
        let axis = |name: &str| ["x", "y", "z"].iter().position(|axis| name.ends_with(axis));
        let axes: Vec<usize> = columns.iter().filter_map(|column| axis(&column.name)).collect();
        Ok(PlannedSource {
            columns,
            mask_width: 0,
            build: Box::new(move |world, offsets| {
                let axes = axes.into_iter().zip(offsets.iter().copied()).collect();
                PlacedSource::world(RowPart::Observation, PlayerPositionSource::new(world, axes))
            }),
        })
    })
}
