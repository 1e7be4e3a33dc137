//! Read-only view of the settings that are fixed at the first capture, with the reasons, and of the current buffer
//! state.

use super::super::{format, snapshot::RecordingSnapshot};
use bevy_ecs::world::World;
use bevy_egui::egui::{Grid, Label, RichText, Ui};
use bevy_experience::plugin::Experience;

/// Why a setting is fixed.
const ROW_WIDTH: &str = "all rows of the recording have this width";
const BUFFER_CREATION: &str = "a buffer is created when its player joins";
const BUFFER_WRITERS: &str = "writers of existing buffers depend on it";
const EXPORT_THREADS: &str = "export threads were started with it";
const ADMISSION: &str = "recordings were accepted because they fit";

pub(super) fn draw_fixed_settings(world: &World, ui: &mut Ui, snapshot: &RecordingSnapshot) {
    let Some(experience) = world.get_resource::<Experience>() else {
        return;
    };
    ui.strong("Fixed at the first capture");
    ui.weak(format!(
        "The columns and sinks of `{}` do not change within a dataset. Recordings can be paused, and players excluded.",
        snapshot.name
    ));
    ui.add_space(4.0);
    let settings = &snapshot.buffer_settings;
    let row_bytes = format::bytes(snapshot.schema.layout().row_bytes());
    let schema = format!("{:016x}, {row_bytes} per row", snapshot.schema.hash());
    let pooled = if snapshot.is_pooled { "yes" } else { "no" };
    let mut rows = vec![
        ("Schema", schema, ROW_WIDTH),
        ("Buffer kind", format!("{:?}", settings.kind), BUFFER_CREATION),
        (
            "Buffer capacity (rows)",
            format::count(settings.capacity as u64),
            BUFFER_CREATION,
        ),
        ("Buffer memory", format!("{:?}", settings.memory), BUFFER_CREATION),
        ("Shared pool", pooled.to_owned(), BUFFER_CREATION),
        ("When full", format!("{:?}", settings.overflow), BUFFER_WRITERS),
    ];
    let memory_budget = format::bytes(experience.memory_budget());
    rows.push(("Memory budget of all buffers", memory_budget, ADMISSION));
    let export = experience.export_settings();
    let journal = export.journal.as_ref().map_or_else(
        || "none".to_owned(),
        |journal| format!("flushed every {}", format::duration(journal.flush_interval)),
    );
    let retry = format!(
        "every {} to {}, for {}",
        format::duration(export.retry.first_wait),
        format::duration(export.retry.longest_wait),
        format::duration(export.retry.patience)
    );
    rows.push(("Journal", journal, EXPORT_THREADS));
    rows.extend(timing_rows(experience, snapshot));
    rows.push(("Retries of a failed sink", retry, EXPORT_THREADS));
    draw_grid(ui, "fixed settings", &rows);
    if let Some(timing) = experience.timing(&*snapshot.name) {
        let reason = format!("Captured and read there because {}.", timing.reason);
        ui.add(Label::new(RichText::new(reason).weak()).wrap());
    }
    ui.add_space(10.0);
    draw_current_state(experience, ui, snapshot);
}

/// When the recording is captured and its actions are read.
fn timing_rows(experience: &Experience, snapshot: &RecordingSnapshot) -> Vec<(&'static str, String, &'static str)> {
    let Some(timing) = experience.timing(&*snapshot.name) else {
        return vec![("Captured", "when there is a player".to_owned(), "")];
    };
    let note = |is_given| if is_given { "given by the recording" } else { "chosen" };
    let read = timing
        .read_actions_after
        .map_or_else(|| "at the capture".to_owned(), |schedule| format!("after {schedule:?}"));
    vec![
        (
            "Captured",
            format!("after {:?}", timing.capture_after),
            note(timing.is_capture_given),
        ),
        ("Actions read", read, note(timing.is_read_given)),
    ]
}

fn draw_current_state(experience: &Experience, ui: &mut Ui, snapshot: &RecordingSnapshot) {
    ui.strong("Current state");
    let stats = &snapshot.buffers;
    let run = experience.run().to_string();
    let rows = [
        ("Rows waiting for export", format::count(stats.len as u64), ""),
        ("Memory of all buffers", format::bytes(stats.memory.total()), ""),
        ("Captures", format::count(snapshot.tick.unsigned_abs()), ""),
        ("Run", run, ""),
    ];
    draw_grid(ui, "current state", &rows);
}

/// A grid of name, value and note.
fn draw_grid(ui: &mut Ui, id: &str, rows: &[(&str, String, &str)]) {
    Grid::new(id).num_columns(3).spacing([24.0, 4.0]).show(ui, |ui| {
        for (name, value, note) in rows {
            ui.label(*name);
            ui.monospace(value);
            ui.weak(*note);
            ui.end_row();
        }
    });
}
