//! Checks whether one policy explains the actions: mixed controllers, and a class that nearly every action has.

use super::{Diagnosis, MIN_TRANSITIONS, Severity, Symptom};
use crate::{Profile, profile::ActionClasses};

/// A class with this share of all actions hides the others.
const DOMINANT: f64 = 0.95;
/// A controller with less of the transitions does not count as mixed in.
const MIXED_IN: f64 = 0.01;

pub(super) fn check(profile: &Profile, diagnosis: &mut Diagnosis) {
    if diagnosis.transitions < MIN_TRANSITIONS {
        return;
    }
    check_controllers(profile, diagnosis);
    for action in &profile.action_classes {
        check_classes(action, diagnosis);
    }
}

fn check_controllers(profile: &Profile, diagnosis: &mut Diagnosis) {
    let total = diagnosis.transitions as f64;
    let mut mixed: Vec<_> = profile
        .controllers
        .iter()
        .filter(|controller| controller.transitions as f64 >= MIXED_IN * total)
        .collect();
    if mixed.len() < 2 {
        return;
    }
    mixed.sort_by_key(|controller| core::cmp::Reverse(controller.transitions));
    let places = mixed.iter().map(|controller| {
        let label = controller.controller.as_deref().unwrap_or("no label");
        let returns = controller
            .mean_return
            .map_or_else(String::new, |mean| format!(", mean return {mean:.3}"));
        format!(
            "{label}: {} of transitions{returns}",
            percent(controller.transitions, diagnosis.transitions)
        )
    });
    let places = places.collect();
    diagnosis.add(
        Symptom::MixedControllers,
        Severity::Note,
        format!("{} controllers are mixed", mixed.len()),
        places,
        "several bots, persons or policies acted: a policy that imitates all of them learns what none of them does; train on one, with \
         `bevy-experience train --where controller=<label>` or `recording.where(controller=…)` in Python",
    );
}

fn check_classes(action: &ActionClasses, diagnosis: &mut Diagnosis) {
    let total = action.total();
    let Some(most) = action.classes.iter().max_by_key(|class| class.count) else {
        return;
    };
    // An action that never varies is a finding of its own.
    if most.count == total || (most.count as f64) < DOMINANT * total as f64 {
        return;
    }
    let mut rare: Vec<_> = action.classes.iter().filter(|class| class.count < most.count).collect();
    rare.sort_by_key(|class| core::cmp::Reverse(class.count));
    let places = rare
        .iter()
        .map(|class| format!("{}: {}", class.label, percent(class.count, total)))
        .collect();
    diagnosis.add(
        Symptom::RareActions,
        Severity::Note,
        format!("{} of `{}` is {}", percent(most.count, total), action.name, most.label),
        places,
        "a policy that never does anything else is right as often, so a loss without weights learns nothing of the rare classes: \
         weight them, as `bevy-experience train --class-power` does, train on the controllers that choose them, and judge a policy by \
         its recall of each class",
    );
}

/// A share: `98 %`, `99.96 %`, so that a part is never `100 %`.
fn percent(part: u64, total: u64) -> String {
    let share = 100.0 * part as f64 / total.max(1) as f64;
    let decimals = usize::from(!(1.0..=99.0).contains(&share) && part > 0) * 2;
    format!("{share:.decimals$} %")
}
