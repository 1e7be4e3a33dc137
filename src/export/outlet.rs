//! One sink, kept from harming anybody.

use crate::{
    account::{Counters, SinkCounters},
    sink::{RecordingInfo, Sink, SinkError},
    transition::Episode,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// A sink, its account, and what it is called in messages.
pub(super) struct Outlet {
    /// `None` once it was closed, could not be opened, or panicked: what a sink is like after a panic nobody knows.
    sink: Option<Box<dyn Sink>>,
    name: String,
    counters: Arc<SinkCounters>,
    failing: bool,
}

impl Outlet {
    pub(super) fn new(sink: Box<dyn Sink>) -> Self {
        Self {
            name: sink.describe().into_owned(),
            sink: Some(sink),
            counters: Arc::default(),
            failing: false,
        }
    }

    pub(super) fn counters(&self) -> &Arc<SinkCounters> {
        &self.counters
    }

    pub(super) fn open(&mut self, info: &RecordingInfo) {
        if !self.attempt("open", |sink| sink.open(info)) {
            self.retire();
        }
    }

    pub(super) fn write(&mut self, episodes: &[Episode]) {
        if self.attempt("write to", |sink| sink.write(episodes)) {
            for episode in episodes {
                let agent_id = episode.info().agent_id;
                self.counters
                    .took(agent_id, episode.len() as u64, episode.total_reward());
            }
        } else {
            self.counters
                .refused
                .add(episodes.iter().map(|episode| episode.len() as u64).sum());
        }
    }

    pub(super) fn flush(&mut self, recording: &Counters) {
        let report = self.counters.report(recording);
        self.attempt("flush", |sink| sink.flush(&report));
    }

    pub(super) fn close(&mut self, recording: &Counters) {
        let report = self.counters.report(recording);
        self.attempt("close", |sink| sink.close(&report));
        self.retire();
    }

    /// Lets the sink try, and says so when it fails after it did not, or no longer fails after it did.
    fn attempt(&mut self, action: &str, work: impl FnOnce(&mut dyn Sink) -> Result<(), SinkError>) -> bool {
        let Some(sink) = self.sink.as_deref_mut() else {
            return false;
        };
        let result = catch_unwind(AssertUnwindSafe(|| work(sink)));
        let name = &self.name;
        let worked = match result {
            Ok(Ok(())) => {
                if core::mem::replace(&mut self.failing, false) {
                    tracing::info!("sink `{name}` works again");
                }
                return true;
            }
            Ok(Err(error)) => {
                if !core::mem::replace(&mut self.failing, true) {
                    tracing::error!("could not {action} sink `{name}`: {error}; what it refuses is counted as dropped");
                }
                true
            }
            Err(panic) => {
                let said = panic
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_default();
                tracing::error!(
                    "sink `{name}` panicked and is not used any more: {said}; what it would have got is counted as dropped"
                );
                false
            }
        };
        if !worked {
            self.retire();
        }
        false
    }

    fn retire(&mut self) {
        if let Some(sink) = self.sink.take() {
            // A sink that panicked may panic again when it is dropped.
            let _ = catch_unwind(AssertUnwindSafe(move || drop(sink)));
        }
    }
}
