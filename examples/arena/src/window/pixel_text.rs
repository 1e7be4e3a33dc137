//! Bitmap text: renders a line of text as one sprite per character.

use bevy::{camera::visibility::RenderLayers, prelude::*, sprite::Anchor};

use super::textures::{GLYPH_SIZE, Textures};

/// A line of text, whose top is at its entity's position, at one unit per pixel.
#[derive(Component, Clone, Debug, PartialEq)]
#[require(Transform, Visibility)]
pub(super) struct PixelText {
    /// The text. Characters that are not ASCII are left blank.
    pub(super) text: String,
    /// The colour of the text.
    pub(super) color: Color,
    /// The fraction of the text to the left of its entity: 0 for left-aligned, 0.5 for centred, 1 for right-aligned.
    pub(super) align: f32,
}

impl PixelText {
    pub(super) fn left(text: impl Into<String>, color: Color) -> Self {
        Self {
            text: text.into(),
            color,
            align: 0.0,
        }
    }

    pub(super) fn centred(text: impl Into<String>, color: Color) -> Self {
        Self {
            align: 0.5,
            ..Self::left(text, color)
        }
    }
}

/// Spawns the sprites of texts that have changed, in the render layers of their entity.
pub(super) fn lay_out(
    changed: Query<(Entity, &PixelText, Option<&RenderLayers>), Changed<PixelText>>,
    textures: Res<Textures>,
    mut commands: Commands,
) {
    for (entity, text, layers) in &changed {
        let width = text.text.chars().count() as f32 * GLYPH_SIZE.x;
        // At fractions of a pixel, text would be blurred.
        let left = -(width * text.align).round();
        let mut line = commands.entity(entity);
        line.despawn_related::<Children>();
        line.with_children(|line| {
            for (index, character) in text.text.chars().enumerate() {
                let Some(sprite) = textures.glyph(character, text.color) else {
                    continue;
                };
                let transform = Transform::from_xyz(left + index as f32 * GLYPH_SIZE.x, 0.0, 0.0);
                let mut glyph = line.spawn((sprite, Anchor::TOP_LEFT, transform));
                if let Some(layers) = layers {
                    glyph.insert(layers.clone());
                }
            }
        });
    }
}
