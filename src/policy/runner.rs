//! [`ModelRunner`]: calls a model so that neither a panic nor its slowness reaches the game.

use experience_policy::{ActionBatch, ObservationBatch, PolicyError, PolicyModel};
use std::{
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::Duration,
};
use web_time::Instant;

/// Calls a model: on the game's thread, or on one of its own if there is a time limit.
pub(super) enum ModelRunner {
    Inline(CalledModel),
    Thread(Box<ModelThread>),
}

/// How a call ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CallOutcome {
    Decided,
    Failed(PolicyError),
    /// The call takes longer than the time limit. What it decides is not used.
    Late,
}

impl ModelRunner {
    /// # Errors
    /// When a thread cannot be started.
    pub(super) fn new(
        model: Box<dyn PolicyModel>,
        time_limit: Option<Duration>,
        batches: (&ObservationBatch, &ActionBatch),
    ) -> io::Result<Self> {
        Ok(match time_limit {
            None => Self::Inline(CalledModel(Some(model))),
            Some(limit) => Self::Thread(Box::new(ModelThread::new(model, limit, batches)?)),
        })
    }

    /// Calls the model. Returns how that ended, and how long it took.
    pub(super) fn call(
        &mut self,
        observations: &mut ObservationBatch,
        actions: &mut ActionBatch,
    ) -> (CallOutcome, Duration) {
        match self {
            Self::Inline(model) => {
                let start = Instant::now();
                let result = model.act(observations, actions);
                (outcome(result), start.elapsed())
            }
            Self::Thread(thread) => thread.call(observations, actions),
        }
    }

    /// Replaces the model, from the next call on.
    pub(super) fn replace(&mut self, model: Box<dyn PolicyModel>) {
        match self {
            Self::Inline(called) => *called = CalledModel(Some(model)),
            Self::Thread(thread) => thread.replacement = Some(model),
        }
    }
}

/// A model, until it panics: its state is unspecified then.
pub(super) struct CalledModel(Option<Box<dyn PolicyModel>>);

impl CalledModel {
    fn act(&mut self, observations: &ObservationBatch, actions: &mut ActionBatch) -> Result<(), PolicyError> {
        let Some(model) = &mut self.0 else {
            return Err(PolicyError::Panicked(
                "it is not called again until it is loaded anew".to_owned(),
            ));
        };
        match catch_unwind(AssertUnwindSafe(|| model.act(observations, actions))) {
            Ok(result) => result,
            Err(panic) => {
                if let Some(model) = self.0.take() {
                    // Its destructor can panic as well.
                    let _ = catch_unwind(AssertUnwindSafe(|| drop(model)));
                }
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                Err(PolicyError::Panicked(
                    text.unwrap_or_else(|| "without a message".to_owned()),
                ))
            }
        }
    }
}

/// A call, which travels to the thread of a model and back.
struct Call {
    observations: ObservationBatch,
    actions: ActionBatch,
    replacement: Option<Box<dyn PolicyModel>>,
    result: Result<(), PolicyError>,
    duration: Duration,
}

/// A model on a thread of its own.
pub(super) struct ModelThread {
    limit: Duration,
    calls: SyncSender<Call>,
    answers: Receiver<Call>,
    /// The batches of the next call; `None` while a call is in progress.
    spare: Option<(ObservationBatch, ActionBatch)>,
    replacement: Option<Box<dyn PolicyModel>>,
}

impl ModelThread {
    fn new(
        model: Box<dyn PolicyModel>,
        limit: Duration,
        (observations, actions): (&ObservationBatch, &ActionBatch),
    ) -> io::Result<Self> {
        let (calls, received) = sync_channel::<Call>(1);
        let (answer, answers) = sync_channel(1);
        thread::Builder::new()
            .name("experience-policy-model".to_owned())
            .spawn(move || {
                let mut model = CalledModel(Some(model));
                while let Ok(mut call) = received.recv() {
                    if let Some(replacement) = call.replacement.take() {
                        model = CalledModel(Some(replacement));
                    }
                    let start = Instant::now();
                    call.result = model.act(&call.observations, &mut call.actions);
                    call.duration = start.elapsed();
                    if answer.send(call).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self {
            limit,
            calls,
            answers,
            spare: Some((observations.clone(), actions.clone())),
            replacement: None,
        })
    }

    fn call(&mut self, observations: &mut ObservationBatch, actions: &mut ActionBatch) -> (CallOutcome, Duration) {
        let spare = self.spare.take().or_else(|| {
            self.answers
                .try_recv()
                .ok()
                .map(|late| (late.observations, late.actions))
        });
        let Some((spare_observations, spare_actions)) = spare else {
            return (CallOutcome::Late, self.limit);
        };
        let call = Call {
            observations: mem::replace(observations, spare_observations),
            actions: mem::replace(actions, spare_actions),
            replacement: self.replacement.take(),
            result: Ok(()),
            duration: Duration::ZERO,
        };
        let ended = || {
            let error = PolicyError::Panicked("its thread has ended".to_owned());
            (CallOutcome::Failed(error), Duration::ZERO)
        };
        if self.calls.send(call).is_err() {
            return ended();
        }
        match self.answers.recv_timeout(self.limit) {
            Ok(call) => {
                let decided = (call.observations, call.actions);
                let spare = (mem::replace(observations, decided.0), mem::replace(actions, decided.1));
                self.spare = Some(spare);
                (outcome(call.result), call.duration)
            }
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => (CallOutcome::Late, self.limit),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => ended(),
        }
    }
}

fn outcome(result: Result<(), PolicyError>) -> CallOutcome {
    match result {
        Ok(()) => CallOutcome::Decided,
        Err(error) => CallOutcome::Failed(error),
    }
}
