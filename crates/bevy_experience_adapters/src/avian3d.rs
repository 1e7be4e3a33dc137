//! Bodies of `avian3d` as observations.

use crate::avian::{adapter, to_f32};

adapter! {
    avian3d,
    Avian3dRecordingExt,
    position: ["position.x", "position.y", "position.z"],
    rotation: ["rotation.x", "rotation.y", "rotation.z", "rotation.w"], |rotation| rotation.0.to_array(),
    linear_velocity: ["linear_velocity.x", "linear_velocity.y", "linear_velocity.z"],
    angular_velocity: ["angular_velocity.x", "angular_velocity.y", "angular_velocity.z"], |velocity| velocity.0.to_array(),
}
