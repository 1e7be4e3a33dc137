//! A concurrent map of per-player buffers.

use super::{
    Budget, BufferError, BufferKind, BufferPool, BufferSettings, BufferStats, Drained, Label, Memory, MemoryUse,
    TransitionBuffer, Writer,
    memory::Words,
    pool::{PoolSettings, PoolWriter},
    resources::BufferResources,
    ring::{Reader, Ring, slab::Slab},
    sync::{Mutex, MutexGuard, lock},
    writer::create_with,
};
use dashmap::{DashMap, Entry};
use experience_core::transition::RunId;
use std::sync::{Arc, OnceLock};

/// Concurrent map of the buffers of a recording's players, by agent id.
///
/// Capture holds the [`Writer`] of each player, so that a tick needs no lookup; this map is for the other threads. It holds a
/// buffer from the time its player joins until the player has left and all rows were drained.
///
/// With very many players, some or all of them may share a [`BufferPool`]: see [`share`](Self::share).
///
/// ```
/// use experience_buffer::{BufferSettings, PlayerBuffers};
///
/// let players = PlayerBuffers::new(BufferSettings::default(), 8)?;
/// let (buffer, writer) = players.get_or_create(7)?;
/// writer.expect("this call created the buffer").push(&[0; 8])?;
/// assert_eq!(buffer.len(), 1);
/// assert_eq!(players.stats().added, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PlayerBuffers {
    settings: BufferSettings,
    row_words: usize,
    label: Label,
    budget: Option<Arc<Budget>>,
    /// The memory of the rings that were reserved.
    reserved: OnceLock<Arc<Slab>>,
    buffers: DashMap<i64, Arc<dyn TransitionBuffer>>,
    pool: OnceLock<Arc<BufferPool>>,
    retired: Mutex<RetiredBuffers>,
}

/// Buffers that were removed from the map.
#[derive(Debug, Default)]
struct RetiredBuffers {
    /// Buffers with rows that another thread may still drain.
    undrained: Vec<Arc<dyn TransitionBuffer>>,
    /// The sum of all others' statistics.
    stats: BufferStats,
}

impl PlayerBuffers {
    /// An empty map of buffers with these settings, of rows of `row_words` words.
    ///
    /// # Errors
    /// When the settings are invalid for such rows: see [`BufferSettings::check`].
    pub fn new(settings: BufferSettings, row_words: usize) -> Result<Self, BufferError> {
        settings.check(row_words)?;
        Ok(Self {
            settings,
            row_words,
            label: Label::default(),
            budget: None,
            reserved: OnceLock::new(),
            buffers: DashMap::new(),
            pool: OnceLock::new(),
            retired: Mutex::default(),
        })
    }

    /// Sets the run and the schema hash of the rows, which buffers in files store.
    #[must_use]
    pub fn with_label(mut self, run: RunId, schema_hash: u64) -> Self {
        self.label = Label {
            run,
            schema_hash,
            ..self.label
        };
        self
    }

    /// Limits the memory of all buffers to a budget, which may be shared.
    #[must_use]
    pub fn with_budget(mut self, budget: Arc<Budget>) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Reserves the memory of `players` rings, and maps all of it now, on huge pages where the system has them. They are taken
    /// by the players that join first, and again when their players have left and all rows were drained. Further players
    /// have memory of their own.
    ///
    /// Nothing is reserved for other kinds of buffers, for other memory than [`Memory::Heap`], and if memory has been reserved
    /// before.
    ///
    /// # Errors
    /// When the memory cannot be allocated, or the budget is exhausted.
    pub fn reserve(&self, players: usize) -> Result<(), BufferError> {
        let settings = &self.settings;
        let can_reserve = settings.kind == BufferKind::Ring && settings.memory == Memory::Heap;
        if !can_reserve || players < 2 || self.reserved.get().is_some() {
            return Ok(());
        }
        let bytes = settings.bytes(self.row_words)?.saturating_mul(players);
        let share = self.budget.as_ref().map(|budget| budget.take(bytes)).transpose()?;
        let huge_pages = cfg!(target_os = "linux");
        let allocate = |words| Ok(Words::new(&settings.memory, huge_pages, words)?.holding(share));
        let slab = Slab::of_lanes(settings.shape(self.row_words), players, allocate)?;
        slab.prefault();
        // Another thread that reserves at the same time may have been first.
        let _ = self.reserved.set(Arc::new(slab));
        Ok(())
    }

    fn create(&self, agent_id: i64) -> Result<(Writer, Arc<dyn TransitionBuffer>), BufferError> {
        if let Some((writer, ring)) = self.reserved.get().and_then(Ring::in_lane) {
            return Ok((writer.into(), ring));
        }
        let share = match &self.budget {
            None => None,
            Some(budget) => {
                let bytes = self.settings.bytes(self.row_words)?;
                Some(budget.take(bytes).or_else(|_| {
                    self.retired().release_drained();
                    budget.take(bytes)
                })?)
            }
        };
        let resources = BufferResources {
            label: Label { agent_id, ..self.label },
            share,
        };
        create_with(&self.settings, self.row_words, resources)
    }

    /// The settings of each buffer.
    #[must_use]
    pub fn settings(&self) -> &BufferSettings {
        &self.settings
    }

    /// Words of a row.
    #[must_use]
    pub fn row_words(&self) -> usize {
        self.row_words
    }

    /// Creates a buffer for an agent that joins. A buffer of the same agent is closed and replaced; threads that hold it can
    /// still drain it.
    ///
    /// # Errors
    /// When the memory or the file cannot be allocated, or the budget is exhausted.
    pub fn open(&self, agent_id: i64) -> Result<(Writer, Arc<dyn TransitionBuffer>), BufferError> {
        let (writer, buffer) = self.create(agent_id).or_else(|error| match error {
            BufferError::OverBudget { .. } => {
                self.retire_abandoned();
                self.create(agent_id)
            }
            _ => Err(error),
        })?;
        if let Some(left) = self.buffers.insert(agent_id, buffer.clone()) {
            left.close();
            self.retire(left);
        }
        Ok((writer, buffer))
    }

    /// Creates the pool for players without a buffer of their own.
    ///
    /// # Errors
    /// When the players already have a pool, it cannot be created, or the budget is exhausted.
    pub fn share(&self, settings: &PoolSettings) -> Result<PoolWriter, BufferError> {
        let (writer, pool) = BufferPool::within(settings, self.row_words, self.label, self.budget.as_ref())?;
        self.pool.set(pool).map_err(|_| BufferError::SecondPool)?;
        Ok(writer)
    }

    /// The pool, if there is one.
    #[must_use]
    pub fn pool(&self) -> Option<&Arc<BufferPool>> {
        self.pool.get()
    }

    /// The buffer of an agent, and its writer if this call created it.
    ///
    /// Of several concurrent calls for a new agent, one creates the buffer and returns the writer. A closed buffer is replaced;
    /// threads that hold it can still drain it.
    ///
    /// # Errors
    /// When the memory or the file cannot be allocated, or the budget is exhausted.
    pub fn get_or_create(&self, agent_id: i64) -> Result<(Arc<dyn TransitionBuffer>, Option<Writer>), BufferError> {
        match self.buffers.entry(agent_id) {
            Entry::Occupied(entry) if !entry.get().is_closed() => Ok((entry.get().clone(), None)),
            Entry::Occupied(mut entry) => {
                let (writer, buffer) = self.create(agent_id)?;
                let left = entry.insert(buffer.clone());
                self.retire(left);
                Ok((buffer, Some(writer)))
            }
            Entry::Vacant(entry) => {
                let (writer, buffer) = self.create(agent_id)?;
                entry.insert(buffer.clone());
                Ok((buffer, Some(writer)))
            }
        }
    }

    /// The buffer of an agent.
    #[must_use]
    pub fn get(&self, agent_id: i64) -> Option<Arc<dyn TransitionBuffer>> {
        self.buffers.get(&agent_id).map(|entry| entry.clone())
    }

    /// Removes the buffer of an agent, if it is still this one. Its statistics remain part of the totals.
    pub fn remove_if_same(&self, agent_id: i64, buffer: &Arc<dyn TransitionBuffer>) -> bool {
        let removed = self.buffers.remove_if(&agent_id, |_, known| Arc::ptr_eq(known, buffer));
        removed.map(|(_, buffer)| self.retire(buffer)).is_some()
    }

    /// Closes and removes the buffer of an agent, and calls `each` with its remaining rows. `None` where there is none.
    ///
    /// A row whose push is concurrent with the close may remain in the buffer; the totals count it as dropped.
    pub fn remove(&self, agent_id: i64, mut each: impl FnMut(&[u64])) -> Option<(Drained, BufferStats)> {
        let buffer = self.get(agent_id)?;
        buffer.close();
        let mut total = Drained::default();
        loop {
            let drained = buffer.drain(usize::MAX, &mut each);
            if drained == Drained::default() {
                break;
            }
            total.steps += drained.steps;
            total.missed += drained.missed;
        }
        self.remove_if_same(agent_id, &buffer).then(|| (total, buffer.stats()))
    }

    /// The agents with buffers of their own, in ascending order.
    #[must_use]
    pub fn agents(&self) -> Vec<i64> {
        let mut agents: Vec<_> = self.buffers.iter().map(|entry| *entry.key()).collect();
        agents.sort_unstable();
        agents
    }

    /// The agents with buffers of their own, in ascending order, and these buffers. A snapshot: buffers that are added or
    /// removed at the same time may be part of it or not.
    pub fn iter(&self) -> impl Iterator<Item = (i64, Arc<dyn TransitionBuffer>)> + use<> {
        let mut buffers: Vec<_> = self
            .buffers
            .iter()
            .map(|entry| (*entry.key(), entry.value().clone()))
            .collect();
        buffers.sort_unstable_by_key(|&(agent_id, _)| agent_id);
        buffers.into_iter()
    }

    /// A reader of every ring, agents in ascending order, and of every shard of the pool, for
    /// [`Sampler::watch`](super::Sampler::watch).
    pub fn readers(&self) -> impl Iterator<Item = Reader> + use<> {
        let shards = self.pool.get().map_or_else(Vec::new, |pool| pool.readers().collect());
        self.iter().filter_map(|(_, buffer)| buffer.reader()).chain(shards)
    }

    /// Calls `each` with the newest `rows` rows of every player with a buffer of its own, oldest first, agents in ascending
    /// order. The rows stay in the buffers.
    pub fn peek_newest(&self, rows: usize, mut each: impl FnMut(i64, &[u64])) {
        for (agent_id, buffer) in self.iter() {
            buffer.peek_newest(rows, &mut |row| each(agent_id, row));
        }
    }

    /// The number of buffers without the pool.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffers.len()
    }

    /// Whether there are no buffers of players.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }

    /// The sum of all statistics, with those of the pool and of removed buffers.
    #[must_use]
    pub fn stats(&self) -> BufferStats {
        let mut open: BufferStats = self.buffers.iter().map(|entry| entry.stats()).sum();
        open.memory += self.reserved.get().map(|slab| slab.free_memory()).unwrap_or_default();
        let mut retired = self.retired();
        retired.release_drained();
        let undrained: BufferStats = retired.undrained.iter().map(|buffer| buffer.stats()).sum();
        let shared = self.pool.get().map(|pool| pool.stats()).unwrap_or_default();
        [open, undrained, retired.stats, shared].into_iter().sum()
    }

    fn retire(&self, buffer: Arc<dyn TransitionBuffer>) {
        let mut retired = self.retired();
        retired.undrained.push(buffer);
        retired.release_drained();
    }

    /// Removes closed buffers that no other thread can drain.
    fn retire_abandoned(&self) {
        let mut gone = Vec::new();
        self.buffers.retain(|_, buffer| {
            let is_in_use = !buffer.is_closed() || Arc::strong_count(buffer) > 1;
            if !is_in_use {
                gone.push(buffer.clone());
            }
            is_in_use
        });
        gone.into_iter().for_each(|buffer| self.retire(buffer));
    }

    fn retired(&self) -> MutexGuard<'_, RetiredBuffers> {
        lock(&self.retired)
    }
}

impl RetiredBuffers {
    /// Drops the buffers that are drained, or that no other thread can drain.
    fn release_drained(&mut self) {
        self.undrained.retain(|buffer| {
            let done = (buffer.is_closed() && buffer.is_empty()) || Arc::strong_count(buffer) == 1;
            if done {
                let mut stats = buffer.stats();
                stats.dropped += core::mem::take(&mut stats.len) as u64;
                stats.capacity = 0;
                stats.memory = MemoryUse::default();
                self.stats += stats;
            }
            !done
        });
    }
}
