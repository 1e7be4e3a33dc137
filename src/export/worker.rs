//! What the exporter's thread does.

use super::{
    Command, ExportSettings, Progress, RecordingExport,
    assembly::{Assembly, Finished, Shop, Toll},
    intake::{OwnIntake, ShardIntake},
    outlet::Outlet,
};
use crate::{
    account::{Counters, SinkCounters},
    buffer::PlayerBuffers,
    sink::RecordingInfo,
};
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use crossbeam_queue::SegQueue;
use std::{collections::HashSet, sync::Arc, time::Instant};

/// One recording and what is on its way to its sinks.
pub(super) struct Recording {
    info: RecordingInfo,
    shop: Shop,
    counters: Arc<Counters>,
    players: Arc<PlayerBuffers>,
    discarded: Arc<SegQueue<u32>>,
    unwanted: HashSet<u32>,
    intakes: Vec<OwnIntake>,
    shards: Vec<ShardIntake>,
    finished: Vec<Finished>,
    waiting: usize,
    outlets: Vec<Outlet>,
}

impl Recording {
    pub(super) fn new(export: RecordingExport) -> Self {
        Self {
            shop: Shop {
                schema: export.info.schema.clone(),
                run: export.info.run,
                reasons: export.reasons,
                episodes: export.episodes,
            },
            info: export.info,
            counters: export.counters,
            players: export.players,
            discarded: export.discarded,
            unwanted: HashSet::new(),
            intakes: Vec::new(),
            shards: Vec::new(),
            finished: Vec::new(),
            waiting: 0,
            outlets: export.sinks.into_iter().map(Outlet::new).collect(),
        }
    }

    pub(super) fn account(&self) -> (Arc<Counters>, Vec<Arc<SinkCounters>>) {
        let sinks = self.outlets.iter().map(|outlet| outlet.counters().clone()).collect();
        (self.counters.clone(), sinks)
    }

    /// Takes what the buffers hold, at most a turn from each, and hands over whenever that is enough. How many rows it was.
    fn drain(&mut self, settings: &ExportSettings) -> usize {
        let mut taken = 0;
        let mut intakes = core::mem::take(&mut self.intakes);
        intakes.retain_mut(|intake| {
            let (rows, done) = self.take_turn(settings, |shop, finished, toll| intake.drain(shop, finished, toll));
            taken += rows;
            if done {
                self.players.remove_if_same(intake.agent_id, &intake.buffer);
            }
            !done
        });
        self.intakes = intakes;
        let mut shards = core::mem::take(&mut self.shards);
        for shard in &mut shards {
            taken += self.take_turn(settings, |shop, finished, toll| shard.drain(shop, finished, toll));
        }
        self.shards = shards;
        taken
    }

    /// Takes what `turn` takes from one source. Whether that is enough to hand over is asked after each, so that what is
    /// held does not grow with the number of sources.
    fn take_turn<T>(
        &mut self,
        settings: &ExportSettings,
        turn: impl FnOnce(&Shop, &mut Vec<Finished>, &mut Toll) -> T,
    ) -> T {
        let before = self.finished.len();
        let mut toll = Toll::default();
        let result = turn(&self.shop, &mut self.finished, &mut toll);
        self.counters.lost.add(toll.lost);
        self.counters.discarded.add(toll.discarded);
        self.waiting += self.finished[before..]
            .iter()
            .map(|finished| finished.episode.len())
            .sum::<usize>();
        if self.has_enough(settings) {
            self.write();
        }
        result
    }

    /// Whether enough is finished to be handed over before its time.
    fn has_enough(&self, settings: &ExportSettings) -> bool {
        // An episode has a row more than it has transitions.
        let rows = self.waiting + self.finished.len();
        let bytes = rows.saturating_mul(self.shop.schema.layout().row_bytes());
        self.waiting >= settings.batch || bytes >= settings.batch_bytes
    }

    /// Hands everything finished to the sinks.
    fn write(&mut self) {
        if self.finished.is_empty() {
            return;
        }
        self.waiting = 0;
        while let Some(episode) = self.discarded.pop() {
            self.unwanted.insert(episode);
        }
        let (unwanted, counters) = (&self.unwanted, &self.counters);
        let episodes: Vec<_> = self
            .finished
            .drain(..)
            .filter_map(|finished| {
                if unwanted.contains(&finished.captured_as) {
                    counters.discarded.add(finished.episode.len() as u64);
                    return None;
                }
                Some(finished.episode)
            })
            .collect();
        for outlet in &mut self.outlets {
            outlet.write(&episodes);
        }
    }

    fn flush(&mut self) {
        self.write();
        for outlet in &mut self.outlets {
            outlet.flush(&self.counters);
        }
    }

    fn close(&mut self) {
        let Self {
            shop,
            counters,
            intakes,
            shards,
            finished,
            ..
        } = self;
        let mut toll = Toll::default();
        for intake in intakes.drain(..) {
            intake.close(shop, finished, &mut toll);
        }
        for shard in shards.drain(..) {
            shard.close(shop, finished, &mut toll);
        }
        counters.lost.add(toll.lost);
        self.write();
        for outlet in &mut self.outlets {
            outlet.close(&self.counters);
        }
    }
}

/// The state of the thread.
pub(super) struct Worker {
    settings: ExportSettings,
    recordings: Vec<Recording>,
    inbox: Receiver<Command>,
    progress: Arc<Progress>,
    flushed: Instant,
}

impl Worker {
    pub(super) fn new(
        settings: ExportSettings,
        recordings: Vec<Recording>,
        inbox: Receiver<Command>,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            settings,
            recordings,
            inbox,
            progress,
            flushed: Instant::now(),
        }
    }

    pub(super) fn run(mut self) {
        for recording in &mut self.recordings {
            for outlet in &mut recording.outlets {
                outlet.open(&recording.info);
            }
        }
        loop {
            let mut flushes = Vec::new();
            let close = self.read_inbox(&mut flushes);
            let mut taken = self.drain();
            if close.is_some() || !flushes.is_empty() {
                // Writers may be at work still; what they push from here on was not asked for.
                while taken > 0 {
                    taken = self.drain();
                }
            }
            let due = self.flushed.elapsed() >= self.settings.flush_interval;
            for recording in &mut self.recordings {
                if due || !flushes.is_empty() {
                    recording.flush();
                }
            }
            if due {
                self.flushed = Instant::now();
            }
            for done in flushes {
                let _ = done.send(());
            }
            if let Some(done) = close {
                self.recordings.iter_mut().for_each(Recording::close);
                if let Some(done) = done {
                    let _ = done.send(());
                }
                return;
            }
            if taken == 0 {
                std::thread::park_timeout(self.settings.poll_interval);
            }
        }
    }

    /// Does what was asked. `Some` when the thread is to end, with whom to tell.
    fn read_inbox(&mut self, flushes: &mut Vec<Sender<()>>) -> Option<Option<Sender<()>>> {
        loop {
            match self.inbox.try_recv() {
                Ok(Command::Attach {
                    recording,
                    agent_id,
                    buffer,
                    transitions,
                }) => {
                    if let Some(recording) = self.recordings.get_mut(recording) {
                        recording.intakes.push(OwnIntake {
                            agent_id,
                            buffer,
                            transitions,
                            assembly: Assembly::default(),
                        });
                    }
                }
                Ok(Command::AttachPool { recording, pool }) => {
                    if let Some(recording) = self.recordings.get_mut(recording) {
                        recording.shards = pool.shards().iter().cloned().map(ShardIntake::new).collect();
                    }
                }
                Ok(Command::Leave { recording, stream }) => {
                    let recording = self.recordings.get_mut(recording);
                    if let Some(shard) = recording.and_then(|recording| recording.shards.get_mut(stream.shard)) {
                        shard.leave(stream);
                    }
                }
                Ok(Command::Flush(done)) => flushes.push(done),
                Ok(Command::Close(done)) => return Some(Some(done)),
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => return Some(None),
            }
        }
    }

    fn drain(&mut self) -> usize {
        let settings = &self.settings;
        let taken = self
            .recordings
            .iter_mut()
            .map(|recording| recording.drain(settings))
            .sum();
        self.progress.advance();
        taken
    }
}
