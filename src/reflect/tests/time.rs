//! Tests of types that measure time.

use super::*;
use bevy_time::{Stopwatch, Timer, TimerMode};
use core::time::Duration;
use experience_core::schema::Space;

#[derive(Reflect)]
struct Cooldown(Timer);

#[derive(Reflect)]
struct Lap {
    best: Duration,
    last: Option<Duration>,
    watch: Stopwatch,
    splits: [Duration; 2],
}

#[test]
fn a_duration_is_its_seconds() {
    let mut watch = Stopwatch::new();
    watch.tick(Duration::from_millis(750));
    watch.pause();
    let lap = |last| Lap {
        best: Duration::from_millis(1500),
        last,
        watch: watch.clone(),
        splits: [Duration::from_secs(2), Duration::from_millis(250)],
    };
    let (names, rows) = observe(vec![lap(Some(Duration::from_secs(3))), lap(None)]);
    let expected = [
        "lap.best",
        "lap.last",
        "lap.last.is_some",
        "lap.watch.elapsed",
        "lap.watch.is_paused",
        "lap.splits[0]",
        "lap.splits[1]",
    ];
    assert_eq!(names, expected);
    assert_eq!(rows[0], [1.5, 3.0, 1.0, 0.75, 1.0, 2.0, 0.25]);
    assert_eq!(rows[1], [1.5, 0.0, 0.0, 0.75, 1.0, 2.0, 0.25]);
}

#[test]
fn a_timer_is_its_seconds_its_fraction_and_whether_it_is_finished() {
    let timer = |seconds| {
        let mut timer = Timer::from_seconds(4.0, TimerMode::Once);
        timer.tick(Duration::from_secs_f32(seconds));
        Cooldown(timer)
    };
    let (names, rows) = observe(vec![timer(1.0), timer(9.0)]);
    assert_eq!(names, ["cooldown.elapsed", "cooldown.fraction", "cooldown.finished"]);
    assert_eq!(rows, [[1.0, 0.25, 0.0], [4.0, 1.0, 1.0]]);
    let plan = placed_plan::<Cooldown>(None, LeafEncoding::Observation { allow_lossy: false });
    let spaces: Vec<_> = plan.columns().iter().map(|column| column.space.clone()).collect();
    let from_zero = Space::Box {
        low: Some(0.0),
        high: None,
    };
    assert_eq!(spaces, [from_zero, Space::bounded(0.0, 1.0), Space::bounded(0.0, 1.0)]);
}

#[test]
fn other_fields_of_a_timer_can_be_selected() {
    let mut timer = Timer::from_seconds(4.0, TimerMode::Repeating);
    timer.tick(Duration::from_secs(9));
    let fields: &[&str] = &["fraction", "duration", "mode", "times_finished_this_tick"];
    let (names, rows) = observe_fields(Some(fields), false, vec![Cooldown(timer)]);
    assert_eq!(
        names,
        [
            "cooldown.fraction",
            "cooldown.duration",
            "cooldown.mode=Once",
            "cooldown.mode=Repeating",
            "cooldown.times_finished_this_tick"
        ]
    );
    assert_eq!(rows, [[0.25, 4.0, 0.0, 1.0, 2.0]]);
}

#[test]
fn time_is_refused_in_actions_and_masks() {
    for (encoding, reason) in [
        (LeafEncoding::Exact, "in observations only"),
        (LeafEncoding::Mask, "`bool`s only"),
    ] {
        let timer = FieldPlan::new::<Cooldown>("cooldown", None, encoding)
            .unwrap_err()
            .to_string();
        assert!(
            timer.starts_with("`cooldown` is of type") && timer.contains(reason),
            "{timer}"
        );
        let lap = FieldPlan::new::<Lap>("lap", Some(&["best"]), encoding)
            .unwrap_err()
            .to_string();
        assert!(lap.contains("`lap.best`") && lap.contains(reason), "{lap}");
    }
}
