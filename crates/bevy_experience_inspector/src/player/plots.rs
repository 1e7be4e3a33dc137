//! Plots of a player's returns, rewards and selected features over its last transitions.

use super::{super::style, PlayerTab};
use bevy_egui::egui::{RichText, Ui};
use bevy_experience::schema::Schema;
use egui_plot::{Line, Plot, PlotPoints};

/// A line of a plot: its name, and points of tick and value.
type Series = (String, Vec<[f64; 2]>);

impl PlayerTab {
    /// Draws the plots over the last `steps` transitions in the history.
    pub(super) fn draw_plots(&self, ui: &mut Ui, schema: &Schema, steps: usize) {
        let rows = self.history.transition_rows();
        let rows = &rows[rows.len().saturating_sub(steps)..];
        let returns = self.returns(schema, rows);
        let rewards = self.rewards(schema, rows);
        let features = self.features(schema, rows);
        let plots = if features.is_empty() { 2.0 } else { 3.0 };
        let height = (ui.available_height() - 20.0 * (plots + 1.0)).max(120.0) / plots;
        draw_plot(ui, "Return", height, vec![("return".to_owned(), returns)]);
        draw_plot(ui, "Reward", height, rewards);
        if features.is_empty() {
            ui.weak("Click on features to plot them.");
        } else {
            draw_plot(ui, "Features", height, features);
        }
    }

    /// Points of tick and value. Non-finite values are omitted.
    fn points(&self, schema: &Schema, rows: &[usize], value: impl Fn(usize) -> f64) -> Vec<[f64; 2]> {
        let tick = |row| self.history.row(schema, row).header().tick as f64;
        let points = rows.iter().map(|&row| [tick(row), value(row)]);
        points.filter(|point| point[1].is_finite()).collect()
    }

    /// The sum of rewards, which starts from zero at each episode.
    fn returns(&self, schema: &Schema, rows: &[usize]) -> Vec<[f64; 2]> {
        let mut total = 0.0;
        let mut episode = None;
        let headers = rows.iter().map(|&row| self.history.row(schema, row).header());
        headers
            .map(|header| {
                if episode != Some(header.episode) {
                    (total, episode) = (0.0, Some(header.episode));
                }
                total += header.reward;
                [header.tick as f64, total]
            })
            .collect()
    }

    /// One series per reward term, or one of the reward if the schema has no terms.
    fn rewards(&self, schema: &Schema, rows: &[usize]) -> Vec<Series> {
        if schema.reward_terms().is_empty() {
            let reward = self.points(schema, rows, |row| self.history.row(schema, row).header().reward);
            return vec![("reward".to_owned(), reward)];
        }
        let points = |term: usize| {
            self.points(schema, rows, |row| {
                f64::from(self.history.row(schema, row).reward_terms()[term])
            })
        };
        let names = schema.reward_terms().iter().cloned();
        names.enumerate().map(|(term, name)| (name, points(term))).collect()
    }

    fn features(&self, schema: &Schema, rows: &[usize]) -> Vec<Series> {
        let names = schema.feature_names();
        let series = self.plotted_features.iter().filter_map(|&feature| {
            let name = names.get(feature)?.clone();
            let value = |row| f64::from(self.history.row(schema, row).observation()[feature]);
            Some((name, self.points(schema, rows, value)))
        });
        series.collect()
    }
}

fn draw_plot(ui: &mut Ui, title: &str, height: f32, series: Vec<Series>) {
    let colors: Vec<_> = (0..series.len()).map(|index| style::series_color(ui, index)).collect();
    // A legend in the plot would hide it where it is low.
    ui.horizontal_wrapped(|ui| {
        ui.strong(title);
        for ((name, _), &color) in series.iter().zip(&colors).filter(|_| series.len() > 1) {
            ui.label(RichText::new(format!("● {name}")).small().color(color));
        }
    });
    let plot = Plot::new(title)
        .height(height)
        .allow_scroll(false)
        .allow_zoom(false)
        .allow_drag(false)
        .allow_boxed_zoom(false)
        .include_y(0.0)
        .link_axis("experience ticks", [true, false]);
    plot.show(ui, |ui| {
        for ((name, points), color) in series.into_iter().zip(colors) {
            ui.line(Line::new(name, PlotPoints::from(points)).color(color).width(1.5));
        }
    });
}
