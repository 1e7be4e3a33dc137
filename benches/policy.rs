//! Benchmarks of a decision: encode the observations, call the model, write the actions.
//!
//! ```text
//! cargo bench --features policy_onnx --bench policy
//! ```
//!
//! `policy` calls a network with two layers of 128, which `policy/make.py` writes and measures in onnxruntime. `without_model`
//! calls a function that returns constants: what is left is encoding and writing. Throughput is in players.

use bevy_ecs::{prelude::*, schedule::ScheduleLabel};
use bevy_experience::{
    plugin::{ExperienceCapture, ExperienceTick},
    policy::{ActionBatch, ObservationBatch},
    prelude::*,
    test_app::TestApp,
};
use bevy_reflect::Reflect;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

#[derive(Component, Reflect)]
struct Player;

/// Four floats, as a position or a velocity would be.
macro_rules! components {
    ($($name:ident),*) => {
        $(#[derive(Component, Reflect)] struct $name([f32; 4]);)*
    };
}
components!(Place, Motion, Aim, Strength);

#[derive(Reflect)]
enum Deed {
    Hold,
    Shoot,
    Dash,
}

#[derive(Component, Reflect)]
struct Intent {
    turn: f32,
    deed: Deed,
}

/// Names captures that the benchmark runs itself.
#[derive(ScheduleLabel, Clone, Debug, PartialEq, Eq, Hash)]
struct Measured;

fn app(players: usize, policy: Policy<Player>) -> TestApp {
    // Recording is disabled, so that only the policy is measured.
    let mut test = TestApp::with_plugin(ExperiencePlugin {
        enabled: false,
        ..Default::default()
    });
    test.add_recording(
        Recording::<Player>::new("player")
            .observe::<Place>()
            .observe::<Motion>()
            .observe::<Aim>()
            .observe::<Strength>()
            .act::<Intent>()
            .policy_info()
            .capture_after(Measured),
    );
    test.add_policy(policy);
    for player in 0..players {
        let values = [player as f32, 1.0, -0.5, 0.25];
        let deeds = [Deed::Hold, Deed::Shoot, Deed::Dash];
        let deed = deeds.into_iter().nth(player % 3).unwrap_or(Deed::Hold);
        test.world_mut().spawn((
            Player,
            Place(values),
            Motion(values),
            Aim(values),
            Strength(values),
            Intent { turn: 0.0, deed },
            PolicyControlled::default(),
        ));
    }
    test
}

fn tick(test: &mut TestApp) {
    test.world_mut().run_schedule(ExperienceTick);
    test.world_mut().run_schedule(ExperienceCapture);
}

fn measure(criterion: &mut Criterion, name: &str, policy: impl Fn() -> Policy<Player>) {
    let mut group = criterion.benchmark_group(name);
    for players in [1, 16, 100, 1000] {
        let mut test = app(players, policy());
        for _ in 0..32 {
            tick(&mut test);
        }
        let experience = test.world().resource::<Experience>();
        let acted = experience
            .policies("player")
            .map(|status| status.players)
            .sum::<usize>();
        assert_eq!(acted, players, "the policy acts for all players");
        group.throughput(Throughput::Elements(players as u64));
        group.bench_function(BenchmarkId::from_parameter(players), |b| b.iter(|| tick(&mut test)));
    }
}

fn policy(criterion: &mut Criterion) {
    measure(criterion, "policy", || {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/policy/player.onnx");
        Policy::for_recording("player").onnx(path)
    });
    measure(criterion, "without_model", || {
        Policy::for_recording("player").model(|_: &ObservationBatch, actions: &mut ActionBatch| {
            actions.means_mut(0).fill(0.5);
            actions.logits_mut(1).fill(0.0);
            Ok(())
        })
    });
}

criterion_group!(benches, policy);
criterion_main!(benches);
