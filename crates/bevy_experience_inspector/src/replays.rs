//! The Replays tab: controls of each entity that replays a recorded episode, and what is restored.

use super::{format, style};
use bevy_ecs::{
    entity::Entity,
    world::{Mut, World},
};
use bevy_egui::egui::{CollapsingHeader, DragValue, RichText, ScrollArea, Slider, Ui};
use bevy_experience_replay::{Replay, ReplayReport};

/// The highest speed of the field, in seconds of the episode per second.
const MAX_SPEED: f64 = 100.0;

pub(super) fn draw_replays_tab(world: &mut World, ui: &mut Ui) {
    let mut replays = world.query::<(Entity, &mut Replay)>();
    let mut replays: Vec<_> = replays.iter_mut(world).collect();
    if replays.is_empty() {
        let remedy = "Insert `Replay` of `bevy_experience_replay`, with an episode, on an entity of its own, and add `ReplayPlugin`.";
        style::placeholder(ui, "No replays", remedy);
        return;
    }
    replays.sort_by_key(|(ghost, _)| *ghost);
    ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
        for (ghost, replay) in &mut replays {
            ui.push_id(*ghost, |ui| {
                let info = *replay.episode().info();
                ui.horizontal_wrapped(|ui| {
                    let name = replay.episode().schema().name();
                    ui.label(RichText::new(format!("{name}, episode {}", info.episode_id)).strong());
                    ui.weak(format!("agent {} on {ghost}", info.agent_id));
                });
                match replay.error() {
                    Some(error) => {
                        ui.colored_label(style::error_color(ui), error.to_string());
                    }
                    None => {
                        draw_controls(ui, replay);
                        draw_values(ui, replay);
                        if let Some(report) = replay.report() {
                            draw_report(ui, report);
                        }
                    }
                }
                ui.separator();
            });
        }
    });
}

fn draw_controls(ui: &mut Ui, replay: &mut Mut<'_, Replay>) {
    ui.horizontal_wrapped(|ui| {
        if replay.is_playing() {
            if ui.button("Pause replay").clicked() {
                replay.pause();
            }
        } else if ui.button("Play replay").clicked() {
            replay.play();
        }
        let (mut step, last) = (replay.step(), replay.last_step());
        if ui.button("◀").on_hover_text("One step back").clicked() {
            replay.pause();
            step = step.saturating_sub(1);
        }
        if ui.button("▶").on_hover_text("One step forward").clicked() {
            replay.pause();
            step = (step + 1).min(last);
        }
        ui.spacing_mut().slider_width = 260.0;
        ui.add(Slider::new(&mut step, 0..=last).show_value(false))
            .on_hover_text("The step that is shown. The last one is the final observation.");
        if step != replay.step() {
            replay.seek(step);
        }
        let mut speed = replay.speed();
        ui.label("Speed");
        let field = DragValue::new(&mut speed)
            .range(0.0..=MAX_SPEED)
            .speed(0.05)
            .suffix("×");
        if ui
            .add(field)
            .on_hover_text("Seconds of the episode per second")
            .changed()
        {
            replay.set_speed(speed);
        }
    });
}

fn draw_values(ui: &mut Ui, replay: &Replay) {
    ui.horizontal(|ui| {
        let of = |value: String, all: String| format!("{value} of {all}");
        let (step, last) = (replay.step() as u64, replay.last_step() as u64);
        style::metric(
            ui,
            "step",
            of(format::count(step), format::count(last)),
            "The observation that is shown.",
        );
        let seconds = |seconds: f64| format!("{seconds:.2} s");
        style::metric(
            ui,
            "time",
            of(seconds(replay.seconds()), seconds(replay.duration())),
            "Game time since the first observation.",
        );
        style::metric(
            ui,
            "reward so far",
            format::value(replay.reward()),
            "The sum of the rewards before this step.",
        );
    });
}

fn draw_report(ui: &mut Ui, report: &ReplayReport) {
    for component in &report.missing {
        let message = format!("{component} is missing on the ghost, or does not accept a value");
        ui.colored_label(style::warning_color(ui), message);
    }
    if let Some(before) = report.continues {
        ui.label(format!("It continues episode {before}."));
    }
    if report.ends_in_gap {
        ui.label("It ends where steps were lost.");
    }
    let unrestored = report.unrestored().count();
    let all = report.columns.len();
    let title = format!("{} of {all} columns are restored", all - unrestored);
    CollapsingHeader::new(title)
        .default_open(unrestored > 0)
        .show(ui, |ui| {
            for column in report.rounded() {
                ui.label(format!("{}: rounded to `f32` by the recording", column.name));
            }
            for (column, reason) in report.unrestored() {
                ui.label(format!("{}: not restored: {reason}", column.name));
            }
        });
}
