//! [`connections`]: accepts at most a number of connections at once, and closes those that are silent or never let in.

use core::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use futures_util::stream::{self, Stream};
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};
use tonic::{
    Extensions,
    transport::server::{Connected, TlsConnectInfo},
};

/// A connection on which nothing arrives for this long is closed. A live client answers the pings of HTTP/2, which are more frequent.
const SILENCE: Duration = Duration::from_secs(60);

/// The wait after a connection could not be accepted, such as for want of file handles.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// The connections of `listener`, at most `limit` at once. Further ones wait in the queue of the operating system. A connection without
/// a call that is let in within `admission` is closed: otherwise clients without the token could hold all of them.
pub(crate) fn connections(
    listener: TcpListener,
    limit: usize,
    admission: Duration,
) -> impl Stream<Item = io::Result<Connection>> {
    let slots = Arc::new(Semaphore::new(limit));
    stream::unfold((listener, slots), move |(listener, slots)| async move {
        let slot = slots.clone().acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let _ = stream.set_nodelay(true);
                    let connection = Connection {
                        stream,
                        info: ConnectionInfo {
                            peer,
                            is_admitted: Arc::default(),
                        },
                        silence: Box::pin(sleep(SILENCE)),
                        admission: Some(Box::pin(sleep(admission))),
                        _slot: slot,
                    };
                    return Some((Ok(connection), (listener, slots)));
                }
                Err(error) => {
                    tracing::debug!("could not accept a connection: {error}");
                    sleep(ACCEPT_RETRY).await;
                }
            }
        }
    })
}

/// One connection.
pub(crate) struct Connection {
    stream: TcpStream,
    info: ConnectionInfo,
    /// Ends when nothing has arrived for too long.
    silence: Pin<Box<Sleep>>,
    /// Ends when no call was let in for too long. `None` after the first one.
    admission: Option<Pin<Box<Sleep>>>,
    _slot: OwnedSemaphorePermit,
}

/// What the calls of a connection know of it.
#[derive(Clone)]
pub(crate) struct ConnectionInfo {
    pub(crate) peer: SocketAddr,
    is_admitted: Arc<AtomicBool>,
}

impl ConnectionInfo {
    /// That of a call, by its extensions.
    pub(crate) fn of(extensions: &Extensions) -> Option<&Self> {
        extensions
            .get::<Self>()
            .or_else(|| Some(extensions.get::<TlsConnectInfo<Self>>()?.get_ref()))
    }

    /// A call of the connection was let in.
    pub(crate) fn admit(&self) {
        self.is_admitted.store(true, Ordering::Release);
    }
}

impl Connected for Connection {
    type ConnectInfo = ConnectionInfo;

    fn connect_info(&self) -> ConnectionInfo {
        self.info.clone()
    }
}

impl Connection {
    /// Whether the connection has had no call that was let in for too long.
    fn is_refused(&mut self, context: &mut Context<'_>) -> bool {
        if self.info.is_admitted.load(Ordering::Acquire) {
            self.admission = None;
        }
        self.admission
            .as_mut()
            .is_some_and(|admission| admission.as_mut().poll(context).is_ready())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_refused(context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(read) => {
                self.silence.as_mut().reset(Instant::now() + SILENCE);
                Poll::Ready(read)
            }
            Poll::Pending => {
                ready!(self.silence.as_mut().poll(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
