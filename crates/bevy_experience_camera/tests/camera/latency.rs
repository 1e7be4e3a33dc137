//! The age of images when the GPU keeps up.

use crate::game::*;
use bevy_experience::prelude::*;
use bevy_experience_camera::camera_target;
use std::{
    io::{self, Write},
    thread,
    time::Duration,
};

#[test]
fn images_are_two_ticks_old_if_the_gpu_keeps_up() {
    for is_pipelined in [true, false] {
        let Some((_guard, mut app)) = recorded_app(is_pipelined) else {
            return;
        };
        let sink = MemorySink::default();
        app.add_recording(recording(&sink, 32, 32));
        let camera = spawn_camera(&mut app, camera_target(32, 32), 0);
        spawn_player(&mut app, camera);
        start(&mut app);
        for _ in 0..60 {
            run(&mut app, [1]);
            // As much time as a frame of 20 per second has, in which any GPU draws 32 × 32 pixels.
            thread::sleep(Duration::from_millis(50));
        }
        let episodes = finish(&mut app, &sink);
        let rows = 10..=episodes[0].len();
        let ages: Vec<_> = rows.map(|row| episodes[0].row(row).observation()[1]).collect();
        let _ = writeln!(io::stderr(), "ages, pipelined {is_pipelined}: {ages:?}");
        assert!(ages.iter().all(|age| *age >= 2.0));
        let late = ages.iter().filter(|age| **age > 2.0).count();
        // The machine may be busy with something else.
        assert!(late < ages.len() / 2, "{ages:?}");
    }
}
