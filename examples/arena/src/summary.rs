//! The summary of a run, as text or JSON.

use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use indicatif::HumanCount;
use serde::Serialize;

use crate::cli::SummaryFormat;

/// The result of a run. Counts are of transitions unless stated otherwise.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Captured.
    pub recorded: u64,
    /// Written to the dataset.
    pub exported: u64,
    /// Lost on the way to the dataset.
    pub dropped: u64,
    /// Discarded on request.
    pub discarded: u64,
    /// Neither exported, dropped nor discarded.
    pub pending: u64,
    /// Episodes in the dataset.
    pub episodes: u64,
    /// Ticks per second of wall-clock time, times the fighters present in each.
    pub steps_per_second: f64,
    /// The final [`world_hash`](arena::world_hash) in hexadecimal, because JSON numbers cannot hold 64 bits.
    pub world_hash: String,
    /// The folder of the dataset; `None` without a recording.
    pub out: Option<PathBuf>,
}

impl Summary {
    /// The summary in the given format, with a line break at the end.
    pub fn render(&self, format: SummaryFormat) -> String {
        match format {
            SummaryFormat::Json => serde_json::json!(self).to_string() + "\n",
            SummaryFormat::Text => self.text(),
        }
    }

    fn text(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        if self.out.is_some() {
            for (name, count) in [
                ("transitions recorded", self.recorded),
                ("exported", self.exported),
                ("dropped", self.dropped),
                ("discarded", self.discarded),
                ("pending", self.pending),
                ("episodes", self.episodes),
            ] {
                table.add_row([name.to_owned(), HumanCount(count).to_string()]);
            }
        }
        table.add_row([
            "steps per second".to_owned(),
            HumanCount(self.steps_per_second as u64).to_string(),
        ]);
        table.add_row(["world hash".to_owned(), self.world_hash.clone()]);
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let mut text = format!("{table}\n");
        if let Some(out) = &self.out
            && self.episodes > 0
        {
            let shown = out.display().to_string();
            text += "\nLoad it in Python:\n\n";
            text += &if bevy_experience::dataset::is_address(out) {
                format!(
                    "    import bevy_experience\n    \
                     steps = bevy_experience.open({shown:?})[\"fighter\"]\n    \
                     print(steps[0][\"observation\"], steps[0].actions, steps[0][\"reward\"])\n"
                )
            } else {
                format!(
                    "    from datasets import load_dataset\n    \
                     steps = load_dataset({shown:?}, \"fighter\", split=\"train\").with_format(\"numpy\")\n    \
                     print(steps[0][\"observation\"], steps[0][\"action\"], steps[0][\"reward\"])\n"
                )
            };
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        Summary {
            recorded: 3,
            episodes: 1,
            world_hash: "00ff".to_owned(),
            out: Some("data/arena".into()),
            ..Summary::default()
        }
    }

    #[test]
    fn json_is_one_object_with_these_names() {
        let text = summary().render(SummaryFormat::Json);
        let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        let names: Vec<_> = value.as_object().expect("it is an object").keys().cloned().collect();
        assert_eq!(
            names,
            [
                "recorded",
                "exported",
                "dropped",
                "discarded",
                "pending",
                "episodes",
                "steps_per_second",
                "world_hash",
                "out"
            ]
        );
    }

    #[test]
    fn text_shows_how_to_load_the_dataset() {
        let text = summary().render(SummaryFormat::Text);
        assert!(text.contains("load_dataset(\"data/arena\", \"fighter\""), "{text}");
        let stored = Summary {
            out: Some("s3://games/arena".into()),
            ..summary()
        };
        let text = stored.render(SummaryFormat::Text);
        assert!(text.contains("bevy_experience.open(\"s3://games/arena\")"), "{text}");
        let unrecorded = Summary { out: None, ..summary() };
        assert!(!unrecorded.render(SummaryFormat::Text).contains("load_dataset"));
    }
}
