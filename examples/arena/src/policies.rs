//! Policies of `--policy` and `--remote`: ONNX files, and another process, that act for the fighters of their seats.

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
    if !args.has_policies() {
        return Ok(());
    }
    app.add_plugins(ExperiencePlugin {
        // A trainer is told what the recording has of its actions.
        enabled: args.remote.is_some(),
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
    if !args.has_policies() {
        return Ok(());
    }
    let mut names: Vec<_> = (0..args.policies.len()).map(|index| name(args, index)).collect();
    let sampling = if args.sample {
        Sampling::Stochastic { temperature: 1.0 }
    } else {
        Sampling::Greedy
    };
    for (policy, name) in args.policies.iter().zip(&names) {
        let policy = onnx(Policy::for_recording(FIGHTER).named(name.clone()), &policy.file)?;
        app.try_add_policy(policy.seed(args.seed).sampling(sampling))
            .map_err(|error| error.to_string())?;
    }
    if let Some(address) = &args.remote {
        let name = "remote".to_owned();
        let policy = remote(Policy::for_recording(FIGHTER).named(name.clone()), address)?;
        app.try_add_policy(policy).map_err(|error| error.to_string())?;
        names.push(name);
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

#[cfg(feature = "remote")]
fn remote(policy: Policy<Fighter>, address: &str) -> Result<Policy<Fighter>, String> {
    use bevy_experience::policy::RemotePolicy;
    let trainer = if address == "env" {
        let found = RemotePolicy::from_env().map_err(|error| error.to_string())?;
        found.ok_or("`--remote env` is for an arena that an environment in Python starts: give an address")?
    } else {
        RemotePolicy::new(address)
    };
    Ok(policy.remote(trainer.lockstep()))
}

#[cfg(not(feature = "remote"))]
fn remote(_: Policy<Fighter>, address: &str) -> Result<Policy<Fighter>, String> {
    Err(format!(
        "the arena was built without remote policies: run `cargo run --release -p arena --features remote -- --remote {address}`"
    ))
}

/// The seed that an environment in Python has given to this process.
pub fn environment_seed() -> Option<u64> {
    #[cfg(feature = "remote")]
    return bevy_experience::policy::environment_seed();
    #[cfg(not(feature = "remote"))]
    None
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
