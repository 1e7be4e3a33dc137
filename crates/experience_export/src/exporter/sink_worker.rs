//! Worker of one sink, on a thread of its own where there are threads: calls the sink, retries its failures, and retires it
//! after a panic.

use super::{
    episode_batch::{Completion, Dispatch, EpisodeBatch},
    notice::{Notice, SinkFailure},
    settings::{Backoff, RetrySettings},
    sink_context::{JournalPlace, SinkContext, SinkStatus},
    sink_queue::{SinkCommand, SinkReceiver},
    taken_batches::TakenBatches,
};
use crate::sink::{Sink, SinkError};
use experience_core::account::SinkCounters;
use std::{
    any::Any,
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
    /// Batches that the sink took and has not made durable.
    batches: TakenBatches,
    /// The number of tag changes that the sink has received.
    tag_changes: u64,
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
            batches: TakenBatches::default(),
            tag_changes: 0,
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
            SinkCommand::Write(dispatch) => {
                let _span = tracing::debug_span!("experience_write", sink = self.name).entered();
                self.write(&dispatch);
                self.receiver.done(&dispatch.batch);
                ControlFlow::Continue(())
            }
            SinkCommand::WriteParts(batch) => {
                let _span = tracing::debug_span!("experience_write_parts", sink = self.name).entered();
                // The sink counts for its readers what it cannot take.
                self.call("write transitions to", |sink| sink.write_parts(&batch));
                self.receiver.done_parts(&batch);
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
                self.close();
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
        let mut place = None;
        let is_open = self.call("open", |sink| {
            sink.open(&info)?;
            place = sink.journal_folder().map(|folder| JournalPlace {
                folder,
                label: sink.run_label(),
            });
            Ok(())
        });
        if !is_open {
            self.retire();
        }
        let _ = self.status.journal_place.set(place.filter(|_| is_open));
    }

    fn write(&mut self, dispatch: &Dispatch<EpisodeBatch>) {
        let batch = &dispatch.batch;
        if batch.episodes.is_empty() {
            return;
        }
        if self.call("write to", |sink| sink.write(&batch.episodes)) {
            self.batches.push(dispatch, &self.counters);
            self.release_durable();
        } else {
            self.counters.refused.add_shared(batch.transitions);
            self.release_durable();
        }
    }

    fn flush(&mut self) {
        let begun = Instant::now();
        self.write_tags();
        let (counters, context) = (self.counters.clone(), self.context.clone());
        let (mut tick_rates, mut failures) = (0, 0);
        let is_flushed = self.call("flush", |sink| {
            let report = counters.report(&context.counters);
            (tick_rates, failures) = (report.tick_rates.len(), report.failures);
            let flushed = sink.flush(&report);
            counters.set_disk_bytes(sink.disk_bytes());
            flushed
        });
        if is_flushed {
            self.status.set_stored_tick_rates(tick_rates);
            self.status.set_stored_failures(failures);
        }
        self.release_durable();
        self.counters.set_last_flush(begun.elapsed());
    }

    /// Passes new tag changes to the sink. Those that it refuses are offered again at the next flush.
    fn write_tags(&mut self) {
        let new = self.context.counters.tag_changes_since(self.tag_changes);
        if new.forgotten > 0 {
            tracing::warn!(
                "sink `{}` has not stored {} tags: too many waited for it",
                self.name,
                new.forgotten
            );
            self.tag_changes += new.forgotten;
        }
        if !new.changes.is_empty() && self.call("write tags to", |sink| sink.write_tags(&new.changes)) {
            self.tag_changes = new.total;
            self.status.set_stored_tags(new.total);
        }
    }

    fn close(&mut self) {
        self.write_tags();
        let was_open = self.sink.is_some();
        let (counters, context) = (self.counters.clone(), self.context.clone());
        let is_closed = self.call("close", |sink| sink.close(&counters.report(&context.counters)));
        self.release_durable();
        if is_closed {
            self.batches.clear();
        }
        self.retire();
        // A sink that was retired before has reported that, and its journal stays for a recovery.
        self.status
            .is_incomplete
            .store(was_open && !is_closed, Ordering::Release);
    }

    /// Drops the tokens of batches that the sink has made durable, and counts episodes that it no longer stores.
    fn release_durable(&mut self) {
        if let Some(durable) = self.durable() {
            self.batches.release(durable);
        }
    }

    /// Durable episodes among those that the sink took. Counts those that it no longer stores. `None` without a sink.
    fn durable(&mut self) -> Option<u64> {
        let sink = self.sink.as_deref()?;
        match catch_unwind(AssertUnwindSafe(|| {
            (sink.durable(self.batches.taken()), sink.missing())
        })) {
            Ok((durable, missing)) => {
                self.counters.set_missing(missing.episodes, missing.transitions);
                Some(durable)
            }
            Err(panic) => {
                self.retire_after_panic(panic);
                None
            }
        }
    }

    /// Schedules the episodes that the sink has lost to be written again.
    fn collect_lost(&mut self) {
        if let Some(durable) = self.durable() {
            let transitions = self.batches.lose(durable);
            tracing::warn!(
                "sink `{}` has lost {transitions} transitions that were not durable; they are written again from the journal",
                self.name
            );
        }
    }

    /// Calls the sink until it succeeds or a retry is no longer allowed. Returns whether it succeeded.
    fn call(&mut self, action: &'static str, mut work: impl FnMut(&mut dyn Sink) -> Result<(), SinkError>) -> bool {
        let mut begun = Instant::now();
        let mut backoff = Backoff::new(&self.retry);
        loop {
            let Self {
                sink,
                batches,
                name,
                context,
                counters,
                ..
            } = &mut *self;
            let Some(sink) = sink.as_deref_mut() else {
                return false;
            };
            let mut attempt = || {
                batches.rewrite(sink, name, &context.info, counters)?;
                work(sink)
            };
            let error = match catch_unwind(AssertUnwindSafe(&mut attempt)) {
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
            if matches!(error, SinkError::Lost { .. }) {
                self.collect_lost();
            }
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
        if !self.batches.is_empty() {
            // Batches that the sink took and did not make durable may be lost with it.
            self.status.is_lost.store(true, Ordering::Release);
        }
        if let Some(sink) = self.sink.take() {
            // A sink that panicked may panic again when it is dropped.
            let _ = catch_unwind(AssertUnwindSafe(move || drop(sink)));
        }
    }
}
