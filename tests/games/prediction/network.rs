//! [`Network`]: carries the messages of bevy_replicon between two apps, late, and not all of those that may be lost.

use bevy::prelude::*;
use bevy_replicon::prelude::*;
use bevy_replicon::{bytes::Bytes, shared::backend::channels::RepliconChannels};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// The frames for which a message is on its way.
const DELAY: core::ops::Range<u32> = 2..8;

/// Messages of unreliable channels of which one is lost.
const LOSS: u32 = 12;

pub struct Network {
    /// The client, as an entity of the server.
    client: Entity,
    to_server: Direction,
    to_client: Direction,
    frame: u32,
}

/// The messages in one direction.
struct Direction {
    channels: Vec<Channel>,
    on_their_way: Vec<(u32, usize, Bytes)>,
    random: StdRng,
}

impl Direction {
    fn new(channels: &[Channel], seed: u64) -> Self {
        Self {
            channels: channels.to_vec(),
            on_their_way: Vec::new(),
            random: StdRng::seed_from_u64(seed),
        }
    }

    fn send(&mut self, frame: u32, (channel, message): (usize, Bytes)) {
        let mut due = frame + self.random.random_range(DELAY);
        if self.channels[channel] == Channel::Unreliable {
            if self.random.random_ratio(1, LOSS) {
                return;
            }
        } else {
            // In order.
            let others = self.on_their_way.iter().filter(|(_, other, _)| *other == channel);
            due = due.max(others.map(|&(due, ..)| due).max().unwrap_or_default());
        }
        self.on_their_way.push((due, channel, message));
    }

    fn arrived(&mut self, frame: u32) -> Vec<(u32, usize, Bytes)> {
        let mut arrived: Vec<_> = self.on_their_way.extract_if(.., |(due, ..)| *due <= frame).collect();
        arrived.sort_by_key(|&(due, ..)| due);
        arrived
    }
}

impl Network {
    pub fn connect(server: &mut App, client: &mut App) -> Self {
        server
            .world_mut()
            .resource_mut::<NextState<ServerState>>()
            .set(ServerState::Running);
        client
            .world_mut()
            .resource_mut::<NextState<ClientState>>()
            .set(ClientState::Connected);
        let channels = server.world().resource::<RepliconChannels>();
        Self {
            to_server: Direction::new(channels.client_channels(), 21),
            to_client: Direction::new(channels.server_channels(), 22),
            client: server.world_mut().spawn(ConnectedClient { max_size: 1200 }).id(),
            frame: 0,
        }
    }

    /// One frame: takes what was sent, and delivers what has arrived.
    pub fn deliver(&mut self, server: &mut App, client: &mut App) {
        let mut from_client = client.world_mut().resource_mut::<ClientMessages>();
        let mut from_server = server.world_mut().resource_mut::<ServerMessages>();
        for message in from_client.drain_sent() {
            self.to_server.send(self.frame, message);
        }
        for (_, channel, message) in from_server.drain_sent() {
            self.to_client.send(self.frame, (channel, message));
        }
        for (_, channel, message) in self.to_server.arrived(self.frame) {
            from_server.insert_received(self.client, channel, message);
        }
        for (_, channel, message) in self.to_client.arrived(self.frame) {
            from_client.insert_received(channel, message);
        }
        self.frame += 1;
    }
}
