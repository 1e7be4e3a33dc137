//! Status bar: recording state, pause and flush buttons, counters, and the state of each sink and policy.

use super::{ExperienceInspector, commands::InspectorCommand, format, snapshot::RecordingSnapshot, style};
use bevy_egui::egui::{ComboBox, RichText, Ui};
use bevy_experience::plugin::SinkFailure;

impl ExperienceInspector {
    pub(super) fn draw_status_bar(
        &mut self,
        ui: &mut Ui,
        names: &[String],
        snapshot: &RecordingSnapshot,
        commands: &mut Vec<InspectorCommand>,
    ) {
        ui.horizontal_wrapped(|ui| {
            self.recording_selector(ui, names, snapshot);
            state_label(ui, snapshot);
            ui.add_space(8.0);
            if !snapshot.is_stopped {
                buttons(ui, names, snapshot, commands);
            }
        });
        ui.add_space(2.0);
        counters(ui, snapshot);
        ui.add_space(2.0);
        self.sink_rows(ui, snapshot);
        self.draw_policy_rows(ui, snapshot);
    }

    /// The name of the only recording, or a drop-down list of all of them.
    fn recording_selector(&mut self, ui: &mut Ui, names: &[String], snapshot: &RecordingSnapshot) {
        if let [name] = names {
            ui.label(RichText::new(name).strong());
            return;
        }
        let mut chosen = snapshot.name.clone();
        ComboBox::from_id_salt("recording")
            .selected_text(RichText::new(&snapshot.name).strong())
            .show_ui(ui, |ui| {
                for name in names {
                    ui.selectable_value(&mut chosen, name.clone(), name);
                }
            });
        if chosen != snapshot.name {
            self.recording = Some(chosen);
            self.selected = None;
        }
    }

    fn sink_rows(&self, ui: &mut Ui, snapshot: &RecordingSnapshot) {
        if snapshot.sinks.is_empty() {
            let text = if snapshot.tick == 0 {
                "sinks open at the first capture"
            } else {
                "no sink: rows stay in the buffers until they are overwritten"
            };
            ui.colored_label(style::warning_color(ui), text);
        }
        for sink in &snapshot.sinks {
            let failure = self.sink_failures.get(&(snapshot.name.clone(), sink.sink.clone()));
            ui.horizontal_wrapped(|ui| {
                let (state, color) = match failure.map(|failure| failure.consequence) {
                    None => ("✔ accepting episodes".to_owned(), style::ok_color(ui)),
                    Some(SinkFailure::StorageFull) => ("⚠ disk full".to_owned(), style::warning_color(ui)),
                    Some(SinkFailure::Refuses) => ("✖ refuses episodes".to_owned(), style::error_color(ui)),
                    // `Stalled`, `Retired`, and variants that are added to this non-exhaustive enum later.
                    Some(other) => (format!("✖ {other:?}").to_lowercase(), style::error_color(ui)),
                };
                ui.label(RichText::new(&sink.sink).monospace());
                ui.colored_label(color, state);
                // Counts of problems are shown only if nonzero.
                let nonzero = |count: u64, what: &str| match count {
                    0 => String::new(),
                    count => format!(", {} {what}", format::count(count)),
                };
                let counts = format!(
                    "{} episodes, {} transitions{}; {} pending{}{}",
                    format::count(sink.episodes),
                    format::count(sink.exported),
                    match usize::try_from(sink.disk_bytes) {
                        Ok(0) | Err(_) => String::new(),
                        Ok(bytes) => format!(", {} on disk", format::bytes(bytes)),
                    },
                    format::count(sink.pending),
                    nonzero(sink.dropped, "dropped"),
                    nonzero(sink.failures, if sink.failures == 1 { "failure" } else { "failures" }),
                );
                ui.weak(counts);
                if let Some(failure) = failure {
                    ui.colored_label(style::error_color(ui), &failure.error);
                }
            });
        }
    }
}

fn state_label(ui: &mut Ui, snapshot: &RecordingSnapshot) {
    let (text, color) = match &snapshot.pause {
        _ if snapshot.is_stopped => ("■ not recording".to_owned(), style::warning_color(ui)),
        Some(reason) => (format!("⏸ paused: {reason}"), style::warning_color(ui)),
        None => ("⏺ recording".to_owned(), style::ok_color(ui)),
    };
    ui.label(RichText::new(text).strong().color(color));
}

fn buttons(ui: &mut Ui, names: &[String], snapshot: &RecordingSnapshot, commands: &mut Vec<InspectorCommand>) {
    let mut button = |ui: &mut Ui, text: &str, tooltip: &str, command: InspectorCommand| {
        if ui.button(text).on_hover_text(tooltip).clicked() {
            commands.push(command);
        }
    };
    let resume_tooltip = "New episodes begin at the next capture.";
    if snapshot.all_paused {
        button(ui, "Resume", resume_tooltip, InspectorCommand::ResumeAll);
    } else if snapshot.pause.is_some() {
        button(ui, "Resume", resume_tooltip, InspectorCommand::ResumeRecording);
    } else {
        let tooltip = "Truncates the open episodes of this recording at the next capture, with reason `paused`.";
        button(ui, "Pause", tooltip, InspectorCommand::PauseRecording);
        if names.len() > 1 {
            let tooltip = "Pauses every recording.";
            button(ui, "Pause all", tooltip, InspectorCommand::PauseAll);
        }
    }
    let tooltip = "Hands all finished episodes to the sinks, without blocking the game.";
    button(ui, "Flush now", tooltip, InspectorCommand::Flush);
}

fn counters(ui: &mut Ui, snapshot: &RecordingSnapshot) {
    let progress = &snapshot.progress;
    ui.horizontal_wrapped(|ui| {
        let rate = format::count(snapshot.transitions_per_second.round() as u64);
        style::metric(ui, "steps / s", rate, "Transitions recorded per second.");
        let recorded = format::count(progress.recorded);
        style::metric(ui, "recorded", recorded, "Transitions captured.");
        let exported = format::count(progress.exported);
        style::metric(ui, "exported", exported, "Transitions accepted by every sink.");
        let tooltip = "Transitions not yet exported: in buffers, in open episodes, or in sink queues.";
        style::metric(ui, "pending", format::count(progress.pending), tooltip);
        let dropped = RichText::new(if snapshot.drops_are_rising {
            format!("{} ⏶ rising", format::count(progress.dropped))
        } else {
            format::count(progress.dropped)
        });
        let dropped = match (snapshot.drops_are_rising, progress.dropped) {
            (true, _) => dropped.strong().color(style::error_color(ui)),
            (false, 0) => dropped,
            (false, _) => dropped.color(style::warning_color(ui)),
        };
        let tooltip = "Transitions lost: overwritten before export, refused by a sink, or not finite.";
        style::metric(ui, "dropped", dropped, tooltip);
        let tooltip = "How long the oldest episode handed to a sink has been waiting.";
        style::metric(ui, "export lag", format::duration(progress.lag), tooltip);
        let tooltip = "Duration of the last flush of a sink.";
        style::metric(ui, "flush", format::duration(progress.flush), tooltip);
        let memory = format::bytes(snapshot.buffers.memory.total());
        style::metric(ui, "memory", memory, "Memory of this recording's buffers.");
        let players = format::count(snapshot.players.len() as u64);
        style::metric(ui, "players", players, "Players of this recording in the world.");
        let tick = format::count(snapshot.tick.unsigned_abs());
        style::metric(ui, "tick", tick, "Captures so far.");
    });
}
