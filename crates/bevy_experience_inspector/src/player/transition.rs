//! Transition view of the Player tab: action, reward and info, and a table of both observations.

use super::{
    super::{
        format, style,
        table::{self, TableCell, TableColumn},
    },
    PlayerTab,
};
use bevy_egui::egui::{RichText, Slider, Ui};
use bevy_experience::{
    schema::Schema,
    transition::{Outcome, StepBytes},
};
use std::borrow::Cow;

const COLUMNS: [TableColumn; 4] = [
    TableColumn::text(
        "Feature",
        2.4,
        "A dot marks features that changed. Click on a row to plot it.",
    ),
    TableColumn::number("Before", 1.0, "The value in the observation."),
    TableColumn::number("After", 1.0, "The value in the next observation."),
    TableColumn::text("Plot", 0.5, ""),
];

impl PlayerTab {
    /// Draws the slider that selects the transition that is shown.
    pub(super) fn draw_transition_slider(&mut self, ui: &mut Ui, plot_steps: usize) {
        let buffered = self.history.transition_rows().len();
        ui.horizontal_wrapped(|ui| {
            let oldest = buffered - 1;
            self.steps_back = self.steps_back.min(oldest);
            let before = self.steps_back;
            ui.label("Steps back");
            ui.spacing_mut().slider_width = 260.0;
            ui.add(Slider::new(&mut self.steps_back, 0..=oldest));
            if ui.button("◀").on_hover_text("The transition before").clicked() {
                self.steps_back = (self.steps_back + 1).min(oldest);
            }
            if ui.button("▶").on_hover_text("The transition after").clicked() {
                self.steps_back = self.steps_back.saturating_sub(1);
            }
            // Without the freeze, every capture would shift the selected transition.
            if self.steps_back != before && self.steps_back > 0 {
                self.is_frozen = true;
            }
            ui.checkbox(&mut self.is_frozen, "Freeze")
                .on_hover_text("Stops updating these transitions. The game continues.");
            ui.weak(format!(
                "of {} buffered, the last {} plotted",
                format::count(buffered as u64),
                plot_steps.min(buffered)
            ));
        });
    }

    /// The index of the row that closes the transition that is shown.
    fn shown_row(&self) -> Option<usize> {
        let rows = self.history.transition_rows();
        let last = rows.len().checked_sub(1)?;
        Some(rows[last - self.steps_back.min(last)])
    }

    /// The rows of the transition that is shown.
    pub(super) fn shown_rows<'a>(&'a self, schema: &'a Schema) -> Option<(StepBytes<'a>, StepBytes<'a>)> {
        let row = self.shown_row()?;
        Some((self.history.row(schema, row - 1), self.history.row(schema, row)))
    }

    /// Draws the transition that is shown. `controller` names what acted, by its code in the row.
    pub(super) fn draw_transition(
        &mut self,
        ui: &mut Ui,
        schema: &Schema,
        controller: impl FnOnce(u16) -> Option<Cow<'static, str>>,
    ) {
        let Some(row) = self.shown_row() else { return };
        let before = self.history.row(schema, row - 1);
        let after = self.history.row(schema, row);
        draw_summary(ui, schema, (before, after), self.history.outcome(row), controller);
        if !schema.images().is_empty() {
            self.images.draw(ui, schema, before);
        }
        let names = schema.feature_names();
        let has_changed =
            |feature: usize| before.observation()[feature].to_bits() != after.observation()[feature].to_bits();
        let listed: Vec<usize> = (0..names.len())
            .filter(|&feature| !self.only_changed || has_changed(feature))
            .collect();
        let changed = (0..names.len()).filter(|&feature| has_changed(feature)).count();
        ui.horizontal(|ui| {
            ui.strong("Observation");
            ui.weak(format!("{changed} of {} features changed", names.len()));
            ui.checkbox(&mut self.only_changed, "only changed");
        });
        let mut clicked = None;
        table::header(ui, &COLUMNS, None);
        let (error, warning) = (style::error_color(ui), style::warning_color(ui));
        table::body(ui, "features", listed.len(), |ui, range| {
            for index in range {
                let feature = listed[index];
                let value_cell = |value: f32| {
                    let cell = TableCell::new(format::table_value(f64::from(value)));
                    match (value.is_finite(), has_changed(feature)) {
                        (false, _) => cell.colored(error),
                        (true, true) => cell.colored(warning),
                        (true, false) => cell,
                    }
                };
                let row = table::row(ui, &COLUMNS, index, false, |column| match column {
                    0 => {
                        let mark = if has_changed(feature) { "●" } else { "  " };
                        TableCell::new(format!("{mark} {}", names[feature]))
                    }
                    1 => value_cell(before.observation()[feature]),
                    2 => value_cell(after.observation()[feature]),
                    _ => TableCell::new(if self.plotted_features.contains(&feature) {
                        "☑"
                    } else {
                        "☐"
                    }),
                });
                if row.clicked() {
                    clicked = Some(feature);
                }
            }
        });
        if let Some(feature) = clicked
            && !self.plotted_features.remove(&feature)
        {
            self.plotted_features.insert(feature);
        }
    }
}

/// Draws everything of a transition except its observations.
fn draw_summary(
    ui: &mut Ui,
    schema: &Schema,
    (before, after): (StepBytes<'_>, StepBytes<'_>),
    outcome: Option<Outcome>,
    controller: impl FnOnce(u16) -> Option<Cow<'static, str>>,
) {
    let header = after.header();
    ui.horizontal_wrapped(|ui| {
        ui.label(format!("tick {}, duration {}", before.header().tick, header.ticks));
        if let Some(id) = header.match_id() {
            ui.label(format!("match {id}"));
        }
        match outcome {
            Some(Outcome::Terminated) => ui.colored_label(style::warning_color(ui), "terminated"),
            Some(Outcome::Truncated) => ui.colored_label(style::warning_color(ui), "truncated"),
            None => ui.weak("not the last"),
        };
        if let Some(label) = controller(header.controller()) {
            ui.label(format!("by {label}"));
        }
    });
    ui.horizontal_wrapped(|ui| {
        /// Values shown of one column.
        const MAX_VALUES: usize = 8;
        ui.strong("Action");
        let mut values = after.action();
        for column in schema.action() {
            let values: Vec<f64> = values.by_ref().take(column.width()).collect();
            column_label(ui, &column.name, &values, MAX_VALUES);
        }
        if schema.action().is_empty() {
            ui.weak("not recorded");
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
        ui.label(RichText::new(format::value(header.reward)).monospace());
        for (term, &value) in schema.reward_terms().iter().zip(after.reward_terms()) {
            let text = RichText::new(format!("{term} {}", format::value(f64::from(value)))).monospace();
            ui.label(if value == 0.0 { text.weak() } else { text });
        }
    });
    if !schema.info().is_empty() {
        ui.horizontal_wrapped(|ui| {
            /// Values shown of one column.
            const MAX_VALUES: usize = 4;
            ui.strong("Info");
            for column in schema.info() {
                let values = after.info(&column.name).unwrap_or_default();
                column_label(ui, &column.name, &values, MAX_VALUES);
            }
        });
    }
}

/// A label with a column's name and its first values.
fn column_label(ui: &mut Ui, name: &str, values: &[f64], max_values: usize) {
    let values: Vec<String> = values.iter().take(max_values).copied().map(format::value).collect();
    ui.label(RichText::new(format!("{name} {}", values.join(" "))).monospace());
}
