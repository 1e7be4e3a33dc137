//! The columns that are recorded.

use super::{
    look,
    table::{self, Cell, Column},
};
use bevy_egui::egui::Ui;
use bevy_experience::schema::{self, Schema, Space};

const COLUMNS: [Column; 5] = [
    Column::text("Part", 0.9, "What of a transition it is."),
    Column::text("Name", 2.2, ""),
    Column::text("Type", 0.6, "How one value is stored."),
    Column::text("Shape", 0.8, "Empty for a single value."),
    Column::text("Values", 2.0, "What each value may be."),
];

pub(super) fn show(ui: &mut Ui, schema: &Schema) {
    ui.horizontal_wrapped(|ui| {
        ui.strong(schema.name());
        let version = schema
            .version()
            .map(|version| format!(", version {version}"))
            .unwrap_or_default();
        let bytes = look::bytes(schema.layout().row_words() * 8);
        ui.weak(format!("hash {:016x}{version}; a step takes {bytes}", schema.hash()));
    });
    let mut rows = Vec::new();
    rows.extend(schema.observation().iter().map(|column| row("observation", column)));
    rows.extend(schema.action().iter().map(|column| row("action", column)));
    if schema.action_mask_width() > 0 {
        rows.push([
            "action mask".to_owned(),
            String::new(),
            "bool".to_owned(),
            format!("[{}]", schema.action_mask_width()),
            "which alternatives are allowed".to_owned(),
        ]);
    }
    let term = |name: &String| {
        [
            "reward".to_owned(),
            name.clone(),
            "f32".to_owned(),
            String::new(),
            "a term of the sum".to_owned(),
        ]
    };
    rows.extend(schema.reward_terms().iter().map(term));
    rows.extend(schema.info().iter().map(|column| row("info", column)));
    table::titles(ui, &COLUMNS, None);
    table::rows(ui, "schema", rows.len(), |ui, range| {
        for number in range {
            table::row(ui, &COLUMNS, number, false, |column| {
                Cell::new(rows[number][column].clone())
            });
        }
    });
}

fn row(part: &str, column: &schema::Column) -> [String; 5] {
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
    let bound = |bound: Option<f64>, none: &str| bound.map_or_else(|| none.to_owned(), look::value);
    match space {
        Space::Box { low: None, high: None } => "any number".to_owned(),
        Space::Box { low, high } => format!("{} to {}", bound(*low, "-inf"), bound(*high, "inf")),
        Space::Discrete { n, labels } if labels.is_empty() => format!("0 to {}", n.saturating_sub(1)),
        Space::Discrete { labels, .. } => labels.join(", "),
    }
}
