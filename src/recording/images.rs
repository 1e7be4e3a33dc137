//! Methods of [`Recording`] that observe images, and their plans.

use super::{
    Recording,
    error::SetupError,
    sources::{PlannedSource, own_plan, plan_function, plan_images},
};
use crate::capture::RowPart;
use bevy_ecs::component::Component;
use bevy_reflect::{Reflect, Typed};
use experience_core::schema::{Column, ImageShape};

/// Images of more bytes are refused: a row group of a dataset holds at least one row.
const MAX_IMAGE_BYTES: usize = 32 << 20;

impl<P: Component> Recording<P> {
    /// Observes the component `T` as an image: bytes that are stored as they are, in a column of their own, and never
    /// widened to `f32`.
    ///
    /// Every reflected field of `T` must be an array of `u8` of three dimensions, `[[[u8; CHANNELS]; WIDTH]; HEIGHT]`, or of
    /// two, which is an image of one channel. Each is one image, named like a column of [`observe`](Self::observe), which
    /// records the same field as `f32` features.
    ///
    /// A component is moved by value, so that a large image is better off in a `Vec` or an asset: see
    /// [`observe_image_with`](Self::observe_image_with).
    ///
    /// ```
    /// # use bevy_ecs::prelude::*;
    /// # use bevy_experience::prelude::*;
    /// # use bevy_reflect::Reflect;
    /// # #[derive(Component)] struct Walker;
    /// #[derive(Component, Reflect)]
    /// struct Eye([[[u8; 3]; 32]; 24]);
    ///
    /// let recording = Recording::<Walker>::new("walker").observe_image::<Eye>();
    /// ```
    pub fn observe_image<T: Component + Reflect + Typed>(self) -> Self {
        let plan = own_plan::<T>(RowPart::Observation, plan_images::<T>());
        self.edit(|spec| spec.images.push(plan))
    }

    /// Observes an image that `write` computes from the component `T`. It gets `shape.height × shape.width ×
    /// shape.channels` bytes in C order, whose initial contents are unspecified, and must write all of them.
    ///
    /// `name` is that of the dataset's column, `observation.<name>`. A shape with a 0, or of more than 32 MiB, is rejected
    /// at set-up.
    ///
    /// ```
    /// # use bevy_ecs::prelude::*;
    /// # use bevy_experience::prelude::*;
    /// # #[derive(Component)] struct Walker;
    /// #[derive(Component)]
    /// struct Canvas(Vec<u8>);
    ///
    /// let shape = ImageShape { height: 84, width: 84, channels: 3 };
    /// let recording = Recording::<Walker>::new("walker").observe_image_with::<Canvas>("canvas", shape, |canvas, pixels| {
    ///     // A canvas that is not there yet is black.
    ///     match canvas.0.len() == pixels.len() {
    ///         true => pixels.copy_from_slice(&canvas.0),
    ///         false => pixels.fill(0),
    ///     }
    /// });
    /// ```
    pub fn observe_image_with<T: Component>(
        self,
        name: impl Into<String>,
        shape: ImageShape,
        write: impl Fn(&T, &mut [u8]) + Send + Sync + 'static,
    ) -> Self {
        let columns = vec![Column::image(name, shape)];
        let value = plan_function::<T>(RowPart::Observation, columns, move |value, pixels| {
            if let Some(value) = value {
                write(value, pixels);
            }
        });
        self.edit(|spec| spec.images.push(own_plan::<T>(RowPart::Observation, value)))
    }
}

/// Checks the shapes of planned images.
pub(super) fn check_shapes(recording: &str, images: &[PlannedSource]) -> Result<(), SetupError> {
    for column in images.iter().flat_map(|planned| &planned.columns) {
        if ImageShape::of(column).is_none_or(|shape| shape.bytes() > MAX_IMAGE_BYTES) {
            return Err(SetupError::Image {
                recording: recording.to_owned(),
                image: column.name.clone(),
                shape: column.shape.clone(),
            });
        }
    }
    Ok(())
}
