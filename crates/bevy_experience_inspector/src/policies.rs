//! Policies: what acts for each player, a line with the counts of each policy, and its last failure.

use super::{ExperienceInspector, format, snapshot::RecordingSnapshot, style};
use bevy_ecs::{entity::Entity, world::World};
use bevy_egui::egui::{RichText, Ui};
use bevy_experience::{
    player::Controller,
    policy::{PolicyControlled, PolicyFailed, PolicyFailure, PolicyStatus},
};

/// What acts for a player, from its components.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Acting {
    /// The label in the column `controller`; empty if nothing says who acts.
    pub(super) label: String,
    /// The index of the policy that acts for it.
    pub(super) policy: Option<usize>,
    /// It has [`PolicyControlled`], also if there is no such policy.
    pub(super) is_policy_controlled: bool,
    /// Its component [`Controller`].
    pub(super) controller: Option<Controller>,
}

impl Acting {
    /// Reads the components of a player of a recording with these policies.
    pub(super) fn new(world: &World, player: Entity, policies: &[PolicyStatus]) -> Self {
        let controller = world.get::<Controller>(player).cloned();
        let Some(controlled) = world.get::<PolicyControlled>(player) else {
            return Self {
                label: controller.as_ref().map(ToString::to_string).unwrap_or_default(),
                controller,
                ..Self::default()
            };
        };
        let name = controlled.policy();
        let policy = policies
            .iter()
            .position(|policy| name.is_empty() || policy.name == name);
        let label = match policy.map(|index| &policies[index]) {
            Some(policy) => {
                Controller::policy(policy.name.clone(), controlled.version().unwrap_or(policy.version)).to_string()
            }
            None => format!("policy:{name} (missing)"),
        };
        Self {
            label,
            policy,
            is_policy_controlled: true,
            controller,
        }
    }
}

/// The last [`PolicyFailed`] of a policy.
pub(super) struct ReportedPolicyFailure {
    error: String,
    failure: PolicyFailure,
    /// The counts when it was last seen to fail.
    failing: Option<PolicyStatus>,
}

impl ReportedPolicyFailure {
    pub(super) fn new(failed: &PolicyFailed) -> Self {
        Self {
            error: failed.error.clone(),
            failure: failed.failure,
            failing: None,
        }
    }

    /// Whether the policy has done since what it had failed at.
    fn is_over(&mut self, now: &PolicyStatus) -> bool {
        let problems = |status: &PolicyStatus| match self.failure {
            PolicyFailure::Model | PolicyFailure::Panicked => Some(status.failed),
            PolicyFailure::Undecided => Some(status.undecided),
            PolicyFailure::Late => Some(status.late),
            PolicyFailure::NotWritten => Some(status.not_written),
            PolicyFailure::Reload => Some(status.refused),
            // What has no count stays until it is dismissed.
            _ => None,
        };
        let successes = |status: &PolicyStatus| match self.failure {
            PolicyFailure::Reload => status.reloads,
            _ => status.actions,
        };
        match &self.failing {
            Some(failing) if problems(failing) == problems(now) => {
                problems(now).is_some() && successes(now) > successes(failing)
            }
            _ => {
                self.failing = Some(now.clone());
                false
            }
        }
    }
}

impl ExperienceInspector {
    /// Removes the failure of each policy that has recovered.
    pub(super) fn clear_recovered_policies(&mut self, snapshot: &RecordingSnapshot) {
        for policy in &snapshot.policies {
            let key = (snapshot.name.clone(), policy.name.clone());
            if self
                .policy_failures
                .get_mut(&key)
                .is_some_and(|failure| failure.is_over(policy))
            {
                self.policy_failures.remove(&key);
            }
        }
    }

    /// Draws a line for each policy: whether it acts, its counts, and its last failure.
    pub(super) fn draw_policy_rows(&mut self, ui: &mut Ui, snapshot: &RecordingSnapshot) {
        for (index, policy) in snapshot.policies.iter().enumerate() {
            let key = (snapshot.name.clone(), policy.name.clone());
            let failure = self.policy_failures.get(&key);
            let players = snapshot
                .players
                .iter()
                .filter(|player| player.acting.policy == Some(index));
            let mut is_dismissed = false;
            ui.horizontal_wrapped(|ui| {
                ui.label(RichText::new(format!("policy {}", policy.name)).monospace());
                let (state, color) = match (failure, players.count()) {
                    (Some(failure), _) => (failure_text(failure.failure), style::error_color(ui)),
                    (None, 0) => ("■ acts for no player".to_owned(), ui.visuals().weak_text_color()),
                    (None, 1) => ("✔ acts for 1 player".to_owned(), style::ok_color(ui)),
                    (None, players) => (
                        format!("✔ acts for {} players", format::count(players as u64)),
                        style::ok_color(ui),
                    ),
                };
                ui.colored_label(color, state);
                ui.weak(counts(policy));
                if let Some(failure) = failure {
                    ui.colored_label(style::error_color(ui), &failure.error);
                    let tooltip = "Hides this failure until the policy reports another one.";
                    is_dismissed = ui.small_button("Dismiss").on_hover_text(tooltip).clicked();
                }
            });
            if is_dismissed {
                self.policy_failures.remove(&key);
            }
        }
    }
}

/// A failure in a few words.
pub(super) fn failure_text(failure: PolicyFailure) -> String {
    match failure {
        PolicyFailure::Model => "✖ the model failed".to_owned(),
        PolicyFailure::Panicked => "✖ the model panicked".to_owned(),
        PolicyFailure::Undecided => "✖ no decision: an output is missing or NaN".to_owned(),
        PolicyFailure::Late => "✖ the decision was late".to_owned(),
        PolicyFailure::NotWritten => "✖ the action could not be written".to_owned(),
        PolicyFailure::Reload => "⚠ the new file was refused".to_owned(),
        PolicyFailure::NotObserved => "✖ the observation could not be read".to_owned(),
        PolicyFailure::Incomplete => "✖ a player lacks a component".to_owned(),
        PolicyFailure::UnknownPolicy => "✖ a player names a policy that does not exist".to_owned(),
        // Variants that are added to this non-exhaustive enum later.
        other => format!("✖ {other:?}"),
    }
}

/// The model of a policy and its counts. Those of problems are shown only if nonzero.
fn counts(policy: &PolicyStatus) -> String {
    let mut text = format!(
        "{}, version {}; {} decisions, the last in {}; {} actions",
        policy.model,
        policy.version,
        format::count(policy.decisions),
        format::short_duration(policy.last_call),
        format::count(policy.actions),
    );
    let problems = [
        (policy.failed, "failed"),
        (policy.late, "late"),
        (policy.undecided, "undecided"),
        (policy.not_written, "not written"),
        (policy.forbidden, "forbidden by the mask"),
        (policy.unmasked, "with an empty mask"),
        (policy.clamped, "out of bounds"),
        (policy.reloads, "reloaded"),
        (policy.refused, "refused files"),
    ];
    for (count, what) in problems {
        if count > 0 {
            text.push_str(&format!(", {} {what}", format::count(count)));
        }
    }
    text
}
