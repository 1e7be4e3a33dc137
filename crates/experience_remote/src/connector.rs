//! [`Connector`]: makes connections in the background.

use crate::{
    RemoteError,
    session::{Session, SessionSettings},
};
use core::time::Duration;
use experience_policy::PolicyLayout;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::Instant,
};

/// The pauses between attempts: doubled after each, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// What all attempts share.
pub(crate) struct ConnectionPlan {
    pub(crate) settings: SessionSettings,
    pub(crate) layout: PolicyLayout,
    /// What the game says of itself.
    pub(crate) hello: Vec<u8>,
}

/// A thread that tries to connect until it succeeds. It ends soon after this is dropped.
pub(crate) struct Connector {
    sessions: Receiver<Session>,
    last_error: Arc<Mutex<Option<RemoteError>>>,
    is_cancelled: Arc<AtomicBool>,
}

impl Connector {
    pub(crate) fn start(plan: Arc<ConnectionPlan>) -> std::io::Result<Self> {
        let (sender, sessions) = channel();
        let last_error = Arc::<Mutex<Option<RemoteError>>>::default();
        let is_cancelled = Arc::<AtomicBool>::default();
        let (error, cancelled) = (last_error.clone(), is_cancelled.clone());
        thread::Builder::new()
            .name("experience-remote".to_owned())
            .spawn(move || {
                let mut pause = FIRST_PAUSE;
                while !cancelled.load(Ordering::Relaxed) {
                    match Session::connect(&plan.settings, &plan.layout, &plan.hello) {
                        Ok(session) => {
                            let _ = sender.send(session);
                            return;
                        }
                        Err(reason) => *error.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason),
                    }
                    thread::sleep(pause);
                    pause = (pause * 2).min(LAST_PAUSE);
                }
            })?;
        Ok(Self {
            sessions,
            last_error,
            is_cancelled,
        })
    }

    /// The session, if it is made within `patience`. A server that refuses the game is not waited for.
    pub(crate) fn poll(&self, patience: Duration) -> Option<Session> {
        /// How long an attempt that was refused goes unnoticed.
        const SLICE: Duration = Duration::from_millis(10);
        let start = Instant::now();
        loop {
            let left = patience.saturating_sub(start.elapsed());
            match self.sessions.recv_timeout(left.min(SLICE)) {
                Ok(session) => return Some(session),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if left <= SLICE || matches!(self.last_error(), Some(RemoteError::Refused { .. })) {
                return None;
            }
        }
    }

    /// Why the last attempt has failed.
    pub(crate) fn last_error(&self) -> Option<RemoteError> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }
}
