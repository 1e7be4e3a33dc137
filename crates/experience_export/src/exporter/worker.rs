//! What the exporter's thread does.

use super::{
    Account, Command, ExportSettings, Progress, RecordingExport,
    intake::{OwnIntake, ShardIntake},
    ledger::{Ledger, Receipt},
    notice::{Notice, Notices},
    outlet::{Answer, Outlet, Parcel, Premises},
    storage::Storage,
};
use crate::assembly::{Assembly, Draft, Shop, Toll};
use crossbeam_channel::{Receiver, TryRecvError};
use crossbeam_queue::SegQueue;
use experience_buffer::PlayerBuffers;
use experience_core::account::Counters;
use std::{collections::HashSet, sync::Arc, time::Instant};

/// One recording and what is on its way to its sinks.
pub(super) struct Recording {
    /// Its place at the exporter.
    place: usize,
    shop: Shop,
    counters: Arc<Counters>,
    players: Arc<PlayerBuffers>,
    discarded: Arc<SegQueue<u32>>,
    unwanted: HashSet<u32>,
    intakes: Vec<OwnIntake>,
    shards: Vec<ShardIntake>,
    finished: Vec<Draft>,
    ledger: Ledger,
    /// The sink that has the place of the journal.
    host: Option<usize>,
    waiting: usize,
    outlets: Vec<Outlet>,
    storage: Arc<Storage>,
    notices: Arc<Notices>,
    /// The shard whose turn is next.
    next_shard: usize,
}

impl Recording {
    /// Starts the threads of the sinks.
    pub(super) fn spawn(
        place: usize,
        export: RecordingExport,
        settings: &ExportSettings,
        notices: &Arc<Notices>,
    ) -> std::io::Result<Self> {
        let storage = Arc::<Storage>::default();
        let premises = Premises {
            recording: place,
            info: export.info.clone(),
            counters: export.counters.clone(),
            storage: storage.clone(),
            notices: notices.clone(),
        };
        let ledger = Ledger::new(place, &export.info, settings, storage.clone(), notices.clone());
        let sinks = export.sinks.into_iter();
        let outlets = sinks.map(|sink| Outlet::spawn(sink, premises.clone(), settings));
        Ok(Self {
            place,
            outlets: outlets.collect::<Result<_, _>>()?,
            storage,
            notices: notices.clone(),
            next_shard: 0,
            shop: Shop {
                schema: export.info.schema.clone(),
                run: export.info.run,
                reasons: export.reasons,
                episodes: export.episodes,
            },
            counters: export.counters,
            players: export.players,
            discarded: export.discarded,
            unwanted: HashSet::new(),
            intakes: Vec::new(),
            shards: Vec::new(),
            finished: Vec::new(),
            ledger,
            host: None,
            waiting: 0,
        })
    }

    pub(super) fn account(&self) -> Account {
        Account {
            counters: self.counters.clone(),
            sinks: self.outlets.iter().map(Outlet::gauge).collect(),
            storage: self.storage.clone(),
        }
    }

    /// Whether a sink has no room for what it was to get. Until it has, or is given up, nothing is drained.
    fn is_held_up(&self) -> bool {
        self.outlets.iter().any(Outlet::holds_up)
    }

    /// Takes what the buffers hold, at most a turn from each, and hands over whenever that is enough. How many rows it was.
    fn drain(&mut self, settings: &ExportSettings) -> usize {
        let _span = tracing::debug_span!("experience_drain", recording = self.shop.schema.name()).entered();
        for outlet in &mut self.outlets {
            outlet.try_again();
        }
        let mut taken = 0;
        let mut visited = 0;
        let mut intakes = core::mem::take(&mut self.intakes);
        intakes.retain_mut(|intake| {
            if self.is_held_up() {
                return true;
            }
            let (rows, done) = self.take_turn(settings, Some(intake.agent_id), |shop, finished, toll| {
                intake.drain(shop, finished, toll)
            });
            taken += rows;
            if done {
                self.players.remove_if_same(intake.agent_id, &intake.buffer);
            }
            visited += usize::from(!done);
            !done
        });
        // Those who had no turn are the first of the next pass: a sink that is slow is slow for everybody.
        if visited < intakes.len() {
            intakes.rotate_left(visited);
        }
        self.intakes = intakes;
        let mut shards = core::mem::take(&mut self.shards);
        for _ in 0..shards.len() {
            if self.is_held_up() {
                break;
            }
            let shard = &mut shards[self.next_shard];
            taken += self.take_turn(settings, None, |shop, finished, toll| shard.drain(shop, finished, toll));
            self.next_shard = (self.next_shard + 1) % shards.len();
        }
        self.shards = shards;
        self.ledger
            .drained(taken.saturating_mul(self.shop.schema.layout().row_bytes()));
        taken
    }

    /// Takes what `turn` takes from one source. Whether that is enough to hand over is asked after each, so that what is
    /// held does not grow with the number of sources.
    fn take_turn<T>(
        &mut self,
        settings: &ExportSettings,
        agent_id: Option<i64>,
        turn: impl FnOnce(&Shop, &mut Vec<Draft>, &mut Toll) -> T,
    ) -> T {
        let before = self.finished.len();
        let mut toll = Toll::default();
        let result = turn(&self.shop, &mut self.finished, &mut toll);
        self.pay(agent_id, toll);
        self.waiting += self.finished[before..]
            .iter()
            .map(|draft| draft.transitions() as usize)
            .sum::<usize>();
        if self.has_enough(settings) {
            self.hand_over(Outlet::hand_over);
        }
        result
    }

    /// Counts what will be in no episode.
    fn pay(&mut self, agent_id: Option<i64>, toll: Toll) {
        self.counters.lost.add(toll.lost);
        self.counters.discarded.add(toll.discarded);
        for captured_as in toll.withdrawn {
            self.ledger.withdraw(captured_as);
        }
        self.tell_of_gap(agent_id, toll.lost);
    }

    fn tell_of_gap(&self, agent_id: Option<i64>, lost: u64) {
        if lost > 0 {
            let recording = self.place;
            self.notices.post(Notice::Gap {
                recording,
                agent_id,
                lost,
            });
        }
    }

    /// Whether enough is finished to be handed over before its time.
    fn has_enough(&self, settings: &ExportSettings) -> bool {
        // An episode has a row more than it has transitions.
        let rows = self.waiting + self.finished.len();
        let bytes = rows.saturating_mul(self.shop.schema.layout().row_bytes());
        self.waiting >= settings.batch || bytes >= settings.batch_bytes
    }

    /// Hands everything finished to the sinks.
    fn hand_over(&mut self, to: impl Fn(&mut Outlet, &Arc<Parcel>)) {
        if self.finished.is_empty() {
            return;
        }
        self.waiting = 0;
        self.drop_unwanted();
        // First, so that no sink has what the journal lacks.
        self.ledger.write(&self.shop, &self.counters, &mut self.finished);
        let receipt = Arc::new(Receipt);
        let (episodes, lost) = self.ledger.episodes(&self.shop, self.finished.drain(..), &receipt);
        self.counters.lost.add(lost);
        let parcel = Arc::new(Parcel::new(episodes, receipt));
        for outlet in &mut self.outlets {
            to(outlet, &parcel);
        }
    }

    /// Throws away what was finished of episodes that must not be written.
    fn drop_unwanted(&mut self) {
        while let Some(episode) = self.discarded.pop() {
            self.unwanted.insert(episode);
        }
        let Self {
            finished,
            unwanted,
            counters,
            ledger,
            ..
        } = self;
        finished.retain(|draft| {
            let is_unwanted = unwanted.contains(&draft.captured_as());
            if is_unwanted {
                counters.discarded.add(draft.transitions());
                if draft.is_in_journal() {
                    ledger.withdraw(draft.captured_as());
                }
            }
            !is_unwanted
        });
    }

    /// Writes to the journal what it has not, if it is time to.
    fn keep_journal(&mut self) {
        if self.ledger.is_wanted()
            && let Some(host) = self.outlets.iter().position(|outlet| outlet.journal_folder().is_some())
            && let Some(folder) = self.outlets[host].journal_folder()
        {
            self.ledger.begin(folder, &self.shop);
            self.host = Some(host);
        }
        self.see_to_host();
        if self.ledger.wants_all() {
            self.write_journal();
        }
    }

    /// What the sink with the journal's place lost stays there; and what comes from here on, nobody would bring back.
    fn see_to_host(&mut self) {
        if self.host.is_some_and(|host| self.outlets[host].is_lost()) {
            self.ledger.end();
        }
    }

    /// Writes to the journal what it has not.
    fn write_journal(&mut self) {
        let _span = tracing::debug_span!("experience_journal", recording = self.shop.schema.name()).entered();
        let Self {
            finished,
            intakes,
            shards,
            ledger,
            ..
        } = self;
        let open = intakes.iter_mut().filter_map(OwnIntake::open);
        let shared = shards.iter_mut().flat_map(ShardIntake::open);
        let mut drafts: Vec<_> = finished.iter_mut().chain(open).chain(shared).collect();
        ledger.write(&self.shop, &self.counters, drafts.iter_mut().map(|draft| &mut **draft));
        ledger.shorten(&mut drafts);
        ledger.wrote_all(drafts.iter().filter_map(|draft| draft.segment()).min());
    }

    /// A flush that nobody waits for. A sink that has no room at the moment will have the next one.
    fn flush(&mut self) {
        if self.is_held_up() {
            return;
        }
        self.hand_over(Outlet::hand_over);
        for outlet in self.outlets.iter_mut().filter(|outlet| !outlet.holds_up()) {
            outlet.flush(None);
        }
    }

    /// A flush that somebody waits for, of a recording that is drained.
    fn flush_now(&mut self, answers: &[Arc<Answer>]) {
        self.write_journal();
        self.hand_over(Outlet::hand_over_last);
        for outlet in &mut self.outlets {
            for answer in answers {
                outlet.flush(Some(answer.clone()));
            }
        }
    }

    fn close(&mut self, deadline: Instant, answer: Option<&Arc<Answer>>) {
        let Self {
            intakes,
            shards,
            finished,
            ..
        } = self;
        let mut toll = Toll::default();
        for intake in intakes.drain(..) {
            intake.close(finished, &mut toll);
        }
        for shard in shards.drain(..) {
            shard.close(finished, &mut toll);
        }
        self.pay(None, toll);
        self.hand_over(Outlet::hand_over_last);
        for outlet in &mut self.outlets {
            outlet.close(deadline, answer.cloned());
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
    /// Whom to answer when everything is with the sinks.
    flushes: Vec<Arc<Answer>>,
}

/// The end of the thread.
struct Close {
    deadline: Instant,
    answer: Option<Arc<Answer>>,
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
            flushes: Vec::new(),
        }
    }

    pub(super) fn run(mut self) {
        for outlet in self.recordings.iter().flat_map(|recording| &recording.outlets) {
            outlet.wake_for_room(std::thread::current());
        }
        loop {
            if let Some(close) = self.read_inbox() {
                self.close(&close);
                return;
            }
            let taken = self.drain();
            let drained = taken == 0 && !self.recordings.iter().any(Recording::is_held_up);
            if drained && !self.flushes.is_empty() {
                let answers = core::mem::take(&mut self.flushes);
                for recording in &mut self.recordings {
                    recording.flush_now(&answers);
                }
            }
            if self.flushed.elapsed() >= self.settings.flush_interval {
                self.recordings.iter_mut().for_each(Recording::flush);
                self.flushed = Instant::now();
            }
            if taken == 0 {
                std::thread::park_timeout(self.settings.poll_interval);
            }
        }
    }

    /// Gives everything to the sinks, and closes them. What the buffers hold is bounded, so nothing waits for room.
    fn close(&mut self, close: &Close) {
        loop {
            let outlets = self.recordings.iter_mut().flat_map(|recording| &mut recording.outlets);
            outlets.for_each(Outlet::lift_bound);
            // Writers may be at work still; what they push from here on was not asked for.
            if self.drain() == 0 {
                break;
            }
        }
        for recording in &mut self.recordings {
            recording.close(close.deadline, close.answer.as_ref());
        }
        // A sink that never returns keeps this thread, too; the game waits for neither beyond its deadline.
        let is_open = |recording: &Recording| !recording.outlets.iter().all(Outlet::is_shut);
        while self.recordings.iter().any(is_open) {
            std::thread::park_timeout(self.settings.poll_interval);
        }
        for recording in &mut self.recordings {
            recording.see_to_host();
            recording.ledger.finish();
        }
    }

    /// Does what was asked. `Some` when the thread is to end.
    fn read_inbox(&mut self) -> Option<Close> {
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
                Ok(Command::Set(settings)) => self.set(*settings),
                Ok(Command::Flush(done)) => self.flushes.push(Arc::new(Answer(done))),
                Ok(Command::Close(done, deadline)) => {
                    return Some(Close {
                        deadline,
                        answer: Some(Arc::new(Answer(done))),
                    });
                }
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => {
                    return Some(Close {
                        deadline: Instant::now() + self.settings.close_timeout,
                        answer: None,
                    });
                }
            }
        }
    }

    fn set(&mut self, settings: ExportSettings) {
        for outlet in self.recordings.iter_mut().flat_map(|recording| &mut recording.outlets) {
            outlet.set(&settings);
        }
        self.settings = ExportSettings {
            journal: self.settings.journal.take(),
            retry: self.settings.retry.clone(),
            poll_interval: self.settings.poll_interval,
            ..settings
        };
    }

    fn drain(&mut self) -> usize {
        let settings = &self.settings;
        let taken = self
            .recordings
            .iter_mut()
            .map(|recording| recording.drain(settings))
            .sum();
        self.progress.advance();
        self.recordings.iter_mut().for_each(Recording::keep_journal);
        taken
    }
}
