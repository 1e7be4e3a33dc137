//! The thread that a sink lives on.

use super::{
    Premises, Standing,
    desk::{Desk, Order, Parcel},
};
use crate::{
    exporter::{
        ledger::Receipt,
        notice::{Notice, SinkFailure},
        settings::{Backoff, RetrySettings},
    },
    sink::{Sink, SinkError},
};
use experience_core::account::SinkCounters;
use std::{
    any::Any,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

/// Does what the exporter orders, and tries again what fails.
pub(super) struct Keeper {
    /// `None` once it was closed, could not be opened, or panicked: what a sink is like after a panic nobody knows.
    sink: Option<Box<dyn Sink>>,
    name: String,
    premises: Premises,
    counters: Arc<SinkCounters>,
    desk: Arc<Desk>,
    standing: Arc<Standing>,
    retry: RetrySettings,
    /// Episodes that the sink took.
    taken: u64,
    /// What it took and has not for good: how many it had taken then.
    receipts: VecDeque<(u64, Arc<Receipt>)>,
    /// What it was asked in vain for long enough: until that works again, everything is tried once.
    refuses: Option<&'static str>,
    /// It waits for room on its disk.
    waits_for_room: bool,
    /// Something was said about the failure that goes on.
    said: bool,
}

impl Keeper {
    pub(super) fn new(
        sink: Box<dyn Sink>,
        name: String,
        premises: Premises,
        counters: Arc<SinkCounters>,
        desk: Arc<Desk>,
        standing: Arc<Standing>,
        retry: RetrySettings,
    ) -> Self {
        Self {
            sink: Some(sink),
            name,
            premises,
            counters,
            desk,
            standing,
            retry,
            taken: 0,
            receipts: VecDeque::new(),
            refuses: None,
            waits_for_room: false,
            said: false,
        }
    }

    pub(super) fn run(mut self) {
        let info = self.premises.info.clone();
        let mut journal_folder = None;
        let opened = self.persist("open", |sink| {
            sink.open(&info)?;
            journal_folder = sink.journal_folder();
            Ok(())
        });
        if !opened {
            self.retire();
        } else if let Some(folder) = journal_folder {
            let _ = self.standing.journal_folder.set(folder);
        }
        loop {
            match self.desk.take() {
                Order::Write(parcel) => {
                    let _span = tracing::debug_span!("experience_write", sink = self.name).entered();
                    self.write(&parcel);
                    self.desk.done(&parcel);
                }
                Order::Flush(answer) => {
                    let _span = tracing::debug_span!("experience_flush", sink = self.name).entered();
                    let begun = Instant::now();
                    let (counters, premises) = (self.counters.clone(), self.premises.clone());
                    self.persist("flush", |sink| {
                        let flushed = sink.flush(&counters.report(&premises.counters));
                        counters.set_disk_bytes(sink.disk_bytes());
                        flushed
                    });
                    self.settle();
                    self.counters.set_last_flush(begun.elapsed());
                    drop(answer);
                }
                Order::Close(answer) => {
                    let _span = tracing::debug_span!("experience_close", sink = self.name).entered();
                    let (counters, premises) = (self.counters.clone(), self.premises.clone());
                    if self.persist("close", |sink| sink.close(&counters.report(&premises.counters))) {
                        self.receipts.clear();
                    }
                    self.retire();
                    self.desk.shut();
                    drop(answer);
                    return;
                }
            }
        }
    }

    fn write(&mut self, parcel: &Parcel) {
        if self.persist("write to", |sink| sink.write(&parcel.episodes)) {
            for episode in &parcel.episodes {
                let agent_id = episode.info().agent_id;
                self.counters
                    .count_episode(agent_id, episode.len() as u64, episode.total_reward());
            }
            self.taken += parcel.episodes.len() as u64;
            self.receipts.push_back((self.taken, parcel.receipt.clone()));
            self.settle();
        } else {
            self.counters.refused.add_shared(parcel.transitions);
        }
    }

    /// Lets go of what the sink has for good.
    fn settle(&mut self) {
        let Some(sink) = self.sink.as_deref() else { return };
        match catch_unwind(AssertUnwindSafe(|| sink.durable(self.taken))) {
            Ok(durable) => while self.receipts.pop_front_if(|(taken, _)| *taken <= durable).is_some() {},
            Err(panic) => self.panicked(panic),
        }
    }

    /// Lets the sink try until it succeeds, or there is no use in it any more.
    fn persist(&mut self, action: &'static str, mut work: impl FnMut(&mut dyn Sink) -> Result<(), SinkError>) -> bool {
        let mut begun = Instant::now();
        let mut backoff = Backoff::new(&self.retry);
        loop {
            let Some(sink) = self.sink.as_deref_mut() else {
                return false;
            };
            let error = match catch_unwind(AssertUnwindSafe(|| work(sink))) {
                Ok(Ok(())) => {
                    self.works(action);
                    return true;
                }
                Ok(Err(error)) => error,
                Err(panic) => {
                    self.panicked(panic);
                    return false;
                }
            };
            self.counters.failures.add_shared(1);
            let out_of_time = self.desk.is_past_deadline();
            if error.is_storage_full() && !out_of_time {
                self.wait_for_room(action, &error);
                // Only what comes after that tries its patience.
                begun = Instant::now();
            } else if out_of_time
                || self.refuses.is_some()
                || !error.may_pass()
                || begun.elapsed() >= self.retry.patience
            {
                self.give_up(action, &error);
                return false;
            } else if !core::mem::replace(&mut self.said, true) {
                tracing::warn!("could not {action} sink `{}`: {error}; trying again", self.name);
            }
            self.desk.nap(backoff.wait());
        }
    }

    fn works(&mut self, action: &str) {
        // That it can be flushed does not say that it can be written to.
        if self.refuses.is_some_and(|refused| refused != action) {
            return;
        }
        self.refuses = None;
        self.no_longer_waits();
        if core::mem::replace(&mut self.said, false) {
            tracing::info!("sink `{}` works again", self.name);
        }
    }

    fn wait_for_room(&mut self, action: &str, error: &SinkError) {
        if core::mem::replace(&mut self.waits_for_room, true) {
            return;
        }
        self.said = true;
        self.premises.storage.wait(&self.name);
        tracing::error!(
            "could not {action} sink `{}`: {error}; recording `{}` is paused until there is room",
            self.name,
            self.premises.info.schema.name()
        );
        self.post(error.to_string(), SinkFailure::StorageFull);
    }

    fn give_up(&mut self, action: &'static str, error: &SinkError) {
        self.no_longer_waits();
        if self.refuses.is_some() {
            return;
        }
        self.refuses = Some(action);
        self.said = true;
        tracing::error!(
            "could not {action} sink `{}`: {error}; what it refuses is counted as dropped",
            self.name
        );
        self.post(error.to_string(), SinkFailure::Refuses);
    }

    fn panicked(&mut self, panic: Box<dyn Any + Send>) {
        let said = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        let name = &self.name;
        tracing::error!(
            "sink `{name}` panicked and is not used any more: {said}; what it would have got is counted as dropped"
        );
        self.counters.failures.add_shared(1);
        self.post(format!("it panicked: {said}"), SinkFailure::Retired);
        self.retire();
    }

    fn post(&self, error: String, consequence: SinkFailure) {
        self.premises.notices.post(Notice::SinkFailed {
            recording: self.premises.recording,
            sink: self.name.clone(),
            error,
            consequence,
        });
    }

    fn no_longer_waits(&mut self) {
        if core::mem::replace(&mut self.waits_for_room, false) {
            self.premises.storage.go_on(&self.name);
        }
    }

    fn retire(&mut self) {
        self.no_longer_waits();
        if !self.receipts.is_empty() {
            // What it took and had not for good may be gone with it.
            self.standing.is_lost.store(true, Ordering::Release);
        }
        if let Some(sink) = self.sink.take() {
            // A sink that panicked may panic again when it is dropped.
            let _ = catch_unwind(AssertUnwindSafe(move || drop(sink)));
        }
    }
}
