//! Bodies of `avian2d` as observations.

use crate::avian::{adapter, to_f32};

adapter! {
    avian2d,
    Avian2dRecordingExt,
    position: ["position.x", "position.y"],
    rotation: ["rotation.cos", "rotation.sin"], |rotation| [rotation.cos, rotation.sin],
    linear_velocity: ["linear_velocity.x", "linear_velocity.y"],
    angular_velocity: ["angular_velocity"], |velocity| [velocity.0],
}
