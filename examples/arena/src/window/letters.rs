//! Texts of the pixel font: a sprite for each letter.

use bevy::{camera::visibility::RenderLayers, prelude::*, sprite::Anchor};

use super::art::{Art, LETTER};

/// A line of text, whose top is where its entity is, at one unit a pixel.
#[derive(Component, Clone, Debug, PartialEq)]
#[require(Transform, Visibility)]
pub(super) struct Letters {
    /// What it says, in ASCII.
    pub(super) text: String,
    /// In which colour.
    pub(super) colour: Color,
    /// Which part of it is left of where its entity is: 0 for none, 1 for all.
    pub(super) align: f32,
}

impl Letters {
    pub(super) fn left(text: impl Into<String>, colour: Color) -> Self {
        Self {
            text: text.into(),
            colour,
            align: 0.0,
        }
    }

    pub(super) fn centred(text: impl Into<String>, colour: Color) -> Self {
        Self {
            align: 0.5,
            ..Self::left(text, colour)
        }
    }
}

/// Lays out the texts that have changed, in the layer of their own entity.
pub(super) fn write(
    changed: Query<(Entity, &Letters, Option<&RenderLayers>), Changed<Letters>>,
    art: Res<Art>,
    mut commands: Commands,
) {
    for (entity, letters, layers) in &changed {
        let width = letters.text.chars().count() as f32 * LETTER.x;
        // Whole pixels, or letters blur.
        let left = -(width * letters.align).round();
        let mut line = commands.entity(entity);
        line.despawn_related::<Children>();
        line.with_children(|line| {
            for (place, letter) in letters.text.chars().enumerate() {
                let Some(sprite) = art.letter(letter, letters.colour) else {
                    continue;
                };
                let at = Transform::from_xyz(left + place as f32 * LETTER.x, 0.0, 0.0);
                let mut letter = line.spawn((sprite, Anchor::TOP_LEFT, at));
                if let Some(layers) = layers {
                    letter.insert(layers.clone());
                }
            }
        });
    }
}
