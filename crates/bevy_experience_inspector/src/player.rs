//! One player: what it saw, did and got, step by step.

mod history;
mod plots;
mod transition;

use super::{ExperienceInspector, actions::Action, look, snapshot::Snapshot};
use bevy_ecs::{reflect::AppTypeRegistry, world::World};
use bevy_egui::egui::{RichText, ScrollArea, TextEdit, Ui};
use history::History;
use std::collections::BTreeSet;

/// How a player is shown.
#[derive(Default)]
pub(super) struct View {
    history: History,
    /// The steps stand still, to be looked at.
    hold: bool,
    /// How far back the transition that is shown lies.
    back: usize,
    tag: String,
    /// Only features that changed are shown.
    only_changed: bool,
    /// Features that are plotted.
    plotted: BTreeSet<usize>,
    shows_components: bool,
}

impl ExperienceInspector {
    pub(super) fn player_tab(&mut self, world: &mut World, ui: &mut Ui, seen: &Snapshot, actions: &mut Vec<Action>) {
        let Some(agent) = self.selected else {
            look::empty(ui, "No player is selected", "Click on one in the tab Players.");
            return;
        };
        let Some(player) = seen.player(agent) else {
            let remedy =
                "It left, or plays in another recording. When it comes back under this agent id, it is shown again.";
            look::empty(ui, &format!("Agent {agent} does not play"), remedy);
            return;
        };
        let state = &player.state;
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new(format!("Agent {agent}")).strong().size(16.0));
            ui.weak(state.entity.to_string());
            match state.episode_id {
                Some(id) => ui.label(format!("episode {id}, step {}", look::count(state.steps.into()))),
                None => ui.label("between episodes"),
            };
            let mark = if player.is_whole { "" } else { "at least the last of " };
            ui.label(format!("{mark}return {}", look::value(player.total_reward)));
        });
        self.player_buttons(ui, agent, state.is_excluded, state.episode_id.is_some(), actions);
        ui.separator();
        if self.player.shows_components {
            components(world, ui, state.entity);
            return;
        }
        if !self.player.hold {
            let buffers = world.get_resource::<bevy_experience::plugin::Experience>();
            let buffer = buffers.and_then(|experience| experience.buffers(&seen.name)?.get(agent));
            self.player.history.read(buffer.as_deref(), &seen.schema);
        }
        if self.player.history.transitions().is_empty() {
            let (what, remedy) = if seen.is_pooled && state.buffer.is_none() {
                (
                    "Its steps lie in a pool",
                    "Players who share a pool cannot be looked at one by one: see `PlayerScaling::pool_above`.",
                )
            } else {
                (
                    "Nothing is recorded yet",
                    "A transition takes two captures. Where the game stands still, nothing is captured.",
                )
            };
            look::empty(ui, what, remedy);
            return;
        }
        self.player.scrub(ui, self.settings.plot_steps);
        let steps = self.settings.plot_steps;
        let half = ui.available_width() * 0.55;
        let height = ui.available_height();
        ui.horizontal_top(|ui| {
            ui.allocate_ui(bevy_egui::egui::vec2(half, height), |ui| {
                ui.vertical(|ui| {
                    ui.set_min_width(half);
                    self.player.show_transition(ui, &seen.schema);
                });
            });
            ui.separator();
            ui.vertical(|ui| self.player.show_plots(ui, &seen.schema, steps));
        });
    }

    fn player_buttons(&mut self, ui: &mut Ui, agent: i64, is_excluded: bool, is_open: bool, actions: &mut Vec<Action>) {
        let view = &mut self.player;
        ui.horizontal_wrapped(|ui| {
            ui.add_enabled_ui(is_open, |ui| {
                let hint = "Ends it in the recording alone: truncated, reason `inspector`. The game is not told.";
                if ui.button("End episode").on_hover_text(hint).clicked() {
                    actions.push(Action::End(agent));
                }
                let hint = "No sink gets the open episode: its transitions count as discarded.";
                if ui.button("Throw away episode").on_hover_text(hint).clicked() {
                    actions.push(Action::Discard(agent));
                }
            });
            if is_excluded {
                let hint = "An episode begins at the next capture.";
                if ui.button("Include").on_hover_text(hint).clicked() {
                    actions.push(Action::Include(agent));
                }
            } else {
                let hint =
                    "Nothing more of this agent is recorded. The open episode ends: truncated, reason `excluded`.";
                if ui.button("Exclude").on_hover_text(hint).clicked() {
                    actions.push(Action::Exclude(agent));
                }
            }
            ui.add_space(8.0);
            ui.add(
                TextEdit::singleline(&mut view.tag)
                    .hint_text("a word")
                    .desired_width(90.0),
            );
            let hint = "Marks the open episode, or the last one, with this word: see `RunReport::tags`.";
            let tag = view.tag.trim();
            let button = ui.add_enabled(!tag.is_empty(), bevy_egui::egui::Button::new("Tag"));
            if button.on_hover_text(hint).clicked() {
                actions.push(Action::Tag(agent, tag.to_owned()));
            }
            ui.add_space(8.0);
            ui.toggle_value(&mut view.shows_components, "Components")
                .on_hover_text("The components of its entity, in the world inspector.");
        });
    }
}

/// The entity in the world inspector.
fn components(world: &mut World, ui: &mut Ui, entity: bevy_ecs::entity::Entity) {
    if !world.contains_resource::<AppTypeRegistry>() {
        look::empty(ui, "No type is registered", "The app has no `AppTypeRegistry`.");
        return;
    }
    ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
        bevy_inspector_egui::bevy_inspector::ui_for_entity(world, entity, ui);
    });
}
