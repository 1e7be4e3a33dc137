//! What the inspector costs with 1,000 players: a tick and a frame without it, with it closed, and with it open.
//!
//! Open, a frame is the panel at 1000×700 with its tab of players, down to triangles; what a graphics card does with these is
//! not part of it.

use bevy_egui::egui::{CentralPanel, Context, Pos2, RawInput, Rect, vec2};
use bevy_experience::{inspector::ui_for_experience, test_app::TestApp};
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
    group.bench_function(format!("open/{PLAYERS}"), |b| {
        let mut test = game::play(PLAYERS, 100);
        let context = Context::default();
        // What was played before is summed up over the first frames.
        for _ in 0..100 {
            frame(&context, &mut test);
        }
        b.iter(|| {
            test.ticks(1);
            black_box(frame(&context, &mut test))
        });
    });
    group.finish();
}

criterion_group!(benches, inspector);
criterion_main!(benches);
