//! What a graphics card does with what egui draws, done by the processor: the same pictures everywhere, and no driver.

use bevy_egui::egui::{
    Color32, ImageData, TextureId, TexturesDelta,
    ahash::HashMap,
    epaint::{ClippedPrimitive, ColorImage, Primitive, Vertex},
};
use std::{fs::File, io::BufWriter, path::Path};

#[derive(Default)]
pub struct Painter {
    textures: HashMap<TextureId, ColorImage>,
}

pub struct Picture {
    pub size: [usize; 2],
    pub pixels: Vec<Color32>,
}

impl Painter {
    /// Takes new textures in, and parts of old ones.
    pub fn learn(&mut self, delta: &TexturesDelta) {
        for (id, delta) in &delta.set {
            let ImageData::Color(image) = &delta.image;
            let Some([left, top]) = delta.pos else {
                self.textures.insert(*id, (**image).clone());
                continue;
            };
            let texture = self.textures.get_mut(id).expect("a part is of a texture that is there");
            for row in 0..image.height() {
                let from = row * image.width();
                let to = (top + row) * texture.width() + left;
                texture.pixels[to..to + image.width()].copy_from_slice(&image.pixels[from..from + image.width()]);
            }
        }
        for id in &delta.free {
            self.textures.remove(id);
        }
    }

    pub fn paint(&self, primitives: &[ClippedPrimitive], size: [u16; 2], background: Color32) -> Picture {
        let size = size.map(usize::from);
        let mut picture = Picture {
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
                picture.triangle(corners, texture, clip);
            }
        }
        picture
    }
}

/// Twice the area of a triangle; negative where it goes the other way round.
fn area(a: [f32; 2], b: [f32; 2], c: [f32; 2]) -> f32 {
    (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}

impl Picture {
    fn triangle(&mut self, mut corners: [Vertex; 3], texture: &ColorImage, clip: [usize; 4]) {
        let place = |corner: &Vertex| [corner.pos.x, corner.pos.y];
        let mut whole = area(place(&corners[0]), place(&corners[1]), place(&corners[2]));
        if whole < 0.0 {
            corners.swap(1, 2);
            whole = -whole;
        }
        if whole == 0.0 {
            return;
        }
        let [a, b, c] = [place(&corners[0]), place(&corners[1]), place(&corners[2])];
        let low = |axis: usize| a[axis].min(b[axis]).min(c[axis]).floor().max(0.0) as usize;
        let high = |axis: usize| a[axis].max(b[axis]).max(c[axis]).ceil().max(0.0) as usize;
        // A pixel on the edge between two triangles belongs to one of them: the one that has it on its left or top.
        let has_edge = |from: [f32; 2], to: [f32; 2]| to[1] < from[1] || (to[1] == from[1] && to[0] > from[0]);
        let inside = |weight: f32, from: [f32; 2], to: [f32; 2]| weight > 0.0 || (weight == 0.0 && has_edge(from, to));
        for y in low(1).max(clip[1])..high(1).min(clip[3]) {
            for x in low(0).max(clip[0])..high(0).min(clip[2]) {
                let at = [x as f32 + 0.5, y as f32 + 0.5];
                let weights = [area(b, c, at), area(c, a, at), area(a, b, at)];
                if !inside(weights[0], b, c) || !inside(weights[1], c, a) || !inside(weights[2], a, b) {
                    continue;
                }
                let mix = |value: fn(&Vertex) -> f32| -> f32 {
                    let sum = corners
                        .iter()
                        .zip(weights)
                        .map(|(corner, weight)| value(corner) * weight);
                    sum.sum::<f32>() / whole
                };
                let uv = [mix(|corner| corner.uv.x), mix(|corner| corner.uv.y)];
                let texel = |part: f32, size: usize| ((part * size as f32) as usize).min(size - 1);
                let texel =
                    texture.pixels[texel(uv[1], texture.height()) * texture.width() + texel(uv[0], texture.width())];
                let channel = [
                    mix(|corner| corner.color.r().into()) * f32::from(texel.r()),
                    mix(|corner| corner.color.g().into()) * f32::from(texel.g()),
                    mix(|corner| corner.color.b().into()) * f32::from(texel.b()),
                    mix(|corner| corner.color.a().into()) * f32::from(texel.a()),
                ]
                .map(|value| value / 255.0);
                let pixel = &mut self.pixels[y * self.size[0] + x];
                let under = 1.0 - channel[3] / 255.0;
                let blend = |over: f32, below: u8| (over + f32::from(below) * under).round().clamp(0.0, 255.0) as u8;
                *pixel = Color32::from_rgb(
                    blend(channel[0], pixel.r()),
                    blend(channel[1], pixel.g()),
                    blend(channel[2], pixel.b()),
                );
            }
        }
    }

    /// How many pixels are not of the most frequent colour.
    pub fn drawn(&self) -> usize {
        let mut counts = HashMap::<Color32, usize>::default();
        for &pixel in &self.pixels {
            *counts.entry(pixel).or_default() += 1;
        }
        self.pixels.len() - counts.values().max().copied().unwrap_or(0)
    }

    pub fn save(&self, path: &Path) {
        let file = BufWriter::new(File::create(path).expect("the picture can be created"));
        let size = self.size.map(|size| size as u32);
        let mut encoder = png::Encoder::new(file, size[0], size[1]);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let bytes: Vec<u8> = self
            .pixels
            .iter()
            .flat_map(|pixel| [pixel.r(), pixel.g(), pixel.b()])
            .collect();
        let mut writer = encoder.write_header().expect("the picture can be written");
        writer.write_image_data(&bytes).expect("the picture can be written");
    }
}
