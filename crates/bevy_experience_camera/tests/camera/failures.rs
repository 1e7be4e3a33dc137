//! A GPU that is behind, and one that is lost.

use crate::game::*;
use bevy::{
    prelude::*,
    render::{
        Render, RenderApp, RenderSystems,
        error_handler::{RenderErrorHandler, RenderErrorPolicy},
        renderer::{RenderDevice, RenderQueue},
        settings::RenderCreation,
    },
};
use bevy_experience::{prelude::*, transition::Episode};
use bevy_experience_camera::{MAX_FRAMES_IN_FLIGHT, camera_target};
use std::{
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use wgpu::{
    BindGroupDescriptor, BindGroupEntry, BufferDescriptor, BufferUsages, ComputePassDescriptor,
    ComputePipelineDescriptor, ShaderModuleDescriptor, ShaderSource,
};

/// Computes for seconds on a software driver. The result is written, so that the loop stays.
const SLOW: &str = "
@group(0) @binding(0) var<storage, read_write> result: array<u32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) index: u32) {
    var value = result[index];
    for (var i = 0u; i < ITERATIONS; i++) {
        value = value * 1664525u + 1013904223u;
    }
    result[index] = value;
}
";

/// Set by a test: the next frame gives the GPU something that takes long.
#[derive(Resource, Clone, Default)]
struct SlowFrame(Arc<AtomicBool>);

fn submit_slow_work(device: Res<RenderDevice>, queue: Res<RenderQueue>, wanted: Res<SlowFrame>) {
    if !wanted.0.swap(false, Ordering::Relaxed) {
        return;
    }
    let device = device.wgpu_device();
    let module = device.create_shader_module(ShaderModuleDescriptor {
        label: None,
        source: ShaderSource::Wgsl(SLOW.replace("ITERATIONS", "400000000u").into()),
    });
    let pipeline = device.create_compute_pipeline(&ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: None,
        compilation_options: Default::default(),
        cache: None,
    });
    let result = device.create_buffer(&BufferDescriptor {
        label: None,
        size: 256,
        usage: BufferUsages::STORAGE,
        mapped_at_creation: false,
    });
    let group = device.create_bind_group(&BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[BindGroupEntry {
            binding: 0,
            resource: result.as_entire_binding(),
        }],
    });
    let mut encoder = device.create_command_encoder(&Default::default());
    {
        let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(1, 1, 1);
    }
    queue.submit([encoder.finish()]);
}

/// Checks that each row shows the tick that its age states, and returns the ages.
fn ages(episode: &Episode) -> Vec<f32> {
    let rows = (0..=episode.len()).map(|row| episode.row(row));
    rows.map(|row| {
        let [ticks, age] = *row.observation() else { panic!() };
        if age >= 0.0 {
            assert_eq!(ticks_of(pixel(row.image(0), 8, 0, 0)), (ticks - age) as i64);
        }
        age
    })
    .collect()
}

/// A started app with one player and its camera.
fn started(set_up: impl FnOnce(&mut App)) -> Option<(MutexGuard<'static, ()>, App, MemorySink)> {
    let (guard, mut app) = recorded_app(true)?;
    let sink = MemorySink::default();
    app.add_recording(recording(&sink, 8, 8));
    let camera = spawn_camera(&mut app, camera_target(8, 8), 0);
    spawn_player(&mut app, camera);
    set_up(&mut app);
    start(&mut app);
    Some((guard, app, sink))
}

/// Runs frames until the condition holds.
fn run_until(app: &mut App, what: &str, mut condition: impl FnMut(&App) -> bool) {
    let start = Instant::now();
    while !condition(app) {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}: {:?}", report(app));
        run(app, [1]);
    }
}

#[test]
fn a_gpu_that_is_behind_delays_images_and_never_the_game() {
    let slow = SlowFrame::default();
    let set_up = |app: &mut App| {
        app.sub_app_mut(RenderApp)
            .insert_resource(slow.clone())
            .add_systems(Render, submit_slow_work.in_set(RenderSystems::Prepare));
    };
    let Some((_guard, mut app, sink)) = started(set_up) else {
        return;
    };
    run_until(&mut app, "no image arrived", |app| report(app).received > 10);
    slow.0.store(true, Ordering::Relaxed);
    let before = report(&app);
    run_until(&mut app, "the GPU was not behind", |app| {
        report(app).skipped > before.skipped + 5
    });
    let behind = report(&app);
    // As many frames as may wait, and those on their way when the work was submitted.
    assert!(
        behind.received <= before.received + 2 * MAX_FRAMES_IN_FLIGHT as u64,
        "{before:?} {behind:?}"
    );
    assert!(behind.in_flight <= MAX_FRAMES_IN_FLIGHT as u64 + 1, "{behind:?}");
    run_until(&mut app, "images did not arrive again", |app| {
        report(app).received > behind.received + 20
    });
    assert_eq!(report(&app).failed, 0);
    let episodes = finish(&mut app, &sink);
    let ages = ages(&episodes[0]);
    // The age grows by one with each tick while nothing arrives, and is small again afterwards.
    let oldest = ages.iter().copied().fold(0.0, f32::max);
    assert!(oldest >= 6.0, "{ages:?}");
    assert!(*ages.last().expect("rows") < oldest, "{ages:?}");
}

/// Loses the device, and returns the report of before.
fn lose_device(app: &mut App) {
    run_until(app, "no image arrived", |app| report(app).received > 10);
    app.world().resource::<RenderDevice>().wgpu_device().destroy();
}

#[test]
fn a_lost_device_leaves_the_last_image_and_the_game_goes_on() {
    // Bevy's default ends the app.
    let set_up = |app: &mut App| {
        app.insert_resource(RenderErrorHandler(|_, _, _| RenderErrorPolicy::StopRendering));
    };
    let Some((_guard, mut app, sink)) = started(set_up) else {
        return;
    };
    lose_device(&mut app);
    run(&mut app, [1; 60]);
    let lost = report(&app);
    run(&mut app, [1; 20]);
    assert_eq!(report(&app).received, lost.received);
    let episodes = finish(&mut app, &sink);
    let ages = ages(&episodes[0]);
    assert!(
        ages.windows(2).rev().take(60).all(|pair| pair[1] == pair[0] + 1.0),
        "{ages:?}"
    );
}

#[test]
fn images_arrive_again_from_a_new_device() {
    let set_up = |app: &mut App| {
        app.insert_resource(RenderErrorHandler(|_, _, _| {
            RenderErrorPolicy::Recover(RenderCreation::default())
        }));
    };
    let Some((_guard, mut app, sink)) = started(set_up) else {
        return;
    };
    lose_device(&mut app);
    run(&mut app, [1; 10]);
    let lost = report(&app);
    run_until(&mut app, "no image arrived from the new device", |app| {
        report(app).received > lost.received + 10
    });
    let episodes = finish(&mut app, &sink);
    assert!(
        ages(&episodes[0])
            .iter()
            .rev()
            .take(5)
            .all(|age| (0.0..20.0).contains(age))
    );
}
