//! What a player got and saw over its last steps.

use super::{super::look, View};
use bevy_egui::egui::Ui;
use bevy_experience::schema::Schema;
use egui_plot::{Legend, Line, Plot, PlotPoints};

impl View {
    /// Plots over the last `steps` steps that the buffer holds.
    pub(super) fn show_plots(&self, ui: &mut Ui, schema: &Schema, steps: usize) {
        let transitions = self.history.transitions();
        let last = &transitions[transitions.len().saturating_sub(steps)..];
        let ticks: Vec<f64> = last
            .iter()
            .map(|&place| self.history.row(schema, place).header().tick as f64)
            .collect();
        let series = |value: &dyn Fn(usize) -> f64| -> Vec<[f64; 2]> {
            let points = ticks.iter().zip(last).map(|(&tick, &place)| [tick, value(place)]);
            points.filter(|point| point[1].is_finite()).collect()
        };
        let mut total = 0.0;
        let mut episode = None;
        let mut returns = Vec::new();
        for (&tick, &place) in ticks.iter().zip(last) {
            let header = self.history.row(schema, place).header();
            if episode != Some(header.episode) {
                (total, episode) = (0.0, Some(header.episode));
            }
            total += header.reward;
            returns.push([tick, total]);
        }
        let terms: Vec<(String, Vec<[f64; 2]>)> = if schema.reward_terms().is_empty() {
            let reward = series(&|place| self.history.row(schema, place).header().reward);
            vec![("reward".to_owned(), reward)]
        } else {
            let term = |term: usize| series(&|place| f64::from(self.history.row(schema, place).reward_terms()[term]));
            let names = schema.reward_terms().iter().cloned();
            names.enumerate().map(|(place, name)| (name, term(place))).collect()
        };
        let names = schema.feature_names();
        let features: Vec<_> = self
            .plotted
            .iter()
            .filter_map(|&feature| {
                let name = names.get(feature)?.clone();
                let points = series(&|place| f64::from(self.history.row(schema, place).observation()[feature]));
                Some((name, points))
            })
            .collect();
        let plots = if features.is_empty() { 2.0 } else { 3.0 };
        let height = (ui.available_height() - 20.0 * (plots + 1.0)).max(120.0) / plots;
        plot(ui, "Return", height, vec![("return".to_owned(), returns)]);
        plot(ui, "Reward", height, terms);
        if features.is_empty() {
            ui.weak("Click on features to plot them.");
        } else {
            plot(ui, "Features", height, features);
        }
    }
}

fn plot(ui: &mut Ui, title: &str, height: f32, lines: Vec<(String, Vec<[f64; 2]>)>) {
    ui.strong(title);
    let colours: Vec<_> = (0..lines.len()).map(|number| look::line(ui, number)).collect();
    let mut plot = Plot::new(title)
        .height(height)
        .allow_scroll(false)
        .allow_zoom(false)
        .allow_drag(false)
        .allow_boxed_zoom(false)
        .include_y(0.0)
        .link_axis("experience ticks", [true, false]);
    if lines.len() > 1 {
        plot = plot.legend(Legend::default());
    }
    plot.show(ui, |ui| {
        for ((name, points), colour) in lines.into_iter().zip(colours) {
            ui.line(Line::new(name, PlotPoints::from(points)).color(colour).width(1.5));
        }
    });
}
