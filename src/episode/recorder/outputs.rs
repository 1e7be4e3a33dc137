//! Row outputs of players: dedicated buffers or the shared pool, and the changes to them that the exporter does not
//! know yet.

use super::{Recorder, capture_pass::GROUP_PLAYERS, log_warnings::Warnings};
use crate::episode::{
    context::RecordingContext,
    player_slot::{PlayerSlot, RowOutput},
};
use core::sync::atomic::AtomicU32;
use experience_buffer::{
    BufferError, BufferPool, BufferSettings, Memory, PlayerBuffers, TransitionBuffer,
    pool::{PoolSettings, Stream},
};
use std::{
    path::Path,
    sync::{Arc, Mutex},
};

/// The number of players above which they share a pool, and the settings of the pool.
#[derive(Clone, Debug)]
pub(crate) struct PoolPolicy {
    /// Number of players with dedicated buffers. Players that join above this number share the pool.
    pub(crate) above: usize,
    pub(crate) pool: PoolSettings,
}

/// A dedicated buffer that was not attached to the exporter yet.
pub(crate) struct NewBuffer {
    pub(crate) agent_id: i64,
    pub(crate) buffer: Arc<dyn TransitionBuffer>,
    /// Number of transitions pushed, stored when the buffer is closed.
    pub(crate) transitions: Arc<AtomicU32>,
}

/// The buffers of one recording.
pub(super) struct PlayerOutputs {
    buffers: Arc<PlayerBuffers>,
    policy: PoolPolicy,
    /// The last assigned stream number.
    last_stream: u32,
    new_buffers: Vec<NewBuffer>,
    new_pool: Option<Arc<BufferPool>>,
    ended_streams: Vec<Stream>,
}

impl PlayerOutputs {
    pub(super) fn new(buffers: PlayerBuffers, policy: PoolPolicy) -> Self {
        Self {
            buffers: Arc::new(buffers),
            policy,
            last_stream: 0,
            new_buffers: Vec::new(),
            new_pool: None,
            ended_streams: Vec::new(),
        }
    }

    /// Whether joining players share the pool, if there are `players` players including them.
    pub(super) fn shares_pool(&self, players: usize) -> bool {
        players > self.policy.above
    }

    /// Opens a dedicated buffer. `None` if there is no memory for it. `transitions` will hold the number of transitions pushed
    /// when it is closed.
    pub(super) fn open_dedicated(
        &mut self,
        agent_id: i64,
        transitions: &Arc<AtomicU32>,
        context: &RecordingContext,
        warnings: &mut Warnings,
    ) -> Option<RowOutput> {
        match self.buffers.open(agent_id) {
            Ok((writer, buffer)) => {
                self.new_buffers.push(NewBuffer {
                    agent_id,
                    buffer,
                    transitions: transitions.clone(),
                });
                Some(RowOutput::Dedicated(writer))
            }
            Err(error) => {
                if warnings.no_buffer.first_time() {
                    let recording = context.schema.name();
                    tracing::warn!(
                        "recording `{recording}`: agent {agent_id} is not recorded until it joins again, and other agents may \
                         be affected: {error}"
                    );
                }
                None
            }
        }
    }

    /// Opens a stream in the pool, which is created for the first player that needs it. `archetype_row` is the player's
    /// row in its archetype: neighbours share a shard, so that their rows can be written in one copy.
    pub(super) fn open_pooled(
        &mut self,
        archetype_row: usize,
        context: &mut RecordingContext,
        warnings: &mut Warnings,
    ) -> Option<RowOutput> {
        if self.buffers.pool().is_none() {
            self.create_pool_late(context, warnings);
        }
        let handle = self.buffers.pool()?.handle_in(archetype_row / GROUP_PLAYERS);
        self.last_stream = self.last_stream.wrapping_add(1);
        Some(RowOutput::Pooled {
            handle,
            stream: self.last_stream,
        })
    }

    pub(super) fn close(&mut self, slot: &mut PlayerSlot) {
        self.ended_streams.extend(slot.close_output());
    }

    fn create_pool(&mut self, context: &mut RecordingContext) -> Result<(), BufferError> {
        let writer = self.buffers.share(&self.policy.pool)?;
        context.pool_writer = Mutex::new(writer);
        self.new_pool = self.buffers.pool().cloned();
        Ok(())
    }

    /// Creates the pool while the game runs.
    fn create_pool_late(&mut self, context: &mut RecordingContext, warnings: &mut Warnings) {
        let created = self.create_pool(context);
        let (recording, above) = (context.schema.name(), self.policy.above);
        match created {
            Ok(()) => {
                tracing::info!(
                    "recording `{recording}`: players that join from now on share a pool of {} MiB, because there are more than \
                     {above}: see `PlayerScaling::pool_above`",
                    self.policy.pool.bytes >> 20,
                );
            }
            Err(error) => {
                if warnings.no_buffer.first_time() {
                    tracing::warn!(
                        "recording `{recording}`: there are more than {above} players, and the pool that they share cannot be \
                         created, so they are not recorded: {error}"
                    );
                }
            }
        }
    }
}

impl Recorder {
    /// Creates the pool before the game runs and pre-faults its memory, so that no tick has a page fault.
    ///
    /// # Errors
    /// When the memory cannot be allocated.
    pub(crate) fn preallocate_pool(&mut self) -> Result<(), BufferError> {
        self.outputs.create_pool(&mut self.context)?;
        if let Some(pool) = self.buffers().pool() {
            pool.prefault();
        }
        let PoolPolicy { above, pool } = &self.outputs.policy;
        tracing::info!(
            "recording `{}`: a pool of {} MiB is ready for players beyond the first {above}: see `PlayerScaling::pool_above`",
            self.name(),
            pool.bytes >> 20,
        );
        Ok(())
    }

    /// Reserves the memory of the dedicated buffers of `players` players, and pre-faults it.
    ///
    /// # Errors
    /// When the memory cannot be allocated.
    pub(crate) fn preallocate_buffers(&mut self, players: usize) -> Result<(), BufferError> {
        self.buffers().reserve(players.min(self.outputs.policy.above))
    }

    pub(crate) fn buffers(&self) -> &Arc<PlayerBuffers> {
        &self.outputs.buffers
    }

    pub(crate) fn buffer_settings(&self) -> &BufferSettings {
        self.outputs.buffers.settings()
    }

    /// The folder of the buffers' files, if the buffers are in files.
    pub(crate) fn buffer_folder(&self) -> Option<&Path> {
        match &self.buffer_settings().memory {
            Memory::File(folder) => Some(folder),
            _ => None,
        }
    }

    /// Whether every dedicated buffer accepts `rows` more rows without dropping one that the exporter has not read.
    pub(crate) fn has_free_rows(&self, rows: usize) -> bool {
        self.players.slots().iter().all(|slot| slot.free_rows() >= rows)
    }

    /// Number of captures after which the smallest buffer is full if the exporter does not drain it.
    pub(crate) fn captures_until_full(&self) -> usize {
        let pooled = self
            .buffers()
            .pool()
            .map_or(usize::MAX, |pool| pool.stats().capacity / self.players.len().max(1));
        pooled.min(self.buffer_settings().capacity)
    }

    pub(crate) fn take_new_buffers(&mut self) -> impl Iterator<Item = NewBuffer> + '_ {
        self.outputs.new_buffers.drain(..)
    }

    pub(crate) fn take_new_pool(&mut self) -> Option<Arc<BufferPool>> {
        self.outputs.new_pool.take()
    }

    pub(crate) fn take_ended_streams(&mut self) -> impl Iterator<Item = Stream> + '_ {
        self.outputs.ended_streams.drain(..)
    }
}
