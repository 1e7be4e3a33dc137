//! Client prediction on bevy_replicon, as small as it can be, because no published example has it: a client moves its ship without
//! waiting for the server, and simulates again from each state that the server has sent.
//!
//! The server applies each input once, in order, and pushes the ship with gusts of wind that the client does not foresee. Both run in
//! one process, and a network between them delays messages and loses those of unreliable channels.

mod client;
mod network;
mod server;

use bevy::{ecs::schedule::ScheduleLabel, prelude::*, state::app::StatesPlugin, time::TimeUpdateStrategy};
use bevy_replicon::prelude::*;
use network::Network;
use serde::{Deserialize, Serialize};

/// Frames that the client plays for.
const FRAMES: u32 = 3_000;

/// Frames after which everything has arrived.
const LATE_FRAMES: u32 = 60;

/// One tick of the ship, on the server and on the client.
#[derive(ScheduleLabel, Clone, Debug, PartialEq, Eq, Hash)]
struct Simulate;

#[derive(Component, Reflect, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
struct Ship {
    place: Vec2,
    speed: Vec2,
}

/// The input of a tick.
#[derive(Component, Reflect, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
struct Thrust(Vec2);

/// The inputs that the server has not confirmed, from the tick `first`.
#[derive(Message, Serialize, Deserialize)]
struct Inputs {
    first: i64,
    thrusts: Vec<Thrust>,
}

/// The latest ticks of the server, the newest last, so that a lost message is made up for by the next.
#[derive(Component, Serialize, Deserialize, Clone, Default)]
struct Confirmed {
    newest: i64,
    ships: Vec<Ship>,
}

fn main() -> AppExit {
    let mut server = app();
    server.add_plugins(server::plugin);
    let mut client = app();
    client.add_plugins(client::plugin);
    for app in [&mut server, &mut client] {
        app.finish();
        app.cleanup();
    }
    let mut network = Network::connect(&mut server, &mut client);
    for frame in 0..FRAMES + LATE_FRAMES {
        if frame == FRAMES {
            client.insert_resource(client::Stopped);
        }
        network.deliver(&mut server, &mut client);
        server.update();
        client.update();
    }
    let mispredicted = client.world().resource::<client::Predictions>().mispredicted;
    let mut log = server.world_mut().remove_resource::<games::Log>().unwrap_or_default();
    log.count_mispredicted(mispredicted);
    // Closes the recording.
    drop(client);
    games::compare(&log, false)
}

/// What the server and the client share.
fn app() -> App {
    let mut app = App::new();
    app.add_plugins((
        MinimalPlugins,
        StatesPlugin,
        RepliconPlugins.set(ServerPlugin::new(FixedPostUpdate)),
    ))
    .insert_resource(TimeUpdateStrategy::ManualDuration(games::frame()))
    .replicate::<Confirmed>()
    .add_client_message::<Inputs>(Channel::Unreliable)
    .add_systems(Simulate, fly);
    app
}

/// Moves the ship by one tick.
fn fly(mut ships: Query<(&mut Ship, &Thrust)>) {
    const TICK: f32 = 1.0 / 64.0;
    for (mut ship, thrust) in &mut ships {
        let speed = (ship.speed + thrust.0 * TICK) * 0.99;
        ship.place += speed * TICK;
        ship.speed = speed;
    }
}

/// What a tick that ends in this state is worth.
fn score(ship: &Ship) -> f64 {
    -f64::from(ship.place.length())
}
