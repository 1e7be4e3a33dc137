//! Render targets that can be recorded, and the conversion of their pixels.

use bevy_image::Image;
use bevy_render::{
    render_resource::{TextureDimension, TextureFormat, TextureUsages},
    renderer::RenderDevice,
    texture::GpuImage,
};
use std::sync::LazyLock;

/// The bytes of a pixel of a target.
const PIXEL_BYTES: usize = 4;

/// The bytes of an image without its pixels: a header, and a tick for each recording.
const IMAGE_OVERHEAD: usize = 256;

/// A render target that can be recorded: 8-bit RGBA in sRGB, of which the colours are recorded.
///
/// It is an [`Image::new_target_texture`] that can also be copied, by
/// [`TextureUsages::COPY_SRC`](bevy_render::render_resource::TextureUsages::COPY_SRC). A camera with `Hdr` tonemaps to it.
///
/// # Panics
/// If the width or the height is 0, because a GPU has no such textures.
#[must_use]
#[track_caller]
pub fn camera_target(width: u32, height: u32) -> Image {
    assert!(
        width > 0 && height > 0,
        "a camera target of {width} × {height} pixels: both must be at least 1"
    );
    let mut image = Image::new_target_texture(width, height, TextureFormat::Rgba8UnormSrgb, None);
    image.texture_descriptor.usage |= TextureUsages::COPY_SRC;
    image
}

/// Why a camera has no image in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Gone,
    NotAnImage,
    Format,
    NotCopyable,
    NotPlain,
    OverBudget,
    Behind,
    Speculative,
}

impl Refusal {
    /// The number of variants.
    pub(crate) const COUNT: usize = Self::Speculative as usize + 1;

    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Gone => {
                "it does not exist, or is no camera: players keep its last image, whose age grows. Give them a new \
                 `PlayerCameras`"
            }
            Self::NotAnImage => "it does not draw to an image: give it `RenderTarget::Image` with a `camera_target`",
            Self::Format => "its target has no 8-bit RGBA or BGRA: make it with `camera_target`",
            Self::NotCopyable => {
                "its target cannot be copied: make it with `camera_target`, or add `TextureUsages::COPY_SRC` to its usage"
            }
            Self::NotPlain => "its target has several samples, layers or dimensions: make it with `camera_target`",
            Self::OverBudget => {
                "its image does not fit in the memory budget: raise `ExperienceCameraPlugin::memory_budget`, or lower the size \
                 of the targets"
            }
            Self::Behind => {
                "the GPU is too many frames behind, so this image is left out and the last one is recorded again with its \
                 age. Lower the size or the number of the targets"
            }
            Self::Speculative => {
                "the game has `SpeculativeTicks`, and an image of a tick that is simulated again would be wrong: images are \
                 black"
            }
        }
    }
}

/// The size and the encoding of the pixels of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TargetLayout {
    pub(crate) width: u32,
    pub(crate) height: u32,
    is_bgra: bool,
    /// The bytes are linear, and not in sRGB.
    is_linear: bool,
}

impl TargetLayout {
    pub(crate) fn new(image: &GpuImage) -> Result<Self, Refusal> {
        let descriptor = &image.texture_descriptor;
        let is_bgra = match descriptor.format {
            TextureFormat::Rgba8UnormSrgb | TextureFormat::Rgba8Unorm => false,
            TextureFormat::Bgra8UnormSrgb | TextureFormat::Bgra8Unorm => true,
            _ => return Err(Refusal::Format),
        };
        if !descriptor.usage.contains(TextureUsages::COPY_SRC) {
            return Err(Refusal::NotCopyable);
        }
        let size = descriptor.size;
        if descriptor.sample_count != 1
            || descriptor.dimension != TextureDimension::D2
            || size.depth_or_array_layers != 1
        {
            return Err(Refusal::NotPlain);
        }
        Ok(Self {
            width: size.width,
            height: size.height,
            is_bgra,
            // The camera writes through the view.
            is_linear: !image.view_format().is_srgb(),
        })
    }

    /// Bytes from one row to the next in a buffer of the GPU.
    pub(crate) fn stride(self) -> usize {
        RenderDevice::align_copy_bytes_per_row(self.width as usize * PIXEL_BYTES)
    }

    /// Bytes of the target in a buffer of the GPU.
    pub(crate) fn bytes(self) -> usize {
        self.stride() * self.height as usize
    }

    /// Bytes of an image of the target.
    pub(crate) fn rgb_bytes(self) -> usize {
        self.width as usize * self.height as usize * 3
    }

    /// Bytes that an image of the target occupies, at most.
    pub(crate) fn image_bytes(self) -> usize {
        self.rgb_bytes() + IMAGE_OVERHEAD
    }

    /// Writes the colours of the target in red, green and blue.
    pub(crate) fn write_rgb(self, data: &[u8], pixels: &mut Vec<u8>) {
        static SRGB: LazyLock<[u8; 256]> =
            LazyLock::new(|| core::array::from_fn(|value| srgb_from_linear(value as u8)));
        let width = self.width as usize;
        pixels.resize(self.rgb_bytes(), 0);
        let rows = pixels.chunks_exact_mut(width.max(1) * 3);
        for (row, source) in rows.zip(data.chunks(self.stride().max(1))) {
            let source = source.as_chunks::<PIXEL_BYTES>().0;
            for (pixel, &[first, green, third, _]) in row.as_chunks_mut::<3>().0.iter_mut().zip(source) {
                *pixel = if self.is_bgra {
                    [third, green, first]
                } else {
                    [first, green, third]
                };
            }
        }
        if self.is_linear {
            let srgb = &*SRGB;
            pixels.iter_mut().for_each(|value| *value = srgb[usize::from(*value)]);
        }
    }
}

/// The transfer function of sRGB (IEC 61966-2-1).
fn srgb_from_linear(value: u8) -> u8 {
    let linear = f32::from(value) / 255.0;
    let encoded = if linear <= 0.003_130_8 {
        12.92 * linear
    } else {
        1.055 * linear.powf(1.0 / 2.4) - 0.055
    };
    (encoded * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(is_bgra: bool, is_linear: bool) -> TargetLayout {
        TargetLayout {
            width: 2,
            height: 2,
            is_bgra,
            is_linear,
        }
    }

    #[test]
    fn padding_and_alpha_are_left_out() {
        // Two rows of 2 pixels, 256 bytes apart.
        let mut data = vec![99; 512];
        data[..8].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        data[256..264].copy_from_slice(&[11, 12, 13, 14, 15, 16, 17, 18]);
        let mut pixels = vec![77; 100];
        assert_eq!(
            (layout(false, false).stride(), layout(false, false).bytes()),
            (256, 512)
        );
        layout(false, false).write_rgb(&data, &mut pixels);
        assert_eq!(pixels, [1, 2, 3, 5, 6, 7, 11, 12, 13, 15, 16, 17]);
        layout(true, false).write_rgb(&data, &mut pixels);
        assert_eq!(pixels, [3, 2, 1, 7, 6, 5, 13, 12, 11, 17, 16, 15]);
    }

    #[test]
    fn linear_bytes_are_encoded() {
        let mut pixels = Vec::new();
        let mut data = vec![0; 512];
        data[..4].copy_from_slice(&[0, 55, 255, 255]);
        layout(false, true).write_rgb(&data, &mut pixels);
        assert_eq!(pixels[..3], [0, 128, 255]);
    }

    #[test]
    #[should_panic(expected = "0 × 4 pixels")]
    fn empty_targets_are_refused() {
        let _ = camera_target(0, 4);
    }
}
