//! Images in a `LeRobot` dataset: PNG files in the struct `{bytes, path}` that the library `datasets` decodes.

use arrow_array::{Array, ArrayRef, BinaryArray, StringArray, StructArray};
use arrow_schema::{ArrowError, DataType, Field, Fields};
use experience_core::{
    schema::{Column, ImageShape, Schema},
    transition::Episode,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// Checks that each image can be written.
///
/// # Errors
/// The first image that cannot, and why, as a sentence.
pub(super) fn check(schema: &Schema) -> Result<(), String> {
    for image in schema.images() {
        if cfg!(not(feature = "png")) {
            return Err(format!(
                "the recording has the image `{}`, and LeRobot's images are PNG files: build with the feature `png` of \
                 `experience_dataset`",
                image.name
            ));
        }
        if ImageShape::of(image).is_none_or(|shape| shape.channels > 4) {
            return Err(format!(
                "the image `{}` has the shape {:?}, and LeRobot's images are PNG files of 1 to 4 channels: record the planes as \
                 features, or as several images",
                image.name, image.shape
            ));
        }
        if image.name.contains('/') {
            return Err(format!(
                "the image `{}` has a `/` in its name, which LeRobot does not allow in a feature: rename it",
                image.name
            ));
        }
    }
    Ok(())
}

/// The name of an image in `LeRobot`.
pub(super) fn name(image: &Column) -> String {
    format!("observation.images.{}", image.name)
}

/// An image in the features of `info.json`.
pub(super) fn feature(image: &Column) -> (String, Value) {
    let feature = json!({ "dtype": "image", "shape": image.shape, "names": ["height", "width", "channels"] });
    (name(image), feature)
}

/// The column of an image.
pub(super) fn field(image: &Column) -> Field {
    Field::new(name(image), DataType::Struct(parts()), true)
}

fn parts() -> Fields {
    [("bytes", DataType::Binary), ("path", DataType::Utf8)]
        .map(|(name, kind)| Field::new(name, kind, true))
        .into_iter()
        .collect()
}

/// The image with the index `index` in each observation of an episode in which an action was taken.
pub(super) fn array(episode: &Episode, index: usize) -> Result<ArrayRef, ArrowError> {
    let refused = |reason: String| ArrowError::ExternalError(reason.into());
    let shape =
        ImageShape::of(&episode.schema().images()[index]).ok_or_else(|| refused("it is no image".to_owned()))?;
    let files: Vec<_> = episode
        .transitions()
        .map(|transition| encode(shape, transition.image(index)))
        .collect::<Result<_, _>>()
        .map_err(refused)?;
    let files = BinaryArray::from_iter_values(files);
    let paths = StringArray::new_null(files.len());
    Ok(Arc::new(StructArray::try_new(
        parts(),
        vec![Arc::new(files), Arc::new(paths)],
        None,
    )?))
}

/// An image as a PNG file.
#[cfg(feature = "png")]
fn encode(shape: ImageShape, pixels: &[u8]) -> Result<Vec<u8>, String> {
    let [width, height] = [shape.width, shape.height].map(|extent| u32::try_from(extent).unwrap_or(u32::MAX));
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_color(match shape.channels {
        1 => png::ColorType::Grayscale,
        2 => png::ColorType::GrayscaleAlpha,
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Rgba,
    });
    encoder.set_compression(png::Compression::Fast);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(pixels)?;
        writer.finish()
    });
    written.map_err(|error| format!("cannot encode an image as PNG: {error}"))?;
    Ok(file)
}

/// [`check`] refuses images without the feature `png`.
#[cfg(not(feature = "png"))]
fn encode(_: ImageShape, _: &[u8]) -> Result<Vec<u8>, String> {
    Err("the feature `png` is off".to_owned())
}
