//! Source of a player's position in the world.

use super::{
    world_position::WorldPositions,
    world_source::{Players, TableRun, WorldSource},
};
use crate::restore::Unrestored;
use bevy_ecs::{component::ComponentId, hierarchy::ChildOf, world::World};
use bevy_transform::components::Transform;
use core::any::type_name;

/// The coordinates of the player's world position at the moment of the capture.
pub(crate) struct PlayerPositionSource {
    positions: WorldPositions,
    /// An axis, and the byte of a row at which the coordinate is written, as an `f32`.
    axes: Vec<(usize, usize)>,
}

impl PlayerPositionSource {
    /// The coordinate of each axis, at the given byte of a row.
    pub(crate) fn new(world: &mut World, axes: Vec<(usize, usize)>) -> Self {
        Self {
            positions: WorldPositions::new(world),
            axes,
        }
    }
}

impl WorldSource for PlayerPositionSource {
    fn prepare(&mut self, _: &World, _: Players<'_>) -> bool {
        true
    }

    fn encode(&self, run: TableRun<'_>, rows: &mut [u8], stride: usize) {
        let TableRun { world, table, players } = run;
        for (player, row) in players.iter().zip(rows.chunks_exact_mut(stride)) {
            // Each player has a `Transform`, which is a required component.
            let position = self.positions.of(world, table, player);
            let position = position.map_or_else(Default::default, |placed| placed.position);
            for &(axis, offset) in &self.axes {
                row[offset..][..size_of::<f32>()].copy_from_slice(&position[axis].to_ne_bytes());
            }
        }
    }

    fn unrestored(&self) -> Unrestored {
        Unrestored::WorldPosition
    }

    fn components(&self) -> Vec<(ComponentId, &'static str)> {
        let mut components = self.required_components();
        components.push((self.positions.parent_component(), type_name::<ChildOf>()));
        components
    }

    fn required_components(&self) -> Vec<(ComponentId, &'static str)> {
        vec![(self.positions.local().id(), type_name::<Transform>())]
    }
}
