//! Copies of frames that wait for the GPU, their buffers, and the images that are made of them.

use crate::{CameraImage, CameraReport, MAX_FRAMES_IN_FLIGHT, target::TargetLayout};
use bevy_ecs::entity::{Entity, EntityHashMap};
use bevy_render::render_resource::{Buffer, MapMode};
use core::sync::atomic::{AtomicU8, Ordering};
use std::{collections::VecDeque, sync::Arc};

/// A copy that has not arrived after this many frames never will.
const MAX_WAIT: u32 = 1000;

const WAITING: u8 = 0;
const MAPPED: u8 = 1;
const FAILED: u8 = 2;

/// The target of a camera in the buffer of a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CopiedTarget {
    pub(crate) camera: Entity,
    pub(crate) offset: usize,
    pub(crate) layout: TargetLayout,
}

/// The copies of all targets of one frame, in one buffer.
struct FrameCopy {
    buffer: Buffer,
    /// Set by the callback of the mapping.
    state: Arc<AtomicU8>,
    targets: Vec<CopiedTarget>,
    /// The last tick of each recording when the frame was drawn.
    ticks: Vec<i64>,
    /// Frames since the copy.
    waited: u32,
}

/// Frames that wait for the GPU, oldest first, and memory to use again.
#[derive(Default)]
pub(crate) struct Frames {
    waiting: VecDeque<FrameCopy>,
    idle: Vec<Buffer>,
    /// All images that exist, also those that players have.
    images: Vec<Arc<CameraImage>>,
}

impl Frames {
    /// Whether another frame may be copied.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() < MAX_FRAMES_IN_FLIGHT
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Drops what a device has that is lost: the copies that wait for it, which will not arrive, and all buffers.
    pub(crate) fn drop_device(&mut self, report: &mut CameraReport) {
        report.failed += self.in_flight() as u64;
        self.waiting.clear();
        self.idle.clear();
    }

    /// The number of images that wait for the GPU.
    pub(crate) fn in_flight(&self) -> usize {
        self.waiting.iter().map(|frame| frame.targets.len()).sum()
    }

    /// The bytes of all buffers and images.
    pub(crate) fn bytes(&self) -> usize {
        self.buffer_bytes() + self.image_bytes()
    }

    fn buffer_bytes(&self) -> usize {
        let buffers = self.waiting.iter().map(|frame| &frame.buffer).chain(&self.idle);
        buffers.map(|buffer| buffer.size() as usize).sum()
    }

    fn image_bytes(&self) -> usize {
        self.images.iter().map(|image| image.bytes()).sum()
    }

    /// Whether a buffer of `bytes` bytes for these targets may be created. Room is left for the images: one that players have and
    /// one that arrives.
    pub(crate) fn has_memory(&self, bytes: usize, targets: &[CopiedTarget], budget: usize) -> bool {
        let images: usize = targets.iter().map(|target| 2 * target.layout.image_bytes()).sum();
        self.buffer_bytes() + bytes + images.max(self.image_bytes()) <= budget
    }

    /// A buffer of at least this size that is not in use. `None` if there is none; then other unused ones are freed.
    pub(crate) fn take_idle(&mut self, bytes: usize) -> Option<Buffer> {
        let place = self.idle.iter().position(|buffer| buffer.size() as usize >= bytes);
        if place.is_none() {
            self.idle.clear();
        }
        place.map(|place| self.idle.swap_remove(place))
    }

    /// Waits for a copy that was submitted.
    pub(crate) fn wait_for(&mut self, buffer: Buffer, targets: Vec<CopiedTarget>, ticks: Vec<i64>) {
        let state = Arc::new(AtomicU8::new(WAITING));
        let setter = state.clone();
        buffer.map_async(MapMode::Read, .., move |result| {
            // Publishes no other memory: the mapped range is read through the buffer.
            setter.store(if result.is_ok() { MAPPED } else { FAILED }, Ordering::Release);
        });
        self.waiting.push_back(FrameCopy {
            buffer,
            state,
            targets,
            ticks,
            waited: 0,
        });
    }

    /// Makes images of the frames that have arrived, in their order. The newest image of each camera is in `arrived`.
    pub(crate) fn collect(
        &mut self,
        budget: usize,
        arrived: &mut EntityHashMap<Arc<CameraImage>>,
        report: &mut CameraReport,
    ) {
        for frame in &mut self.waiting {
            frame.waited += 1;
        }
        while let Some(frame) = self.waiting.front() {
            let state = frame.state.load(Ordering::Acquire);
            if state == WAITING && frame.waited < MAX_WAIT {
                break;
            }
            let Some(frame) = self.waiting.pop_front() else { break };
            if state == MAPPED {
                self.make_images(&frame, budget, arrived, report);
                frame.buffer.unmap();
                self.idle.push(frame.buffer);
            } else {
                report.failed += frame.targets.len() as u64;
            }
        }
    }

    fn make_images(
        &mut self,
        frame: &FrameCopy,
        budget: usize,
        arrived: &mut EntityHashMap<Arc<CameraImage>>,
        report: &mut CameraReport,
    ) {
        let data = frame.buffer.get_mapped_range(..);
        let mut bytes = self.bytes() + frame.buffer.size() as usize;
        let mut next = 0;
        for target in &frame.targets {
            let place = (next..self.images.len()).find(|&place| Arc::get_mut(&mut self.images[place]).is_some());
            let place = place.unwrap_or_else(|| {
                self.images.push(Arc::default());
                self.images.len() - 1
            });
            next = place + 1;
            let Some(image) = Arc::get_mut(&mut self.images[place]) else {
                continue;
            };
            let before = image.bytes();
            if bytes + target.layout.image_bytes().saturating_sub(before) > budget {
                report.skipped += 1;
                continue;
            }
            if image.pixels.capacity() < target.layout.rgb_bytes() {
                // Exactly as large as needed, unlike one that grows.
                image.pixels = Vec::with_capacity(target.layout.rgb_bytes());
            }
            target
                .layout
                .write_rgb(&data[target.offset..][..target.layout.bytes()], &mut image.pixels);
            image.size = [target.layout.width as usize, target.layout.height as usize];
            image.ticks.clone_from(&frame.ticks);
            bytes = bytes - before + image.bytes();
            arrived.insert(target.camera, self.images[place].clone());
            report.received += 1;
        }
        // One unused image for each target is enough.
        let mut unused = 0;
        self.images.retain(|image| {
            unused += usize::from(Arc::strong_count(image) == 1);
            Arc::strong_count(image) > 1 || unused <= frame.targets.len()
        });
    }
}
