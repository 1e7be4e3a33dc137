//! Records which discrete actions were allowed, in the columns `action_mask` and `next_action_mask`.
//!
//! Every leaf of the mask component is a `bool`, in the order of the action's alternatives. A mask belongs to the
//! observation it was read with.
//!
//!     cargo run --example action_mask
#![expect(clippy::print_stdout, reason = "the example prints its result")]

use bevy_app::{TaskPoolPlugin, prelude::*};
use bevy_ecs::prelude::*;
use bevy_experience::{prelude::*, transition::Episode};
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use std::time::Duration;

#[derive(Component)]
struct Lift;

#[derive(Component, Reflect)]
struct Floor(i8);

/// The action: one discrete choice of three.
#[derive(Component, Reflect, Clone, Copy, PartialEq)]
enum Move {
    Down,
    Stay,
    Up,
}

#[derive(Component, Reflect)]
struct Allowed {
    down: bool,
    stay: bool,
    up: bool,
}

const TOP: i8 = 2;

fn main() {
    let sink = MemorySink::default();
    let mut app = App::new();
    app.add_plugins((TaskPoolPlugin::default(), TimePlugin, ExperiencePlugin::default()))
        .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
        .add_recording(
            Recording::<Lift>::new("lift")
                .observe::<Floor>()
                .act::<Move>()
                .action_mask::<Allowed>()
                .sink(sink.clone()),
        )
        .add_systems(FixedUpdate, (choose, travel).chain());
    app.world_mut().spawn((Lift, Floor(0), Move::Stay, allowed(0)));
    for _ in 0..6 {
        app.update();
    }
    app.world_mut()
        .resource_mut::<Experience>()
        .close(Duration::from_secs(10));

    for transition in sink.episodes().iter().flat_map(Episode::transitions) {
        let mask: Vec<bool> = (0..3).map(|index| transition.before().allows(index)).collect();
        let action: Vec<f64> = transition.action().collect();
        println!(
            "floor {:?}, [down, stay, up] = {mask:?}, action {action:?}",
            transition.observation()
        );
    }
}

fn allowed(floor: i8) -> Allowed {
    Allowed {
        down: floor > 0,
        stay: true,
        up: floor < TOP,
    }
}

fn choose(mut lifts: Query<(&Allowed, &mut Move)>) {
    for (allowed, mut next) in &mut lifts {
        *next = if allowed.up { Move::Up } else { Move::Down };
    }
}

fn travel(mut lifts: Query<(&mut Floor, &Move, &mut Allowed)>) {
    for (mut floor, next, mut mask) in &mut lifts {
        floor.0 += *next as i8 - 1;
        *mask = allowed(floor.0);
    }
}
