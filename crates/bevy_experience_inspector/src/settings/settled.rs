//! Settings that cannot be changed any more, and why.

use super::super::{look, snapshot::Snapshot};
use bevy_ecs::world::World;
use bevy_egui::egui::{Grid, Ui};
use bevy_experience::plugin::Experience;

/// Why something cannot be changed.
const ROWS: &str = "rows are of this width since the first capture";
const BUFFERS: &str = "a player's buffer is made when it joins";
const WRITERS: &str = "those who write to the buffers act by it";
const THREADS: &str = "the exporter's threads began with it";
const ACCEPTED: &str = "recordings were accepted because they fit in it";

pub(super) fn show(world: &World, ui: &mut Ui, seen: &Snapshot) {
    let Some(experience) = world.get_resource::<Experience>() else {
        return;
    };
    ui.strong("Settled at the first capture");
    ui.weak(format!(
        "What is recorded of `{}`, and where to, does not change within a dataset. Recording can be paused, and players excluded.",
        seen.name
    ));
    ui.add_space(4.0);
    let (settings, stats) = (&seen.buffer_settings, &seen.buffers);
    let row = look::bytes(seen.schema.layout().row_words() * 8);
    let mut lines = vec![
        ("Columns", format!("{:016x}, {row} a step", seen.schema.hash()), ROWS),
        ("Buffer of a player", format!("{:?}", settings.kind), BUFFERS),
        ("Steps in it", look::count(settings.capacity as u64), BUFFERS),
        ("Where it lies", format!("{:?}", settings.memory), BUFFERS),
        (
            "Players share a pool",
            if seen.is_pooled { "yes" } else { "no" }.to_owned(),
            BUFFERS,
        ),
        ("When it is full", format!("{:?}", settings.overflow), WRITERS),
    ];
    if let Some(bytes) = experience.memory_budget() {
        lines.push(("Memory for all buffers", look::bytes(bytes), ACCEPTED));
    }
    if let Some(export) = experience.export_settings() {
        let journal = export.journal.as_ref().map_or_else(
            || "none".to_owned(),
            |journal| format!("every {}", look::time(journal.flush_interval)),
        );
        let backlog = export.journal.as_ref().map_or_else(
            || "none".to_owned(),
            |journal| look::bytes(usize::try_from(journal.backlog_bytes).unwrap_or(usize::MAX)),
        );
        let retry = format!(
            "after {} to {}, for {}",
            look::time(export.retry.first_wait),
            look::time(export.retry.longest_wait),
            look::time(export.retry.patience)
        );
        lines.push(("Journal", journal, THREADS));
        lines.push(("Backlog of a sink in it, at most", backlog, THREADS));
        lines.push(("Sinks that fail are tried again", retry, THREADS));
    }
    grid(ui, "settled settings", &lines);
    ui.add_space(10.0);
    ui.strong("At this moment");
    let lines = [
        ("Steps that wait for the exporter", look::count(stats.len as u64), ""),
        ("Memory of all buffers", look::bytes(stats.memory.total()), ""),
        ("Captures so far", look::count(experience.tick().unsigned_abs()), ""),
        (
            "Run",
            experience.run().map_or_else(String::new, |run| run.to_string()),
            "",
        ),
    ];
    grid(ui, "state of the recording", &lines);
}

fn grid(ui: &mut Ui, name: &str, lines: &[(&str, String, &str)]) {
    Grid::new(name).num_columns(3).spacing([24.0, 4.0]).show(ui, |ui| {
        for (what, value, why) in lines {
            ui.label(*what);
            ui.monospace(value);
            ui.weak(*why);
            ui.end_row();
        }
    });
}
