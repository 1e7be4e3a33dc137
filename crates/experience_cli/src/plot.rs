//! Pictures of returns and lengths.
//!
//! Four panels: how returns and lengths are distributed, and how they go from the first episode to the last. Drawn without
//! fonts or libraries of the system, so that a server without a screen can do it.

use crate::output::number;
use core::convert::Infallible;
use embedded_graphics::{
    mono_font::{MonoTextStyle, ascii::FONT_7X13},
    pixelcolor::Rgb888,
    prelude::*,
    primitives::{Line, PrimitiveStyle, Rectangle},
    text::{Alignment, Text},
};
use experience_dataset::Profile;
use std::{
    fs::File,
    io::{self, BufWriter},
    path::Path,
};

const PANEL: Size = Size::new(480, 300);
/// Around what is drawn in a panel: room for words and numbers.
const MARGIN: i32 = 46;
const HEAD: u32 = 30;
const BINS: usize = 40;

const PAPER: Rgb888 = Rgb888::new(255, 255, 255);
const INK: Rgb888 = Rgb888::new(40, 40, 40);
const GRID: Rgb888 = Rgb888::new(210, 210, 210);
const BARS: Rgb888 = Rgb888::new(76, 120, 168);
const DOTS: Rgb888 = Rgb888::new(160, 190, 220);
const MEAN: Rgb888 = Rgb888::new(214, 96, 38);

/// Draws the returns and lengths of `profile` into the file `path`.
pub fn write(path: &Path, title: &str, profile: &Profile) -> io::Result<()> {
    let canvas = draw(title, profile);
    let mut encoder = png::Encoder::new(
        BufWriter::new(File::create(path)?),
        canvas.size.width,
        canvas.size.height,
    );
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(io::Error::other)?;
    writer.write_image_data(&canvas.bytes).map_err(io::Error::other)?;
    writer.finish().map_err(io::Error::other)
}

fn draw(title: &str, profile: &Profile) -> Canvas {
    let mut canvas = Canvas::new(Size::new(2 * PANEL.width, 2 * PANEL.height + HEAD));
    let short: String = title
        .chars()
        .take(100)
        .map(|sign| {
            if sign.is_ascii_graphic() || sign == ' ' {
                sign
            } else {
                '?'
            }
        })
        .collect();
    write_text(
        &mut canvas,
        &short,
        Point::new(PANEL.width as i32, 20),
        Alignment::Center,
    );
    let lengths: Vec<f64> = profile.lengths.iter().map(|length| *length as f64).collect();
    // A return that is not finite has no place in a picture; the table counts it.
    let returns: Vec<f64> = profile
        .returns
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .collect();
    for (column, (name, values)) in [("return", &returns), ("length", &lengths)].into_iter().enumerate() {
        let corner = |row: u32| Point::new(column as i32 * PANEL.width as i32, (HEAD + row * PANEL.height) as i32);
        histogram(&mut canvas, corner(0), &format!("episodes by {name}"), values);
        series(
            &mut canvas,
            corner(1),
            &format!("{name}, episode by episode, and the mean of 5 %"),
            values,
        );
    }
    canvas
}

/// The part of a panel that holds data, with its axes.
struct Frame {
    at: Rectangle,
    x: (f64, f64),
    y: (f64, f64),
}

impl Frame {
    fn new(canvas: &mut Canvas, corner: Point, name: &str, x: (f64, f64), y: (f64, f64)) -> Self {
        let at = Rectangle::new(
            corner + Point::new(MARGIN + 20, MARGIN - 16),
            Size::new(
                PANEL.width - 2 * MARGIN as u32 - 6,
                PANEL.height - 2 * MARGIN as u32 + 10,
            ),
        );
        let frame = Self { at, x, y };
        for part in [0.0, 0.5, 1.0] {
            let (across, up) = (x.0 + (x.1 - x.0) * part, y.0 + (y.1 - y.0) * part);
            line(canvas, frame.place(across, y.0), frame.place(across, y.1), GRID);
            line(canvas, frame.place(x.0, up), frame.place(x.1, up), GRID);
            write_text(
                canvas,
                &number(across),
                frame.place(across, y.0) + Point::new(0, 16),
                Alignment::Center,
            );
            write_text(
                canvas,
                &number(up),
                frame.place(x.0, up) + Point::new(-6, 4),
                Alignment::Right,
            );
        }
        let middle = Point::new(at.center().x, corner.y + 20);
        write_text(canvas, name, middle, Alignment::Center);
        frame
    }

    fn place(&self, x: f64, y: f64) -> Point {
        let part = |value: f64, (from, to): (f64, f64)| if to > from { (value - from) / (to - from) } else { 0.5 };
        let (width, height) = (f64::from(self.at.size.width), f64::from(self.at.size.height));
        self.at.top_left
            + Point::new(
                (part(x, self.x) * width) as i32,
                ((1.0 - part(y, self.y)) * height) as i32,
            )
    }
}

fn histogram(canvas: &mut Canvas, corner: Point, name: &str, values: &[f64]) {
    let Some((low, high)) = range(values) else {
        return nothing(canvas, corner, name);
    };
    let width = (high - low) / BINS as f64;
    let mut counts = [0_u32; BINS];
    for value in values {
        let bin = if width > 0.0 {
            ((value - low) / width) as usize
        } else {
            BINS / 2
        };
        counts[bin.min(BINS - 1)] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(1);
    let frame = Frame::new(canvas, corner, name, (low, high), (0.0, f64::from(most)));
    let step = f64::from(frame.at.size.width) / BINS as f64;
    for (bin, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let left = frame.at.top_left.x + (bin as f64 * step) as i32;
        let top = frame.place(low, f64::from(*count)).y;
        let bottom = frame.place(low, 0.0).y;
        let bar = Rectangle::new(
            Point::new(left, top),
            Size::new((step as u32).max(2) - 1, (bottom - top).max(1) as u32),
        );
        draw_on(canvas, &bar.into_styled(PrimitiveStyle::with_fill(BARS)));
    }
}

fn series(canvas: &mut Canvas, corner: Point, name: &str, values: &[f64]) {
    let Some(y) = range(values) else {
        return nothing(canvas, corner, name);
    };
    let last = (values.len() - 1) as f64;
    let frame = Frame::new(canvas, corner, name, (0.0, last), y);
    for (index, value) in values.iter().enumerate() {
        let at = frame.place(index as f64, *value) - Point::new(1, 1);
        let dot = Rectangle::new(at, Size::new(2, 2));
        draw_on(canvas, &dot.into_styled(PrimitiveStyle::with_fill(DOTS)));
    }
    let window = (values.len() / 20).max(1);
    let means: Vec<f64> = values
        .windows(window)
        .map(|some| some.iter().sum::<f64>() / window as f64)
        .collect();
    let points: Vec<Point> = means
        .iter()
        .enumerate()
        .map(|(index, mean)| frame.place((index + window / 2) as f64, *mean))
        .collect();
    for pair in points.windows(2) {
        line(canvas, pair[0], pair[1], MEAN);
    }
}

fn nothing(canvas: &mut Canvas, corner: Point, name: &str) {
    let middle = corner + Point::new(PANEL.width as i32 / 2, PANEL.height as i32 / 2);
    write_text(canvas, &format!("{name}: nothing to draw"), middle, Alignment::Center);
}

/// The least and the greatest, where there are any.
fn range(values: &[f64]) -> Option<(f64, f64)> {
    values
        .iter()
        .map(|value| (*value, *value))
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

fn line(canvas: &mut Canvas, from: Point, to: Point, color: Rgb888) {
    draw_on(
        canvas,
        &Line::new(from, to).into_styled(PrimitiveStyle::with_stroke(color, 1)),
    );
}

fn write_text(canvas: &mut Canvas, text: &str, at: Point, alignment: Alignment) {
    draw_on(
        canvas,
        &Text::with_alignment(text, at, MonoTextStyle::new(&FONT_7X13, INK), alignment),
    );
}

fn draw_on<D: Drawable<Color = Rgb888>>(canvas: &mut Canvas, what: &D) {
    match what.draw(canvas) {
        Ok(_) => {}
        Err(never) => match never {},
    }
}

/// Rows of red, green and blue.
struct Canvas {
    size: Size,
    bytes: Vec<u8>,
}

impl Canvas {
    fn new(size: Size) -> Self {
        let pixels = size.width as usize * size.height as usize;
        Self {
            size,
            bytes: [PAPER.r(), PAPER.g(), PAPER.b()].repeat(pixels),
        }
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        self.size
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(at, color) in pixels {
            let (Ok(x), Ok(y)) = (u32::try_from(at.x), u32::try_from(at.y)) else {
                continue;
            };
            if x < self.size.width && y < self.size.height {
                let start = (y as usize * self.size.width as usize + x as usize) * 3;
                self.bytes[start..start + 3].copy_from_slice(&[color.r(), color.g(), color.b()]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(returns: &[f64]) -> Profile {
        let mut profile = Profile::default();
        profile.returns = returns.to_vec();
        profile.lengths = vec![7; returns.len()];
        profile
    }

    fn pixels(canvas: &Canvas, color: Rgb888) -> usize {
        canvas
            .bytes
            .chunks_exact(3)
            .filter(|pixel| *pixel == [color.r(), color.g(), color.b()])
            .count()
    }

    #[test]
    fn what_there_is_to_draw_is_drawn() {
        let many: Vec<f64> = (0..500).map(|index| f64::from(index % 50)).collect();
        let canvas = draw("many", &profile(&many));
        assert!(pixels(&canvas, BARS) > 10_000 && pixels(&canvas, DOTS) > 500 && pixels(&canvas, MEAN) > 100);
    }

    #[test]
    fn odd_numbers_are_no_trouble() {
        for returns in [
            &[][..],
            &[1.0],
            &[f64::NAN, f64::INFINITY],
            &[f64::MAX, -f64::MAX],
            &[0.0, f64::MIN_POSITIVE],
            &[3.0; 9],
        ] {
            let canvas = draw("\u{1f980}\0", &profile(returns));
            assert_eq!(canvas.bytes.len(), 960 * 630 * 3);
        }
    }
}
