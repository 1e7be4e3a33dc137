//! [`Session`]: one connection to a policy server.
//!
//! A session has a runtime of one thread, which is whatever thread waits for an answer: the game's. So a decision wakes no other thread,
//! which costs more than encoding it.

use crate::{
    RemoteError,
    address::Address,
    answer::{Answer, AnswerColumns},
    columns,
    handshake::Accepted,
    runtime::SessionRuntime,
};
use arrow_flight::{FlightData, FlightDescriptor, SchemaAsIpc, flight_service_client::FlightServiceClient};
use arrow_ipc::writer::IpcWriteOptions;
use bytes::Bytes;
use core::time::Duration;
use experience_policy::PolicyLayout;
use futures_util::stream;
use std::time::Instant;
use tokio::{sync::mpsc, time::timeout};
use tonic::{Code, Request, Streaming, metadata::MetadataValue, transport::Endpoint};

/// How a session is made.
#[derive(Clone)]
pub(crate) struct SessionSettings {
    pub(crate) address: Address,
    pub(crate) token: Option<String>,
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "read with TLS alone"))]
    pub(crate) tls_ca: Option<String>,
    pub(crate) silence_limit: Duration,
    pub(crate) max_message_bytes: usize,
}

/// The largest window for data in flight: a batch of observations is sent without waiting for the server.
const WINDOW: u32 = 16 << 20;

/// A connection that the server has accepted.
pub(crate) struct Session {
    // Dropped before the runtime that they need.
    requests: mpsc::Sender<FlightData>,
    answers: Streaming<FlightData>,
    runtime: SessionRuntime,
    address: String,
    columns: AnswerColumns,
    silence_limit: Duration,
    /// How long was waited since the last message. Time in which the game does not wait is not silence: nothing is received then.
    silence: Duration,
    is_accepted: bool,
    /// Requests whose answer has not come.
    pub(crate) awaited: usize,
}

impl Session {
    /// Connects, and waits until the server accepts the game. `hello` is what the game says.
    pub(crate) fn connect(
        settings: &SessionSettings,
        layout: &PolicyLayout,
        hello: &[u8],
    ) -> Result<Self, RemoteError> {
        let unreachable = |reason: String| RemoteError::Unreachable {
            address: settings.address.text.clone(),
            reason,
        };
        let runtime = SessionRuntime::new().map_err(|error| unreachable(error.to_string()))?;
        let opening = async {
            let opened = timeout(settings.silence_limit, open(settings, layout, hello)).await;
            opened.unwrap_or_else(|_| Err(unreachable(format!("no answer within {:?}", settings.silence_limit))))
        };
        let (requests, answers) = runtime
            .block_on(opening)
            .map_err(|error| unreachable(error.to_string()))??;
        let mut session = Self {
            requests,
            answers,
            runtime,
            address: settings.address.text.clone(),
            columns: AnswerColumns::default(),
            silence_limit: settings.silence_limit,
            silence: Duration::ZERO,
            is_accepted: false,
            awaited: 0,
        };
        let accepted = session.await_acceptance()?;
        accepted.check(&settings.address, layout)?;
        session.is_accepted = true;
        Ok(session)
    }

    fn await_acceptance(&mut self) -> Result<Accepted, RemoteError> {
        loop {
            let Some(data) = self.receive(None)? else { continue };
            match Answer::read(&data, &self.columns)? {
                Answer::Accepted(accepted) => return Ok(accepted),
                Answer::Columns(columns) => self.columns = columns,
                Answer::Heartbeat => {}
                _ => return Err(self.lost("it has answered before it has accepted the game")),
            }
        }
    }

    /// Sends the request of a decision.
    pub(crate) fn send(&mut self, data: FlightData) -> Result<(), RemoteError> {
        self.awaited += 1;
        self.requests
            .try_send(data)
            .map_err(|_| self.lost("it does not take requests"))
    }

    /// Waits for the next answer, until a moment if there is a limit. `None` if none has come until then. `read` is called with the
    /// answer.
    pub(crate) fn answer<R>(
        &mut self,
        limit: Option<Instant>,
        read: impl FnOnce(Result<Answer<'_>, RemoteError>) -> R,
    ) -> Result<Option<R>, RemoteError> {
        loop {
            let Some(data) = self.receive(limit)? else {
                return Ok(None);
            };
            let answer = Answer::read(&data, &self.columns);
            match answer {
                Ok(Answer::Heartbeat) => {}
                Ok(Answer::Columns(columns)) => self.columns = columns,
                answer => {
                    self.awaited = self.awaited.saturating_sub(1);
                    return Ok(Some(read(answer)));
                }
            }
        }
    }

    /// Receives a message. An error if the connection ends, or if nothing is heard of the server for too long.
    fn receive(&mut self, limit: Option<Instant>) -> Result<Option<FlightData>, RemoteError> {
        /// A shorter wait does not read from the socket.
        const SHORTEST: Duration = Duration::from_millis(1);
        let start = Instant::now();
        let left = self.silence_limit.saturating_sub(self.silence);
        let wait = limit.map_or(left, |limit| limit.saturating_duration_since(start).min(left));
        let answers = &mut self.answers;
        let received = self
            .runtime
            .block_on(async { timeout(wait.max(SHORTEST), answers.message()).await })
            .map_err(|error| self.lost(&format!("no thread can be started: {error}")))?;
        match received {
            Ok(Ok(Some(data))) => {
                self.silence = Duration::ZERO;
                Ok(Some(data))
            }
            Ok(Ok(None)) => Err(self.lost("the server has ended it")),
            Ok(Err(status)) if !self.is_accepted && is_refusal(&status) => Err(RemoteError::Refused {
                address: self.address.clone(),
                reason: describe(&status),
            }),
            Ok(Err(status)) => Err(self.lost(&describe(&status))),
            Err(_) if wait >= left => {
                Err(self.lost(&format!("nothing was heard of the server for {:?}", self.silence_limit)))
            }
            Err(_) => {
                self.silence += start.elapsed();
                Ok(None)
            }
        }
    }

    /// Begins to wait: silence before this moment does not count, because nothing was asked.
    pub(crate) fn begin_waiting(&mut self) {
        if self.awaited == 0 {
            self.silence = Duration::ZERO;
        }
    }

    fn lost(&self, reason: &str) -> RemoteError {
        RemoteError::Lost {
            address: self.address.clone(),
            reason: reason.to_owned(),
        }
    }
}

/// Opens the stream, and sends what the game says with the schema of its batches.
async fn open(
    settings: &SessionSettings,
    layout: &PolicyLayout,
    hello: &[u8],
) -> Result<(mpsc::Sender<FlightData>, Streaming<FlightData>), RemoteError> {
    let unreachable = |reason: String| RemoteError::Unreachable {
        address: settings.address.text.clone(),
        reason,
    };
    let endpoint = endpoint(settings).map_err(|error| unreachable(cause(&error)))?;
    let channel = endpoint.connect().await.map_err(|error| unreachable(cause(&error)))?;
    let mut client = FlightServiceClient::new(channel).max_decoding_message_size(settings.max_message_bytes);
    let (requests, mut received) = mpsc::channel(4);
    let first = FlightData {
        flight_descriptor: Some(FlightDescriptor::new_cmd(Bytes::copy_from_slice(hello))),
        ..SchemaAsIpc::new(&columns::game_schema(layout), &IpcWriteOptions::default()).into()
    };
    requests
        .try_send(first)
        .map_err(|error| unreachable(error.to_string()))?;
    let mut request = Request::new(stream::poll_fn(move |context| received.poll_recv(context)));
    if let Some(token) = &settings.token {
        let value = MetadataValue::try_from(format!("Bearer {token}"));
        // The text of the error would hold the token.
        let mut value = value.map_err(|_| unreachable("the token has characters that are not ASCII".to_owned()))?;
        value.set_sensitive(true);
        request.metadata_mut().insert("authorization", value);
    }
    let answers = client.do_exchange(request).await;
    let answers = answers.map_err(|status| {
        if is_refusal(&status) {
            RemoteError::Refused {
                address: settings.address.text.clone(),
                reason: describe(&status),
            }
        } else {
            unreachable(describe(&status))
        }
    })?;
    Ok((requests, answers.into_inner()))
}

/// Whether a status is what the server says of this game. One of the transport has a source, and one about the token does not
/// change by asking again.
fn is_refusal(status: &tonic::Status) -> bool {
    let is_of_game = !matches!(
        status.code(),
        Code::Unauthenticated | Code::PermissionDenied | Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded
    );
    is_of_game && core::error::Error::source(status).is_none()
}

fn endpoint(settings: &SessionSettings) -> Result<Endpoint, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(settings.address.uri())?
        .connect_timeout(settings.silence_limit)
        .tcp_nodelay(true)
        .tcp_keepalive(Some(Duration::from_secs(15)))
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    #[cfg(feature = "tls")]
    if settings.address.is_tls {
        use tonic::transport::{Certificate, ClientTlsConfig};
        let tls = match &settings.tls_ca {
            Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        return endpoint.tls_config(tls);
    }
    Ok(endpoint)
}

/// The innermost error, which says what has happened, and for one of TLS what to do.
fn cause(error: &dyn core::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    let remedy = if text.contains("CaUsedAsEndEntity") {
        "a certificate that signs itself must not be marked as one of an authority: make it with `basicConstraints=CA:FALSE`"
    } else if text.contains("not valid for name") || text.contains("NotValidForName") {
        "connect to a host that the certificate names, or give the server one for this host"
    } else if text.contains("peer certificate") {
        "give the certificate of the authority that signs the server's, or the server's own if that signs itself, in PEM, with \
         `RemotePolicy::tls_ca` or the variable `BEVY_EXPERIENCE_REMOTE_CA`"
    } else if text.contains("InvalidContentType") || text.contains("corrupt message") {
        "the server answers without TLS: give it a certificate, or connect to `grpc://`"
    } else {
        return text;
    };
    format!("{text}: {remedy}")
}

/// What a status says, without the metadata.
fn describe(status: &tonic::Status) -> String {
    /// More of it is not logged.
    const LONGEST: usize = 2000;
    let text: String = status.message().chars().take(LONGEST).collect();
    if text.is_empty() {
        status.code().description().to_owned()
    } else {
        text
    }
}
