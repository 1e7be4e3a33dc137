//! Systems of the render world: they request, copy and deliver images.
//!
//! In a frame, `exchange` runs while the main world waits, after all of the frame's ticks: it delivers what has arrived, and notes
//! which cameras are wanted and which ticks this frame shows. `copy_targets` runs after the frame was drawn: it copies the targets
//! of the wanted cameras to one buffer, which is mapped when the GPU is done. Neither waits.

use crate::{
    CameraClock, CameraImage, CameraReadback, CameraReport, PlayerCameras,
    frames::{CopiedTarget, Frames},
    target::{Refusal, TargetLayout},
};
use bevy_camera::{Camera, NormalizedRenderTarget, RenderTarget};
use bevy_ecs::{
    entity::{Entity, EntityHashMap},
    query::With,
    resource::Resource,
    system::{Query, Res, ResMut},
};
use bevy_experience::prelude::SpeculativeTicks;
use bevy_render::{
    Extract,
    camera::ExtractedCamera,
    render_asset::RenderAssets,
    render_resource::{
        Buffer, BufferDescriptor, BufferUsages, CommandEncoderDescriptor, Extent3d, PipelineCache, PipelineDescriptor,
        PollType, TexelCopyBufferInfo, TexelCopyBufferLayout,
    },
    renderer::{RenderDevice, RenderQueue},
    sync_world::MainEntity,
    texture::GpuImage,
    view::ViewTarget,
};
use std::sync::Arc;

/// State of the readback, in the render world.
#[derive(Resource)]
pub(crate) struct TargetReadback {
    published: CameraReadback,
    report: CameraReport,
    budget: usize,
    frames: Frames,
    /// The cameras whose images are wanted in this frame, in order, once each.
    wanted: Vec<Entity>,
    /// The last tick of each recording in this frame.
    ticks: Vec<i64>,
    /// The cameras and the ticks of the last frame that was copied completely.
    last: (Vec<Entity>, Vec<i64>),
    arrived: EntityHashMap<Arc<CameraImage>>,
    /// The kinds of refusals that were logged.
    logged: [bool; Refusal::COUNT],
}

impl TargetReadback {
    pub(crate) fn new(published: CameraReadback, budget: usize) -> Self {
        Self {
            published,
            report: CameraReport::default(),
            budget,
            frames: Frames::default(),
            wanted: Vec::new(),
            ticks: Vec::new(),
            last: Default::default(),
            arrived: EntityHashMap::default(),
            logged: [false; Refusal::COUNT],
        }
    }

    /// Logs why the image of a camera is left out, once for each reason.
    fn log(&mut self, camera: Entity, refusal: Refusal) {
        if core::mem::replace(&mut self.logged[refusal as usize], true) {
            return;
        }
        let message = refusal.message();
        if refusal == Refusal::Behind {
            tracing::warn!("an image of camera {camera} is not recorded: {message}");
        } else {
            tracing::error!("camera {camera} cannot be recorded: {message}");
        }
    }

    /// A buffer for the copies of these targets, within the budget.
    fn buffer(&mut self, device: &RenderDevice, bytes: usize, targets: &[CopiedTarget]) -> Option<Buffer> {
        if let Some(buffer) = self.frames.take_idle(bytes) {
            return Some(buffer);
        }
        let has_memory = self.frames.has_memory(bytes, targets, self.budget);
        has_memory.then(|| {
            device.create_buffer(&BufferDescriptor {
                label: Some("experience_camera"),
                size: bytes as u64,
                usage: BufferUsages::COPY_DST | BufferUsages::MAP_READ,
                mapped_at_creation: false,
            })
        })
    }
}

/// Starts with a device: the first one, and each that Bevy creates after one was lost.
pub(crate) fn start_with_device(mut readback: ResMut<TargetReadback>) {
    let readback = &mut *readback;
    readback.frames.drop_device(&mut readback.report);
    readback.last = Default::default();
}

/// Delivers images that have arrived to players, and notes which cameras they look through.
pub(crate) fn exchange(
    players: Extract<Query<&PlayerCameras>>,
    cameras: Extract<Query<&RenderTarget, With<Camera>>>,
    clock: Extract<Res<CameraClock>>,
    speculative: Extract<Option<Res<SpeculativeTicks>>>,
    device: Option<Res<RenderDevice>>,
    mut readback: ResMut<TargetReadback>,
) {
    let readback = &mut *readback;
    // Cameras of a frame that was not drawn.
    readback.report.refused += readback.wanted.len() as u64;
    if let Some(device) = device.filter(|_| readback.frames.is_waiting()) {
        // Runs the callbacks of copies that are done, a frame before the next submission does. An error is that of a lost device,
        // whose copies fail.
        let _ = device.poll(PollType::Poll);
    }
    readback
        .frames
        .collect(readback.budget, &mut readback.arrived, &mut readback.report);
    readback.wanted.clear();
    for view in players.iter().flat_map(PlayerCameras::views) {
        readback.wanted.push(view.camera);
        if let Some(image) = readback.arrived.get(&view.camera) {
            view.receive(image.clone());
        }
    }
    readback.arrived.clear();
    readback.wanted.sort_unstable();
    readback.wanted.dedup();
    clock.last_ticks(&mut readback.ticks);
    if readback.ticks.is_empty() || (&readback.wanted, &readback.ticks) == (&readback.last.0, &readback.last.1) {
        // Nothing is recorded, or no tick has passed: the image would show the same tick again.
        readback.wanted.clear();
    }
    readback.report.requested += readback.wanted.len() as u64;
    let mut wanted = core::mem::take(&mut readback.wanted);
    wanted.retain(|&camera| {
        let refusal = match cameras.get(camera) {
            _ if speculative.is_some() => Some(Refusal::Speculative),
            Err(_) => Some(Refusal::Gone),
            Ok(target) => target.as_image().is_none().then_some(Refusal::NotAnImage),
        };
        if let Some(refusal) = refusal {
            readback.report.refused += 1;
            readback.log(camera, refusal);
        }
        refusal.is_none()
    });
    readback.wanted = wanted;
    readback.report.in_flight = (readback.frames.in_flight() + readback.wanted.len()) as u64;
    readback.report.bytes = readback.frames.bytes();
    readback.published.publish(readback.report);
}

/// Whether a pipeline that writes to targets is still compiled, as in the first frames. Its cameras look as if they had written.
fn is_output_waiting(pipelines: &PipelineCache) -> bool {
    let mut waiting = pipelines
        .waiting_pipelines()
        .filter_map(|id| pipelines.pipelines().nth(id));
    waiting.any(|pipeline| match &pipeline.descriptor {
        // The label of `BlitPipeline`, whose ids are private.
        PipelineDescriptor::RenderPipelineDescriptor(descriptor) => {
            descriptor.label.as_deref() == Some("blit pipeline")
        }
        PipelineDescriptor::ComputePipelineDescriptor(_) => false,
    })
}

/// Copies the targets of the wanted cameras, as they were drawn in this frame.
pub(crate) fn copy_targets(
    drawn: Query<(&MainEntity, &ExtractedCamera, &ViewTarget)>,
    pipelines: Res<PipelineCache>,
    images: Res<RenderAssets<GpuImage>>,
    device: Res<RenderDevice>,
    queue: Res<RenderQueue>,
    mut readback: ResMut<TargetReadback>,
) {
    if readback.wanted.is_empty() {
        return;
    }
    let readback = &mut *readback;
    let wanted = core::mem::take(&mut readback.wanted);
    if !readback.frames.has_room() {
        readback.report.skipped += wanted.len() as u64;
        readback.log(wanted[0], Refusal::Behind);
        return;
    }
    let (mut targets, mut sources) = (Vec::with_capacity(wanted.len()), Vec::with_capacity(wanted.len()));
    let mut bytes = 0;
    // Targets that no camera wrote to in this frame show an earlier one, or nothing.
    let written = drawn.iter().filter(|(.., view)| view.needs_present());
    for (entity, camera, _) in written.filter(|_| !is_output_waiting(&pipelines)) {
        let Some(NormalizedRenderTarget::Image(target)) = &camera.target else {
            continue;
        };
        let (Ok(_), Some(image)) = (wanted.binary_search(&entity.id()), images.get(&target.handle)) else {
            continue;
        };
        match TargetLayout::new(image) {
            Ok(layout) => {
                targets.push(CopiedTarget {
                    camera: entity.id(),
                    offset: bytes,
                    layout,
                });
                sources.push(image);
                bytes += layout.bytes();
            }
            Err(refusal) => readback.log(entity.id(), refusal),
        }
    }
    // Also cameras that are not active, and targets that are not on the GPU yet.
    readback.report.refused += (wanted.len() - targets.len()) as u64;
    let buffer = loop {
        if targets.is_empty() {
            return;
        }
        if let Some(buffer) = readback.buffer(&device, bytes, &targets) {
            break buffer;
        }
        if let Some(target) = targets.pop() {
            bytes = target.offset;
            readback.report.skipped += 1;
            readback.log(target.camera, Refusal::OverBudget);
        }
    };
    let mut encoder = device.create_command_encoder(&CommandEncoderDescriptor {
        label: Some("experience_camera"),
    });
    for (target, source) in targets.iter().zip(sources) {
        let TargetLayout { width, height, .. } = target.layout;
        encoder.copy_texture_to_buffer(
            source.texture.as_image_copy(),
            TexelCopyBufferInfo {
                buffer: &buffer,
                layout: TexelCopyBufferLayout {
                    offset: target.offset as u64,
                    bytes_per_row: Some(target.layout.stride() as u32),
                    rows_per_image: None,
                },
            },
            Extent3d {
                width,
                height,
                depth_or_array_layers: 1,
            },
        );
    }
    queue.submit([encoder.finish()]);
    if targets.len() == wanted.len() {
        readback.last.0 = wanted;
        readback.last.1.clone_from(&readback.ticks);
    }
    readback.frames.wait_for(buffer, targets, readback.ticks.clone());
}
