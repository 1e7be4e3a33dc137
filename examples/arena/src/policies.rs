//! Policies of `--policy`: ONNX files that act for the fighters of their seats.

use arena::{
    fighter::Fighter,
    record::{FIGHTER, recording},
    seating::SeatController,
};
use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_experience::prelude::*;

use crate::cli::Args;

/// The names of the policies, by index: the files of `--policy`, with a number where one is given twice.
#[derive(Resource)]
struct PolicyNames(Vec<String>);

/// The name of the policy with this index.
pub fn name(args: &Args, index: usize) -> String {
    let file = args.policies[index].file.display();
    let earlier = args.policies[..index]
        .iter()
        .filter(|policy| policy.file == args.policies[index].file);
    match earlier.count() {
        0 => file.to_string(),
        count => format!("{file}#{}", count + 1),
    }
}

/// Adds the policies to an app that does not record. They see what the recording would.
///
/// # Errors
/// As [`add_policies`].
pub fn add_unrecorded(app: &mut App, args: &Args) -> Result<(), String> {
    if args.policies.is_empty() {
        return Ok(());
    }
    app.add_plugins(ExperiencePlugin {
        enabled: false,
        ..ExperiencePlugin::default()
    })
    .try_add_recording(recording(&args.settings()))
    .map_err(|error| error.to_string())?;
    add_policies(app, args)
}

/// Adds the policies to an app with the recording of the fighters.
///
/// # Errors
/// A message for the user when a file is missing, damaged, or of another recording.
pub fn add_policies(app: &mut App, args: &Args) -> Result<(), String> {
    if args.policies.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = (0..args.policies.len()).map(|index| name(args, index)).collect();
    for (policy, name) in args.policies.iter().zip(&names) {
        let policy = onnx(Policy::for_recording(FIGHTER).named(name.clone()), &policy.file)?;
        app.try_add_policy(policy.seed(args.seed))
            .map_err(|error| error.to_string())?;
    }
    app.insert_resource(PolicyNames(names)).add_observer(seat_policy);
    Ok(())
}

#[cfg(feature = "policy")]
fn onnx(policy: Policy<Fighter>, file: &std::path::Path) -> Result<Policy<Fighter>, String> {
    Ok(policy.onnx(file))
}

#[cfg(not(feature = "policy"))]
fn onnx(_: Policy<Fighter>, file: &std::path::Path) -> Result<Policy<Fighter>, String> {
    Err(format!(
        "the arena was built without policies: run `cargo run --release -p arena --features policy -- --policy {}`",
        file.display()
    ))
}

/// Lets the policy of a fighter's seat act for it.
fn seat_policy(
    inserted: On<Insert, SeatController>,
    controllers: Query<&SeatController>,
    names: Res<PolicyNames>,
    mut commands: Commands,
) {
    let Ok(controller) = controllers.get(inserted.entity) else {
        return;
    };
    let mut fighter = commands.entity(inserted.entity);
    match controller {
        SeatController::Script(_) => {
            fighter.remove::<PolicyControlled>();
        }
        SeatController::Policy(index) => {
            fighter.insert(PolicyControlled::by(names.0[*index].clone()));
        }
    }
}
