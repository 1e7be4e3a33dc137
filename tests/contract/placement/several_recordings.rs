//! Recordings of one app that are captured at different points.

use super::games::{
    GameLog, Intent, Position, Step, Walker, app, assert_rows, close, input, recording, rows, run, walk,
};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    plugin::ExperienceCapture,
    prelude::*,
    transition::{Episode, Transition},
};
use bevy_reflect::Reflect;

#[derive(Component)]
struct Pointer;

#[derive(Component, Reflect)]
struct Aim(f32);

#[derive(Component, Reflect)]
struct Motion(f32);

#[derive(Resource, Default)]
struct PointerLog(Vec<Step>);

fn point(mut pointers: Query<(&mut Motion, &mut Aim, &mut Reward)>, mut log: ResMut<PointerLog>) {
    for (mut motion, mut aim, mut reward) in &mut pointers {
        let count = log.0.len() as f32;
        motion.0 = count * 0.5;
        let before = aim.0;
        aim.0 += motion.0;
        reward.add("aim", f64::from(count));
        log.0.push(Step {
            before,
            action: motion.0,
            reward: f64::from(count),
            after: aim.0,
            ends: false,
        });
    }
}

#[test]
fn recordings_of_different_loops_are_all_right() {
    for hertz in [30, 60, 64, 144] {
        let (walker, pointer) = (MemorySink::default(), MemorySink::default());
        let mut app = app();
        app.init_resource::<PointerLog>()
            .add_recording(recording().sink(walker.clone()))
            .add_recording(
                Recording::<Pointer>::new("pointer")
                    .observe::<Aim>()
                    .act::<Motion>()
                    .sink(pointer.clone()),
            )
            .add_systems(FixedUpdate, (input, walk).chain())
            .add_systems(Update, point);
        app.world_mut().spawn((Walker, Position(0.0), Intent { step: 0.0 }));
        app.world_mut().spawn((Pointer, Aim(0.0), Motion(0.0)));
        app.add_observer(|ended: On<EpisodeEnded>, mut walkers: Query<&mut Position>| {
            if let Ok(mut position) = walkers.get_mut(ended.entity) {
                position.0 = 0.0;
            }
        });
        run(&mut app, hertz, 200);
        close(&mut app);
        assert_rows(
            &format!("walker at {hertz} Hz"),
            &rows(&walker),
            &app.world().resource::<GameLog>().0,
        );
        assert_rows(
            &format!("pointer at {hertz} Hz"),
            &rows(&pointer),
            &app.world().resource::<PointerLog>().0,
        );
        let experience = app.world().resource::<Experience>();
        assert_eq!(experience.tick("pointer"), Some(200), "one a frame");
        assert_ne!(experience.tick("walker"), experience.tick("pointer"));
    }
}

#[test]
fn a_player_of_two_recordings_gets_each_reward_once_in_each() {
    for hertz in [30, 64, 144] {
        let (fixed, frame) = (MemorySink::default(), MemorySink::default());
        let mut app = app();
        app.add_recording(recording().capture_after(FixedLast).sink(fixed.clone()))
            .add_recording(
                Recording::<Walker>::new("frame")
                    .observe::<Position>()
                    .capture_after(Last)
                    .sink(frame.clone()),
            )
            .add_systems(FixedUpdate, (input, walk).chain())
            .add_systems(Update, |mut walkers: Query<&mut Reward>| {
                walkers.iter_mut().for_each(|mut reward| reward.add("frame", 1000.0));
            });
        app.world_mut().spawn((Walker, Position(0.0), Intent { step: 0.0 }));
        run(&mut app, hertz, 130);
        let total = |app: &App| {
            let steps: f64 = app.world().resource::<GameLog>().0.iter().map(|step| step.reward).sum();
            steps
        };
        close(&mut app);
        let sum = |sink: &MemorySink| -> f64 {
            let episodes = sink.episodes();
            episodes
                .iter()
                .flat_map(Episode::transitions)
                .map(Transition::reward)
                .sum()
        };
        // The frame's recording joins at the end of the first frame, which has no fixed tick and one reward of 1,000.
        assert_eq!(sum(&frame), total(&app) + 129.0 * 1000.0, "{hertz} Hz");
        // The other joins at the first fixed tick, whose reward precedes its first observation.
        let first = app.world().resource::<GameLog>().0[0].reward;
        let frames_before = (0..130).find(|frame| frame * 64 >= hertz).unwrap_or_default().max(1);
        let missing = sum(&fixed) - (total(&app) - first);
        let frames = missing / 1000.0;
        assert_eq!(frames.fract(), 0.0, "{hertz} Hz");
        assert!(
            frames as u32 <= 130 - frames_before && frames as u32 >= 125,
            "{hertz} Hz: {frames}"
        );
    }
}

#[test]
fn stage_runs_at_each_point() {
    #[derive(Resource, Default)]
    struct Runs(u32);
    let mut app = app();
    app.init_resource::<Runs>()
        .add_recording(recording().capture_after(FixedLast).sink(MemorySink::default()))
        .add_recording(
            Recording::<Walker>::new("frame")
                .observe::<Position>()
                .capture_after(Last)
                .sink(MemorySink::default()),
        )
        .add_systems(
            ExperienceCapture,
            (|mut runs: ResMut<Runs>| runs.0 += 1).in_set(ExperienceSystems::Stage),
        );
    app.world_mut().spawn((Walker, Position(0.0), Intent { step: 0.0 }));
    run(&mut app, 64, 11);
    let experience = app.world().resource::<Experience>();
    let ticks = experience.tick("walker").unwrap() + experience.tick("frame").unwrap();
    assert_eq!(i64::from(app.world().resource::<Runs>().0), ticks);
    assert_eq!(experience.tick("frame"), Some(11));
}

#[test]
fn the_tick_rate_is_that_of_the_loop_also_if_players_join_late() {
    use bevy_experience::dataset::{Dataset, DatasetSink};
    for (joins_after, moves_in_update, expected) in [
        (0, true, None),
        (0, false, Some(64.0)),
        (50, true, None),
        (50, false, Some(64.0)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut app = app();
        app.add_recording(recording().sink(DatasetSink::new(folder.path())));
        if moves_in_update {
            app.add_systems(Update, (input, walk).chain());
        } else {
            app.add_systems(FixedUpdate, (input, walk).chain());
        }
        run(&mut app, 60, joins_after);
        app.world_mut().spawn((Walker, Position(0.0), Intent { step: 0.0 }));
        run(&mut app, 60, 100);
        close(&mut app);
        drop(app);
        let dataset = Dataset::open(folder.path()).unwrap();
        let runs = dataset.recording("walker").unwrap().runs().unwrap();
        assert_eq!(runs[0].tick_rate, expected, "{joins_after} {moves_in_update}");
    }
}
