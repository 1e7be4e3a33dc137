//! The end that a container asks for.

use super::schedules;
use bevy_app::{App, AppExit};
use bevy_ecs::{message::Messages, resource::Resource, world::World};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Whether SIGTERM came.
#[derive(Resource)]
struct Terminated(Arc<AtomicBool>);

/// Has SIGTERM end the app in order. A second one ends the process at once.
pub(super) fn handle(app: &mut App) {
    let asked = Arc::<AtomicBool>::default();
    if let Err(error) = register(&asked) {
        tracing::error!("cannot handle SIGTERM, which will kill the process: {error}");
    }
    app.insert_resource(Terminated(asked));
    schedules::add_signal(app, exit_if_terminated);
}

#[cfg(unix)]
fn register(asked: &Arc<AtomicBool>) -> std::io::Result<()> {
    use signal_hook::{consts::SIGTERM, flag};
    // What a shell reports of a process that SIGTERM ended.
    const STATUS: i32 = 128 + SIGTERM;
    // In this order: the first one finds the flag down, and the next raises it.
    flag::register_conditional_shutdown(SIGTERM, STATUS, asked.clone())?;
    flag::register(SIGTERM, asked.clone())?;
    Ok(())
}

/// Elsewhere there is no such signal.
#[cfg(not(unix))]
fn register(_: &Arc<AtomicBool>) -> std::io::Result<()> {
    Ok(())
}

/// Asks the app to end, if the process was asked to.
fn exit_if_terminated(world: &mut World) {
    let asked = world
        .get_resource::<Terminated>()
        .is_some_and(|asked| asked.0.load(Ordering::Relaxed));
    if !asked {
        return;
    }
    if let Some(mut exits) = world.get_resource_mut::<Messages<AppExit>>()
        && exits.is_empty()
    {
        tracing::info!("SIGTERM came: the app ends");
        exits.write(AppExit::Success);
    }
}
