//! Images of the Player tab: the image columns of the transition that is shown, as textures.

use super::super::style;
use bevy_egui::egui::{
    Color32, ColorImage, Image, RichText, ScrollArea, TextureHandle, TextureOptions, Ui, load::SizedTexture, vec2,
};
use bevy_experience::{
    schema::{ImageShape, Schema},
    transition::StepBytes,
};

/// Seconds between two reads of rows with images: a copy of a buffer is as large as its images.
pub(super) const IMAGE_INTERVAL: f64 = 0.1;

/// The height of an image, in points, unless it is wider than twice that.
const HEIGHT: f32 = 144.0;

/// The textures of the image columns.
#[derive(Default)]
pub(super) struct ImageTextures {
    textures: Vec<TextureHandle>,
    /// The episode and the ordinal of the row whose images were uploaded.
    uploaded: Option<(u32, u32)>,
    /// When they were uploaded, in seconds of egui.
    time: f64,
}

impl ImageTextures {
    /// Draws the images of a row. A new row is uploaded at most every [`IMAGE_INTERVAL`].
    pub(super) fn draw(&mut self, ui: &mut Ui, schema: &Schema, row: StepBytes<'_>) {
        let shapes: Vec<_> = schema.images().iter().filter_map(ImageShape::of).collect();
        self.upload(ui, &shapes, row);
        let columns = schema.images().iter().zip(&shapes).zip(&self.textures);
        ScrollArea::horizontal().id_salt("images").show(ui, |ui| {
            ui.horizontal_top(|ui| {
                for ((column, shape), texture) in columns {
                    ui.vertical(|ui| {
                        ui.horizontal(|ui| {
                            ui.strong(&column.name);
                            ui.weak(planes_text(*shape));
                        });
                        let (width, height) = (shape.width as f32, shape.height as f32);
                        let scale = (HEIGHT / height).min(2.0 * HEIGHT / width);
                        let size = vec2(width, height) * scale;
                        let image = Image::from_texture(SizedTexture::new(texture.id(), size));
                        ui.add(image)
                            .on_hover_text("The image in the observation, before the action.");
                    });
                }
            });
        });
    }

    fn upload(&mut self, ui: &Ui, shapes: &[ImageShape], row: StepBytes<'_>) {
        let header = row.header();
        let (shown, now) = (Some((header.episode, header.ordinal)), ui.input(|input| input.time));
        let is_complete = self.textures.len() == shapes.len();
        if is_complete && (self.uploaded == shown || (0.0..IMAGE_INTERVAL).contains(&(now - self.time))) {
            return;
        }
        (self.uploaded, self.time) = (shown, now);
        let max_side = ui.input(|input| input.max_texture_side);
        for (index, &shape) in shapes.iter().enumerate() {
            let image = color_image(shape, row.image(index), max_side);
            match self.textures.get_mut(index) {
                Some(texture) => texture.set(image, TextureOptions::NEAREST),
                None => {
                    let name = format!("experience image {index}");
                    self.textures
                        .push(ui.ctx().load_texture(name, image, TextureOptions::NEAREST));
                }
            }
        }
    }
}

/// The size of an image, and which planes are shown if not all are.
fn planes_text(shape: ImageShape) -> String {
    match shape.channels {
        1 | 3 | 4 => shape.to_string(),
        channels => format!("{shape}, the first of {channels} planes"),
    }
}

/// The pixels as egui reads them: grey, RGB or RGBA, and the first plane of other images. Every second, third, … pixel of one that is
/// larger than a texture can be.
fn color_image(shape: ImageShape, pixels: &[u8], max_side: usize) -> ColorImage {
    let step = shape.width.max(shape.height).div_ceil(max_side.max(1)).max(1);
    let (width, height) = (shape.width.div_ceil(step), shape.height.div_ceil(step));
    let color = |pixel: &[u8]| match *pixel {
        [red, green, blue] => Color32::from_rgb(red, green, blue),
        [red, green, blue, alpha] => Color32::from_rgba_unmultiplied(red, green, blue, alpha),
        [grey, ..] => Color32::from_gray(grey),
        [] => Color32::BLACK,
    };
    let rows = (0..shape.height).step_by(step);
    let colors = rows.flat_map(|y| {
        (0..shape.width)
            .step_by(step)
            .map(move |x| color(&pixels[(y * shape.width + x) * shape.channels..][..shape.channels]))
    });
    ColorImage::new([width, height], colors.collect())
}

/// The line for images that cannot be read: those of players that share a pool.
pub(super) fn draw_missing(ui: &mut Ui, schema: &Schema) {
    if !schema.images().is_empty() {
        let text =
            "Images are in the rows of a player's own buffer, so they cannot be shown for players that share a pool.";
        ui.label(RichText::new(text).color(style::warning_color(ui)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(height: usize, width: usize, channels: usize) -> ImageShape {
        ImageShape {
            height,
            width,
            channels,
        }
    }

    #[test]
    fn pixels_keep_their_place_and_their_channels() {
        let pixels: Vec<u8> = (0..24).collect();
        let grey = color_image(shape(2, 3, 1), &pixels[..6], 100);
        assert_eq!((grey.size, grey.pixels[4]), ([3, 2], Color32::from_gray(4)));
        let rgb = color_image(shape(2, 3, 3), &pixels[..18], 100);
        assert_eq!(rgb.pixels[5], Color32::from_rgb(15, 16, 17));
        let rgba = color_image(shape(2, 3, 4), &pixels, 100);
        assert_eq!(rgba.pixels[1], Color32::from_rgba_unmultiplied(4, 5, 6, 7));
        let planes = color_image(shape(2, 2, 5), &pixels[..20], 100);
        assert_eq!(planes.pixels[1], Color32::from_gray(5));
        let large = color_image(shape(5, 4, 1), &pixels[..20], 3);
        assert_eq!((large.size, large.pixels[2]), ([2, 3], Color32::from_gray(8)));
    }
}
