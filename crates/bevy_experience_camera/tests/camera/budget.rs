//! Memory is bounded, and what does not fit is counted.

use crate::game::*;
use bevy::prelude::*;
use bevy_experience::prelude::*;
use bevy_experience_camera::{ExperienceCameraPlugin, MAX_FRAMES_IN_FLIGHT, camera_target};

fn app_with_budget(memory_budget: usize) -> Option<(std::sync::MutexGuard<'static, ()>, App)> {
    let (guard, mut app) = app(true)?;
    app.add_plugins((ExperiencePlugin::default(), ExperienceCameraPlugin { memory_budget }))
        .add_systems(FixedUpdate, count_ticks);
    Some((guard, app))
}

#[test]
fn images_beyond_the_budget_are_skipped_and_counted() {
    // Each frame of a target takes 64 × 256 bytes.
    for (budget, arrives) in [(0, false), (10_000, false), (60_000, true)] {
        let Some((_guard, mut app)) = app_with_budget(budget) else {
            return;
        };
        let sink = MemorySink::default();
        app.add_recording(recording(&sink, 64, 64));
        for shade in 0..2 {
            let camera = spawn_camera(&mut app, camera_target(64, 64), shade);
            spawn_player(&mut app, camera);
        }
        start(&mut app);
        for _ in 0..50 {
            run(&mut app, [1]);
            assert!(report(&app).bytes <= budget, "{:?}", report(&app));
        }
        let report = report(&app);
        assert!(
            report.skipped > 20 && report.in_flight <= 2 * MAX_FRAMES_IN_FLIGHT as u64 + 2,
            "{report:?}"
        );
        assert_eq!((report.requested, report.received > 0), (100, arrives), "{report:?}");
        let episodes = finish(&mut app, &sink);
        let rows = episodes
            .iter()
            .flat_map(|episode| (0..=episode.len()).map(|row| episode.row(row)));
        for row in rows {
            let [ticks, age] = *row.observation() else { panic!() };
            match age < 0.0 {
                true => assert!(is_black(row.image(0))),
                false => assert_eq!(pixel(row.image(0), 64, 0, 0)[0], background((ticks - age) as i64)[0]),
            }
        }
    }
}

#[test]
fn memory_does_not_grow() {
    let Some((_guard, mut app)) = app_with_budget(64 << 20) else {
        return;
    };
    let sink = MemorySink::default();
    app.add_recording(recording(&sink, 84, 84));
    for shade in 0..4 {
        let camera = spawn_camera(&mut app, camera_target(84, 84), shade);
        spawn_player(&mut app, camera);
    }
    start(&mut app);
    // Of each camera: frames in flight and one idle, an image that players have, one that arrives, and one that is not used.
    let frame = 512 * 84 * 4;
    let bound = (MAX_FRAMES_IN_FLIGHT + 1) * frame + 4 * 3 * (84 * 84 * 3 + 256);
    let spawned = app.world().entities().count_spawned();
    for _ in 0..100 {
        run(&mut app, [1]);
        assert!(report(&app).bytes <= bound, "{} of {bound}", report(&app).bytes);
    }
    // Nothing is spawned for a request.
    assert!(app.world().entities().count_spawned() <= spawned + 20);
    finish(&mut app, &sink);
}
