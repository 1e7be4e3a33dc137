//! What actions, features, lengths and returns are like: here bugs show that ruin training.

use super::{
    ExperienceInspector, look,
    snapshot::Snapshot,
    table::{self, Cell, Column},
    watch::Samples,
};
use bevy_egui::egui::{ScrollArea, Ui, vec2};
use bevy_experience::schema::Space;
use egui_plot::{Bar, BarChart, Plot};

const COLUMNS: [Column; 5] = [
    Column::text("Feature", 2.5, ""),
    Column::number("Lowest", 1.0, ""),
    Column::number("Highest", 1.0, ""),
    Column::number("Not finite", 1.0, "How often it was NaN or infinite."),
    Column::text("", 1.7, ""),
];

impl ExperienceInspector {
    pub(super) fn distributions_tab(&mut self, ui: &mut Ui, seen: &Snapshot) {
        let Some(watch) = self.watches.get_mut(&seen.name) else {
            return;
        };
        if watch.sums.observations == 0 {
            let remedy = "What is captured from now on is summed up here, while the inspector is open.";
            look::empty(ui, "Nothing is recorded yet", remedy);
            return;
        }
        ui.horizontal(|ui| {
            let observations = look::count(watch.sums.observations);
            ui.weak(format!(
                "{observations} observations, while this was open; of actions and episodes the last 4,096 each"
            ));
            if ui.button("Begin anew").clicked() {
                watch.forget();
            }
        });
        let sums = &watch.sums;
        let left = ui.available_width() * 0.38;
        let height = ui.available_height();
        ui.horizontal_top(|ui| {
            ui.allocate_ui(vec2(left, height), |ui| {
                ui.vertical(|ui| {
                    ui.set_min_width(left);
                    ScrollArea::vertical()
                        .id_salt("histograms")
                        .auto_shrink([false, false])
                        .show(ui, |ui| histograms(ui, seen, sums));
                });
            });
            ui.separator();
            ui.vertical(|ui| features(ui, seen, sums));
        });
    }
}

fn histograms(ui: &mut Ui, seen: &Snapshot, sums: &super::watch::Sums) {
    let mut number = 0;
    let mut place = 0;
    for column in seen.schema.action() {
        for name in column.element_names() {
            if let Some(samples) = sums.actions.get(place) {
                let labels = match &column.space {
                    Space::Discrete { labels, .. } => labels.as_slice(),
                    Space::Box { .. } => &[],
                };
                histogram(ui, &format!("Action {name}"), samples, labels, number);
                number += 1;
            }
            place += 1;
        }
    }
    histogram(ui, "Length of episodes", &sums.lengths, &[], number);
    histogram(ui, "Return of episodes", &sums.returns, &[], number + 1);
}

fn histogram(ui: &mut Ui, title: &str, samples: &Samples, labels: &[String], number: usize) {
    /// The most bars.
    const BINS: usize = 32;
    ui.horizontal_wrapped(|ui| {
        ui.strong(title);
        if let (Some((low, high)), Some(mean)) = (samples.range(), samples.mean()) {
            let text = format!(
                "{} to {}, mean {}",
                look::value(low),
                look::value(high),
                look::value(mean)
            );
            ui.weak(text);
        } else {
            ui.weak("none yet");
        }
    });
    if samples.len() == 0 {
        ui.add_space(6.0);
        return;
    }
    let colour = look::line(ui, number);
    let (width, bins) = samples.histogram(BINS);
    let bars = bins.into_iter().map(|(middle, count)| {
        let name = labels.get(middle.max(0.0) as usize).cloned().unwrap_or_default();
        Bar::new(middle, count as f64)
            .width(width * 0.92)
            .name(name)
            .fill(colour)
    });
    let chart = BarChart::new(title, bars.collect()).color(colour);
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
            let is_one = mark.value >= 0.0 && mark.value.fract() == 0.0;
            let label = labels.get(mark.value as usize).filter(|_| is_one);
            label.cloned().unwrap_or_default()
        });
    }
    plot.show(ui, |ui| ui.bar_chart(chart));
    ui.add_space(6.0);
}

fn features(ui: &mut Ui, seen: &Snapshot, sums: &super::watch::Sums) {
    let names = seen.schema.feature_names();
    let constant = sums.features.iter().filter(|sum| sum.is_constant()).count();
    let broken = sums.features.iter().filter(|sum| sum.non_finite > 0).count();
    ui.horizontal_wrapped(|ui| {
        ui.strong("Features");
        if broken > 0 {
            ui.colored_label(look::alarm(ui), format!("✖ {broken} not finite"));
        }
        if constant > 0 {
            ui.colored_label(look::notice(ui), format!("⚠ {constant} never changed"));
        }
        if broken + constant == 0 {
            ui.colored_label(look::good(ui), "✔ all change, all are finite");
        }
    });
    // What is wrong goes first.
    let mut order: Vec<usize> = (0..names.len().min(sums.features.len())).collect();
    order.sort_by_key(|&feature| {
        let sum = &sums.features[feature];
        (sum.non_finite == 0, !sum.is_constant(), feature)
    });
    table::titles(ui, &COLUMNS, None);
    let colours = [look::notice(ui), look::alarm(ui)];
    table::rows(ui, "feature sums", order.len(), |ui, range| {
        for number in range {
            let feature = order[number];
            let sum = &sums.features[feature];
            table::row(ui, &COLUMNS, number, false, |column| match column {
                0 => Cell::new(names[feature].clone()),
                1 | 2 if sum.finite == 0 => Cell::new("–"),
                1 => Cell::new(look::cell(sum.low.into())),
                2 => Cell::new(look::cell(sum.high.into())),
                3 => Cell::new(look::count(sum.non_finite)),
                _ if sum.non_finite > 0 => Cell::new("✖ not finite").coloured(colours[1]),
                _ if sum.is_constant() => Cell::new("⚠ never changed").coloured(colours[0]),
                _ => Cell::new("varies"),
            });
        }
    });
}
