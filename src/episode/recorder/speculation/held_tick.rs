//! What is kept of a speculative tick: the players as encoded, their rewards, and the events of the game.

use crate::{capture::diff, episode::context::CaptureTime};
use bevy_ecs::entity::Entity;
use experience_core::{
    schema::RowLayout,
    transition::{EndReason, Outcome, StepHeader},
};

/// The capture of one tick, and the events before it.
#[derive(Default)]
pub(super) struct HeldTick {
    /// The game's number of the tick.
    pub(super) tick: i64,
    pub(super) time: CaptureTime,
    /// In the order of the capture.
    pub(super) players: Vec<HeldPlayer>,
    /// The row of each player.
    pub(super) rows: Vec<u64>,
    /// The rewards of all players, each with the index of its declared term.
    pub(super) rewards: Vec<(Option<usize>, f64)>,
    /// In the order in which they were applied.
    pub(super) events: Vec<HeldEvent>,
    /// The row of each event.
    pub(super) event_rows: Vec<u64>,
}

/// A player that the capture of a tick found.
pub(super) struct HeldPlayer {
    pub(super) entity: Entity,
    /// Its `AgentId`.
    pub(super) agent_id: Option<i64>,
    /// The number of its rewards.
    pub(super) rewards: usize,
    /// It opted out later.
    pub(super) is_forgotten: bool,
}

/// An event of the game for one player.
pub(super) struct HeldEvent {
    pub(super) entity: Entity,
    /// Its `AgentId`.
    pub(super) agent_id: Option<i64>,
    pub(super) kind: EventKind,
    /// The event's row has the observation.
    pub(super) has_observation: bool,
    /// The event's row has the action.
    pub(super) has_action: bool,
    /// The next episode cannot begin at the capture of this tick.
    pub(super) delays_begin: bool,
    /// The player left on another entity later.
    pub(super) is_canceled: bool,
    /// The rewards of a player that left.
    pub(super) rewards: Vec<(Option<usize>, f64)>,
}

pub(super) enum EventKind {
    End { outcome: Outcome, reason: EndReason },
    Leave,
    Begin,
}

impl HeldEvent {
    pub(super) fn new(entity: Entity, agent_id: Option<i64>, kind: EventKind) -> Self {
        Self {
            entity,
            agent_id,
            kind,
            has_observation: false,
            has_action: false,
            delays_begin: false,
            is_canceled: false,
            rewards: Vec::new(),
        }
    }

    fn is_end(&self) -> bool {
        matches!(self.kind, EventKind::End { .. })
    }
}

impl HeldTick {
    pub(super) fn clear(&mut self) {
        self.players.clear();
        self.rows.clear();
        self.rewards.clear();
        self.events.clear();
        self.event_rows.clear();
    }

    pub(super) fn push_player(&mut self, entity: Entity, agent_id: Option<i64>, row: &[u64]) {
        self.players.push(HeldPlayer {
            entity,
            agent_id,
            rewards: 0,
            is_forgotten: false,
        });
        self.rows.extend_from_slice(row);
    }

    /// Adds a reward of the last player.
    pub(super) fn push_reward(&mut self, term: Option<usize>, amount: f64) {
        if let Some(player) = self.players.last_mut() {
            player.rewards += 1;
            self.rewards.push((term, amount));
        }
    }

    pub(super) fn push_event(&mut self, event: HeldEvent, row: &[u64]) {
        self.events.push(event);
        self.event_rows.extend_from_slice(row);
    }

    pub(super) fn has_end(&self, player: Entity) -> bool {
        self.events.iter().any(|event| event.entity == player && event.is_end())
    }

    /// Cancels that an agent left on another entity, which the game replaced before this tick. Returns false if the player has left
    /// already.
    pub(super) fn cancel_leave(&mut self, player: Entity, agent_id: Option<i64>) -> bool {
        let leaves = self.events.iter_mut();
        for leave in leaves.filter(|event| matches!(event.kind, EventKind::Leave)) {
            if leave.entity == player {
                return false;
            }
            if agent_id.is_some() && leave.agent_id == agent_id {
                leave.is_canceled = true;
            }
        }
        true
    }

    /// Whether an end of the player has no final observation.
    pub(super) fn has_unread_end(&self, player: Entity) -> bool {
        let mut events = self.events.iter();
        events.any(|event| event.entity == player && event.is_end() && !event.has_observation)
    }

    /// Sets the final observation of a player's ends that have none.
    pub(super) fn set_observation(&mut self, layout: &RowLayout, player: Entity, row: &[u64], delays_begin: bool) {
        let rows = self.event_rows.chunks_exact_mut(layout.row_words());
        for (event, held) in self.events.iter_mut().zip(rows) {
            if event.entity == player && event.is_end() && !event.has_observation {
                diff::copy_observation(layout, row, held);
                StepHeader::of_mut(held).set_match_id(StepHeader::of(row).match_id());
                event.has_observation = true;
                event.delays_begin = delays_begin;
            }
        }
    }

    /// Removes a player.
    pub(super) fn forget(&mut self, entity: Entity) {
        for player in self.players.iter_mut().filter(|player| player.entity == entity) {
            player.is_forgotten = true;
        }
    }

    /// Whether the capture found the player of an event.
    pub(super) fn has_player(&self, event: &HeldEvent) -> bool {
        self.players.iter().any(|player| {
            !player.is_forgotten
                && match (player.agent_id, event.agent_id) {
                    (Some(one), Some(other)) => one == other,
                    (None, None) => player.entity == event.entity,
                    _ => false,
                }
        })
    }
}
