//! What matters at a glance: is it recording, does it keep up, is anything lost.

use super::{ExperienceInspector, actions::Action, look, snapshot::Snapshot};
use bevy_egui::egui::{ComboBox, RichText, Ui};
use bevy_experience::plugin::SinkFailure;

impl ExperienceInspector {
    pub(super) fn header(&mut self, ui: &mut Ui, names: &[String], seen: &Snapshot, actions: &mut Vec<Action>) {
        ui.horizontal_wrapped(|ui| {
            self.choose_recording(ui, names, seen);
            state(ui, seen);
            ui.add_space(8.0);
            if !seen.is_over {
                buttons(ui, names, seen, actions);
            }
        });
        ui.add_space(2.0);
        figures(ui, seen);
        ui.add_space(2.0);
        self.sinks(ui, seen);
    }

    fn choose_recording(&mut self, ui: &mut Ui, names: &[String], seen: &Snapshot) {
        if let [only] = names {
            ui.label(RichText::new(only).strong());
            return;
        }
        let mut chosen = seen.name.clone();
        ComboBox::from_id_salt("recording")
            .selected_text(RichText::new(&seen.name).strong())
            .show_ui(ui, |ui| {
                for name in names {
                    ui.selectable_value(&mut chosen, name.clone(), name);
                }
            });
        if chosen != seen.name {
            self.recording = Some(chosen);
            self.selected = None;
        }
    }

    fn sinks(&self, ui: &mut Ui, seen: &Snapshot) {
        if seen.sinks.is_empty() {
            let text = if seen.tick == 0 {
                "sinks open at the first capture"
            } else {
                "no sink: steps stay in the buffers until they are overwritten"
            };
            ui.colored_label(look::notice(ui), text);
        }
        for sink in &seen.sinks {
            let failure = self.failures.get(&(seen.name.clone(), sink.sink.clone()));
            ui.horizontal_wrapped(|ui| {
                let (word, colour) = match failure.map(|failure| failure.consequence) {
                    None => ("✔ takes episodes", look::good(ui)),
                    Some(SinkFailure::StorageFull) => ("⚠ its disk is full", look::notice(ui)),
                    Some(SinkFailure::Refuses) => ("✖ refuses episodes", look::alarm(ui)),
                    Some(SinkFailure::Stalled) => ("✖ stalled", look::alarm(ui)),
                    Some(SinkFailure::Retired) => ("✖ given up", look::alarm(ui)),
                };
                ui.label(RichText::new(&sink.sink).monospace());
                ui.colored_label(colour, word);
                // What is well goes without saying, and leaves room for the rest.
                let unless_none = |count: u64, what: &str| match count {
                    0 => String::new(),
                    count => format!(", {} {what}", look::count(count)),
                };
                let counts = format!(
                    "{} episodes, {} transitions{}; {} pending{}{}",
                    look::count(sink.episodes),
                    look::count(sink.exported),
                    match usize::try_from(sink.disk_bytes) {
                        Ok(0) | Err(_) => String::new(),
                        Ok(bytes) => format!(", {} on disk", look::bytes(bytes)),
                    },
                    look::count(sink.pending),
                    unless_none(sink.dropped, "dropped"),
                    unless_none(sink.failures, if sink.failures == 1 { "failure" } else { "failures" }),
                );
                ui.weak(counts);
                if let Some(failure) = failure {
                    ui.colored_label(look::alarm(ui), &failure.error);
                }
            });
        }
    }
}

fn state(ui: &mut Ui, seen: &Snapshot) {
    let (text, colour) = match &seen.pause {
        _ if seen.is_over => ("■ not recording".to_owned(), look::notice(ui)),
        Some(reason) => (format!("⏸ paused: {reason}"), look::notice(ui)),
        None => ("⏺ recording".to_owned(), look::good(ui)),
    };
    ui.label(RichText::new(text).strong().color(colour));
}

fn buttons(ui: &mut Ui, names: &[String], seen: &Snapshot, actions: &mut Vec<Action>) {
    let mut button = |ui: &mut Ui, text: &str, hint: &str, action: Action| {
        if ui.button(text).on_hover_text(hint).clicked() {
            actions.push(action);
        }
    };
    if seen.all_paused {
        button(
            ui,
            "Resume",
            "New episodes begin at the next capture.",
            Action::ResumeAll,
        );
    } else if seen.pause.is_some() {
        button(ui, "Resume", "New episodes begin at the next capture.", Action::Resume);
    } else {
        let hint = "Open episodes of this recording end at the next capture: truncated, reason `paused`.";
        button(ui, "Pause", hint, Action::Pause);
        if names.len() > 1 {
            button(ui, "Pause all", "The same, for all recordings.", Action::PauseAll);
        }
    }
    let hint = "Hands everything that has ended to the sinks. The game does not wait for it.";
    button(ui, "Flush now", hint, Action::Flush);
}

fn figures(ui: &mut Ui, seen: &Snapshot) {
    let progress = &seen.progress;
    ui.horizontal_wrapped(|ui| {
        let per_second = look::count(seen.rate.round() as u64);
        look::figure(ui, "steps / s", per_second, "Transitions recorded in a second.");
        look::figure(
            ui,
            "recorded",
            look::count(progress.recorded),
            "Transitions that were captured.",
        );
        look::figure(
            ui,
            "exported",
            look::count(progress.exported),
            "Transitions that every sink took.",
        );
        look::figure(
            ui,
            "pending",
            look::count(progress.pending),
            "Transitions on the way to a sink: in buffers, in open episodes, in queues.",
        );
        let dropped = RichText::new(if seen.drops_rise {
            format!("{} ⏶ rising", look::count(progress.dropped))
        } else {
            look::count(progress.dropped)
        });
        let dropped = match (seen.drops_rise, progress.dropped) {
            (true, _) => dropped.strong().color(look::alarm(ui)),
            (false, 0) => dropped,
            (false, _) => dropped.color(look::notice(ui)),
        };
        look::figure(
            ui,
            "dropped",
            dropped,
            "Transitions that are lost: overwritten, refused by a sink, or not finite.",
        );
        let hint = "How long the oldest episode that was handed to a sink has waited for it.";
        look::figure(ui, "export lag", look::time(progress.lag), hint);
        let hint = "How long the last flush of a sink took.";
        look::figure(ui, "flush", look::time(progress.flush), hint);
        let hint = "Memory that the buffers of this recording take.";
        look::figure(ui, "memory", look::bytes(seen.buffers.memory.total()), hint);
        let players = look::count(seen.players.len() as u64);
        look::figure(ui, "players", players, "Living players of this recording.");
        look::figure(ui, "tick", look::count(seen.tick.unsigned_abs()), "Captures so far.");
    });
}
