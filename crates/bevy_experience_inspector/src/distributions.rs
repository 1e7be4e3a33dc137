//! The Distributions tab: histograms of actions, episode lengths and returns, and the value range of each feature.
//!
//! Reveals common faults in training data: actions that never vary, and features that are constant or not finite.

use super::{
    ExperienceInspector, format,
    metrics::{Distributions, SampleWindow, WINDOW_LEN},
    snapshot::RecordingSnapshot,
    style,
    table::{self, TableCell, TableColumn},
};
use bevy_egui::egui::{ScrollArea, Ui, vec2};
use bevy_experience::schema::Space;
use egui_plot::{Bar, BarChart, Plot};

const COLUMNS: [TableColumn; 5] = [
    TableColumn::text("Feature", 2.5, ""),
    TableColumn::number("Min", 1.0, ""),
    TableColumn::number("Max", 1.0, ""),
    TableColumn::number("Not finite", 1.0, "Count of NaN and infinite values."),
    TableColumn::text("", 1.7, ""),
];

impl ExperienceInspector {
    pub(super) fn draw_distributions_tab(&mut self, ui: &mut Ui, snapshot: &RecordingSnapshot) {
        let Some(metrics) = self.metrics.get_mut(&snapshot.name) else {
            return;
        };
        if metrics.distributions.observations == 0 {
            let remedy = "Statistics cover what is captured while the inspector is open.";
            style::placeholder(ui, "Nothing recorded yet", remedy);
            return;
        }
        ui.horizontal(|ui| {
            let observations = format::count(metrics.distributions.observations);
            let window = format::count(WINDOW_LEN as u64);
            ui.weak(format!(
                "{observations} observations since the inspector was opened; the last {window} actions and episodes"
            ));
            if ui.button("Reset").clicked() {
                metrics.reset_distributions();
            }
        });
        let distributions = &metrics.distributions;
        let left = ui.available_width() * 0.38;
        let height = ui.available_height();
        ui.horizontal_top(|ui| {
            ui.allocate_ui(vec2(left, height), |ui| {
                ui.vertical(|ui| {
                    ui.set_min_width(left);
                    ScrollArea::vertical()
                        .id_salt("histograms")
                        .auto_shrink([false, false])
                        .show(ui, |ui| {
                            // The scroll bar floats over its content.
                            ui.set_max_width(ui.available_width() - 10.0);
                            draw_histograms(ui, snapshot, distributions);
                        });
                });
            });
            ui.separator();
            ui.vertical(|ui| draw_feature_table(ui, snapshot, distributions));
        });
    }
}

fn draw_histograms(ui: &mut Ui, snapshot: &RecordingSnapshot, distributions: &Distributions) {
    let mut windows = distributions.actions.iter();
    let mut series = 0;
    for column in snapshot.schema.action() {
        let labels = match &column.space {
            Space::Discrete { labels, .. } => labels.as_slice(),
            Space::Box { .. } => &[],
        };
        for name in column.element_names() {
            if let Some(window) = windows.next() {
                draw_histogram(ui, &format!("Action {name}"), window, labels, series);
                series += 1;
            }
        }
    }
    draw_histogram(ui, "Episode length", &distributions.lengths, &[], series);
    draw_histogram(ui, "Episode return", &distributions.returns, &[], series + 1);
}

fn draw_histogram(ui: &mut Ui, title: &str, window: &SampleWindow, labels: &[String], series: usize) {
    const MAX_BINS: usize = 32;
    ui.horizontal_wrapped(|ui| {
        ui.strong(title);
        if let (Some((min, max)), Some(mean)) = (window.range(), window.mean()) {
            let text = format!(
                "{} to {}, mean {}",
                format::value(min),
                format::value(max),
                format::value(mean)
            );
            ui.weak(text);
        } else {
            ui.weak("no values yet");
        }
    });
    if window.len() == 0 {
        ui.add_space(6.0);
        return;
    }
    let color = style::series_color(ui, series);
    let (width, bins) = window.histogram(MAX_BINS);
    let bars = bins.into_iter().map(|(center, count)| {
        let name = labels.get(center.max(0.0) as usize).cloned().unwrap_or_default();
        Bar::new(center, count as f64)
            .width(width * 0.92)
            .name(name)
            .fill(color)
    });
    let chart = BarChart::new(title, bars.collect()).color(color);
    let mut plot = Plot::new(title)
        .height(110.0)
        .allow_scroll(false)
        .allow_zoom(false)
        .allow_drag(false)
        .allow_boxed_zoom(false)
        .include_y(0.0);
    if !labels.is_empty() {
        let labels = labels.to_vec();
        plot = plot.x_axis_formatter(move |mark, _| {
            let is_index = mark.value >= 0.0 && mark.value.fract() == 0.0;
            let label = labels.get(mark.value as usize).filter(|_| is_index);
            label.cloned().unwrap_or_default()
        });
    }
    plot.show(ui, |ui| ui.bar_chart(chart));
    ui.add_space(6.0);
}

fn draw_feature_table(ui: &mut Ui, snapshot: &RecordingSnapshot, distributions: &Distributions) {
    let names = snapshot.schema.feature_names();
    let ranges = &distributions.features;
    let constant = ranges.iter().filter(|range| range.is_constant()).count();
    let non_finite = ranges.iter().filter(|range| range.non_finite > 0).count();
    ui.horizontal_wrapped(|ui| {
        ui.strong("Features");
        if non_finite > 0 {
            ui.colored_label(style::error_color(ui), format!("✖ {non_finite} not finite"));
        }
        if constant > 0 {
            ui.colored_label(style::warning_color(ui), format!("⚠ {constant} constant"));
        }
        if non_finite + constant == 0 {
            ui.colored_label(style::ok_color(ui), "✔ all vary and are finite");
        }
    });
    // Features with problems come first.
    let mut order: Vec<usize> = (0..names.len().min(ranges.len())).collect();
    order.sort_by_key(|&feature| {
        let range = &ranges[feature];
        (range.non_finite == 0, !range.is_constant(), feature)
    });
    table::header(ui, &COLUMNS, None);
    let (error, warning) = (style::error_color(ui), style::warning_color(ui));
    table::body(ui, "feature ranges", order.len(), |ui, visible| {
        for index in visible {
            let feature = order[index];
            let range = &ranges[feature];
            table::row(ui, &COLUMNS, index, false, |column| match column {
                0 => TableCell::new(names[feature].clone()),
                1 | 2 if range.finite == 0 => TableCell::new("–"),
                1 => TableCell::new(format::table_value(range.min.into())),
                2 => TableCell::new(format::table_value(range.max.into())),
                3 => TableCell::new(format::count(range.non_finite)),
                _ if range.non_finite > 0 => TableCell::new("✖ not finite").colored(error),
                _ if range.is_constant() => TableCell::new("⚠ constant").colored(warning),
                _ => TableCell::new("varies"),
            });
        }
    });
}
