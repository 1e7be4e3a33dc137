//! The Player tab: the buffered transitions of one player with its images, the decisions of its policy, plots, and buttons that act
//! on its open episode.

mod controller;
mod decision;
mod history;
mod images;
mod plots;
mod transition;

use super::{ExperienceInspector, commands::InspectorCommand, format, snapshot::RecordingSnapshot, style};
use bevy_ecs::{entity::Entity, reflect::AppTypeRegistry, world::World};
use bevy_egui::egui::{Button, RichText, ScrollArea, TextEdit, Ui, vec2};
use bevy_experience::plugin::Experience;
use decision::DecisionHistory;
use history::StepHistory;
use images::ImageTextures;
use std::collections::BTreeSet;

/// The state of the tab for the selected player.
#[derive(Default)]
pub(super) struct PlayerTab {
    history: StepHistory,
    /// When `history` was updated, in seconds of egui. `None` before.
    read_time: Option<f64>,
    decisions: DecisionHistory,
    images: ImageTextures,
    /// `history` is not updated, so that the shown transition stays the same.
    is_frozen: bool,
    /// Index of the transition that is shown, counted back from the newest.
    steps_back: usize,
    /// The text of the tag field.
    tag: String,
    /// The feature table shows only features that changed.
    only_changed: bool,
    /// Indices of the features that are plotted.
    plotted_features: BTreeSet<usize>,
    /// The entity's components are shown in place of its transitions.
    shows_components: bool,
}

impl ExperienceInspector {
    pub(super) fn draw_player_tab(
        &mut self,
        world: &mut World,
        ui: &mut Ui,
        snapshot: &RecordingSnapshot,
        commands: &mut Vec<InspectorCommand>,
    ) {
        let Some(agent_id) = self.selected else {
            style::placeholder(ui, "No player selected", "Click on a row of the Players tab.");
            return;
        };
        let Some(player) = snapshot.player(agent_id) else {
            let remedy =
                "It left, or belongs to another recording. It is shown again when a player joins with this agent id.";
            style::placeholder(ui, &format!("Agent {agent_id} is not playing"), remedy);
            return;
        };
        let state = &player.state;
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new(format!("Agent {agent_id}")).strong().size(16.0));
            ui.weak(state.entity.to_string());
            match state.episode_id {
                Some(id) => ui.label(format!("episode {id}, step {}", format::count(state.steps.into()))),
                None => ui.label("between episodes"),
            };
            let mark = if player.is_complete { "" } else { "~" };
            ui.label(format!("return {mark}{}", format::value(player.total_reward)));
        });
        self.player_tab
            .draw_buttons(ui, agent_id, state.is_excluded, state.episode_id.is_some(), commands);
        self.draw_controller_row(ui, snapshot, player, commands);
        ui.separator();
        let is_controlled = player.acting.is_policy_controlled;
        let plot_steps = self.settings.plot_steps;
        if self.player_tab.shows_components {
            draw_components(world, ui, state.entity);
            return;
        }
        self.player_tab
            .read(world, ui, snapshot, (agent_id, state.entity), plot_steps);
        if self.player_tab.history.transition_rows().is_empty() {
            let (title, remedy) = if snapshot.is_pooled && state.buffer.is_none() {
                (
                    "Rows are in a shared pool",
                    "Players that share a pool cannot be inspected one by one: see `PlayerScaling::pool_above`.",
                )
            } else {
                (
                    "Nothing recorded yet",
                    "A transition takes two captures. While the game is paused, nothing is captured.",
                )
            };
            style::placeholder(ui, title, remedy);
            if snapshot.is_pooled && state.buffer.is_none() {
                images::draw_missing(ui, &snapshot.schema);
            }
            self.player_tab.draw_decision(ui, &snapshot.schema, is_controlled);
            return;
        }
        self.player_tab.draw_transition_slider(ui, plot_steps);
        // The table of a decision needs more space than plots.
        let has_decisions = !self.player_tab.decisions.is_empty();
        let left = ui.available_width() * if has_decisions { 0.5 } else { 0.55 };
        let height = ui.available_height();
        ui.horizontal_top(|ui| {
            ui.allocate_ui(vec2(left, height), |ui| {
                ui.vertical(|ui| {
                    ui.set_min_width(left);
                    let experience = world.get_resource::<Experience>();
                    let label = |code| experience?.controller_label(&*snapshot.name, code);
                    self.player_tab.draw_transition(ui, &snapshot.schema, label);
                });
            });
            ui.separator();
            ui.vertical(|ui| {
                self.player_tab.draw_decision(ui, &snapshot.schema, is_controlled);
                self.player_tab.draw_plots(ui, &snapshot.schema, plot_steps);
            });
        });
    }
}

impl PlayerTab {
    /// Reads the player's buffer, and the last decision of its policy.
    fn read(
        &mut self,
        world: &mut World,
        ui: &Ui,
        snapshot: &RecordingSnapshot,
        (agent_id, player): (i64, Entity),
        plot_steps: usize,
    ) {
        if self.is_frozen {
            return;
        }
        let Some(mut experience) = world.get_resource_mut::<Experience>() else {
            return;
        };
        if !snapshot.policies.is_empty()
            && let Some(decision) = experience.policy_decision(&*snapshot.name, player)
        {
            self.decisions.add(decision, plot_steps);
        }
        let (schema, now) = (&snapshot.schema, ui.input(|input| input.time));
        let since = self.read_time.map(|then| now - then);
        let is_recent = since.is_some_and(|since| (0.0..images::IMAGE_INTERVAL).contains(&since));
        if is_recent && !schema.images().is_empty() {
            return;
        }
        self.read_time = Some(now);
        let buffer = experience
            .buffers(&snapshot.name)
            .and_then(|buffers| buffers.get(agent_id));
        self.history.read(buffer.as_deref(), schema);
    }

    fn draw_buttons(
        &mut self,
        ui: &mut Ui,
        agent_id: i64,
        is_excluded: bool,
        has_open_episode: bool,
        commands: &mut Vec<InspectorCommand>,
    ) {
        ui.horizontal_wrapped(|ui| {
            ui.add_enabled_ui(has_open_episode, |ui| {
                let tooltip = "Truncates the open episode with reason `inspector`, in the recording only. The game is not affected.";
                if ui.button("End episode").on_hover_text(tooltip).clicked() {
                    commands.push(InspectorCommand::EndEpisode(agent_id));
                }
                let tooltip = "Discards the open episode: no sink receives it, and its transitions count as discarded.";
                if ui.button("Discard episode").on_hover_text(tooltip).clicked() {
                    commands.push(InspectorCommand::DiscardEpisode(agent_id));
                }
            });
            if is_excluded {
                let tooltip = "Records this agent again: an episode begins at the next capture.";
                if ui.button("Include").on_hover_text(tooltip).clicked() {
                    commands.push(InspectorCommand::Include(agent_id));
                }
            } else {
                let tooltip = "Stops recording this agent. The open episode is truncated with reason `excluded`.";
                if ui.button("Exclude").on_hover_text(tooltip).clicked() {
                    commands.push(InspectorCommand::Exclude(agent_id));
                }
            }
            ui.add_space(8.0);
            ui.add(
                TextEdit::singleline(&mut self.tag)
                    .hint_text("tag name")
                    .desired_width(90.0),
            );
            let tooltip = "Tags the open episode, or the last one if none is open: see `RunReport::tags`.";
            let tag = self.tag.trim();
            let button = ui.add_enabled(!tag.is_empty(), Button::new("Tag"));
            if button.on_hover_text(tooltip).clicked() {
                commands.push(InspectorCommand::TagEpisode(agent_id, tag.to_owned()));
            }
            ui.add_space(8.0);
            ui.toggle_value(&mut self.shows_components, "Components")
                .on_hover_text("Shows and edits the components of the player's entity.");
        });
    }
}

/// Draws the editor of bevy-inspector-egui for all components of an entity.
fn draw_components(world: &mut World, ui: &mut Ui, entity: Entity) {
    if !world.contains_resource::<AppTypeRegistry>() {
        style::placeholder(ui, "No type registry", "Insert an `AppTypeRegistry` into the world.");
        return;
    }
    ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
        bevy_inspector_egui::bevy_inspector::ui_for_entity(world, entity, ui);
    });
}
