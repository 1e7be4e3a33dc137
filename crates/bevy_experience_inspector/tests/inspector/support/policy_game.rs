//! The game of [`game`](super::game) with a policy, scripts and a person.

use super::{
    game::{self, Fighter, Intent},
    panel::Panel,
};
use bevy_app::prelude::*;
use bevy_ecs::{prelude::*, schedule::ScheduleLabel};
use bevy_experience::{
    policy::{ActionBatch, ObservationBatch, PolicyError},
    prelude::*,
    test_app::TestApp,
};
use bevy_experience_inspector::{ExperienceInspectorPlugin, Tab};

/// The turn of the person's intent. Those of the script are below 1.
pub const PERSON_TURN: f32 = 2.0;

/// The turn of the policy's mean.
pub const POLICY_TURN: f64 = -3.0;

/// A Gaussian around [`POLICY_TURN`], and logits that depend on the place.
pub fn model(observations: &ObservationBatch, actions: &mut ActionBatch) -> Result<(), PolicyError> {
    for player in 0..observations.len() {
        let (x, y) = (observations.features(player)[0], observations.features(player)[1]);
        actions.means_mut(0)[player] = POLICY_TURN;
        actions.log_stds_mut(0)[player] = -2.0;
        actions.logits_mut(1)[player * 2..][..2].copy_from_slice(&[0.0, x * 0.1 - 1.0]);
        actions.logits_mut(2)[player * 3..][..3].copy_from_slice(&[0.5, x * 0.1, y * 0.1]);
    }
    Ok(())
}

/// The policy `brawler` with a model.
pub fn policy(model: impl bevy_experience::policy::PolicyModel) -> Policy<Fighter> {
    Policy::<Fighter>::for_recording("fighter")
        .named("brawler")
        .version(12)
        .sampling(Sampling::Stochastic { temperature: 1.0 })
        .model(model)
}

/// The fighters of a person: their intent is written after that of the scripts.
fn person(mut fighters: Query<(&mut Intent, &Controller), Without<PolicyControlled>>) {
    for (mut intent, controller) in &mut fighters {
        if *controller == Controller::Person {
            intent.turn = PERSON_TURN;
        }
    }
}

/// A game in a schedule, with `fighters` fighters of the script `bot`, of which every third from the second on is the policy's.
pub fn play(
    schedule: impl ScheduleLabel + Clone,
    recording: Recording<Fighter>,
    policy: Policy<Fighter>,
    fighters: usize,
) -> TestApp {
    let mut test = TestApp::new();
    test.add_plugins(ExperienceInspectorPlugin::default());
    test.record(recording);
    test.add_policy(policy);
    game::add_systems(&mut test, schedule.clone());
    test.add_systems(schedule, person.after(game::simulate));
    for index in 0..fighters {
        let fighter = game::spawn_fighter(&mut test, index);
        let mut fighter = test.world_mut().entity_mut(fighter);
        fighter.insert(Controller::script("bot"));
        if index % 3 == 1 {
            fighter.insert(PolicyControlled::default());
        }
    }
    test
}

/// A panel with the Player tab of agent 101, which the policy acts for, after `ticks` ticks.
pub fn panel(mut test: TestApp, ticks: usize) -> Panel {
    test.ticks(3);
    show_player(Panel::new(test), ticks)
}

/// Selects agent 101, and runs as many ticks.
pub fn show_player(mut panel: Panel, ticks: usize) -> Panel {
    panel.inspector().selected = Some(101);
    panel.show(Tab::Player);
    for _ in 0..ticks {
        panel.tick();
    }
    panel.frames(2);
    panel
}

/// The recording of the game, with the columns of [`Recording::policy_info`].
pub fn recording() -> Recording<Fighter> {
    game::recording().policy_info()
}

/// The default game.
pub fn fixed(fighters: usize) -> TestApp {
    play(FixedUpdate, recording(), policy(model), fighters)
}
