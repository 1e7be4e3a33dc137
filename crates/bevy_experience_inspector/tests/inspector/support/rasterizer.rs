//! A software rasterizer for egui meshes: screenshots without a GPU or driver, identical on every machine.

use bevy_egui::egui::{
    Color32, ImageData, TextureId, TextureOptions, TexturesDelta,
    ahash::HashMap,
    epaint::{ClippedPrimitive, ColorImage, Primitive, Vertex},
};
use std::{fs::File, io::BufWriter, path::Path};

/// The textures that egui uploaded, and a rasterizer that samples them.
#[derive(Default)]
pub struct Rasterizer {
    pub textures: HashMap<TextureId, ColorImage>,
    /// How each texture is to be sampled. The rasterizer itself samples the nearest texel of all.
    pub options: HashMap<TextureId, TextureOptions>,
}

/// An RGB image, row by row from the top.
pub struct Screenshot {
    pub size: [usize; 2],
    pub pixels: Vec<Color32>,
}

impl Rasterizer {
    /// Adds, updates and frees textures as egui requests.
    pub fn update_textures(&mut self, delta: &TexturesDelta) {
        for (id, delta) in &delta.set {
            let ImageData::Color(image) = &delta.image;
            self.options.insert(*id, delta.options);
            let Some([left, top]) = delta.pos else {
                self.textures.insert(*id, (**image).clone());
                continue;
            };
            let texture = self
                .textures
                .get_mut(id)
                .expect("egui updates only textures that it created");
            for row in 0..image.height() {
                let from = row * image.width();
                let to = (top + row) * texture.width() + left;
                texture.pixels[to..to + image.width()].copy_from_slice(&image.pixels[from..from + image.width()]);
            }
        }
        for id in &delta.free {
            self.textures.remove(id);
            self.options.remove(id);
        }
    }

    pub fn paint(&self, primitives: &[ClippedPrimitive], size: [u16; 2], background: Color32) -> Screenshot {
        let size = size.map(usize::from);
        let mut screenshot = Screenshot {
            size,
            pixels: vec![background; size[0] * size[1]],
        };
        for clipped in primitives {
            let Primitive::Mesh(mesh) = &clipped.primitive else {
                continue;
            };
            let texture = &self.textures[&mesh.texture_id];
            let clip = [
                clipped.clip_rect.left().round().max(0.0) as usize,
                clipped.clip_rect.top().round().max(0.0) as usize,
                (clipped.clip_rect.right().round().max(0.0) as usize).min(size[0]),
                (clipped.clip_rect.bottom().round().max(0.0) as usize).min(size[1]),
            ];
            for corners in mesh.indices.chunks_exact(3) {
                let corners = [corners[0], corners[1], corners[2]].map(|index| mesh.vertices[index as usize]);
                screenshot.draw_triangle(corners, texture, clip);
            }
        }
        screenshot
    }
}

/// Twice the signed area of a triangle; the sign gives its winding order.
fn double_area(a: [f32; 2], b: [f32; 2], c: [f32; 2]) -> f32 {
    (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}

impl Screenshot {
    fn draw_triangle(&mut self, mut corners: [Vertex; 3], texture: &ColorImage, clip: [usize; 4]) {
        let position = |corner: &Vertex| [corner.pos.x, corner.pos.y];
        let mut total = double_area(position(&corners[0]), position(&corners[1]), position(&corners[2]));
        if total < 0.0 {
            corners.swap(1, 2);
            total = -total;
        }
        if total == 0.0 {
            return;
        }
        let [a, b, c] = [position(&corners[0]), position(&corners[1]), position(&corners[2])];
        let min = |axis: usize| a[axis].min(b[axis]).min(c[axis]).floor().max(0.0) as usize;
        let max = |axis: usize| a[axis].max(b[axis]).max(c[axis]).ceil().max(0.0) as usize;
        // Top-left rule: a pixel centre on an edge that two triangles share is drawn by exactly one of them.
        let is_top_or_left = |from: [f32; 2], to: [f32; 2]| to[1] < from[1] || (to[1] == from[1] && to[0] > from[0]);
        let inside =
            |weight: f32, from: [f32; 2], to: [f32; 2]| weight > 0.0 || (weight == 0.0 && is_top_or_left(from, to));
        for y in min(1).max(clip[1])..max(1).min(clip[3]) {
            for x in min(0).max(clip[0])..max(0).min(clip[2]) {
                let center = [x as f32 + 0.5, y as f32 + 0.5];
                let weights = [
                    double_area(b, c, center),
                    double_area(c, a, center),
                    double_area(a, b, center),
                ];
                if !inside(weights[0], b, c) || !inside(weights[1], c, a) || !inside(weights[2], a, b) {
                    continue;
                }
                let interpolate = |value: fn(&Vertex) -> f32| -> f32 {
                    let sum = corners
                        .iter()
                        .zip(weights)
                        .map(|(corner, weight)| value(corner) * weight);
                    sum.sum::<f32>() / total
                };
                let uv = [interpolate(|corner| corner.uv.x), interpolate(|corner| corner.uv.y)];
                let texel_index = |coordinate: f32, size: usize| ((coordinate * size as f32) as usize).min(size - 1);
                let texel = texture.pixels
                    [texel_index(uv[1], texture.height()) * texture.width() + texel_index(uv[0], texture.width())];
                let channel = [
                    interpolate(|corner| corner.color.r().into()) * f32::from(texel.r()),
                    interpolate(|corner| corner.color.g().into()) * f32::from(texel.g()),
                    interpolate(|corner| corner.color.b().into()) * f32::from(texel.b()),
                    interpolate(|corner| corner.color.a().into()) * f32::from(texel.a()),
                ]
                .map(|value| value / 255.0);
                let pixel = &mut self.pixels[y * self.size[0] + x];
                let transmittance = 1.0 - channel[3] / 255.0;
                let blend =
                    |over: f32, below: u8| (over + f32::from(below) * transmittance).round().clamp(0.0, 255.0) as u8;
                *pixel = Color32::from_rgb(
                    blend(channel[0], pixel.r()),
                    blend(channel[1], pixel.g()),
                    blend(channel[2], pixel.b()),
                );
            }
        }
    }

    /// Count of pixels that differ from the most frequent colour, which is the background.
    pub fn foreground_pixels(&self) -> usize {
        let mut counts = HashMap::<Color32, usize>::default();
        for &pixel in &self.pixels {
            *counts.entry(pixel).or_default() += 1;
        }
        self.pixels.len() - counts.values().max().copied().unwrap_or(0)
    }

    /// Writes a PNG file.
    pub fn save(&self, path: &Path) {
        let file = BufWriter::new(File::create(path).expect("the screenshot file can be created"));
        let size = self.size.map(|size| size as u32);
        let mut encoder = png::Encoder::new(file, size[0], size[1]);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let bytes: Vec<u8> = self
            .pixels
            .iter()
            .flat_map(|pixel| [pixel.r(), pixel.g(), pixel.b()])
            .collect();
        let mut writer = encoder.write_header().expect("the screenshot can be written");
        writer.write_image_data(&bytes).expect("the screenshot can be written");
    }
}
