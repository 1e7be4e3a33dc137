//! The Schema tab: a table of the recorded columns.

use super::{
    format,
    table::{self, TableCell, TableColumn},
};
use bevy_egui::egui::Ui;
use bevy_experience::schema::{Column, Schema, Space};

const COLUMNS: [TableColumn; 5] = [
    TableColumn::text("Part", 0.9, "The part of a transition that the column belongs to."),
    TableColumn::text("Name", 2.2, ""),
    TableColumn::text("Type", 0.6, "The data type of one value."),
    TableColumn::text("Shape", 0.8, "Empty for a scalar."),
    TableColumn::text("Values", 2.0, "The range, or the labels, of a value."),
];

pub(super) fn draw_schema_tab(ui: &mut Ui, schema: &Schema) {
    ui.horizontal_wrapped(|ui| {
        ui.strong(schema.name());
        let version = schema
            .version()
            .map(|version| format!(", version {version}"))
            .unwrap_or_default();
        let bytes = format::bytes(schema.layout().row_bytes());
        ui.weak(format!("hash {:016x}{version}; {bytes} per row", schema.hash()));
    });
    let rows = rows(schema);
    table::header(ui, &COLUMNS, None);
    table::body(ui, "schema", rows.len(), |ui, range| {
        for index in range {
            table::row(ui, &COLUMNS, index, false, |column| {
                TableCell::new(rows[index][column].clone())
            });
        }
    });
}

fn rows(schema: &Schema) -> Vec<[String; 5]> {
    let mut rows = Vec::new();
    rows.extend(schema.observation().iter().map(|column| row("observation", column)));
    rows.extend(schema.images().iter().map(|column| row("image", column)));
    rows.extend(schema.action().iter().map(|column| row("action", column)));
    if schema.action_mask_width() > 0 {
        rows.push([
            "action mask".to_owned(),
            String::new(),
            "bool".to_owned(),
            format!("[{}]", schema.action_mask_width()),
            "whether each action is legal".to_owned(),
        ]);
    }
    rows.extend(schema.reward_terms().iter().map(|name| {
        [
            "reward".to_owned(),
            name.clone(),
            "f32".to_owned(),
            String::new(),
            "a term of the reward".to_owned(),
        ]
    }));
    rows.extend(schema.info().iter().map(|column| row("info", column)));
    rows
}

fn row(part: &str, column: &Column) -> [String; 5] {
    let shape = if column.shape.is_empty() {
        String::new()
    } else {
        format!("{:?}", column.shape)
    };
    [
        part.to_owned(),
        column.name.clone(),
        format!("{:?}", column.dtype).to_lowercase(),
        shape,
        space(&column.space),
    ]
}

fn space(space: &Space) -> String {
    let bound = |bound: Option<f64>, none: &str| bound.map_or_else(|| none.to_owned(), format::value);
    match space {
        Space::Box { low: None, high: None } => "unbounded".to_owned(),
        Space::Box { low, high } => format!("{} to {}", bound(*low, "-inf"), bound(*high, "inf")),
        Space::Discrete { n, labels } if labels.is_empty() => format!("0 to {}", n.saturating_sub(1)),
        Space::Discrete { labels, .. } => labels.join(", "),
    }
}
