//! Actions that are recorded in another transition than the one that they affect, or cleared before they are read.

use crate::game::{
    Intent, Place, Random, Rates, STEADY, Walker, assert_healthy, assert_only, diagnose, finding, finish, press_keys,
    problems, push_stick, recording, reset, walk,
};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    dataset::{Severity, Symptom},
    prelude::*,
};
use bevy_reflect::Reflect;

/// Rates of frames and of fixed ticks.
const RATES: [(u32, u32); 8] = [
    (30, 60),
    (60, 60),
    (64, 60),
    (144, 60),
    (30, 64),
    (60, 64),
    (64, 64),
    (144, 64),
];

/// Input in `PreUpdate`, as Bevy's own, and movement in `Update`.
fn update_game<M>(input: impl IntoScheduleConfigs<bevy_ecs::system::ScheduleSystem, M>) -> impl FnOnce(&mut App) {
    move |app| {
        app.add_systems(PreUpdate, input)
            .add_systems(Update, (walk, finish).chain())
            .add_observer(reset);
    }
}

/// A recording that reads the action at the capture, whatever the systems of the game do.
fn read_at_capture() -> Recording<Walker> {
    recording().read_actions_after(FixedLast)
}

#[test]
fn a_game_in_update_that_is_captured_at_fixed_ticks_is_found_at_any_rate() {
    for (frames, ticks) in RATES {
        let rates = Rates { frames, ticks };
        for (name, found) in [
            (
                "keys",
                diagnose(rates, FixedLast, read_at_capture(), update_game(press_keys)),
            ),
            (
                "stick",
                diagnose(rates, FixedLast, read_at_capture(), update_game(push_stick)),
            ),
        ] {
            assert_only(
                &found,
                Symptom::ActionLeads,
                "Recording::capture_after(Last)",
                &format!("{name} at {rates:?}"),
            );
        }
    }
}

#[test]
fn a_game_in_update_that_is_captured_behind_it_is_healthy_at_any_rate() {
    for (frames, ticks) in RATES {
        let rates = Rates { frames, ticks };
        for (name, found) in [
            ("keys", diagnose(rates, Last, recording(), update_game(press_keys))),
            ("stick", diagnose(rates, Last, recording(), update_game(push_stick))),
        ] {
            assert_healthy(&found, &format!("{name} at {rates:?}"));
        }
    }
}

#[test]
fn a_game_of_fixed_ticks_is_healthy_at_any_rate() {
    for (frames, ticks) in RATES {
        let rates = Rates { frames, ticks };
        let found = diagnose(rates, FixedLast, recording(), |app| {
            app.add_systems(FixedPreUpdate, press_keys)
                .add_systems(FixedUpdate, (walk, finish).chain())
                .add_observer(reset);
        });
        assert_healthy(&found, &format!("keys at {rates:?}"));
        // Input of a frame holds for all of its ticks.
        let found = diagnose(rates, FixedLast, recording(), |app| {
            app.add_systems(PreUpdate, push_stick)
                .add_systems(FixedUpdate, (walk, finish).chain())
                .add_observer(reset);
        });
        assert_healthy(&found, &format!("stick at {rates:?}"));
    }
}

#[test]
fn an_intent_for_the_next_tick_is_found() {
    let bots = |app: &mut App| {
        app.add_systems(FixedUpdate, (walk, finish, press_keys).chain())
            .add_observer(reset);
    };
    let found = diagnose(STEADY, FixedLast, read_at_capture(), bots);
    assert_only(
        &found,
        Symptom::ActionLeads,
        "Recording::read_actions_after(FixedPreUpdate)",
        "next tick",
    );
    let found = diagnose(STEADY, FixedLast, recording().read_actions_after(FixedPreUpdate), bots);
    assert_healthy(&found, "next tick, read before");
}

/// A copy of the intent that is recorded instead of it.
#[derive(Component, Reflect, Clone, Copy, Default)]
struct Shown {
    x: f32,
    y: f32,
}

fn copy(mut players: Query<(&Intent, &mut Shown)>) {
    for (intent, mut shown) in &mut players {
        (shown.x, shown.y) = (intent.x, intent.y);
    }
}

#[test]
fn a_copy_of_the_tick_before_is_found() {
    let game = |order: fn(&mut App)| {
        move |app: &mut App| {
            app.register_required_components::<Walker, Shown>();
            order(app);
            app.add_observer(reset);
        }
    };
    let shown = || Recording::<Walker>::new("walker").observe::<Place>().act::<Shown>();
    let found = diagnose(
        STEADY,
        FixedLast,
        shown(),
        game(|app| {
            app.add_systems(FixedUpdate, (copy, push_stick, walk, finish).chain());
        }),
    );
    assert_only(
        &found,
        Symptom::ActionLags,
        "Record the component that the movement reads",
        "copied before",
    );
    let found = diagnose(
        STEADY,
        FixedLast,
        shown(),
        game(|app| {
            app.add_systems(FixedUpdate, (push_stick, copy, walk, finish).chain());
        }),
    );
    assert_healthy(&found, "copied after");
}

fn clear(mut players: Query<&mut Intent>) {
    for mut intent in &mut players {
        *intent = Intent::default();
    }
}

#[test]
fn an_intent_that_is_cleared_before_it_is_read_is_found() {
    let game = |app: &mut App| {
        app.add_systems(FixedPreUpdate, press_keys_anew)
            .add_systems(FixedUpdate, (walk, finish, clear).chain())
            .add_observer(reset);
    };
    let found = diagnose(STEADY, FixedLast, read_at_capture(), game);
    assert_only(
        &found,
        Symptom::ConstantAction,
        "Recording::read_actions_after(FixedPreUpdate)",
        "cleared",
    );
    assert!(
        finding(&found, Symptom::ConstantAction)
            .what
            .contains("the observation moves"),
        "{found:#?}"
    );
    let found = diagnose(STEADY, FixedLast, recording().read_actions_after(FixedPreUpdate), game);
    assert_healthy(&found, "cleared, read before");
}

/// Writes the intent in each tick, also where the game clears it.
fn press_keys_anew(mut players: Query<&mut Intent>, mut held: Local<Intent>, mut random: ResMut<Random>) {
    for mut intent in &mut players {
        if random.next() < 0.1 {
            *held = Intent {
                x: (3.0 * random.next()).floor() - 1.0,
                y: (3.0 * random.next()).floor() - 1.0,
            };
        }
        *intent = *held;
    }
}

#[test]
fn a_button_that_lasts_for_less_than_a_tick_is_named() {
    #[derive(Component, Reflect, Default)]
    struct Jump(bool);
    #[derive(Component, Reflect, Default)]
    struct Height {
        z: f32,
        speed: f32,
    }

    fn press(mut players: Query<&mut Jump>, mut random: ResMut<Random>) {
        for mut jump in &mut players {
            jump.0 = random.next() < 0.02;
        }
    }
    fn jump(mut players: Query<(&mut Jump, &mut Height)>) {
        for (mut jump, mut height) in &mut players {
            if jump.0 && height.z <= 0.0 {
                height.speed = 4.0;
            }
            jump.0 = false;
            height.speed -= 0.2;
            height.z = (height.z + height.speed / 60.0).max(0.0);
        }
    }

    let game = |app: &mut App| {
        app.register_required_components::<Walker, Jump>()
            .register_required_components::<Walker, Height>()
            .add_systems(FixedPreUpdate, (press_keys, press))
            .add_systems(FixedUpdate, (walk, jump, finish).chain())
            .add_observer(reset);
    };
    let both = || recording().observe::<Height>().act::<Jump>();
    let found = diagnose(STEADY, FixedLast, both().read_actions_after(FixedLast), game);
    let note = finding(&found, Symptom::ConstantAction);
    assert_eq!(note.severity, Severity::Note);
    assert!(
        note.cause.contains("`just_pressed`") && note.cause.contains("Recording::read_actions_after"),
        "{note:#?}"
    );
    assert_eq!(problems(&found), [], "{found:#?}");
    let found = diagnose(STEADY, FixedLast, both().read_actions_after(FixedPreUpdate), game);
    assert!(
        found
            .findings
            .iter()
            .all(|finding| finding.symptom != Symptom::ConstantAction),
        "{found:#?}"
    );
}
