//! Cost of the inspector for a recording of 1,000 players, per tick and frame.
//!
//! `without` and `closed` are one tick without the inspector and with it closed. `open*` are one tick and one frame of
//! the panel at 1000×700 with one of its tabs, tessellated on the CPU; the GPU is not part of it. `opening` is the
//! first frame over full buffers alone, which reads more rows than any later frame.

use bevy_egui::egui::{CentralPanel, Context, Pos2, RawInput, Rect, vec2};
use bevy_experience::test_app::TestApp;
use bevy_experience_inspector::{ExperienceInspector, Tab, ui_for_experience};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

#[path = "../tests/inspector/support/game.rs"]
mod game;

const PLAYERS: usize = 1000;

/// Draws and tessellates one frame, and returns its mesh count.
fn draw_frame(context: &Context, test: &mut TestApp) -> usize {
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
            // The first frames read the rows of all earlier ticks.
            for _ in 0..100 {
                draw_frame(&context, &mut test);
            }
            b.iter(|| {
                test.ticks(1);
                black_box(draw_frame(&context, &mut test))
            });
        });
    }
    group.bench_function(format!("opening/{PLAYERS}"), |b| {
        let mut test = game::play(PLAYERS, 600);
        let context = Context::default();
        for _ in 0..3 {
            draw_frame(&context, &mut test);
        }
        b.iter(|| {
            test.world_mut().insert_resource(ExperienceInspector::default());
            black_box(draw_frame(&context, &mut test))
        });
    });
    group.finish();
}

criterion_group!(benches, inspector);
criterion_main!(benches);
