//! All players, to sort, search and select.

use super::{
    ExperienceInspector, look,
    snapshot::{Player, Snapshot},
    table::{self, Cell, Column, Sort},
};
use bevy_egui::egui::{TextEdit, Ui};
use bevy_experience::transition::Outcome;
use core::cmp::Ordering;

/// How the players are shown.
#[derive(Default)]
pub(super) struct View {
    search: String,
    sort: Sort,
}

const COLUMNS: [Column; 8] = [
    Column::number("Agent", 0.8, "The agent id in the data."),
    Column::text("Entity", 0.75, "The entity that plays under it."),
    Column::text("Episode", 1.9, "The id of the open episode."),
    Column::number("Step", 0.65, "Transitions of the open episode so far."),
    Column::number(
        "Return",
        0.95,
        "The sum of the open episode's rewards. With a ~ before it, of those that were still in the buffer when it was first seen.",
    ),
    Column::number("Buffer", 0.95, "How much of the buffer waits for the exporter."),
    Column::number("Dropped", 0.8, "Steps that were overwritten before the exporter came."),
    Column::text("Last end", 2.1, "How the last episode ended, and why."),
];

impl ExperienceInspector {
    pub(super) fn players_tab(&mut self, ui: &mut Ui, seen: &Snapshot) {
        if seen.players.is_empty() {
            let remedy =
                "Players have the recording's marker and every component that it reads; what is missing is in the log.";
            look::empty(ui, "Nobody plays", remedy);
            return;
        }
        let shown = self.players.shown(seen);
        ui.horizontal(|ui| {
            ui.label("Search");
            let search = TextEdit::singleline(&mut self.players.search)
                .hint_text("agent, entity, or why it ended")
                .desired_width(220.0);
            ui.add(search);
            let players = look::count(seen.players.len() as u64);
            ui.weak(format!("{} of {players} players", look::count(shown.len() as u64)));
        });
        table::titles(ui, &COLUMNS, Some(&mut self.players.sort));
        let mut clicked = None;
        table::rows(ui, "players", shown.len(), |ui, range| {
            for number in range {
                let player = shown[number];
                let is_selected = self.selected == Some(player.state.agent_id);
                let colours = [look::alarm(ui), look::notice(ui)];
                let row = table::row(ui, &COLUMNS, number, is_selected, |column| {
                    cell(player, column, colours)
                });
                if row.clicked() {
                    clicked = Some(player.state.agent_id);
                }
            }
        });
        if let Some(agent) = clicked {
            self.select(agent);
        }
    }
}

impl View {
    /// Those whom the search finds, in the order that was asked for.
    fn shown<'a>(&self, seen: &'a Snapshot) -> Vec<&'a Player> {
        let search = self.search.trim().to_lowercase();
        let is_found = |player: &&Player| {
            search.is_empty()
                || player.state.agent_id.to_string().contains(&search)
                || player.state.entity.to_string().to_lowercase().contains(&search)
                || end(player).to_lowercase().contains(&search)
        };
        let mut shown: Vec<&Player> = seen.players.iter().filter(is_found).collect();
        // They stand in the order of their agents, and stay so where nothing else tells them apart.
        shown.sort_by(|a, b| {
            let order = compare(a, b, self.sort.column);
            if self.sort.descending { order.reverse() } else { order }
        });
        shown
    }
}

fn compare(a: &Player, b: &Player, column: usize) -> Ordering {
    let fill = |player: &Player| player.state.buffer.map_or(0.0, |buffer| buffer.utilisation());
    let dropped = |player: &Player| player.state.buffer.map_or(0, |buffer| buffer.dropped);
    match column {
        1 => a.state.entity.cmp(&b.state.entity),
        2 => a.state.episode_id.cmp(&b.state.episode_id),
        3 => a.state.steps.cmp(&b.state.steps),
        4 => a.total_reward.total_cmp(&b.total_reward),
        5 => fill(a).total_cmp(&fill(b)),
        6 => dropped(a).cmp(&dropped(b)),
        7 => end(a).cmp(&end(b)),
        _ => a.state.agent_id.cmp(&b.state.agent_id),
    }
}

/// How the last episode ended, in a few words; what keeps the player from being recorded goes first.
fn end(player: &Player) -> String {
    let state = &player.state;
    if state.is_excluded {
        return "excluded".to_owned();
    }
    if !state.is_recorded {
        return "no buffer".to_owned();
    }
    state.last_end.as_ref().map_or_else(String::new, |end| {
        let outcome = match end.outcome {
            Outcome::Terminated => "terminated",
            Outcome::Truncated => "truncated",
        };
        format!("{} ({outcome})", end.reason)
    })
}

fn cell(player: &Player, column: usize, [alarm, notice]: [bevy_egui::egui::Color32; 2]) -> Cell {
    let state = &player.state;
    match column {
        0 => Cell::new(state.agent_id.to_string()),
        1 => Cell::new(state.entity.to_string()),
        2 => Cell::new(
            state
                .episode_id
                .map_or_else(|| "between".to_owned(), |id| id.to_string()),
        ),
        3 => Cell::new(look::count(state.steps.into())),
        4 => {
            let mark = if player.is_whole { "" } else { "~" };
            Cell::new(format!("{mark}{}", look::aligned(player.total_reward)))
        }
        5 => match state.buffer {
            Some(buffer) => Cell {
                text: format!("{:.0} %", 100.0 * buffer.utilisation()),
                bar: Some(buffer.utilisation() as f32),
                colour: None,
            },
            None if state.is_recorded => Cell::new("shared"),
            None => Cell::new("none").coloured(alarm),
        },
        6 => {
            let dropped = state.buffer.map_or(0, |buffer| buffer.dropped);
            let cell = Cell::new(look::count(dropped));
            if dropped > 0 { cell.coloured(alarm) } else { cell }
        }
        _ => {
            let cell = Cell::new(end(player));
            if state.is_excluded || !state.is_recorded {
                cell.coloured(notice)
            } else {
                cell
            }
        }
    }
}
