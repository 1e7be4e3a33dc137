//! Every player's buffer, by agent.

use super::{BufferError, BufferSettings, BufferStats, TransitionBuffer, Writer, create};
use dashmap::DashMap;
use std::sync::Arc;

/// The buffers of a recording's players, by agent id.
///
/// Capture keeps each player's [`Writer`] with the player, so that a tick looks nothing up; this map is for everybody
/// else. A buffer stands here from the moment its player joins until the player has left and everything was drained.
#[derive(Debug, Default)]
pub struct PlayerBuffers(DashMap<i64, Arc<dyn TransitionBuffer>>);

impl PlayerBuffers {
    /// Makes a buffer for an agent. One that stands there already, because the agent left and its rows were not drained
    /// yet, is replaced; whoever drains it holds on to it.
    ///
    /// # Errors
    /// When the settings make no buffer.
    pub fn open(
        &self,
        agent_id: i64,
        settings: &BufferSettings,
        row_words: usize,
    ) -> Result<(Writer, Arc<dyn TransitionBuffer>), BufferError> {
        let (writer, buffer) = create(settings.kind, row_words, settings.capacity)?;
        self.0.insert(agent_id, buffer.clone());
        Ok((writer, buffer))
    }

    /// The buffer of an agent.
    #[must_use]
    pub fn get(&self, agent_id: i64) -> Option<Arc<dyn TransitionBuffer>> {
        self.0.get(&agent_id).map(|entry| entry.clone())
    }

    /// Removes the buffer of an agent, if it is still this one.
    pub fn remove_if_same(&self, agent_id: i64, buffer: &Arc<dyn TransitionBuffer>) -> bool {
        self.0
            .remove_if(&agent_id, |_, known| Arc::ptr_eq(known, buffer))
            .is_some()
    }

    /// All agents, in ascending order.
    #[must_use]
    pub fn agents(&self) -> Vec<i64> {
        let mut agents: Vec<_> = self.0.iter().map(|entry| *entry.key()).collect();
        agents.sort_unstable();
        agents
    }

    /// How many buffers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sum of all buffers' counts. Buffers that were removed are no longer among them.
    #[must_use]
    pub fn stats(&self) -> BufferStats {
        self.0.iter().fold(BufferStats::default(), |sum, entry| {
            let stats = entry.stats();
            BufferStats {
                added: sum.added + stats.added,
                dropped: sum.dropped + stats.dropped,
                retrieved: sum.retrieved + stats.retrieved,
                rejected: sum.rejected + stats.rejected,
                len: sum.len + stats.len,
                capacity: sum.capacity + stats.capacity,
            }
        })
    }
}
