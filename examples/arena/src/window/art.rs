//! The pictures, which are part of the program: it finds them wherever it is started.

use bevy::{
    asset::RenderAssetUsages,
    image::{
        CompressedImageFormats, ImageAddressMode, ImageFilterMode, ImageSampler, ImageSamplerDescriptor, ImageType,
    },
    prelude::*,
};

/// Drawn by `assets/generate.py`, as are the others.
const SPRITES: &[u8] = include_bytes!("../../../../assets/arena/sprites.png");
const FLOOR: &[u8] = include_bytes!("../../../../assets/arena/floor.png");
const FONT: &[u8] = include_bytes!("../../../../assets/arena/font.png");

/// Pixels of a side of a sprite, and of a tile of the floor.
pub(super) const SIDE: f32 = 64.0;
/// Pixels of a letter, with the gap to the next one.
pub(super) const LETTER: Vec2 = Vec2::new(6.0, 10.0);

/// A sprite, by its place in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drawing {
    Fighter = 0,
    Corpse = 1,
    Coin = 2,
    Bullet = 3,
    Ring = 4,
    Shadow = 5,
    Crosshair = 6,
    Skull = 7,
}

impl Drawing {
    fn rect(self) -> Rect {
        let (row, column) = (self as u8 / 4, self as u8 % 4);
        let corner = SIDE * Vec2::new(column.into(), row.into());
        Rect::from_corners(corner, corner + SIDE)
    }

    /// Makes a sprite show this.
    pub(super) fn show(self, sprite: &mut Sprite) {
        sprite.rect = Some(self.rect());
    }
}

/// The pictures.
#[derive(Resource)]
pub(super) struct Art {
    sprites: Handle<Image>,
    floor: Handle<Image>,
    font: Handle<Image>,
}

impl FromWorld for Art {
    fn from_world(world: &mut World) -> Self {
        let mut images = world.resource_mut::<Assets<Image>>();
        let tiles = ImageSampler::Descriptor(ImageSamplerDescriptor {
            address_mode_u: ImageAddressMode::Repeat,
            address_mode_v: ImageAddressMode::Repeat,
            mag_filter: ImageFilterMode::Linear,
            min_filter: ImageFilterMode::Linear,
            ..ImageSamplerDescriptor::default()
        });
        Self {
            sprites: images.add(picture(SPRITES, ImageSampler::linear())),
            floor: images.add(picture(FLOOR, tiles)),
            font: images.add(picture(FONT, ImageSampler::nearest())),
        }
    }
}

fn picture(png: &[u8], sampler: ImageSampler) -> Image {
    let formats = CompressedImageFormats::NONE;
    let usage = RenderAssetUsages::default();
    Image::from_buffer(png, ImageType::Extension("png"), formats, true, sampler, usage)
        .expect("the pictures are those of `assets/generate.py`, whole")
}

impl Art {
    /// A sprite so many units wide and high.
    pub(super) fn sprite(&self, drawing: Drawing, side: f32, color: Color) -> Sprite {
        Sprite {
            image: self.sprites.clone(),
            rect: Some(drawing.rect()),
            custom_size: Some(Vec2::splat(side)),
            color,
            ..Sprite::default()
        }
    }

    /// A floor of so many units a side, laid with tiles of `tile` units.
    pub(super) fn floor(&self, side: f32, tile: f32) -> Sprite {
        Sprite {
            image: self.floor.clone(),
            // The picture goes on beyond its edges.
            rect: Some(Rect::from_corners(Vec2::ZERO, Vec2::splat(SIDE * side / tile))),
            custom_size: Some(Vec2::splat(side)),
            ..Sprite::default()
        }
    }

    /// A letter, at one unit a pixel; none for what is no visible character of ASCII.
    pub(super) fn letter(&self, letter: char, color: Color) -> Option<Sprite> {
        let place = u8::try_from(letter).ok()?.checked_sub(b' ')?;
        if !(1..95).contains(&place) {
            return None;
        }
        let corner = LETTER * Vec2::new((place % 16).into(), (place / 16).into());
        Some(Sprite {
            image: self.font.clone(),
            rect: Some(Rect::from_corners(corner, corner + LETTER)),
            custom_size: Some(LETTER),
            color,
            ..Sprite::default()
        })
    }
}
