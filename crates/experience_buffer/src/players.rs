//! Every player's buffer, by agent.

use super::{
    Budget, BufferError, BufferPool, BufferSettings, BufferStats, Drained, Label, MemoryUse, TransitionBuffer, Writer,
    pool::{PoolSettings, PoolWriter},
    ring::Reader,
    supplies::Supplies,
    sync::{Mutex, MutexGuard, lock},
    writer::create_with,
};
use dashmap::{DashMap, Entry};
use experience_core::transition::RunId;
use std::sync::{Arc, OnceLock};

/// The buffers of a recording's players, by agent id.
///
/// Capture keeps each player's [`Writer`] with the player, so that a tick looks nothing up; this map is for everybody
/// else. A buffer stands here from the moment its player joins until the player has left and everything was drained.
///
/// Where there are very many players, some or all of them may share a [`BufferPool`] instead of having buffers of their
/// own: see [`share`](Self::share).
///
/// ```
/// use experience_buffer::{BufferSettings, PlayerBuffers};
///
/// let players = PlayerBuffers::new(BufferSettings::default(), 8)?;
/// let (buffer, writer) = players.get_or_create(7)?;
/// writer.expect("nobody writes it yet").push(&[0; 8])?;
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
    buffers: DashMap<i64, Arc<dyn TransitionBuffer>>,
    pool: OnceLock<Arc<BufferPool>>,
    past: Mutex<Past>,
}

/// Buffers that are no longer in the map.
#[derive(Debug, Default)]
struct Past {
    /// Those whose rows were not all drained when they went: whoever drains them holds on to them.
    leaving: Vec<Arc<dyn TransitionBuffer>>,
    /// What all others counted.
    stats: BufferStats,
}

impl PlayerBuffers {
    /// No buffers yet; each will be made like this.
    ///
    /// # Errors
    /// When the settings or the rows have no size, or one so large that a buffer cannot be made.
    pub fn new(settings: BufferSettings, row_words: usize) -> Result<Self, BufferError> {
        settings.check(row_words)?;
        Ok(Self {
            settings,
            row_words,
            label: Label::default(),
            budget: None,
            buffers: DashMap::new(),
            pool: OnceLock::new(),
            past: Mutex::default(),
        })
    }

    /// Names the run and the schema of the rows, for buffers that lie in files.
    #[must_use]
    pub fn with_label(mut self, run: RunId, schema_hash: u64) -> Self {
        self.label = Label {
            run,
            schema_hash,
            ..self.label
        };
        self
    }

    /// Makes no more buffers than fit this budget, which others may share.
    #[must_use]
    pub fn with_budget(mut self, budget: Arc<Budget>) -> Self {
        self.budget = Some(budget);
        self
    }

    fn create(&self, agent_id: i64) -> Result<(Writer, Arc<dyn TransitionBuffer>), BufferError> {
        let share = match &self.budget {
            None => None,
            Some(budget) => {
                let bytes = self.settings.bytes(self.row_words)?;
                Some(budget.take(bytes).or_else(|_| {
                    self.past().settle();
                    budget.take(bytes)
                })?)
            }
        };
        let supplies = Supplies {
            label: Label { agent_id, ..self.label },
            share,
        };
        create_with(&self.settings, self.row_words, supplies)
    }

    /// How each buffer is made.
    #[must_use]
    pub fn settings(&self) -> &BufferSettings {
        &self.settings
    }

    /// Words of a row.
    #[must_use]
    pub fn row_words(&self) -> usize {
        self.row_words
    }

    /// Makes a buffer for an agent who joins. One that stands there already, because the agent left and its rows were
    /// not drained yet, is closed and replaced; whoever drains it holds on to it.
    ///
    /// # Errors
    /// When there is no memory for another buffer, or the budget leaves none, or no file can be made.
    pub fn open(&self, agent_id: i64) -> Result<(Writer, Arc<dyn TransitionBuffer>), BufferError> {
        let (writer, buffer) = self.create(agent_id).or_else(|error| match error {
            BufferError::OverBudget { .. } => {
                self.let_go();
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

    /// Makes the pool that players share who have no buffer of their own.
    ///
    /// # Errors
    /// When there is a pool already, or this one cannot be made, or the budget leaves no memory for it.
    pub fn share(&self, settings: &PoolSettings) -> Result<PoolWriter, BufferError> {
        let (writer, pool) = BufferPool::within(settings, self.row_words, self.label, self.budget.as_ref())?;
        self.pool.set(pool).map_err(|_| BufferError::SecondPool)?;
        Ok(writer)
    }

    /// The pool that players share, if there is one.
    #[must_use]
    pub fn pool(&self) -> Option<&Arc<BufferPool>> {
        self.pool.get()
    }

    /// The buffer of an agent, and its writer if this call made it.
    ///
    /// Of any number of threads that ask for a new agent at once, one makes the buffer and gets the writer. A closed
    /// buffer, whose player left, is replaced when the agent comes back; whoever still drains it holds on to it.
    ///
    /// # Errors
    /// When there is no memory for another buffer, or the budget leaves none, or no file can be made.
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

    /// Removes the buffer of an agent, if it is still this one. Its counts stay in the totals.
    pub fn remove_if_same(&self, agent_id: i64, buffer: &Arc<dyn TransitionBuffer>) -> bool {
        let removed = self.buffers.remove_if(&agent_id, |_, known| Arc::ptr_eq(known, buffer));
        removed.map(|(_, buffer)| self.retire(buffer)).is_some()
    }

    /// Closes and removes the buffer of an agent, and gives out what was left in it. `None` where there is none.
    ///
    /// A push at the very moment of the close may be left in the buffer; the totals count it as dropped.
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

    /// All agents who have buffers of their own, in ascending order.
    #[must_use]
    pub fn agents(&self) -> Vec<i64> {
        let mut agents: Vec<_> = self.buffers.iter().map(|entry| *entry.key()).collect();
        agents.sort_unstable();
        agents
    }

    /// All agents who have buffers of their own, and these, agents in ascending order. Buffers that come or go meanwhile may be among them.
    pub fn iter(&self) -> impl Iterator<Item = (i64, Arc<dyn TransitionBuffer>)> + use<> {
        let mut buffers: Vec<_> = self
            .buffers
            .iter()
            .map(|entry| (*entry.key(), entry.value().clone()))
            .collect();
        buffers.sort_unstable_by_key(|&(agent_id, _)| agent_id);
        buffers.into_iter()
    }

    /// A reader of every player's buffer, agents in ascending order, for those kinds that have readers, and of every shard
    /// of the pool: what a [`Sampler`](super::Sampler) watches.
    pub fn readers(&self) -> impl Iterator<Item = Reader> + use<> {
        let shards = self.pool.get().map_or_else(Vec::new, |pool| pool.readers().collect());
        self.iter().filter_map(|(_, buffer)| buffer.reader()).chain(shards)
    }

    /// Gives out the newest `rows` rows of every player who has a buffer of its own, agent by agent in ascending order, each player's oldest first,
    /// and leaves all in place.
    pub fn peek_newest(&self, rows: usize, mut each: impl FnMut(i64, &[u64])) {
        for (agent_id, buffer) in self.iter() {
            buffer.peek_newest(rows, &mut |row| each(agent_id, row));
        }
    }

    /// How many buffers there are, without the pool.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffers.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }

    /// The sum of all counts, also of the pool, and of the buffers of players who left.
    #[must_use]
    pub fn stats(&self) -> BufferStats {
        let living: BufferStats = self.buffers.iter().map(|entry| entry.stats()).sum();
        let mut past = self.past();
        past.settle();
        let leaving: BufferStats = past.leaving.iter().map(|buffer| buffer.stats()).sum();
        let shared = self.pool.get().map(|pool| pool.stats()).unwrap_or_default();
        [living, leaving, past.stats, shared].into_iter().sum()
    }

    fn retire(&self, buffer: Arc<dyn TransitionBuffer>) {
        let mut past = self.past();
        past.leaving.push(buffer);
        past.settle();
    }

    /// Lets go of the buffers of players who left that nobody holds who could drain them.
    fn let_go(&self) {
        let mut gone = Vec::new();
        self.buffers.retain(|_, buffer| {
            let is_wanted = !buffer.is_closed() || Arc::strong_count(buffer) > 1;
            if !is_wanted {
                gone.push(buffer.clone());
            }
            is_wanted
        });
        gone.into_iter().for_each(|buffer| self.retire(buffer));
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        lock(&self.past)
    }
}

impl Past {
    /// Lets go of the buffers that nobody will drain any further.
    fn settle(&mut self) {
        self.leaving.retain(|buffer| {
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
