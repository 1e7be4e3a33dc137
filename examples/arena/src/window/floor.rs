//! The floor and the walls around it.

use bevy::prelude::*;

use super::{palette, textures::Textures};
use crate::ArenaSettings;

/// The side length of a floor tile, in units.
const TILE: f32 = 4.0;
/// The thickness of the walls, in units.
const WALL: f32 = 0.5;

pub(super) fn spawn_floor(settings: Res<ArenaSettings>, textures: Res<Textures>, mut commands: Commands) {
    let half_extent = settings.half_extent();
    commands.spawn((
        textures.floor(2.0 * half_extent, TILE),
        Transform::from_xyz(0.0, 0.0, 0.0),
    ));
    for side in [Vec2::X, Vec2::NEG_X, Vec2::Y, Vec2::NEG_Y] {
        let center = side * (half_extent + 0.5 * WALL);
        let size = Vec2::splat(WALL) + side.perp().abs() * (2.0 * half_extent + WALL);
        commands.spawn((
            Sprite::from_color(palette::WALL, size),
            Transform::from_translation(center.extend(0.5)),
        ));
    }
}
