//! Controller row of the Player tab: what acts for the player, and buttons that hand it over.

use super::super::{
    ExperienceInspector,
    commands::{InspectorCommand, successor_text},
    format,
    handover::Successor,
    snapshot::{PlayerSnapshot, RecordingSnapshot},
    style,
};
use bevy_egui::egui::{RichText, Ui};
use bevy_experience::player::Controller;

impl ExperienceInspector {
    /// Draws what acts for the player, unless the game uses neither policies nor controllers.
    pub(super) fn draw_controller_row(
        &self,
        ui: &mut Ui,
        snapshot: &RecordingSnapshot,
        player: &PlayerSnapshot,
        commands: &mut Vec<InspectorCommand>,
    ) {
        let acting = &player.acting;
        if snapshot.policies.is_empty() && acting.label.is_empty() {
            return;
        }
        let entity = player.state.entity;
        ui.horizontal_wrapped(|ui| {
            ui.strong("Controller");
            if acting.label.is_empty() {
                ui.weak("not stated");
            } else {
                ui.label(RichText::new(&acting.label).monospace());
            }
            match acting.policy.map(|index| &snapshot.policies[index]) {
                Some(policy) => {
                    ui.weak(format!("{}, {}", policy.model, format::short_duration(policy.last_call)));
                }
                None if acting.is_policy_controlled => {
                    ui.colored_label(style::error_color(ui), "✖ there is no policy of this name");
                }
                None => {}
            }
            let mut button = |ui: &mut Ui, text: &str, tooltip: &str, successor: Successor| {
                if ui.button(text).on_hover_text(tooltip).clicked() {
                    commands.push(InspectorCommand::HandOver(entity, successor));
                }
            };
            if acting.is_policy_controlled || acting.controller != Some(Controller::Person) {
                let tooltip = "Removes `PolicyControlled` and inserts `Controller::Person`, after the next capture. The systems of \
                               the game that read a person's input act from then on.";
                button(ui, "Take over", tooltip, Successor::Person);
            }
            for (index, policy) in snapshot.policies.iter().enumerate() {
                if acting.policy != Some(index) {
                    let tooltip = "Inserts `PolicyControlled`, after the next capture. The policy acts from the capture after \
                                   that on; until then, the action stays as it is.";
                    let text = format!("Hand over to {}", policy.name);
                    button(ui, &text, tooltip, Successor::Policy(policy.name.clone()));
                }
            }
            if let Some(controller) = self.predecessor(player) {
                let tooltip = "Removes `PolicyControlled` and inserts the `Controller` that the player had, after the next capture.";
                let text = format!("Return to {controller}");
                button(ui, &text, tooltip, Successor::Controller(controller.clone()));
            }
            if let Some(successor) = self.pending_successor(entity) {
                ui.weak(format!("{} after the next capture", successor_text(successor)));
            }
        });
    }

    /// The script that has acted for a player before a policy or a person did.
    fn predecessor<'a>(&'a self, player: &'a PlayerSnapshot) -> Option<&'a Controller> {
        let acting = &player.acting;
        match &acting.controller {
            Some(controller) if *controller != Controller::Person => acting.is_policy_controlled.then_some(controller),
            _ => self.predecessors.get(&player.state.entity),
        }
    }
}
