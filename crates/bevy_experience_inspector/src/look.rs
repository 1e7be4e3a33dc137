//! Colours and numbers.
//!
//! The colours are those of Okabe and Ito, "Color Universal Design" (2008), which colour-blind people tell apart; wherever one
//! means something, a word or a mark says it too.

use bevy_egui::egui::{self, Color32, RichText, Ui};
use core::time::Duration;

const VERMILION: Color32 = Color32::from_rgb(213, 94, 0);
const ORANGE: Color32 = Color32::from_rgb(230, 159, 0);
const BROWN: Color32 = Color32::from_rgb(140, 90, 0);
const SKY: Color32 = Color32::from_rgb(86, 180, 233);
const BLUE: Color32 = Color32::from_rgb(0, 114, 178);
const GREEN: Color32 = Color32::from_rgb(0, 158, 115);
const PURPLE: Color32 = Color32::from_rgb(204, 121, 167);

/// Something is lost, or broken.
pub(super) fn alarm(ui: &Ui) -> Color32 {
    if ui.visuals().dark_mode {
        Color32::from_rgb(255, 128, 64)
    } else {
        Color32::from_rgb(178, 58, 0)
    }
}

/// Something stands still, or is worth a look.
pub(super) fn notice(ui: &Ui) -> Color32 {
    if ui.visuals().dark_mode { ORANGE } else { BROWN }
}

/// All is well.
pub(super) fn good(ui: &Ui) -> Color32 {
    if ui.visuals().dark_mode {
        Color32::from_rgb(60, 200, 150)
    } else {
        Color32::from_rgb(0, 110, 80)
    }
}

/// What fills a bar.
pub(super) fn bar(ui: &Ui) -> Color32 {
    if ui.visuals().dark_mode {
        Color32::from_rgb(0, 90, 145)
    } else {
        Color32::from_rgb(150, 205, 240)
    }
}

/// The colour of the line of this number.
pub(super) fn line(ui: &Ui, number: usize) -> Color32 {
    let dark = [SKY, ORANGE, GREEN, PURPLE, VERMILION, Color32::from_rgb(240, 228, 66)];
    let light = [BLUE, VERMILION, GREEN, PURPLE, BROWN, Color32::BLACK];
    let colours = if ui.visuals().dark_mode { dark } else { light };
    colours[number % colours.len()]
}

/// What stands where there is nothing to show, and what to do about it.
pub(super) fn empty(ui: &mut Ui, what: &str, remedy: &str) {
    ui.vertical_centered(|ui| {
        ui.add_space(24.0);
        ui.label(RichText::new(what).size(16.0).strong());
        ui.add_space(4.0);
        ui.label(remedy);
        ui.add_space(24.0);
    });
}

/// A number with its name above it.
pub(super) fn figure(ui: &mut Ui, name: &str, value: impl Into<RichText>, hint: &str) {
    let figure = ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = 1.0;
        ui.label(RichText::new(name).small().weak());
        ui.label(value.into().monospace());
    });
    figure.response.on_hover_text(hint);
    ui.add_space(10.0);
}

/// A count, with its thousands apart.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A value, in as few characters as tell it from its neighbours.
pub(super) fn value(number: f64) -> String {
    let size = number.abs();
    if !number.is_finite() {
        number.to_string()
    } else if number == 0.0 {
        "0".to_owned()
    } else if number.fract() == 0.0 && size < 1e7 {
        format!("{number:.0}")
    } else if (1e-3..1e7).contains(&size) {
        let digits = if size >= 1000.0 {
            1
        } else if size >= 1.0 {
            3
        } else {
            4
        };
        format!("{number:.digits$}")
    } else {
        format!("{number:.2e}")
    }
}

/// A value that stands below others of its kind: with as many digits behind the point as they have.
pub(super) fn aligned(number: f64) -> String {
    if number.is_finite() && number.abs() < 1e7 {
        format!("{number:.3}")
    } else {
        value(number)
    }
}

/// A value among others of its kind: as [`aligned`], but for whole numbers, which need no digits behind the point, and small
/// ones, which need more.
pub(super) fn cell(number: f64) -> String {
    if number.fract() == 0.0 || number.abs() < 0.01 {
        value(number)
    } else {
        aligned(number)
    }
}

/// Bytes, in the unit that fits.
pub(super) fn bytes(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        _ => format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

/// A time, in the unit that fits.
pub(super) fn time(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// The height of a row of a table.
pub(super) fn row_height(ui: &Ui) -> f32 {
    ui.text_style_height(&egui::TextStyle::Monospace) + 6.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_keep_their_meaning() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        let values = [
            0.0,
            1.0,
            -3.25,
            0.012_34,
            1234.56,
            1e-9,
            3e12,
            f64::NAN,
            f64::NEG_INFINITY,
        ];
        let shown = [
            "0", "1", "-3.250", "0.0123", "1234.6", "1.00e-9", "3.00e12", "NaN", "-inf",
        ];
        assert_eq!(values.map(value), shown);
        assert_eq!(
            [0.0, -3.25, 12.0, 1e9].map(aligned),
            ["0.000", "-3.250", "12.000", "1.00e9"]
        );
        assert_eq!([0.0, 7.0, 0.25, 0.001_25].map(cell), ["0", "7", "0.250", "0.0013"]);
        assert_eq!(bytes(2048), "2.0 KiB");
        assert_eq!(bytes(5 << 30), "5.00 GiB");
        assert_eq!(time(Duration::from_millis(1500)), "1.5 s");
    }
}
