//! Images: columns of bytes in a schema, which are part of the observation and never widened to `f32`.

use super::{Column, DType, Space};
use core::fmt;

/// The size of an image: rows, pixels per row, and bytes per pixel.
///
/// ```
/// use experience_core::schema::ImageShape;
///
/// let shape = ImageShape { height: 84, width: 96, channels: 3 };
/// assert_eq!((shape.bytes(), shape.to_string()), (24_192, "84 × 96 × 3".to_owned()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImageShape {
    /// The number of rows, from the top.
    pub height: usize,
    /// The number of pixels in a row, from the left.
    pub width: usize,
    /// The number of bytes of a pixel: 1 for grey, 3 for RGB, 4 for RGBA, or any other number of planes.
    pub channels: usize,
}

impl ImageShape {
    /// The number of bytes of an image, saturating.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.height.saturating_mul(self.width).saturating_mul(self.channels)
    }

    /// The shape of an image column; `None` if `column` is not one.
    #[must_use]
    pub fn of(column: &Column) -> Option<Self> {
        match (column.dtype, column.shape.as_slice()) {
            (DType::U8, &[height, width, channels]) if height > 0 && width > 0 && channels > 0 => Some(Self {
                height,
                width,
                channels,
            }),
            _ => None,
        }
    }
}

impl fmt::Display for ImageShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {} × {}", self.height, self.width, self.channels)
    }
}

impl Column {
    /// An image: `u8` in 0 to 255, with the shape `[height, width, channels]`.
    pub fn image(name: impl Into<String>, shape: ImageShape) -> Self {
        Self {
            shape: vec![shape.height, shape.width, shape.channels],
            ..Self::scalar(name, DType::U8, Space::bounded(0.0, 255.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;

    const SHAPE: ImageShape = ImageShape {
        height: 2,
        width: 3,
        channels: 4,
    };

    fn schema() -> Schema {
        Schema::new("p").with_observation([Column::feature("x")])
    }

    #[test]
    fn a_schema_without_images_keeps_its_json_and_its_hash() {
        let json = serde_json::to_string(&schema()).unwrap();
        assert_eq!(
            json,
            r#"{"name":"p","observation":[{"name":"x","dtype":"f32","shape":[],"space":{"type":"Box","low":null,"high":null}}],"action":[],"action_mask":0,"info":[],"reward_terms":[]}"#
        );
        assert_eq!(schema().with_images([]).hash(), schema().hash());
    }

    #[test]
    fn images_are_part_of_the_identity() {
        let with = |shape| schema().with_images([Column::image("eye", shape)]);
        let other = with(ImageShape { height: 3, ..SHAPE });
        assert_ne!(with(SHAPE).hash(), schema().hash());
        assert_ne!(with(SHAPE).hash(), other.hash());
        assert_eq!(schema().differences(&with(SHAPE)), ["image column `eye` is only there"]);
        assert_eq!(
            other.differences(&with(SHAPE)),
            ["image column `eye` has another type, shape or space"]
        );
        let json = serde_json::to_string(&other).unwrap();
        assert_eq!(serde_json::from_str::<Schema>(&json).unwrap(), other);
    }

    #[test]
    fn a_damaged_image_is_refused() {
        let json = serde_json::to_string(&schema().with_images([Column::image("eye", SHAPE)])).unwrap();
        for (part, damage) in [
            ("[2,3,4]", "[2,3]"),
            ("[2,3,4]", "[2,0,4]"),
            ("[2,3,4]", "[2,3,4,1]"),
            ("[2,3,4]", "[4294967296,4294967296,4]"),
            (r#""u8""#, r#""f32""#),
        ] {
            let damaged = json.replacen(part, damage, 1);
            assert_ne!(damaged, json);
            let error = serde_json::from_str::<Schema>(&damaged);
            assert!(error.is_err(), "{damaged}");
        }
    }

    #[test]
    #[should_panic(expected = "the image `eye` must be `u8`")]
    fn a_column_that_is_no_image_is_refused() {
        let _ = schema().with_images([Column::feature("eye")]);
    }
}
