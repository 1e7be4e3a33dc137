//! SIGTERM handling: the signal is converted to an `AppExit`.

use super::schedules;
use bevy_app::{App, AppExit};
use bevy_ecs::{message::Messages, resource::Resource, world::World};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Set by the signal handler when SIGTERM is received.
#[derive(Resource)]
struct SigtermReceived(Arc<AtomicBool>);

/// Makes SIGTERM exit the app. A second SIGTERM ends the process at once.
pub(super) fn handle(app: &mut App) {
    let received = Arc::<AtomicBool>::default();
    if let Err(error) = register(&received) {
        tracing::error!("cannot handle SIGTERM, which will end the process without a flush: {error}");
    }
    app.insert_resource(SigtermReceived(received));
    schedules::add_signal(app, exit_on_sigterm);
}

#[cfg(unix)]
fn register(received: &Arc<AtomicBool>) -> std::io::Result<()> {
    use signal_hook::{consts::SIGTERM, flag};
    // The exit status that shells report for a process killed by SIGTERM.
    const STATUS: i32 = 128 + SIGTERM;
    // The conditional shutdown is registered first: the first signal finds the flag unset, and then sets it.
    flag::register_conditional_shutdown(SIGTERM, STATUS, received.clone())?;
    flag::register(SIGTERM, received.clone())?;
    Ok(())
}

/// Other operating systems have no SIGTERM.
#[cfg(not(unix))]
fn register(_: &Arc<AtomicBool>) -> std::io::Result<()> {
    Ok(())
}

/// Writes an `AppExit` once SIGTERM was received.
fn exit_on_sigterm(world: &mut World) {
    let received = world
        .get_resource::<SigtermReceived>()
        .is_some_and(|received| received.0.load(Ordering::Relaxed));
    if !received {
        return;
    }
    if let Some(mut exits) = world.get_resource_mut::<Messages<AppExit>>()
        && exits.is_empty()
    {
        tracing::info!("received SIGTERM: exiting the app");
        exits.write(AppExit::Success);
    }
}
