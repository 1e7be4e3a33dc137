//! Small histograms of the features of a sample of observations.

use super::{BARS, GRID, INK, Panel, PlotResult, axis, bars::shortened, text};
use crate::output::number;
use experience_dataset::Profile;
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

const COLUMNS: u32 = 6;
/// Features that are shown: the first that vary.
const MAX_FEATURES: usize = 24;
const BINS: usize = 32;

/// The rows of panels that the features need.
pub(super) fn rows(profile: &Profile) -> u32 {
    (shown(profile).len() as u32).div_ceil(COLUMNS)
}

pub(super) fn draw(area: &Panel<'_>, profile: &Profile) -> PlotResult<()> {
    let features = shown(profile);
    if features.is_empty() {
        return Ok(());
    }
    let panels = area.split_evenly((rows(profile) as usize, COLUMNS as usize));
    for (panel, feature) in panels.iter().zip(features) {
        let name = &profile.observation[feature].name;
        histogram(panel, name, values(profile, feature))?;
    }
    Ok(())
}

/// The features that vary in the sample.
fn shown(profile: &Profile) -> Vec<usize> {
    let sampled = 0..profile.sample.features().min(profile.observation.len());
    let varies = |feature: &usize| {
        let values = values(profile, *feature);
        values.iter().any(|value| *value != values[0])
    };
    sampled.filter(varies).take(MAX_FEATURES).collect()
}

fn values(profile: &Profile, feature: usize) -> Vec<f64> {
    let values = profile.sample.values(feature).map(f64::from);
    values.filter(|value| value.is_finite()).collect()
}

fn histogram(panel: &Panel<'_>, name: &str, values: Vec<f64>) -> PlotResult<()> {
    let Some(range) = axis(&values) else { return Ok(()) };
    let width = (range.end - range.start) / BINS as f64;
    let mut counts = [0_u32; BINS];
    for value in &values {
        let bin = (value - range.start) / width;
        counts[(bin as usize).min(BINS - 1)] += 1;
    }
    let max = counts.iter().copied().max().unwrap_or(1).max(1);
    let panel = panel.margin(6, 6, 14, 8);
    let (panel_width, panel_height) = panel.dim_in_pixel();
    let (right, bottom) = (panel_width as i32, panel_height as i32 - 20);
    let top = 20;
    let label = |anchor| text(14).pos(Pos::new(anchor, VPos::Top));
    panel.draw(&Text::new(shortened(name), (0, 0), label(HPos::Left)))?;
    for (bin, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let x = |bin: usize| bin as i32 * right / BINS as i32;
        let height = (f64::from(*count) / f64::from(max) * f64::from(bottom - top)).ceil() as i32;
        let bar = [(x(bin), bottom - height), (x(bin + 1) - 1, bottom)];
        panel.draw(&Rectangle::new(bar, BARS.filled()))?;
    }
    panel.draw(&PathElement::new([(0, bottom), (right, bottom)], GRID))?;
    panel.draw(&PathElement::new([(0, bottom), (0, bottom + 4)], INK))?;
    panel.draw(&Text::new(number(range.start), (0, bottom + 4), label(HPos::Left)))?;
    panel.draw(&Text::new(number(range.end), (right, bottom + 4), label(HPos::Right)))?;
    Ok(())
}
