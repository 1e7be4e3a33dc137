//! [`StreamServer`]: the listener and the threads of a stream.

use crate::{
    connection::connections, flight_server::FlightServer, registry::Registry, service::StreamService,
    settings::StreamSettings, token::TokenCheck,
};
use core::{net::SocketAddr, time::Duration};
use experience_export::SinkError;
use std::{
    io::{self, ErrorKind},
    net::TcpListener,
    sync::Arc,
    thread::JoinHandle,
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Semaphore, watch},
};
use tonic::{
    service::interceptor::InterceptedService,
    transport::{Identity, Server, ServerTlsConfig, server::Router},
};

/// Connections in addition to one for each subscriber.
const SPARE_CONNECTIONS: usize = 32;

/// Calls at once on one connection, in addition to its subscriptions.
const SPARE_CALLS: usize = 8;

/// Intervals of the pings that find dead clients.
const PING: Duration = Duration::from_secs(10);

/// How long a client may take to answer one.
const PING_ANSWER: Duration = Duration::from_secs(20);

/// How long the end of the server waits for messages that are on their way.
const GRACE: Duration = Duration::from_millis(500);

/// A running server. Dropping it ends the server and its threads.
pub(crate) struct StreamServer {
    pub(crate) address: SocketAddr,
    shutdown: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl StreamServer {
    /// Binds the address and starts the threads.
    ///
    /// # Errors
    /// When the address cannot be bound, or the certificate is invalid.
    pub(crate) fn start(settings: &StreamSettings, registry: Arc<Registry>) -> Result<Self, SinkError> {
        let listener = bind(settings)?;
        let cannot =
            |error: io::Error| SinkError::Other(format!("cannot serve a stream at `{}`: {error}", settings.address));
        let address = listener.local_addr().map_err(cannot)?;
        listener.set_nonblocking(true).map_err(cannot)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(settings.threads.max(1))
            .thread_name("experience-stream")
            .enable_all()
            .build()
            .map_err(cannot)?;
        let (shutdown, is_shutdown) = watch::channel(false);
        let router = router(settings, registry, is_shutdown.clone())?;
        let limit = settings
            .max_subscribers
            .saturating_add(SPARE_CONNECTIONS)
            .min(Semaphore::MAX_PERMITS);
        let admission = settings.admission;
        let thread = std::thread::Builder::new()
            .name("experience-stream".to_owned())
            .spawn(move || serve(runtime, listener, router, (limit, admission), is_shutdown))
            .map_err(cannot)?;
        tracing::info!("serving recordings at `{address}`");
        Ok(Self {
            address,
            shutdown,
            thread: Some(thread),
        })
    }
}

impl Drop for StreamServer {
    fn drop(&mut self) {
        self.shutdown.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn bind(settings: &StreamSettings) -> Result<TcpListener, SinkError> {
    let addresses = settings.addresses()?;
    TcpListener::bind(addresses.as_slice()).map_err(|error| {
        let remedy = match error.kind() {
            ErrorKind::AddrInUse => {
                "another program, or another `StreamSink`, listens there: use another port, and clone one `StreamSink` for all \
                 recordings of a game"
            }
            ErrorKind::AddrNotAvailable => {
                "this machine does not have the address: use one of its own, or `0.0.0.0` for all of them"
            }
            ErrorKind::PermissionDenied => "ports below 1024 are for the administrator: use a higher one",
            _ => "use another address",
        };
        SinkError::Other(format!("cannot listen at `{}`: {error}; {remedy}", settings.address))
    })
}

fn router(
    settings: &StreamSettings,
    registry: Arc<Registry>,
    shutdown: watch::Receiver<bool>,
) -> Result<Router, SinkError> {
    let max_subscribers = settings.max_subscribers.min(Semaphore::MAX_PERMITS);
    let service = StreamService {
        registry,
        subscribers: Arc::new(Semaphore::new(max_subscribers)),
        max_subscribers,
        bytes_behind: settings.bytes_behind,
        shutdown,
    };
    let calls = u32::try_from(max_subscribers.saturating_add(SPARE_CALLS)).unwrap_or(u32::MAX);
    let mut server = Server::builder()
        .max_concurrent_streams(calls)
        .http2_keepalive_interval(Some(PING))
        .http2_keepalive_timeout(Some(PING_ANSWER))
        .http2_max_header_list_size(16 << 10);
    if let Some(tls) = &settings.tls {
        // Where several providers are linked, rustls panics unless one is chosen. One that the program has chosen stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let identity = Identity::from_pem(&tls.certificate, &tls.key);
        server = server.tls_config(ServerTlsConfig::new().identity(identity)).map_err(|error| {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            SinkError::Other(format!(
                "the certificate or the key of the stream is invalid: {error}{}; both are PEM, the certificate with its chain",
                source.unwrap_or_default()
            ))
        })?;
    }
    let check = TokenCheck::new(settings.token.as_deref());
    Ok(server.add_service(InterceptedService::new(FlightServer::new(service), check)))
}

/// Runs the server until it is shut down. `limits` are the number of connections, and how long one stays open that is not let in.
fn serve(
    runtime: Runtime,
    listener: TcpListener,
    router: Router,
    limits: (usize, Duration),
    shutdown: watch::Receiver<bool>,
) {
    let mut is_shutdown = shutdown.clone();
    let mut is_over = shutdown;
    runtime.block_on(async {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!("the stream has ended: {error}"),
        };
        let signal = async move {
            let _ = is_shutdown.wait_for(|is_shutdown| *is_shutdown).await;
        };
        let server = router.serve_with_incoming_shutdown(connections(listener, limits.0, limits.1), signal);
        let grace = async move {
            let _ = is_over.wait_for(|is_over| *is_over).await;
            tokio::time::sleep(GRACE).await;
        };
        // Subscribers that take nothing do not delay the end of the game.
        if let futures_util::future::Either::Left((Err(error), _)) =
            futures_util::future::select(Box::pin(server), Box::pin(grace)).await
        {
            tracing::error!("the stream has ended: {error}");
        }
    });
    runtime.shutdown_timeout(GRACE);
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_flight::{Criteria, flight_service_client::FlightServiceClient};
    use std::{
        io::{Read, Write},
        net::TcpStream,
        time::Instant,
    };
    use tonic::{Request, transport::Endpoint};

    /// The beginning of a connection of HTTP/2, with settings.
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    /// A ping, which the server answers.
    const PING_FRAME: &[u8] = b"\0\0\x08\x06\0\0\0\0\0experien";

    #[test]
    fn connections_without_the_token_are_closed_and_others_stay() {
        let settings = StreamSettings {
            token: Some("secret".to_owned()),
            max_subscribers: 0,
            admission: Duration::from_millis(500),
            ..StreamSettings::new("127.0.0.1:0".to_owned())
        };
        let server = StreamServer::start(&settings, Arc::default()).unwrap();
        let list = |channel: tonic::transport::Channel| async move {
            let mut request = Request::new(Criteria::default());
            let header = "Bearer secret".parse().unwrap();
            request.metadata_mut().insert("authorization", header);
            FlightServiceClient::new(channel).list_flights(request).await
        };
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
        let own = runtime.block_on(endpoint.connect()).unwrap();
        runtime.block_on(list(own.clone())).unwrap();
        // All other connections, which are never silent.
        let mut held: Vec<_> = (1..SPARE_CONNECTIONS)
            .map(|_| TcpStream::connect(server.address).unwrap())
            .collect();
        for connection in &mut held {
            connection.write_all(PREFACE).unwrap();
            connection.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        }
        let start = Instant::now();
        while !held.is_empty() {
            assert!(start.elapsed() < Duration::from_secs(20), "{} are open", held.len());
            held.retain_mut(|connection| {
                let is_written = connection.write_all(PING_FRAME).is_ok();
                let is_open = !matches!(connection.read(&mut [0; 1024]), Ok(0));
                is_written && is_open
            });
        }
        assert!(start.elapsed() >= Duration::from_millis(300));
        runtime.block_on(list(own)).unwrap();
        let other = runtime.block_on(endpoint.connect()).unwrap();
        runtime.block_on(list(other)).unwrap();
    }
}
