//! [`Unreliable`]: a socket of GGRS with the delay, the jitter and the losses of a bad connection.

use bevy_ggrs::ggrs::{Message, NonBlockingSocket, UdpNonBlockingSocket};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// The time for which a packet is on its way, at the speed at which the game is played: 4 to 11 frames of 60 a second.
const DELAY: core::ops::Range<Duration> = Duration::from_millis(8)..Duration::from_millis(23);

/// Packets of which one is lost.
const LOSS: u32 = 12;

/// Receives packets late, in another order than they were sent in, and not all of them.
pub struct Unreliable {
    socket: UdpNonBlockingSocket,
    on_their_way: Vec<(Instant, SocketAddr, Message)>,
    random: StdRng,
}

impl Unreliable {
    pub fn new(socket: UdpNonBlockingSocket) -> Self {
        Self {
            socket,
            on_their_way: Vec::new(),
            random: StdRng::seed_from_u64(11),
        }
    }
}

impl NonBlockingSocket<SocketAddr> for Unreliable {
    fn send_to(&mut self, message: &Message, address: &SocketAddr) {
        self.socket.send_to(message, address);
    }

    fn receive_all_messages(&mut self) -> Vec<(SocketAddr, Message)> {
        let now = Instant::now();
        for (address, message) in self.socket.receive_all_messages() {
            if !self.random.random_ratio(1, LOSS) {
                let delay = self.random.random_range(DELAY);
                self.on_their_way.push((now + delay, address, message));
            }
        }
        let mut arrived: Vec<_> = self.on_their_way.extract_if(.., |(due, ..)| *due <= now).collect();
        arrived.sort_by_key(|&(due, ..)| due);
        arrived
            .into_iter()
            .map(|(_, address, message)| (address, message))
            .collect()
    }
}
