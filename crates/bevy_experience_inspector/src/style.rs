//! Shared colours and small widgets of all tabs.
//!
//! The colours are those of Okabe and Ito, "Color Universal Design" (2008), which are distinguishable
//! with colour blindness. Information is never conveyed by colour alone, but also by a word or a symbol.

use bevy_egui::egui::{Color32, RichText, TextStyle, Ui};

const VERMILION: Color32 = Color32::from_rgb(213, 94, 0);
const ORANGE: Color32 = Color32::from_rgb(230, 159, 0);
const BROWN: Color32 = Color32::from_rgb(140, 90, 0);
const SKY: Color32 = Color32::from_rgb(86, 180, 233);
const BLUE: Color32 = Color32::from_rgb(0, 114, 178);
const GREEN: Color32 = Color32::from_rgb(0, 158, 115);
const PURPLE: Color32 = Color32::from_rgb(204, 121, 167);

/// For lost data and failures.
pub(super) fn error_color(ui: &Ui) -> Color32 {
    if ui.visuals().dark_mode {
        Color32::from_rgb(255, 128, 64)
    } else {
        Color32::from_rgb(178, 58, 0)
    }
}

/// For paused recordings, constant features and other states that may be unintended.
pub(super) fn warning_color(ui: &Ui) -> Color32 {
    if ui.visuals().dark_mode { ORANGE } else { BROWN }
}

/// For healthy states.
pub(super) fn ok_color(ui: &Ui) -> Color32 {
    if ui.visuals().dark_mode {
        Color32::from_rgb(60, 200, 150)
    } else {
        Color32::from_rgb(0, 110, 80)
    }
}

/// The fill of a bar behind the text of a table cell.
pub(super) fn bar_color(ui: &Ui) -> Color32 {
    if ui.visuals().dark_mode {
        Color32::from_rgb(0, 90, 145)
    } else {
        Color32::from_rgb(150, 205, 240)
    }
}

/// The colour of the plot series number `index`; repeats after six series.
pub(super) fn series_color(ui: &Ui, index: usize) -> Color32 {
    let dark = [SKY, ORANGE, GREEN, PURPLE, VERMILION, Color32::from_rgb(240, 228, 66)];
    let light = [BLUE, VERMILION, GREEN, PURPLE, BROWN, Color32::BLACK];
    let colors = if ui.visuals().dark_mode { dark } else { light };
    colors[index % colors.len()]
}

/// Gives text more contrast than egui's defaults: at least 4.5 to the background, as WCAG 2.1 asks for (1.4.3).
pub(super) fn set_contrast(ui: &mut Ui) {
    let visuals = ui.visuals_mut();
    let (text, weak) = if visuals.dark_mode { (175, 135) } else { (60, 105) };
    visuals.widgets.noninteractive.fg_stroke.color = Color32::from_gray(text);
    visuals.weak_text_color = Some(Color32::from_gray(weak));
}

/// A centred message for a tab without content: what is missing, and the remedy.
pub(super) fn placeholder(ui: &mut Ui, title: &str, remedy: &str) {
    ui.vertical_centered(|ui| {
        ui.add_space(24.0);
        ui.label(RichText::new(title).size(16.0).strong());
        ui.add_space(4.0);
        ui.label(remedy);
        ui.add_space(24.0);
    });
}

/// A value with its name above it.
pub(super) fn metric(ui: &mut Ui, name: &str, value: impl Into<RichText>, tooltip: &str) {
    let metric = ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = 1.0;
        ui.label(RichText::new(name).small().weak());
        ui.label(value.into().monospace());
    });
    metric.response.on_hover_text(tooltip);
    ui.add_space(10.0);
}

/// The height of a table row, in points.
pub(super) fn row_height(ui: &Ui) -> f32 {
    ui.text_style_height(&TextStyle::Monospace) + 6.0
}
