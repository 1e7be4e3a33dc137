//! One transition as tables.

use super::{
    super::{
        look,
        table::{self, Cell, Column},
    },
    View,
};
use bevy_egui::egui::{RichText, Slider, Ui};
use bevy_experience::{
    schema::Schema,
    transition::{Outcome, StepBytes},
};

const COLUMNS: [Column; 4] = [
    Column::text("Feature", 2.4, "A mark shows that it changed. Click on it to plot it."),
    Column::number("Before", 1.0, "In the observation."),
    Column::number("After", 1.0, "In the next observation."),
    Column::text("Plot", 0.5, ""),
];

impl View {
    /// Which transition is shown.
    pub(super) fn scrub(&mut self, ui: &mut Ui, plot_steps: usize) {
        let held = self.history.transitions().len();
        ui.horizontal_wrapped(|ui| {
            let oldest = held - 1;
            self.back = self.back.min(oldest);
            let before = self.back;
            ui.label("Steps back");
            ui.spacing_mut().slider_width = 260.0;
            ui.add(Slider::new(&mut self.back, 0..=oldest));
            if ui.button("◀").on_hover_text("One step back").clicked() {
                self.back = (self.back + 1).min(oldest);
            }
            if ui.button("▶").on_hover_text("One step on").clicked() {
                self.back = self.back.saturating_sub(1);
            }
            // What is looked at does not run away.
            if self.back != before && self.back > 0 {
                self.hold = true;
            }
            ui.checkbox(&mut self.hold, "Hold")
                .on_hover_text("The steps stand still, and the game goes on.");
            ui.weak(format!(
                "of {} held, the last {} plotted",
                look::count(held as u64),
                plot_steps.min(held)
            ));
        });
    }

    pub(super) fn show_transition(&mut self, ui: &mut Ui, schema: &Schema) {
        let transitions = self.history.transitions();
        let place = transitions[transitions.len() - 1 - self.back.min(transitions.len() - 1)];
        let before = self.history.row(schema, place - 1);
        let after = self.history.row(schema, place);
        summary(ui, schema, before, after, self.history.outcome(place));
        let names = schema.feature_names();
        let differs =
            |feature: usize| before.observation()[feature].to_bits() != after.observation()[feature].to_bits();
        let shown: Vec<usize> = (0..names.len())
            .filter(|&feature| !self.only_changed || differs(feature))
            .collect();
        let changed = (0..names.len()).filter(|&feature| differs(feature)).count();
        ui.horizontal(|ui| {
            ui.strong("Observation");
            ui.weak(format!("{changed} of {} features changed", names.len()));
            ui.checkbox(&mut self.only_changed, "only these");
        });
        let mut clicked = None;
        table::titles(ui, &COLUMNS, None);
        let colours = [look::notice(ui), look::alarm(ui)];
        table::rows(ui, "features", shown.len(), |ui, range| {
            for number in range {
                let feature = shown[number];
                let row = table::row(ui, &COLUMNS, number, false, |column| {
                    let cell = |value: f32| {
                        let cell = Cell::new(look::cell(f64::from(value)));
                        match (value.is_finite(), differs(feature)) {
                            (false, _) => cell.coloured(colours[1]),
                            (true, true) => cell.coloured(colours[0]),
                            (true, false) => cell,
                        }
                    };
                    match column {
                        0 => {
                            let mark = if differs(feature) { "●" } else { "  " };
                            Cell::new(format!("{mark} {}", names[feature]))
                        }
                        1 => cell(before.observation()[feature]),
                        2 => cell(after.observation()[feature]),
                        _ => Cell::new(if self.plotted.contains(&feature) { "☑" } else { "☐" }),
                    }
                });
                if row.clicked() {
                    clicked = Some(feature);
                }
            }
        });
        if let Some(feature) = clicked
            && !self.plotted.remove(&feature)
        {
            self.plotted.insert(feature);
        }
    }
}

/// Everything of a transition but its observations.
fn summary(ui: &mut Ui, schema: &Schema, before: StepBytes<'_>, after: StepBytes<'_>, outcome: Option<Outcome>) {
    let header = after.header();
    ui.horizontal_wrapped(|ui| {
        ui.label(format!("tick {}, lasted {}", before.header().tick, header.ticks));
        if let Some(id) = header.match_id() {
            ui.label(format!("match {id}"));
        }
        match outcome {
            Some(Outcome::Terminated) => ui.colored_label(look::notice(ui), "terminated"),
            Some(Outcome::Truncated) => ui.colored_label(look::notice(ui), "truncated"),
            None => ui.weak("goes on"),
        };
    });
    ui.horizontal_wrapped(|ui| {
        ui.strong("Action");
        for (index, column) in schema.action().iter().enumerate() {
            let values = bevy_experience::transition::values(column.dtype, after.action_bytes(index));
            let shown: Vec<String> = values.take(8).map(look::value).collect();
            ui.label(RichText::new(format!("{} {}", column.name, shown.join(" "))).monospace());
        }
        if schema.action().is_empty() {
            ui.weak("none is recorded");
        }
    });
    if schema.action_mask_width() > 0 {
        let mask = (0..schema.action_mask_width()).map(|index| if before.allows(index) { '1' } else { '0' });
        ui.horizontal_wrapped(|ui| {
            ui.strong("Mask");
            ui.label(RichText::new(mask.collect::<String>()).monospace());
        });
    }
    ui.horizontal_wrapped(|ui| {
        ui.strong("Reward");
        ui.label(RichText::new(look::value(header.reward)).monospace());
        for (term, &amount) in schema.reward_terms().iter().zip(after.reward_terms()) {
            let text = RichText::new(format!("{term} {}", look::value(f64::from(amount)))).monospace();
            ui.label(if amount == 0.0 { text.weak() } else { text });
        }
    });
    if !schema.info().is_empty() {
        ui.horizontal_wrapped(|ui| {
            ui.strong("Info");
            for column in schema.info() {
                let values = after.info(&column.name).unwrap_or_default();
                let shown: Vec<String> = values.into_iter().take(4).map(look::value).collect();
                ui.label(RichText::new(format!("{} {}", column.name, shown.join(" "))).monospace());
            }
        });
    }
}
