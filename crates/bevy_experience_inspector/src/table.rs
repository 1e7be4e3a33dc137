//! Tables of which only the rows that are seen are made.

use super::look;
use bevy_egui::egui::{
    Align2, Color32, CursorIcon, FontId, Rect, Response, ScrollArea, Sense, TextStyle, Ui, pos2, vec2,
};
use core::ops::Range;

/// A column.
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Its part of the width, beside those of the others.
    pub(super) share: f32,
    /// It holds numbers, whose last digits stand below each other.
    pub(super) is_number: bool,
    pub(super) hint: &'static str,
}

impl Column {
    pub(super) const fn text(title: &'static str, share: f32, hint: &'static str) -> Self {
        Self {
            title,
            share,
            is_number: false,
            hint,
        }
    }

    pub(super) const fn number(title: &'static str, share: f32, hint: &'static str) -> Self {
        Self {
            title,
            share,
            is_number: true,
            hint,
        }
    }
}

/// What stands in a cell.
#[derive(Default)]
pub(super) struct Cell {
    pub(super) text: String,
    /// That of text where it is `None`.
    pub(super) colour: Option<Color32>,
    /// A bar behind the text, as long as this part of the cell.
    pub(super) bar: Option<f32>,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    pub(super) fn coloured(mut self, colour: Color32) -> Self {
        self.colour = Some(colour);
        self
    }
}

/// By which column a table is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sort {
    pub(super) column: usize,
    pub(super) descending: bool,
}

/// The places of the columns' cells in a row.
fn cells<'a>(columns: &'a [Column], row: Rect) -> impl Iterator<Item = Rect> + 'a {
    /// What keeps the text of a cell from that of the next.
    const GAP: f32 = 6.0;
    let shares: f32 = columns.iter().map(|column| column.share).sum();
    let mut left = row.left();
    columns.iter().map(move |column| {
        let width = row.width() * column.share / shares;
        let cell = Rect::from_min_size(pos2(left, row.top()), vec2(width, row.height()));
        left += width;
        cell.shrink2(vec2(GAP, 0.0))
    })
}

fn write(ui: &Ui, cell: Rect, text: &str, is_number: bool, font: FontId, colour: Color32) {
    let (at, anchor) = if is_number {
        (cell.right_center(), Align2::RIGHT_CENTER)
    } else {
        (cell.left_center(), Align2::LEFT_CENTER)
    };
    // What does not fit loses its middle: names and ids of one kind often begin alike.
    let fits = |text: &str| ui.painter().layout_no_wrap(text.to_owned(), font.clone(), colour);
    let mut galley = fits(text);
    let mut characters = text.chars().count();
    while galley.size().x > cell.width() && characters > 1 {
        let keep = ((characters as f32) * cell.width() / galley.size().x) as usize;
        characters = keep.min(characters - 1).max(1);
        galley = fits(&without_middle(text, characters - 1));
    }
    let place = anchor.anchor_size(at, galley.size());
    ui.painter().galley(place.min, galley, colour);
}

/// So many characters of a text, in whose place of the others stand dots.
fn without_middle(text: &str, keep: usize) -> String {
    let count = text.chars().count();
    let head: String = text.chars().take(keep / 2).collect();
    let tail: String = text.chars().skip(count - (keep - keep / 2)).collect();
    format!("{head}…{tail}")
}

/// The titles. A click on one sorts by it.
pub(super) fn titles(ui: &mut Ui, columns: &[Column], mut sort: Option<&mut Sort>) {
    let height = look::row_height(ui);
    let (row, _) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::hover());
    let font = TextStyle::Body.resolve(ui.style());
    for (place, (column, cell)) in columns.iter().zip(cells(columns, row)).enumerate() {
        let mark = match &sort {
            Some(sort) if sort.column == place && sort.descending => " ⏷",
            Some(sort) if sort.column == place => " ⏶",
            _ => "",
        };
        let sense = if sort.is_some() { Sense::click() } else { Sense::hover() };
        let response = ui.interact(cell, ui.id().with(("title", column.title)), sense);
        let colour = if response.hovered() && sort.is_some() {
            ui.ctx().set_cursor_icon(CursorIcon::PointingHand);
            ui.visuals().strong_text_color()
        } else {
            ui.visuals().text_color()
        };
        let title = format!("{}{mark}", column.title);
        write(ui, cell, &title, column.is_number, font.clone(), colour);
        if response.clicked()
            && let Some(sort) = &mut sort
        {
            **sort = Sort {
                column: place,
                descending: sort.column == place && !sort.descending,
            };
        }
        if !column.hint.is_empty() {
            response.on_hover_text(column.hint);
        }
    }
    let line = ui.visuals().widgets.noninteractive.bg_stroke;
    ui.painter().hline(row.x_range(), row.bottom(), line);
}

/// All rows, of which those are asked for that are seen.
pub(super) fn rows(ui: &mut Ui, name: &str, count: usize, add: impl FnOnce(&mut Ui, Range<usize>)) {
    let height = look::row_height(ui);
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        ScrollArea::vertical()
            .id_salt(name)
            .auto_shrink([false, false])
            .show_rows(ui, height, count, add);
    });
}

/// A row.
pub(super) fn row(
    ui: &mut Ui,
    columns: &[Column],
    number: usize,
    is_selected: bool,
    mut cell: impl FnMut(usize) -> Cell,
) -> Response {
    let size = vec2(ui.available_width(), look::row_height(ui));
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let visuals = ui.visuals();
    let fill = if is_selected {
        visuals.selection.bg_fill
    } else if response.hovered() {
        visuals.widgets.hovered.weak_bg_fill
    } else if number % 2 == 1 {
        visuals.faint_bg_color
    } else {
        Color32::TRANSPARENT
    };
    let text = if is_selected {
        visuals.selection.stroke.color
    } else {
        visuals.text_color()
    };
    ui.painter().rect_filled(rect, 2.0, fill);
    let mono = TextStyle::Monospace.resolve(ui.style());
    for (place, (column, at)) in columns.iter().zip(cells(columns, rect)).enumerate() {
        let found = cell(place);
        if let Some(part) = found.bar {
            let mut bar = at.shrink2(vec2(0.0, 3.0));
            ui.painter().rect_filled(bar, 2.0, ui.visuals().extreme_bg_color);
            bar.set_width(bar.width() * part.clamp(0.0, 1.0));
            ui.painter().rect_filled(bar, 2.0, look::bar(ui));
        }
        let colour = match found.colour {
            Some(colour) if !is_selected => colour,
            _ => text,
        };
        write(ui, at, &found.text, column.is_number, mono.clone(), colour);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_names_apart_is_kept() {
        assert_eq!(without_middle("transform.translation.x", 9), "tran…ion.x");
        assert_eq!(without_middle("dé", 1), "…é");
        assert_eq!(without_middle("ab", 0), "…");
    }
}
