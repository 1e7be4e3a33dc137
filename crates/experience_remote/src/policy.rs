//! [`RemotePolicy`]: a model in another process.

use crate::{
    RemoteError, RemoteStatus,
    address::Address,
    answer::Answer,
    connector::{ConnectionPlan, Connector},
    environment,
    handshake::{Hello, PROTOCOL, describe_head},
    request::RequestEncoder,
    session::{Session, SessionSettings},
};
use core::{fmt, time::Duration};
use experience_core::schema::Schema;
use experience_policy::{
    ActionBatch, ModelError, ModelRequest, ModelRequests, ObservationBatch, PolicyError, PolicyLayout, PolicyModel,
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// A model whose decisions are made by another process, over Arrow Flight. See the [crate](crate) for the protocol.
///
/// By default it works in [lockstep](Self::lockstep). It connects in the background, and again where the connection is lost. Without
/// a connection it returns an error, so that players keep their actions and the game goes on.
pub struct RemotePolicy {
    address: String,
    token: Option<String>,
    tls_ca: Option<String>,
    deadline: Option<Duration>,
    first_wait: Option<Duration>,
    silence_limit: Duration,
    max_message_bytes: usize,
    game: Option<String>,
    exits: bool,
    requests: Arc<ModelRequests>,
    status: Arc<Mutex<RemoteStatus>>,
    encoder: RequestEncoder,
    connection: Connection,
}

/// Longer limits would overflow where they are added to a moment.
const LONGEST_SILENCE: Duration = Duration::from_secs(365 * 24 * 3600);

enum Connection {
    /// The model was not prepared.
    None,
    Opening {
        plan: Arc<ConnectionPlan>,
        connector: Connector,
        /// How long the game waits for it once.
        patience: Duration,
    },
    Open {
        plan: Arc<ConnectionPlan>,
        session: Box<Session>,
    },
}

impl RemotePolicy {
    /// A policy of the server at an address: `grpc://host:port`, or `grpc+tls://host:port` with the feature `remote_tls` of `bevy_experience`.
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            token: None,
            tls_ca: None,
            deadline: None,
            first_wait: None,
            silence_limit: Duration::from_secs(10),
            max_message_bytes: 64 << 20,
            game: None,
            exits: false,
            requests: Arc::default(),
            status: Arc::default(),
            encoder: RequestEncoder::default(),
            connection: Connection::None,
        }
    }

    /// The policy of the environment in Python that has started this process. `None` if none has: then the game plays as usual.
    ///
    /// The environment sets `BEVY_EXPERIENCE_REMOTE`, an address, and perhaps `BEVY_EXPERIENCE_REMOTE_TOKEN`.
    /// `BEVY_EXPERIENCE_REMOTE_CA` is the certificate for [`tls_ca`](Self::tls_ca), or the path of a file with it. With
    /// `BEVY_EXPERIENCE_REMOTE_EXIT` the game exits when the connection ends, so that it does not outlive the environment. With its
    /// value `stdin` the game also exits when its standard input ends, after one line at least: a thread reads it. A game that has
    /// not exited 10 s later is ended with the status 1.
    ///
    /// # Errors
    /// When a variable is not Unicode, the certificate cannot be read, or the thread cannot be started.
    pub fn from_env() -> Result<Option<Self>, RemoteError> {
        let Some(address) = environment::variable(environment::ADDRESS)? else {
            return Ok(None);
        };
        let mut policy = Self::new(address);
        policy.token = environment::variable(environment::TOKEN)?;
        policy.tls_ca = environment::authority()?;
        policy.game = environment::variable(environment::GAME)?;
        let exit = environment::variable(environment::EXIT)?;
        policy.exits = exit.is_some();
        if exit.as_deref() == Some(environment::EXIT_WITH_STDIN) {
            environment::exit_with_stdin(policy.requests.clone()).map_err(|error| RemoteError::Variable {
                name: environment::EXIT,
                reason: format!("needs a thread, which cannot be started: {error}"),
            })?;
        }
        Ok(Some(policy))
    }

    /// Waits for each decision as long as it takes, as training needs it. A server that is dead is found out: see
    /// [`silence_limit`](Self::silence_limit).
    #[must_use]
    pub fn lockstep(mut self) -> Self {
        self.deadline = None;
        self
    }

    /// Waits at most this long for a decision. A late answer is not used: players keep their actions, and it is counted.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets the token that the server asks for. Needed unless the server is on this machine.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets the certificate authority of a server with TLS, in PEM; that of the system by default.
    #[must_use]
    pub fn tls_ca(mut self, pem: impl Into<String>) -> Self {
        self.tls_ca = Some(pem.into());
        self
    }

    /// Sets after how long without a message a server that was asked counts as dead; 10 s by default. A server that takes longer to
    /// decide sends heartbeats, as that of the Python package does.
    #[must_use]
    pub fn silence_limit(mut self, limit: Duration) -> Self {
        self.silence_limit = limit;
        self
    }

    /// Sets how long the first decision waits for the connection: 5 s by default in lockstep, and not at all with a deadline.
    #[must_use]
    pub fn first_wait(mut self, wait: Duration) -> Self {
        self.first_wait = Some(wait);
        self
    }

    /// Sets the largest message of the server, in bytes; 64 MiB by default.
    #[must_use]
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = bytes;
        self
    }

    /// Exits the game when the connection ends, or cannot be made at first.
    #[must_use]
    pub fn exit_on_close(mut self, exits: bool) -> Self {
        self.exits = exits;
        self
    }

    /// Counts, which can be read while the game runs.
    pub fn status(&self) -> impl Fn() -> RemoteStatus + Send + Sync + 'static {
        let status = self.status.clone();
        move || status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, change: impl FnOnce(&mut RemoteStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn checked_address(&self) -> Result<Address, RemoteError> {
        let address = Address::parse(&self.address)?;
        if !address.is_loopback && self.token.is_none() {
            return Err(RemoteError::Address {
                address: self.address.clone(),
                reason: "is not on this machine: give its token with `RemotePolicy::token`".to_owned(),
            });
        }
        Ok(address)
    }

    fn plan(&self, schema: &Schema, layout: &PolicyLayout) -> Result<Arc<ConnectionPlan>, RemoteError> {
        let address = self.checked_address()?;
        let hello = Hello {
            protocol: PROTOCOL,
            recording: layout.recording(),
            schema_hash: format!("{:016x}", layout.schema_hash()),
            schema,
            features: layout.features(),
            heads: layout.heads().iter().map(describe_head).collect(),
            action_mask: layout.mask_width(),
            lockstep: self.deadline.is_none(),
            seed: environment::environment_seed(),
            game: self.game.as_deref(),
            process: std::process::id(),
        };
        let hello = serde_json::to_vec(&hello).map_err(|error| RemoteError::Answer(error.to_string()))?;
        Ok(Arc::new(ConnectionPlan {
            settings: SessionSettings {
                address,
                token: self.token.clone(),
                tls_ca: self.tls_ca.clone(),
                silence_limit: self.silence_limit.min(LONGEST_SILENCE),
                max_message_bytes: self.max_message_bytes,
            },
            layout: layout.clone(),
            hello,
        }))
    }

    fn open(&mut self, plan: Arc<ConnectionPlan>, patience: Duration) -> Result<(), RemoteError> {
        let connector = Connector::start(plan.clone()).map_err(|error| RemoteError::Unreachable {
            address: self.address.clone(),
            reason: format!("no thread can be started: {error}"),
        })?;
        self.connection = Connection::Opening {
            plan,
            connector,
            patience,
        };
        Ok(())
    }

    /// Takes the connection that was made in the background.
    fn connect(&mut self) -> Result<(), RemoteError> {
        if let Connection::Opening {
            plan,
            connector,
            patience,
        } = &mut self.connection
        {
            let Some(session) = connector.poll(core::mem::take(patience)) else {
                let failed = connector.last_error();
                // Without an error the first attempt goes on. A server that refuses may want another recording of this game.
                let is_over = failed
                    .as_ref()
                    .is_some_and(|error| !matches!(error, RemoteError::Refused { .. }));
                let error = failed.unwrap_or_else(|| RemoteError::Unreachable {
                    address: self.address.clone(),
                    reason: "the connection is being made".to_owned(),
                });
                if self.exits && is_over {
                    self.requests.push(ModelRequest::Exit);
                }
                self.count(|status| {
                    status.disconnected += 1;
                    status.last_error = error.to_string();
                });
                return Err(error);
            };
            tracing::info!("connected to the policy server at `{}`", self.address);
            self.connection = Connection::Open {
                plan: plan.clone(),
                session: Box::new(session),
            };
            self.count(|status| {
                status.connections += 1;
                status.is_connected = true;
            });
        }
        match &self.connection {
            Connection::Open { .. } => Ok(()),
            Connection::None | Connection::Opening { .. } => Err(RemoteError::Unreachable {
                address: self.address.clone(),
                reason: "it was not prepared for a recording".to_owned(),
            }),
        }
    }

    /// The connection has failed: another one is made in the background.
    fn lose(&mut self, error: &RemoteError) {
        self.count(|status| {
            status.is_connected = false;
            status.lost += 1;
            status.last_error = error.to_string();
        });
        if self.exits {
            self.requests.push(ModelRequest::Exit);
        }
        if let Connection::Open { plan, .. } = core::mem::replace(&mut self.connection, Connection::None)
            && let Err(error) = self.open(plan, Duration::ZERO)
        {
            tracing::warn!("{error}");
        }
    }

    /// Asks for a decision, and writes it.
    fn exchange(
        &mut self,
        observations: &ObservationBatch,
        actions: &mut ActionBatch,
    ) -> Result<Exchange, RemoteError> {
        let start = Instant::now();
        // A deadline beyond all moments is none.
        let limit = self.deadline.and_then(|deadline| start.checked_add(deadline));
        let reset = self.requests.take_reset();
        self.connect()?;
        while let Connection::Open { session, .. } = &mut self.connection
            && session.awaited > 0
        {
            // Late answers: the players have kept their actions, and what else they ask for still counts.
            let late = session.answer(limit, |answer| match answer {
                Ok(Answer::Reset(seed)) => Some(ModelRequest::Reset { seed }),
                Ok(Answer::Exit) => Some(ModelRequest::Exit),
                _ => None,
            })?;
            match late {
                Some(request) => request.into_iter().for_each(|request| self.requests.push(request)),
                None => {
                    if let Some(was_reset) = reset {
                        self.requests.answer_reset(was_reset);
                    }
                    return Ok(Exchange::Skipped);
                }
            }
        }
        self.ask(observations, actions, start, limit, reset)
    }

    fn ask(
        &mut self,
        observations: &ObservationBatch,
        actions: &mut ActionBatch,
        start: Instant,
        limit: Option<Instant>,
        reset: Option<bool>,
    ) -> Result<Exchange, RemoteError> {
        let Connection::Open { session, .. } = &mut self.connection else {
            return Ok(Exchange::Skipped);
        };
        session.begin_waiting();
        session.send(self.encoder.encode(observations, reset))?;
        let requests = &self.requests;
        let answer = session.answer(limit, |answer| match answer? {
            Answer::Actions(decided) => decided.write_to(actions),
            Answer::Reset(seed) => {
                requests.push(ModelRequest::Reset { seed });
                keep_all(actions);
                Ok(())
            }
            Answer::Exit => {
                requests.push(ModelRequest::Exit);
                keep_all(actions);
                Ok(())
            }
            Answer::Keep => {
                keep_all(actions);
                Ok(())
            }
            Answer::Accepted(_) | Answer::Heartbeat | Answer::Columns(_) => {
                Err(RemoteError::Answer("it is not a decision".to_owned()))
            }
        })?;
        Ok(match answer {
            None => Exchange::Late,
            Some(Ok(())) => Exchange::Decided(start.elapsed()),
            Some(Err(error)) => Exchange::Refused(error),
        })
    }
}

/// How an exchange ended whose connection goes on.
enum Exchange {
    Decided(Duration),
    Refused(RemoteError),
    Late,
    Skipped,
}

fn keep_all(actions: &mut ActionBatch) {
    (0..actions.len()).for_each(|player| actions.keep_action(player));
}

impl PolicyModel for RemotePolicy {
    fn act(&mut self, observations: &ObservationBatch, actions: &mut ActionBatch) -> Result<(), PolicyError> {
        self.count(|status| status.requests += 1);
        match self.exchange(observations, actions) {
            Ok(Exchange::Decided(round_trip)) => {
                self.count(|status| {
                    status.answers += 1;
                    status.round_trip = round_trip;
                });
                Ok(())
            }
            Ok(Exchange::Refused(error)) => {
                self.count(|status| {
                    status.refused += 1;
                    status.last_error = error.to_string();
                });
                Err(PolicyError::Model(error.to_string()))
            }
            Ok(Exchange::Late) => {
                self.count(|status| status.late += 1);
                Err(PolicyError::Late(self.deadline.unwrap_or_default()))
            }
            Ok(Exchange::Skipped) => {
                self.count(|status| status.skipped += 1);
                Err(PolicyError::Busy)
            }
            Err(error) => {
                if matches!(self.connection, Connection::Open { .. }) {
                    self.lose(&error);
                }
                Err(PolicyError::Model(error.to_string()))
            }
        }
    }

    fn check(&self, _: &PolicyLayout) -> Result<(), ModelError> {
        self.checked_address()
            .map(|_| ())
            .map_err(|error| ModelError::Other(error.to_string()))
    }

    fn prepare(&mut self, schema: &Schema, layout: &PolicyLayout) -> Result<(), ModelError> {
        self.check(layout)?;
        let default = if self.deadline.is_none() {
            Duration::from_secs(5)
        } else {
            Duration::ZERO
        };
        let prepared = self
            .plan(schema, layout)
            .and_then(|plan| self.open(plan, self.first_wait.unwrap_or(default)));
        prepared.map_err(|error| ModelError::Other(error.to_string()))
    }

    fn needs_outcomes(&self) -> bool {
        true
    }

    fn requests(&self) -> Option<Arc<ModelRequests>> {
        Some(self.requests.clone())
    }

    fn describe(&self) -> String {
        format!("the policy server at `{}`", self.address)
    }
}

impl fmt::Debug for RemotePolicy {
    /// Without the token.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RemotePolicy")
            .field("address", &self.address)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
