//! The Players tab: a table of all players that can be sorted and searched.

use super::{
    ExperienceInspector, format,
    snapshot::{PlayerSnapshot, RecordingSnapshot},
    style,
    table::{self, TableCell, TableColumn, TableSort},
};
use bevy_egui::egui::{Color32, TextEdit, Ui};
use bevy_experience::transition::Outcome;
use core::cmp::Ordering;

/// The search text and sort order.
#[derive(Default)]
pub(super) struct PlayersTab {
    search: String,
    sort: TableSort,
}

const COLUMNS: [TableColumn; 9] = [
    TableColumn::number("Agent", 0.8, "The agent id in the data."),
    TableColumn::text("Entity", 0.7, "The player's entity."),
    TableColumn::text(
        "Controller",
        1.9,
        "What acts for the player: a person, a script or a policy. Empty if nothing says so.",
    ),
    TableColumn::text("Episode", 1.7, "The id of the open episode."),
    TableColumn::number("Step", 0.65, "Transitions of the open episode so far."),
    TableColumn::number(
        "Return",
        0.95,
        "The sum of rewards of the open episode. A `~` means that earlier rows were overwritten before the inspector read them.",
    ),
    TableColumn::number("Buffer", 0.95, "The fraction of the buffer that is not exported yet."),
    TableColumn::number("Dropped", 0.8, "Rows that were overwritten before export."),
    TableColumn::text("Last end", 1.75, "The reason and outcome of the last episode."),
];

impl ExperienceInspector {
    pub(super) fn draw_players_tab(&mut self, ui: &mut Ui, snapshot: &RecordingSnapshot) {
        if snapshot.players.is_empty() {
            let remedy = "A player has the recording's marker component and every component that the recording reads. Missing \
                          components are logged.";
            style::placeholder(ui, "No players", remedy);
            return;
        }
        let players = self.players_tab.matching_players(snapshot);
        ui.horizontal(|ui| {
            ui.label("Search");
            let search = TextEdit::singleline(&mut self.players_tab.search)
                .hint_text("agent, entity, controller or end")
                .desired_width(220.0);
            ui.add(search);
            let total = format::count(snapshot.players.len() as u64);
            ui.weak(format!("{} of {total} players", format::count(players.len() as u64)));
        });
        table::header(ui, &COLUMNS, Some(&mut self.players_tab.sort));
        let mut clicked = None;
        table::body(ui, "players", players.len(), |ui, range| {
            for index in range {
                let player = players[index];
                let is_selected = self.selected == Some(player.state.agent_id);
                let (error, warning) = (style::error_color(ui), style::warning_color(ui));
                let row = table::row(ui, &COLUMNS, index, is_selected, |column| {
                    cell(player, column, error, warning)
                });
                if row.clicked() {
                    clicked = Some(player.state.agent_id);
                }
            }
        });
        if let Some(agent_id) = clicked {
            self.select(agent_id);
        }
    }
}

impl PlayersTab {
    /// The players that match the search text, sorted.
    fn matching_players<'a>(&self, snapshot: &'a RecordingSnapshot) -> Vec<&'a PlayerSnapshot> {
        let search = self.search.trim().to_lowercase();
        let matches = |player: &&PlayerSnapshot| {
            search.is_empty()
                || player.state.agent_id.to_string().contains(&search)
                || player.state.entity.to_string().to_lowercase().contains(&search)
                || player.acting.label.to_lowercase().contains(&search)
                || last_end(player).to_lowercase().contains(&search)
        };
        let mut players: Vec<&PlayerSnapshot> = snapshot.players.iter().filter(matches).collect();
        // The sort is stable, so that players with equal values stay in the order of their agent ids.
        players.sort_by(|a, b| {
            let order = compare(a, b, self.sort.column);
            if self.sort.descending { order.reverse() } else { order }
        });
        players
    }
}

fn compare(a: &PlayerSnapshot, b: &PlayerSnapshot, column: usize) -> Ordering {
    let utilisation = |player: &PlayerSnapshot| player.state.buffer.map_or(0.0, |buffer| buffer.utilisation());
    let dropped = |player: &PlayerSnapshot| player.state.buffer.map_or(0, |buffer| buffer.dropped);
    match column {
        1 => a.state.entity.cmp(&b.state.entity),
        2 => a.acting.label.cmp(&b.acting.label),
        3 => a.state.episode_id.cmp(&b.state.episode_id),
        4 => a.state.steps.cmp(&b.state.steps),
        5 => a.total_reward.total_cmp(&b.total_reward),
        6 => utilisation(a).total_cmp(&utilisation(b)),
        7 => dropped(a).cmp(&dropped(b)),
        8 => last_end(a).cmp(&last_end(b)),
        _ => a.state.agent_id.cmp(&b.state.agent_id),
    }
}

/// The reason and outcome of the last episode, or the reason for which the player is not recorded.
fn last_end(player: &PlayerSnapshot) -> String {
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

fn cell(player: &PlayerSnapshot, column: usize, error: Color32, warning: Color32) -> TableCell {
    let state = &player.state;
    match column {
        0 => TableCell::new(state.agent_id.to_string()),
        1 => TableCell::new(state.entity.to_string()),
        2 => TableCell::new(player.acting.label.clone()),
        3 => TableCell::new(state.episode_id.map_or_else(|| "none".to_owned(), |id| id.to_string())),
        4 => TableCell::new(format::count(state.steps.into())),
        5 => {
            let mark = if player.is_complete { "" } else { "~" };
            TableCell::new(format!("{mark}{}", format::aligned(player.total_reward)))
        }
        6 => match state.buffer {
            Some(buffer) => TableCell {
                text: format!("{:.0} %", 100.0 * buffer.utilisation()),
                bar: Some(buffer.utilisation() as f32),
                color: None,
            },
            None if state.is_recorded => TableCell::new("pooled"),
            None => TableCell::new("none").colored(error),
        },
        7 => {
            let dropped = state.buffer.map_or(0, |buffer| buffer.dropped);
            let cell = TableCell::new(format::count(dropped));
            if dropped > 0 { cell.colored(error) } else { cell }
        }
        _ => {
            let cell = TableCell::new(last_end(player));
            if state.is_excluded || !state.is_recorded {
                cell.colored(warning)
            } else {
                cell
            }
        }
    }
}
