//! Virtualized egui table: lays out and draws only the visible rows.

use super::style;
use bevy_egui::egui::{
    Align2, Color32, CursorIcon, FontId, Rect, Response, ScrollArea, Sense, TextStyle, Ui, pos2, vec2,
};
use core::ops::Range;

pub(super) struct TableColumn {
    pub(super) title: &'static str,
    /// The column's width, relative to those of the other columns.
    pub(super) width: f32,
    /// Numbers are aligned to the right, text to the left.
    pub(super) is_number: bool,
    /// Shown when the pointer hovers over the title. No tooltip if empty.
    pub(super) tooltip: &'static str,
}

impl TableColumn {
    pub(super) const fn text(title: &'static str, width: f32, tooltip: &'static str) -> Self {
        Self {
            title,
            width,
            is_number: false,
            tooltip,
        }
    }

    pub(super) const fn number(title: &'static str, width: f32, tooltip: &'static str) -> Self {
        Self {
            title,
            width,
            is_number: true,
            tooltip,
        }
    }
}

#[derive(Default)]
pub(super) struct TableCell {
    pub(super) text: String,
    /// The colour of the text; the default text colour if `None`.
    pub(super) color: Option<Color32>,
    /// The filled fraction of a bar behind the text, from 0 to 1.
    pub(super) bar: Option<f32>,
}

impl TableCell {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    pub(super) fn colored(mut self, color: Color32) -> Self {
        self.color = Some(color);
        self
    }
}

/// The column by which a table is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TableSort {
    pub(super) column: usize,
    pub(super) descending: bool,
}

/// The rectangle of each column's cell in a row.
fn cell_rects<'a>(columns: &'a [TableColumn], row: Rect) -> impl Iterator<Item = Rect> + 'a {
    /// Padding at the left and right of each cell, in points.
    const PADDING: f32 = 6.0;
    let total: f32 = columns.iter().map(|column| column.width).sum();
    let mut left = row.left();
    columns.iter().map(move |column| {
        let width = row.width() * column.width / total;
        let cell = Rect::from_min_size(pos2(left, row.top()), vec2(width, row.height()));
        left += width;
        cell.shrink2(vec2(PADDING, 0.0))
    })
}

fn paint_text(ui: &Ui, cell: Rect, text: &str, is_number: bool, font: FontId, color: Color32) {
    let (position, anchor) = if is_number {
        (cell.right_center(), Align2::RIGHT_CENTER)
    } else {
        (cell.left_center(), Align2::LEFT_CENTER)
    };
    // Long text is elided in the middle, because names and ids of one kind often share their first characters.
    let layout = |text: &str| ui.painter().layout_no_wrap(text.to_owned(), font.clone(), color);
    let mut galley = layout(text);
    let mut characters = text.chars().count();
    while galley.size().x > cell.width() && characters > 1 {
        let fitting = ((characters as f32) * cell.width() / galley.size().x) as usize;
        characters = fitting.min(characters - 1).max(1);
        galley = layout(&elide_middle(text, characters - 1));
    }
    let rect = anchor.anchor_size(position, galley.size());
    ui.painter().galley(rect.min, galley, color);
}

/// The first and last characters of a text, `keep` in total, with an ellipsis between them.
fn elide_middle(text: &str, keep: usize) -> String {
    let count = text.chars().count();
    let head: String = text.chars().take(keep / 2).collect();
    let tail: String = text.chars().skip(count - (keep - keep / 2)).collect();
    format!("{head}…{tail}")
}

/// Draws the row of column titles. With `sort`, a click on a title sorts by its column, and a second click reverses the
/// order.
pub(super) fn header(ui: &mut Ui, columns: &[TableColumn], mut sort: Option<&mut TableSort>) {
    let height = style::row_height(ui);
    let (row, _) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::hover());
    let font = TextStyle::Body.resolve(ui.style());
    for (index, (column, cell)) in columns.iter().zip(cell_rects(columns, row)).enumerate() {
        let arrow = match &sort {
            Some(sort) if sort.column == index && sort.descending => " ⏷",
            Some(sort) if sort.column == index => " ⏶",
            _ => "",
        };
        let sense = if sort.is_some() { Sense::click() } else { Sense::hover() };
        let response = ui.interact(cell, ui.id().with(("title", column.title)), sense);
        let color = if response.hovered() && sort.is_some() {
            ui.ctx().set_cursor_icon(CursorIcon::PointingHand);
            ui.visuals().strong_text_color()
        } else {
            ui.visuals().text_color()
        };
        let title = format!("{}{arrow}", column.title);
        paint_text(ui, cell, &title, column.is_number, font.clone(), color);
        if response.clicked()
            && let Some(sort) = &mut sort
        {
            **sort = TableSort {
                column: index,
                descending: sort.column == index && !sort.descending,
            };
        }
        if !column.tooltip.is_empty() {
            response.on_hover_text(column.tooltip);
        }
    }
    let line = ui.visuals().widgets.noninteractive.bg_stroke;
    ui.painter().hline(row.x_range(), row.bottom(), line);
}

/// A scroll area of `count` rows. `draw` is called with the range of visible rows, and draws each with [`row`].
pub(super) fn body(ui: &mut Ui, id: &str, count: usize, draw: impl FnOnce(&mut Ui, Range<usize>)) {
    let height = style::row_height(ui);
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        ScrollArea::vertical()
            .id_salt(id)
            .auto_shrink([false, false])
            .show_rows(ui, height, count, draw);
    });
}

/// Draws the row at `index`. `cell` is called with the index of each column.
pub(super) fn row(
    ui: &mut Ui,
    columns: &[TableColumn],
    index: usize,
    is_selected: bool,
    mut cell: impl FnMut(usize) -> TableCell,
) -> Response {
    let size = vec2(ui.available_width(), style::row_height(ui));
    let (row_rect, response) = ui.allocate_exact_size(size, Sense::click());
    let visuals = ui.visuals();
    let fill = if is_selected {
        visuals.selection.bg_fill
    } else if response.hovered() {
        visuals.widgets.hovered.weak_bg_fill
    } else if index % 2 == 1 {
        visuals.faint_bg_color
    } else {
        Color32::TRANSPARENT
    };
    let text_color = if is_selected {
        visuals.selection.stroke.color
    } else {
        visuals.text_color()
    };
    ui.painter().rect_filled(row_rect, 2.0, fill);
    let font = TextStyle::Monospace.resolve(ui.style());
    for (column_index, (column, rect)) in columns.iter().zip(cell_rects(columns, row_rect)).enumerate() {
        let cell = cell(column_index);
        if let Some(filled) = cell.bar {
            let mut bar = rect.shrink2(vec2(0.0, 3.0));
            ui.painter().rect_filled(bar, 2.0, ui.visuals().extreme_bg_color);
            bar.set_width(bar.width() * filled.clamp(0.0, 1.0));
            ui.painter().rect_filled(bar, 2.0, style::bar_color(ui));
        }
        let color = match cell.color {
            Some(color) if !is_selected => color,
            _ => text_color,
        };
        paint_text(ui, rect, &cell.text, column.is_number, font.clone(), color);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elided_text_keeps_its_first_and_last_characters() {
        assert_eq!(elide_middle("transform.translation.x", 9), "tran…ion.x");
        assert_eq!(elide_middle("dé", 1), "…é");
        assert_eq!(elide_middle("ab", 0), "…");
    }
}
