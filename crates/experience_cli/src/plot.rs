//! Plots a recording as a PNG image.
//!
//! Panels: histograms of returns and lengths, and both in the order of the episodes; action classes, mean returns by controller and by
//! agent, and mean reward by term; and a histogram of each feature of a sample of observations. The font is embedded, so that no font
//! or library of the system is needed.

mod bars;
mod features;

use crate::output::number;
use core::{error::Error, ops::Range};
use experience_dataset::Profile;
use plotters::{coord::Shift, prelude::*, style::register_font};
use std::{
    fs::File,
    io::{self, BufWriter},
    path::Path,
};

/// Width of the image, and height of its panels of returns and lengths with the title, of its panels of bars, and of each row of
/// features, in pixels.
const WIDTH: u32 = 1200;
const EPISODES_HEIGHT: u32 = 840;
const BARS_HEIGHT: u32 = 840;
const FEATURES_HEIGHT: u32 = 170;
const BINS: usize = 40;
const MAX_TITLE: usize = 100;
/// Larger magnitudes are clamped, because their differences would overflow.
const MAX_VALUE: f64 = 1e300;
const FONT: &str = "Ubuntu";

const INK: RGBColor = RGBColor(40, 40, 40);
const GRID: RGBColor = RGBColor(225, 225, 225);
const BARS: RGBColor = RGBColor(76, 120, 168);
const DOTS: RGBColor = RGBColor(160, 190, 220);
const MEAN: RGBColor = RGBColor(214, 96, 38);

type Panel<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type PlotResult<T> = Result<T, Box<dyn Error>>;

/// Plots the returns and lengths of `profile` to the PNG file `path`.
pub fn write(path: &Path, title: &str, profile: &Profile) -> io::Result<()> {
    let pixels = draw(title, profile).map_err(|error| io::Error::other(error.to_string()))?;
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), WIDTH, height(profile));
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(io::Error::other)?;
    writer.write_image_data(&pixels).map_err(io::Error::other)?;
    writer.finish().map_err(io::Error::other)
}

/// The height of the image, in pixels.
fn height(profile: &Profile) -> u32 {
    EPISODES_HEIGHT + BARS_HEIGHT + features::rows(profile) * FEATURES_HEIGHT
}

/// The RGB pixels of the image, row by row.
fn draw(title: &str, profile: &Profile) -> PlotResult<Vec<u8>> {
    register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT).map_err(|_| "the font is invalid")?;
    let title: String = title
        .chars()
        .filter(|char| !char.is_control())
        .take(MAX_TITLE)
        .collect();
    let lengths: Vec<f64> = profile.lengths.iter().map(|length| *length as f64).collect();
    // Non-finite returns cannot be plotted. The table of `experience stats` counts them.
    let returns = profile.returns.iter().copied().filter(|value| value.is_finite());
    let returns: Vec<f64> = returns.map(|value| value.clamp(-MAX_VALUE, MAX_VALUE)).collect();
    let size = (WIDTH, height(profile));
    let mut pixels = vec![0; size.0 as usize * size.1 as usize * 3];
    {
        let image = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
        image.fill(&WHITE)?;
        let (episodes, rest) = image.split_vertically(EPISODES_HEIGHT);
        let (bars, features) = rest.split_vertically(BARS_HEIGHT);
        bars::draw(&bars, profile)?;
        features::draw(&features, profile)?;
        let panels = episodes
            .margin(8, 0, 0, 0)
            .titled(&title, text(26))?
            .split_evenly((2, 2));
        for (column, (name, values)) in [("return", &returns), ("length", &lengths)].into_iter().enumerate() {
            histogram(&panels[column], name, values)?;
            series(&panels[column + 2], name, values)?;
        }
        image.present()?;
    }
    Ok(pixels)
}

/// Plots how many episodes have which value.
fn histogram(panel: &Panel<'_>, name: &str, values: &[f64]) -> PlotResult<()> {
    let Some(range) = axis(values) else {
        return empty(panel, name);
    };
    let width = (range.end - range.start) / BINS as f64;
    let mut counts = [0_u32; BINS];
    for value in values {
        let bin = (value - range.start) / width;
        counts[(bin as usize).min(BINS - 1)] += 1;
    }
    let max = counts.iter().copied().max().unwrap_or(1);
    let mut chart = ChartBuilder::on(panel)
        .caption(format!("{name} of episodes"), text(19))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(range.clone(), 0.0..f64::from(max) * 1.05)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(text(15))
        .axis_desc_style(text(16))
        .x_desc(name)
        .y_desc("episodes")
        .x_label_formatter(&|value| number(*value))
        .y_label_formatter(&|value| number(*value))
        .draw()?;
    let bars = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    chart.draw_series(bars.map(|(bin, count)| {
        let left = range.start + bin as f64 * width;
        let mut bar = Rectangle::new([(left, 0.0), (left + width, f64::from(*count))], BARS.filled());
        bar.set_margin(0, 0, 0, 1);
        bar
    }))?;
    Ok(())
}

/// Plots the value of each episode and the moving average over 5 % of the episodes.
fn series(panel: &Panel<'_>, name: &str, values: &[f64]) -> PlotResult<()> {
    let Some(range) = axis(values) else {
        return empty(panel, name);
    };
    // Keeps the extreme points off the frame.
    let margin = (range.end - range.start) * 0.04;
    let range = range.start - margin..range.end + margin;
    let mut chart = ChartBuilder::on(panel)
        .caption(format!("{name} by episode, and moving average over 5 %"), text(19))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..values.len() as f64, range)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(text(15))
        .axis_desc_style(text(16))
        .x_desc("episode")
        .y_desc(name)
        .x_label_formatter(&|value| number(*value))
        .y_label_formatter(&|value| number(*value))
        .draw()?;
    let points = values.iter().enumerate();
    chart.draw_series(points.map(|(index, value)| Circle::new((index as f64, *value), 2, DOTS.filled())))?;
    let window = (values.len() / 20).max(1);
    let means = values.windows(window).enumerate().map(|(index, values)| {
        // Divided before the sum, which could overflow.
        let mean: f64 = values.iter().map(|value| value / window as f64).sum();
        ((index + window / 2) as f64, mean)
    });
    chart.draw_series(LineSeries::new(means, MEAN.stroke_width(2)))?;
    Ok(())
}

fn empty(panel: &Panel<'_>, name: &str) -> PlotResult<()> {
    panel.titled(&format!("{name}: no data"), text(19))?;
    Ok(())
}

fn text(size: u32) -> TextStyle<'static> {
    (FONT, size).into_font().color(&INK)
}

/// The range of an axis for finite `values`, or `None` if there are no values.
fn axis(values: &[f64]) -> Option<Range<f64>> {
    let (min, max) = values
        .iter()
        .map(|value| (*value, *value))
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
    let magnitude = min.abs().max(max.abs());
    // The ticks of a narrower range could not be told apart.
    if max - min <= 1e-9 * magnitude.max(1e-3) {
        let margin = (magnitude * 0.05).max(0.5);
        return Some(min - margin..max + margin);
    }
    Some(min..max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use experience_dataset::{ActionClasses, ClassCount, ControllerProfile, ValueProfile};

    fn profile(returns: &[f64]) -> Profile {
        Profile {
            returns: returns.to_vec(),
            lengths: vec![7; returns.len()],
            ..Profile::default()
        }
    }

    fn pixels(image: &[u8], color: RGBColor) -> usize {
        image
            .chunks_exact(3)
            .filter(|pixel| *pixel == [color.0, color.1, color.2])
            .count()
    }

    #[test]
    fn bars_points_averages_and_text_are_drawn() {
        let many: Vec<f64> = (0..500).map(|index| f64::from(index % 50)).collect();
        let image = draw("many", &profile(&many)).unwrap();
        assert!(pixels(&image, BARS) > 10_000 && pixels(&image, DOTS) > 500 && pixels(&image, MEAN) > 100);
        let dark = image
            .chunks_exact(3)
            .filter(|pixel| pixel.iter().all(|value| *value < 128));
        assert!(dark.count() > 1000);
    }

    /// A recording of `agents` agents, with two controllers, three classes and a reward of two terms.
    fn recording(agents: i64) -> Profile {
        let count = agents as usize;
        let value = |name: &str, mean: f64| {
            let mut value = ValueProfile::default();
            (value.name, value.count, value.mean) = (name.to_owned(), 9, mean);
            value
        };
        let class = |label: &str, count| ClassCount {
            label: label.to_owned(),
            count,
        };
        let controller = |label: &str, mean| ControllerProfile {
            controller: Some(label.to_owned()),
            episodes: 3,
            mean_return: Some(mean),
            ..ControllerProfile::default()
        };
        Profile {
            agents: (0..agents).collect(),
            reward_terms: vec![value("coin", 0.5), value("hit", -0.25)],
            action_classes: vec![ActionClasses {
                name: "deed".to_owned(),
                index: 0,
                classes: vec![class("Hold", 98), class("Shoot", 2), class("Dash", 0)],
                others: 0,
            }],
            controllers: vec![controller("script:hunter", 4.0), controller("person", -2.0)],
            ..profile(&vec![1.5; count])
        }
    }

    #[test]
    fn classes_controllers_agents_and_terms_are_drawn_as_bars() {
        let bars = |profile: &Profile| {
            let image = draw("bars", profile).unwrap();
            let panel = |column: usize, row: usize| {
                let (width, height) = (WIDTH as usize, BARS_HEIGHT as usize / 2);
                let top = EPISODES_HEIGHT as usize + row * height;
                let lines = image.chunks_exact(3 * width).skip(top).take(height);
                let half = 3 * width / 2;
                lines
                    .map(|line| pixels(&line[column * half..][..half], BARS))
                    .sum::<usize>()
            };
            [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(column, row)| panel(column, row))
        };
        let empty = bars(&profile(&[1.0]));
        assert_eq!([empty[0], empty[1], empty[3]], [0; 3]);
        assert!(
            bars(&recording(3)).iter().all(|pixels| *pixels > 1000),
            "{:?}",
            bars(&recording(3))
        );
        // More agents than bars.
        assert!(bars(&recording(1000))[2] > 1000);
        let mut unusual = recording(3);
        unusual.controllers[0].mean_return = Some(f64::NAN);
        unusual.controllers[1].controller = Some("\u{1f980}\n".repeat(100));
        unusual.reward_terms[0].mean = f64::MAX;
        unusual.reward_terms[1].mean = -f64::MAX;
        unusual.action_classes[0].classes = vec![ClassCount::default(); 256];
        draw("unusual", &unusual).unwrap();
    }

    #[test]
    fn unusual_values_are_drawn() {
        for returns in [
            &[][..],
            &[1.0],
            &[f64::NAN, f64::INFINITY],
            &[f64::MAX, -f64::MAX],
            &[0.0, f64::MIN_POSITIVE],
            &[1e16, 1e16 + 2.0],
            &[-1e-300, 1e300],
            &[3.0; 9],
        ] {
            let image = draw("\u{1f980}\0", &profile(returns)).unwrap();
            assert_eq!(image.len(), 1200 * 1680 * 3);
        }
    }
}
