//! The floor and the walls around it.

use bevy::prelude::*;

use super::{art::Art, palette};
use crate::ArenaSettings;

/// Units of a tile's side, and of the walls.
const TILE: f32 = 4.0;
const WALL: f32 = 0.5;

pub(super) fn lay(settings: Res<ArenaSettings>, art: Res<Art>, mut commands: Commands) {
    let half = settings.half();
    commands.spawn((art.floor(2.0 * half, TILE), Transform::from_xyz(0.0, 0.0, 0.0)));
    for side in [Vec2::X, Vec2::NEG_X, Vec2::Y, Vec2::NEG_Y] {
        let middle = side * (half + 0.5 * WALL);
        let size = Vec2::splat(WALL) + side.perp().abs() * (2.0 * half + WALL);
        commands.spawn((
            Sprite::from_color(palette::WALL, size),
            Transform::from_translation(middle.extend(0.5)),
        ));
    }
}
