//! What the inspector costs with 1,000 players: a tick and a frame without it, with it closed, and with it open.
//!
//! Open, a frame is the panel at 1000×700 with one of its tabs, down to triangles; what a graphics card does with these is not part
//! of it. Opening is its first frame over buffers that are full, which looks at more rows than any other: no tick is in it.

use bevy_egui::egui::{CentralPanel, Context, Pos2, RawInput, Rect, vec2};
use bevy_experience::test_app::TestApp;
use bevy_experience_inspector::{ExperienceInspector, Tab, ui_for_experience};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

#[path = "../tests/inspector/game.rs"]
mod game;

const PLAYERS: usize = 1000;

fn frame(context: &Context, test: &mut TestApp) -> usize {
    let input = RawInput {
        screen_rect: Some(Rect::from_min_size(Pos2::ZERO, vec2(1000.0, 700.0))),
        ..RawInput::default()
    };
    let output = context.run_ui(input, |ui| {
        CentralPanel::default().show_inside(ui, |ui| ui_for_experience(test.world_mut(), ui));
    });
    context.tessellate(output.shapes, output.pixels_per_point).len()
}

fn inspector(c: &mut Criterion) {
    let mut group = c.benchmark_group("inspector");
    group.bench_function(format!("without/{PLAYERS}"), |b| {
        let mut test = TestApp::new();
        game::set_up(&mut test, PLAYERS);
        test.ticks(100);
        b.iter(|| test.ticks(1));
    });
    group.bench_function(format!("closed/{PLAYERS}"), |b| {
        let mut test = game::play(PLAYERS, 100);
        b.iter(|| test.ticks(1));
    });
    let tabs = [
        ("open", Tab::Players),
        ("open_player", Tab::Player),
        ("open_distributions", Tab::Distributions),
    ];
    for (name, tab) in tabs {
        group.bench_function(format!("{name}/{PLAYERS}"), |b| {
            let mut test = game::play(PLAYERS, 100);
            let context = Context::default();
            let mut inspector = test.world_mut().resource_mut::<ExperienceInspector>();
            inspector.tab = tab;
            inspector.selected = Some(107);
            // What was played before is summed up over the first frames.
            for _ in 0..100 {
                frame(&context, &mut test);
            }
            b.iter(|| {
                test.ticks(1);
                black_box(frame(&context, &mut test))
            });
        });
    }
    group.bench_function(format!("opening/{PLAYERS}"), |b| {
        let mut test = game::play(PLAYERS, 600);
        let context = Context::default();
        for _ in 0..3 {
            frame(&context, &mut test);
        }
        b.iter(|| {
            test.world_mut().insert_resource(ExperienceInspector::default());
            black_box(frame(&context, &mut test))
        });
    });
    group.finish();
}

criterion_group!(benches, inspector);
criterion_main!(benches);
