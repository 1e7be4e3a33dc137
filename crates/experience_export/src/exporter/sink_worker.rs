//! Worker of one sink, on a thread of its own where there are threads: calls the sink, retries its failures, and retires it
//! after a panic.

use super::{
    episode_batch::{Completion, DurabilityToken, EpisodeBatch},
    notice::{Notice, SinkFailure},
    settings::{Backoff, RetrySettings},
    sink_context::{SinkContext, SinkStatus},
    sink_queue::{SinkCommand, SinkReceiver},
};
use crate::sink::{Sink, SinkError};
use experience_core::account::SinkCounters;
use std::{
    any::Any,
    collections::VecDeque,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
};
use web_time::Instant;

/// Executes the commands of a [`SinkQueue`](super::sink_queue::SinkQueue).
pub(super) struct SinkWorker {
    /// `None` once the sink was closed, could not be opened, or panicked. State after a panic is unspecified, so the sink is
    /// dropped.
    sink: Option<Box<dyn Sink>>,
    name: String,
    context: SinkContext,
    counters: Arc<SinkCounters>,
    receiver: SinkReceiver,
    status: Arc<SinkStatus>,
    retry: RetrySettings,
    /// Episodes that the sink took.
    taken: u64,
    /// One token for each batch that the sink took and has not made durable, with the value of `taken` after that batch.
    tokens: VecDeque<(u64, Arc<DurabilityToken>)>,
    /// The call that failed for longer than the retry patience. Until it succeeds, every call is tried once.
    refuses: Option<&'static str>,
    /// The sink's disk is full.
    is_storage_full: bool,
    /// The current failure was logged.
    is_logged: bool,
}

impl SinkWorker {
    pub(super) fn new(
        sink: Box<dyn Sink>,
        name: String,
        context: SinkContext,
        counters: Arc<SinkCounters>,
        receiver: SinkReceiver,
        status: Arc<SinkStatus>,
        retry: RetrySettings,
    ) -> Self {
        Self {
            sink: Some(sink),
            name,
            context,
            counters,
            receiver,
            status,
            retry,
            taken: 0,
            tokens: VecDeque::new(),
            refuses: None,
            is_storage_full: false,
            is_logged: false,
        }
    }

    /// Opens the sink, and executes commands until the last one.
    pub(super) fn run(mut self) {
        self.open();
        loop {
            let command = self.receiver.recv();
            if let ControlFlow::Break(completion) = self.execute(command) {
                return self.end(completion);
            }
        }
    }

    /// Executes all commands in the queue, without waiting. `None` after the last command.
    pub(super) fn execute_queued(mut self) -> Option<Self> {
        while let Some(command) = self.receiver.try_recv() {
            if let ControlFlow::Break(completion) = self.execute(command) {
                self.end(completion);
                return None;
            }
        }
        Some(self)
    }

    /// Executes a command. Breaks with the completion of a close, which is the last one.
    fn execute(&mut self, command: SinkCommand) -> ControlFlow<Option<Arc<Completion>>> {
        match command {
            SinkCommand::Write(batch) => {
                let _span = tracing::debug_span!("experience_write", sink = self.name).entered();
                self.write(&batch);
                self.receiver.done(&batch);
                ControlFlow::Continue(())
            }
            SinkCommand::Flush(completion) => {
                let _span = tracing::debug_span!("experience_flush", sink = self.name).entered();
                self.flush();
                drop(completion);
                ControlFlow::Continue(())
            }
            SinkCommand::Close(completion) => {
                let _span = tracing::debug_span!("experience_close", sink = self.name).entered();
                let (counters, context) = (self.counters.clone(), self.context.clone());
                if self.call("close", |sink| sink.close(&counters.report(&context.counters))) {
                    self.tokens.clear();
                }
                self.retire();
                ControlFlow::Break(completion)
            }
        }
    }

    /// Shuts the queue before the close is reported to the caller.
    fn end(self, completion: Option<Arc<Completion>>) {
        drop(self);
        drop(completion);
    }

    pub(super) fn open(&mut self) {
        let info = self.context.info.clone();
        let mut journal_folder = None;
        let is_open = self.call("open", |sink| {
            sink.open(&info)?;
            journal_folder = sink.journal_folder();
            Ok(())
        });
        if !is_open {
            self.retire();
        }
        let _ = self.status.journal_folder.set(journal_folder.filter(|_| is_open));
    }

    fn write(&mut self, batch: &EpisodeBatch) {
        if batch.episodes.is_empty() {
            return;
        }
        if self.call("write to", |sink| sink.write(&batch.episodes)) {
            for episode in &batch.episodes {
                let agent_id = episode.info().agent_id;
                self.counters
                    .count_episode(agent_id, episode.len() as u64, episode.total_reward());
            }
            self.taken += batch.episodes.len() as u64;
            self.tokens.push_back((self.taken, batch.token.clone()));
            self.release_durable();
        } else {
            self.counters.refused.add_shared(batch.transitions);
        }
    }

    fn flush(&mut self) {
        let begun = Instant::now();
        let (counters, context) = (self.counters.clone(), self.context.clone());
        self.call("flush", |sink| {
            let flushed = sink.flush(&counters.report(&context.counters));
            counters.set_disk_bytes(sink.disk_bytes());
            flushed
        });
        self.release_durable();
        self.counters.set_last_flush(begun.elapsed());
    }

    /// Drops the tokens of batches that the sink has made durable.
    fn release_durable(&mut self) {
        let Some(sink) = self.sink.as_deref() else { return };
        match catch_unwind(AssertUnwindSafe(|| sink.durable(self.taken))) {
            Ok(durable) => while self.tokens.pop_front_if(|(taken, _)| *taken <= durable).is_some() {},
            Err(panic) => self.retire_after_panic(panic),
        }
    }

    /// Calls the sink until it succeeds or a retry is no longer allowed. Returns whether it succeeded.
    fn call(&mut self, action: &'static str, mut work: impl FnMut(&mut dyn Sink) -> Result<(), SinkError>) -> bool {
        let mut begun = Instant::now();
        let mut backoff = Backoff::new(&self.retry);
        loop {
            let Some(sink) = self.sink.as_deref_mut() else {
                return false;
            };
            let error = match catch_unwind(AssertUnwindSafe(|| work(sink))) {
                Ok(Ok(())) => {
                    self.succeeded(action);
                    return true;
                }
                Ok(Err(error)) => error,
                Err(panic) => {
                    self.retire_after_panic(panic);
                    return false;
                }
            };
            self.counters.failures.add_shared(1);
            let is_late = self.receiver.is_past_deadline();
            if error.is_storage_full() && !is_late {
                self.report_storage_full(action, &error);
                // The retry patience begins when the disk has space again.
                begun = Instant::now();
            } else if is_late || self.refuses.is_some() || !error.may_pass() || begun.elapsed() >= self.retry.patience {
                self.report_refusal(action, &error);
                return false;
            } else if !core::mem::replace(&mut self.is_logged, true) {
                tracing::warn!("could not {action} sink `{}`: {error}; trying again", self.name);
            }
            self.receiver.wait(backoff.wait());
        }
    }

    fn succeeded(&mut self, action: &str) {
        // A flush that succeeds does not mean that a write does.
        if self.refuses.is_some_and(|refused| refused != action) {
            return;
        }
        self.refuses = None;
        self.clear_storage_full();
        if core::mem::replace(&mut self.is_logged, false) {
            tracing::info!("sink `{}` works again", self.name);
        }
    }

    fn report_storage_full(&mut self, action: &str, error: &SinkError) {
        if core::mem::replace(&mut self.is_storage_full, true) {
            return;
        }
        self.is_logged = true;
        self.context.storage.set_full(&self.name);
        tracing::error!(
            "could not {action} sink `{}`: {error}; recording `{}` is paused until the disk has space",
            self.name,
            self.context.info.schema.name()
        );
        self.post(error.to_string(), SinkFailure::StorageFull);
    }

    fn report_refusal(&mut self, action: &'static str, error: &SinkError) {
        self.clear_storage_full();
        if self.refuses.is_some() {
            return;
        }
        self.refuses = Some(action);
        self.is_logged = true;
        tracing::error!(
            "could not {action} sink `{}`: {error}; what it refuses is counted as dropped",
            self.name
        );
        self.post(error.to_string(), SinkFailure::Refuses);
    }

    fn retire_after_panic(&mut self, panic: Box<dyn Any + Send>) {
        let message = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        let name = &self.name;
        tracing::error!(
            "sink `{name}` panicked and is not used any more: {message}; what it would have got is counted as dropped"
        );
        self.counters.failures.add_shared(1);
        self.post(format!("it panicked: {message}"), SinkFailure::Retired);
        self.retire();
    }

    fn post(&self, error: String, consequence: SinkFailure) {
        self.context.notices.post(Notice::SinkFailed {
            recording: self.context.recording,
            sink: self.name.clone(),
            error,
            consequence,
        });
    }

    fn clear_storage_full(&mut self) {
        if core::mem::replace(&mut self.is_storage_full, false) {
            self.context.storage.set_free(&self.name);
        }
    }

    fn retire(&mut self) {
        self.clear_storage_full();
        if !self.tokens.is_empty() {
            // Batches that the sink took and did not make durable may be lost with it.
            self.status.is_lost.store(true, Ordering::Release);
        }
        if let Some(sink) = self.sink.take() {
            // A sink that panicked may panic again when it is dropped.
            let _ = catch_unwind(AssertUnwindSafe(move || drop(sink)));
        }
    }
}
