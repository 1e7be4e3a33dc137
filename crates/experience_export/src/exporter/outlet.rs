//! One sink, on a thread of its own, kept from harming anybody.

mod desk;
mod keeper;

pub(super) use desk::{Answer, Parcel};

use super::{
    ExportSettings,
    notice::{Notice, Notices, SinkFailure},
    storage::Storage,
};
use crate::sink::{RecordingInfo, Sink};
use desk::{Desk, Offer};
use experience_core::account::{Counters, SinkCounters};
use keeper::Keeper;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// What the sinks of one recording share.
#[derive(Clone)]
pub(super) struct Premises {
    /// The place of the recording at the exporter.
    pub(super) recording: usize,
    pub(super) info: RecordingInfo,
    pub(super) counters: Arc<Counters>,
    pub(super) storage: Arc<Storage>,
    pub(super) notices: Arc<Notices>,
}

/// A sink, as the exporter sees it: a place to leave things at.
pub(super) struct Outlet {
    name: String,
    premises: Premises,
    counters: Arc<SinkCounters>,
    desk: Arc<Desk>,
    bound: usize,
    patience: Duration,
    /// What found no room, and since when.
    held: Option<(Arc<Parcel>, Instant)>,
    stalled: bool,
    standing: Arc<Standing>,
}

/// What the sink's thread lets the exporter know of the sink.
#[derive(Default)]
struct Standing {
    /// Where it has a place for the journal; set once it is open, if it has one.
    journal_folder: OnceLock<PathBuf>,
    /// It is not used any more, and had not for good all that it took.
    is_lost: AtomicBool,
}

impl Outlet {
    /// Starts the sink's thread, which opens it.
    pub(super) fn spawn(sink: Box<dyn Sink>, premises: Premises, settings: &ExportSettings) -> std::io::Result<Self> {
        let name = sink.describe().into_owned();
        let outlet = Self {
            premises: premises.clone(),
            counters: Arc::default(),
            desk: Arc::default(),
            bound: settings.queue_bytes,
            patience: settings.patience,
            held: None,
            stalled: false,
            standing: Arc::default(),
            name,
        };
        let keeper = Keeper::new(
            sink,
            outlet.name.clone(),
            premises,
            outlet.counters.clone(),
            outlet.desk.clone(),
            outlet.standing.clone(),
            settings.retry.clone(),
        );
        std::thread::Builder::new()
            .name("experience-sink".to_owned())
            .spawn(move || keeper.run())?;
        Ok(outlet)
    }

    /// Takes over what can be changed while the sink is at work.
    pub(super) fn set(&mut self, settings: &ExportSettings) {
        self.bound = settings.queue_bytes;
        self.patience = settings.patience;
    }

    /// Where the sink has a place for the journal.
    pub(super) fn journal_folder(&self) -> Option<&Path> {
        self.standing.journal_folder.get().map(PathBuf::as_path)
    }

    /// Whether the sink is not used any more, and had not for good all that it took.
    pub(super) fn is_lost(&self) -> bool {
        self.standing.is_lost.load(Ordering::Acquire)
    }

    /// Whether the sink was closed, and nothing more is done.
    pub(super) fn is_shut(&self) -> bool {
        self.desk.is_shut()
    }

    /// Whom to wake when there is room again.
    pub(super) fn wake_for_room(&self, exporter: std::thread::Thread) {
        self.desk.wake_for_room(exporter);
    }

    /// Whether something found no room: nothing more may be drained until it has, or is given up.
    pub(super) fn holds_up(&self) -> bool {
        self.held.is_some()
    }

    /// Hands a parcel over, or holds on to it until there is room.
    pub(super) fn hand_over(&mut self, parcel: &Arc<Parcel>) {
        debug_assert!(self.held.is_none(), "what came first goes first");
        self.offer(parcel.clone(), Instant::now(), self.bound);
    }

    /// Hands a parcel over beyond the bound, unless the sink has stalled.
    pub(super) fn hand_over_last(&mut self, parcel: &Arc<Parcel>) {
        let bound = if self.stalled { self.bound } else { usize::MAX };
        self.offer(parcel.clone(), Instant::now(), bound);
    }

    /// Sees whether there is room for what found none.
    pub(super) fn try_again(&mut self) {
        if let Some((parcel, since)) = self.held.take() {
            self.offer(parcel, since, self.bound);
        }
    }

    /// Everything goes, from here on: what is left is bounded by the buffers.
    pub(super) fn lift_bound(&mut self) {
        if !self.stalled {
            self.bound = usize::MAX;
        }
        self.try_again();
        if let Some((parcel, _)) = self.held.take() {
            self.refuse(&parcel);
        }
    }

    fn offer(&mut self, parcel: Arc<Parcel>, since: Instant, bound: usize) {
        match self.desk.offer(&parcel, bound) {
            Offer::Taken => {
                if core::mem::replace(&mut self.stalled, false) {
                    tracing::info!("sink `{}` takes episodes again", self.name);
                }
            }
            Offer::Shut => self.refuse(&parcel),
            Offer::Full if self.stalled => self.refuse(&parcel),
            // Recording is paused meanwhile, and nothing is lost.
            Offer::Full if self.premises.storage.is_full() => self.held = Some((parcel, Instant::now())),
            Offer::Full if since.elapsed() >= self.patience => {
                self.stall();
                self.refuse(&parcel);
            }
            Offer::Full => self.held = Some((parcel, since)),
        }
    }

    fn stall(&mut self) {
        self.stalled = true;
        let error = format!("its queue has been full for {:?}", self.patience);
        tracing::error!(
            "sink `{}` of recording `{}` has stalled: {error}; what does not fit is counted as dropped",
            self.name,
            self.premises.info.schema.name()
        );
        self.counters.failures.add_shared(1);
        self.premises.notices.post(Notice::SinkFailed {
            recording: self.premises.recording,
            sink: self.name.clone(),
            error,
            consequence: SinkFailure::Stalled,
        });
    }

    fn refuse(&self, parcel: &Parcel) {
        self.counters.refused.add_shared(parcel.transitions);
    }

    pub(super) fn flush(&mut self, answer: Option<Arc<Answer>>) {
        self.desk.flush(answer);
    }

    pub(super) fn close(&mut self, deadline: Instant, answer: Option<Arc<Answer>>) {
        self.desk.close(deadline, answer);
    }

    /// Reads how far behind the sink is.
    pub(super) fn gauge(&self) -> Gauge {
        Gauge {
            name: self.name.clone(),
            desk: self.desk.clone(),
            counters: self.counters.clone(),
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        // Where nobody closed it, the exporter's thread is gone, and nothing more will come.
        self.desk.close(Instant::now(), None);
    }
}

/// How far behind a sink is.
pub(super) struct Gauge {
    name: String,
    desk: Arc<Desk>,
    counters: Arc<SinkCounters>,
}

impl Gauge {
    /// What the sink is: [`Sink::describe`].
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn counters(&self) -> &SinkCounters {
        &self.counters
    }

    /// How long the oldest episode that the sink has not taken has been waiting for it.
    pub(super) fn lag(&self) -> Duration {
        self.desk.age()
    }
}
