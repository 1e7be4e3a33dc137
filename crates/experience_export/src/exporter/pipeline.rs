//! Pipeline of one recording: from its buffers through assembly and the journal to its sinks.

mod parts;

use super::{
    ExportSettings, RecordingExport, RecordingMonitor,
    drain::{PlayerDrain, ShardDrain, TURN},
    episode_batch::{Completion, Dispatch, DurabilityToken},
    journal_tracker::JournalTracker,
    notice::{Notice, Notices},
    part_collector::PartCollector,
    sink_context::{SinkAccounts, SinkContext, StoredChanges},
    sink_handle::SinkHandle,
    storage::StorageMonitor,
};
use crate::assembly::{AssemblyContext, EpisodeBuilder, LossCounts};
use crossbeam_queue::SegQueue;
use experience_buffer::PlayerBuffers;
use experience_core::account::Counters;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use web_time::Instant;

/// One recording, and everything that is on its way to its sinks.
pub(super) struct RecordingPipeline {
    /// Index of the recording at the exporter.
    index: usize,
    context: AssemblyContext,
    counters: Arc<Counters>,
    players: Arc<PlayerBuffers>,
    /// Numbers, as captured, of episodes that must not be written: those announced since the last dispatch, and all.
    discarded: Arc<SegQueue<u32>>,
    /// Each with the pass in which it was announced.
    unwanted: HashMap<u32, u64>,
    /// Number of drains so far.
    pass: u64,
    pub(super) player_drains: Vec<PlayerDrain>,
    pub(super) shard_drains: Vec<ShardDrain>,
    /// The shard that is drained next.
    next_shard: usize,
    /// Episodes that were not dispatched yet.
    finished: Vec<EpisodeBuilder>,
    /// Transitions in `finished`.
    finished_transitions: usize,
    /// Transitions as they happen. `None` where no sink takes them.
    parts: Option<PartCollector>,
    journal: JournalTracker,
    /// The sink whose folder contains the journal.
    journal_host: Option<usize>,
    pub(super) sinks: Vec<SinkHandle>,
    storage: Arc<StorageMonitor>,
    notices: Arc<Notices>,
}

impl RecordingPipeline {
    /// Starts the workers of the sinks, or, without threads, opens the sinks.
    pub(super) fn new(
        index: usize,
        export: RecordingExport,
        settings: &ExportSettings,
        notices: &Arc<Notices>,
    ) -> std::io::Result<Self> {
        let storage = Arc::<StorageMonitor>::default();
        let context = SinkContext {
            recording: index,
            info: export.info.clone(),
            counters: export.counters.clone(),
            storage: storage.clone(),
            notices: notices.clone(),
        };
        let journal = JournalTracker::new(index, &export.info, settings, storage.clone(), notices.clone());
        let sinks = export.sinks.into_iter();
        let sinks = sinks.map(|sink| SinkHandle::new(sink, context.clone(), settings));
        let sinks = sinks.collect::<Result<Vec<_>, _>>()?;
        let parts = sinks.iter().any(SinkHandle::takes_parts).then(PartCollector::default);
        Ok(Self {
            index,
            sinks,
            storage,
            notices: notices.clone(),
            context: AssemblyContext {
                schema: export.info.schema.clone(),
                run: export.info.run,
                words: export.words,
                episodes: export.episodes,
                gives_parts: parts.is_some(),
            },
            counters: export.counters,
            players: export.players,
            discarded: export.discarded,
            unwanted: HashMap::new(),
            pass: 0,
            player_drains: Vec::new(),
            shard_drains: Vec::new(),
            next_shard: 0,
            finished: Vec::new(),
            finished_transitions: 0,
            parts,
            journal,
            journal_host: None,
        })
    }

    pub(super) fn monitor(&self) -> RecordingMonitor {
        RecordingMonitor {
            counters: self.counters.clone(),
            sinks: self.sinks.iter().map(SinkHandle::monitor).collect(),
            storage: self.storage.clone(),
        }
    }

    /// Whether a sink holds up the recording, which is then not drained.
    pub(super) fn is_held_up(&self) -> bool {
        self.sinks.iter().any(SinkHandle::holds_up)
    }

    /// Feeds the sinks, and drains at most one turn from each buffer. Returns the number of rows.
    pub(super) fn drain(&mut self, settings: &ExportSettings) -> usize {
        let _span = tracing::debug_span!("experience_drain", recording = self.context.schema.name()).entered();
        self.feed();
        self.pass += 1;
        let mut taken = 0;
        let mut visited = 0;
        let mut is_exhausted = true;
        let mut drains = core::mem::take(&mut self.player_drains);
        drains.retain_mut(|player| {
            if self.is_held_up() {
                is_exhausted = false;
                return true;
            }
            let (rows, done) = self.take_turn(settings, Some(player.agent_id), |context, finished, losses| {
                player.drain(context, finished, losses)
            });
            taken += rows;
            if let Some((parts, open)) = self.parts.as_mut().zip(player.open()) {
                parts.collect(&self.context, open);
            }
            is_exhausted &= rows < player.turn();
            if done {
                self.players.remove_if_same(player.agent_id, &player.buffer);
            }
            visited += usize::from(!done);
            !done
        });
        // The next pass begins with the buffers that had no turn, so that a slow sink costs all players alike.
        if visited < drains.len() {
            drains.rotate_left(visited);
        }
        self.player_drains = drains;
        let mut shards = core::mem::take(&mut self.shard_drains);
        for _ in 0..shards.len() {
            if self.is_held_up() {
                is_exhausted = false;
                break;
            }
            let shard = &mut shards[self.next_shard];
            let rows = self.take_turn(settings, None, |context, finished, losses| {
                shard.drain(context, finished, losses)
            });
            taken += rows;
            if let Some(parts) = &mut self.parts {
                shard.for_each_touched(|open| parts.collect(&self.context, open));
            }
            is_exhausted &= rows < TURN;
            self.next_shard = (self.next_shard + 1) % shards.len();
        }
        self.shard_drains = shards;
        self.send_parts();
        if is_exhausted {
            self.forget_unwanted();
        }
        self.journal
            .add_drained(taken.saturating_mul(self.context.schema.layout().row_bytes()));
        taken
    }

    /// Moves batches from the sinks' backlogs to their queues, as far as they fit.
    pub(super) fn feed(&mut self) {
        let Self {
            sinks,
            journal,
            context,
            ..
        } = self;
        for sink in sinks {
            sink.feed(|stored| journal.load(context, stored));
        }
    }

    /// Without threads, executes all commands in the queues of the sinks.
    pub(super) fn call_sinks(&mut self) {
        self.sinks.iter_mut().for_each(SinkHandle::call_sink);
    }

    /// Drains one source by `turn`. Whether to dispatch is decided after each turn, so that memory does not grow with the
    /// number of sources.
    fn take_turn<T>(
        &mut self,
        settings: &ExportSettings,
        agent_id: Option<i64>,
        turn: impl FnOnce(&AssemblyContext, &mut Vec<EpisodeBuilder>, &mut LossCounts) -> T,
    ) -> T {
        let before = self.finished.len();
        let mut losses = LossCounts::default();
        let result = turn(&self.context, &mut self.finished, &mut losses);
        self.count_losses(agent_id, losses);
        self.finished_transitions += self.finished[before..]
            .iter()
            .map(|builder| builder.transitions() as usize)
            .sum::<usize>();
        // May remove finished episodes, so they are counted first.
        self.collect_finished_parts(before, settings.batch_bytes);
        if self.is_batch_full(settings) {
            self.dispatch(false);
        }
        result
    }

    fn count_losses(&mut self, agent_id: Option<i64>, losses: LossCounts) {
        self.counters.lost.add(losses.lost);
        self.counters.discarded.add(losses.discarded);
        for captured_as in losses.withdrawn {
            self.withdraw(captured_as);
        }
        if let Some(parts) = &mut self.parts {
            losses
                .withdrawn_parts
                .into_iter()
                .for_each(|episode| parts.withdraw(episode));
        }
        if losses.lost > 0 {
            self.notices.post(Notice::Gap {
                recording: self.index,
                agent_id,
                lost: losses.lost,
            });
        }
    }

    /// Whether enough episodes are finished to dispatch them before the flush interval ends.
    fn is_batch_full(&self, settings: &ExportSettings) -> bool {
        self.finished_transitions >= settings.batch || self.finished_bytes() >= settings.batch_bytes
    }

    fn finished_bytes(&self) -> usize {
        // An episode has one row more than transitions.
        let rows = self.finished_transitions + self.finished.len();
        rows.saturating_mul(self.context.schema.layout().row_bytes())
    }

    /// Dispatches the finished episodes: to the queue of each sink where they fit, to the backlog of each other one. With
    /// `beyond_bound`, a batch that the journal does not hold is sent whatever the size of the queue.
    fn dispatch(&mut self, beyond_bound: bool) {
        self.drop_unwanted();
        let bytes = self.finished_bytes();
        self.finished_transitions = 0;
        if self.finished.is_empty() {
            return;
        }
        if self.journal.is_wanted() {
            self.begin_journal();
        }
        // Before the dispatch, so that no sink holds an episode that the journal lacks.
        let accounts = self.sink_accounts();
        self.journal
            .write(&self.context, &self.counters, accounts, &mut self.finished);
        let created = Instant::now();
        let tokens: Vec<_> = self.sinks.iter().map(|_| Arc::new(DurabilityToken)).collect();
        self.journal.track(&self.finished, &tokens);
        let takes: Vec<_> = self.sinks.iter().map(|sink| sink.takes(bytes, false)).collect();
        let location = self.journal.stored_batch(&self.context, &self.finished, bytes, created);
        let stored = location.clone().filter(|_| takes.contains(&false));
        // Rows leave memory where no sink takes the batch now.
        let batch = (stored.is_none() || takes.contains(&true)).then(|| {
            let finished = self.finished.drain(..);
            Arc::new(self.journal.episode_batch(&self.context, finished, created, location))
        });
        self.finished.clear();
        for ((sink, takes), token) in self.sinks.iter_mut().zip(takes).zip(tokens) {
            let in_memory = |batch: &Arc<_>, token| Dispatch {
                batch: Arc::clone(batch),
                token,
            };
            match (&batch, &stored) {
                (Some(batch), _) if takes => sink.send(in_memory(batch, token)),
                (_, Some(stored)) => sink.store(Dispatch {
                    batch: stored.clone(),
                    token,
                }),
                (Some(batch), None) if sink.takes(bytes, beyond_bound) => sink.send(in_memory(batch, token)),
                (Some(batch), None) => sink.hold(in_memory(batch, token)),
                (None, None) => {}
            }
        }
    }

    /// Removes finished episodes that must not be written.
    fn drop_unwanted(&mut self) {
        while let Some(episode) = self.discarded.pop() {
            self.withdraw(episode);
        }
        let Self {
            finished,
            finished_transitions,
            unwanted,
            counters,
            parts,
            context,
            ..
        } = self;
        finished.retain(|builder| {
            let is_unwanted = unwanted.contains_key(&builder.captured_as());
            if is_unwanted {
                // The pieces of an episode with gaps have ids of their own. That of the first one is withdrawn already.
                if let Some(parts) = parts
                    && builder.has_given_parts()
                    && builder.episode_id() != context.run.episode_id(builder.captured_as())
                {
                    parts.withdraw(builder.episode_id());
                }
                *finished_transitions -= builder.transitions() as usize;
                counters.discarded.add(builder.transitions());
            }
            !is_unwanted
        });
    }

    /// Forgets the episodes that must not be written and of which no row can follow. Called after a pass that has emptied every
    /// buffer.
    fn forget_unwanted(&mut self) {
        if self.unwanted.is_empty() && self.discarded.is_empty() {
            return;
        }
        self.drop_unwanted();
        // All rows of an episode that was announced before this pass were pushed before it, except that the row which discards
        // it may have been refused by a full buffer. Then the episode is still open.
        let open = self.player_drains.iter_mut().filter_map(PlayerDrain::open);
        let shared = self.shard_drains.iter_mut().flat_map(ShardDrain::open);
        let open: HashSet<u32> = open.chain(shared).map(|builder| builder.captured_as()).collect();
        let pass = self.pass;
        self.unwanted
            .retain(|episode, announced| *announced >= pass || open.contains(episode));
    }

    /// Voids what the journal may hold of an episode, which is in a buffer, open or finished.
    fn withdraw(&mut self, episode: u32) {
        if self.unwanted.insert(episode, self.pass).is_none() {
            self.journal.withdraw(episode);
            if let Some(parts) = &mut self.parts {
                parts.withdraw(self.context.run.episode_id(episode));
            }
        }
    }

    /// Begins the journal when its folder is known, and writes everything to it when that is due.
    pub(super) fn keep_journal(&mut self) {
        if self.journal.is_wanted() {
            self.begin_journal();
        }
        self.check_journal_host();
        self.journal.keep_alive();
        if self.journal.is_write_due() {
            self.write_journal();
        }
    }

    /// What the accounts of the sinks hold.
    fn sink_accounts(&self) -> SinkAccounts {
        let stored = self.sinks.iter().map(SinkHandle::stored_changes);
        let host = self.journal_host.map(|host| &self.sinks[host]);
        SinkAccounts {
            stored: stored.reduce(StoredChanges::min).unwrap_or_default(),
            failures: host.map_or(0, SinkHandle::failures),
            stored_failures: host.map_or(0, SinkHandle::stored_failures),
        }
    }

    fn begin_journal(&mut self) {
        let host = self.sinks.iter().position(|sink| sink.journal_place().is_some());
        if let Some(host) = host
            && let Some(place) = self.sinks[host].journal_place()
        {
            self.journal.set_label(&place.label);
            self.journal.begin(&place.folder, false, &self.context);
            self.journal_host = Some(host);
        } else if self.sinks.iter().all(SinkHandle::is_opened)
            && let Some(folder) = self.journal.fallback_folder()
        {
            self.journal.begin(&folder, true, &self.context);
        }
    }

    /// Abandons the journal when the sink whose folder contains it is lost. What that sink did not make durable is recovered
    /// from there at the next start.
    fn check_journal_host(&mut self) {
        if self.journal_host.is_some_and(|host| self.sinks[host].is_lost()) {
            self.journal.abandon();
        }
    }

    /// Writes to the journal what it lacks.
    fn write_journal(&mut self) {
        let _span = tracing::debug_span!("experience_journal", recording = self.context.schema.name()).entered();
        self.drop_unwanted();
        let accounts = self.sink_accounts();
        let Self {
            finished,
            player_drains,
            shard_drains,
            journal,
            unwanted,
            ..
        } = self;
        let open = player_drains.iter_mut().filter_map(PlayerDrain::open);
        let shared = shard_drains.iter_mut().flat_map(ShardDrain::open);
        // A discarded episode is open until its `Discard` row is drained, or the buffer is closed if that row was dropped.
        let open = open
            .chain(shared)
            .filter(|builder| !unwanted.contains_key(&builder.captured_as()));
        let mut builders: Vec<_> = finished.iter_mut().chain(open).collect();
        journal.write(
            &self.context,
            &self.counters,
            accounts,
            builders.iter_mut().map(|builder| &mut **builder),
        );
        journal.compact(&mut builders);
        let oldest = builders.iter().filter_map(|builder| builder.segment()).min();
        for (index, sink) in self.sinks.iter_mut().enumerate() {
            if sink.gives_up_journal(|| journal.bytes_needed_by(index, oldest)) {
                journal.forget_sink(index);
            }
        }
        journal.finish_write(&self.counters, accounts, oldest);
    }

    /// A periodic flush, which no caller waits for. A recording that is held up has the next one.
    pub(super) fn flush_periodically(&mut self) {
        if self.is_held_up() {
            return;
        }
        self.dispatch(false);
        if !self.is_held_up() {
            self.sinks.iter_mut().for_each(SinkHandle::flush_periodically);
        }
    }

    /// A flush that callers wait for. The buffers are drained.
    pub(super) fn flush(&mut self, completions: &[Arc<Completion>]) {
        self.write_journal();
        self.dispatch(true);
        self.journal.secure();
        for sink in &mut self.sinks {
            for completion in completions {
                sink.flush(completion.clone());
            }
        }
    }

    /// From here on no sink holds up the recording.
    pub(super) fn begin_close(&mut self) {
        self.sinks.iter_mut().for_each(SinkHandle::begin_close);
    }

    /// Ends the open episodes, and closes the sinks after everything was dispatched to them.
    pub(super) fn close(&mut self, deadline: Instant, completion: Option<&Arc<Completion>>) {
        let mut losses = LossCounts::default();
        for player in self.player_drains.drain(..) {
            player.close(&mut self.finished, &mut losses);
        }
        for shard in self.shard_drains.drain(..) {
            shard.close(&mut self.finished, &mut losses);
        }
        self.finished_transitions = self.finished.iter().map(|builder| builder.transitions() as usize).sum();
        self.count_losses(None, losses);
        self.collect_finished_parts(0, usize::MAX);
        self.send_parts();
        self.dispatch(true);
        for sink in &mut self.sinks {
            sink.close(deadline, completion.cloned());
        }
    }

    /// Whether every sink was closed and its worker has ended.
    pub(super) fn is_shut(&self) -> bool {
        self.sinks.iter().all(SinkHandle::is_shut)
    }

    /// Deletes the journal, unless a sink did not make all of it durable.
    pub(super) fn finish(&mut self) {
        self.check_journal_host();
        self.journal.finish();
    }
}
