//! [`StreamSettings`]: limits of a stream and its security.

use core::{fmt, net::SocketAddr, time::Duration};
use experience_export::SinkError;
use std::net::ToSocketAddrs;

/// Limits of a stream, and its security.
#[derive(Clone)]
pub(crate) struct StreamSettings {
    pub(crate) address: String,
    pub(crate) token: Option<String>,
    pub(crate) tls: Option<TlsIdentity>,
    pub(crate) kept_bytes: usize,
    pub(crate) bytes_behind: usize,
    pub(crate) max_subscribers: usize,
    pub(crate) threads: usize,
    pub(crate) linger: Duration,
    /// How long a connection may be open without a call that is let in.
    pub(crate) admission: Duration,
}

/// A certificate chain and its private key, in PEM.
#[derive(Clone)]
pub(crate) struct TlsIdentity {
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl StreamSettings {
    pub(crate) fn new(address: String) -> Self {
        Self {
            address,
            token: None,
            tls: None,
            kept_bytes: 64 << 20,
            bytes_behind: usize::MAX,
            max_subscribers: 32,
            threads: 2,
            linger: Duration::from_secs(3),
            admission: Duration::from_secs(10),
        }
    }

    /// The addresses to bind, the first of which that can be bound is used.
    ///
    /// # Errors
    /// When the address is invalid, or when others could read the stream without a token.
    pub(crate) fn addresses(&self) -> Result<Vec<SocketAddr>, SinkError> {
        let address = &self.address;
        let addresses: Vec<_> = address
            .to_socket_addrs()
            .map_err(|error| {
                SinkError::Other(format!(
                    "`{address}` is not an address to listen at: {error}; name a host and a port, such as `127.0.0.1:7711`"
                ))
            })?
            .collect();
        if addresses.is_empty() {
            return Err(SinkError::Other(format!(
                "`{address}` has no address to listen at: name a host and a port, such as `127.0.0.1:7711`"
            )));
        }
        if self
            .token
            .as_ref()
            .is_some_and(|token| token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(SinkError::Other(
                "the token of the stream is empty, or has other characters than visible ASCII; use a random one, such as the output \
                 of `openssl rand -hex 32`"
                    .to_owned(),
            ));
        }
        if self.token.is_none() && addresses.iter().any(|address| !address.ip().is_loopback()) {
            return Err(SinkError::Other(format!(
                "`{address}` can be reached from other machines, and the stream has no token: any program there could read the players' \
                 experience; set one with `StreamSink::with_token`, and encrypt it with `StreamSink::with_tls`, or listen at `127.0.0.1`"
            )));
        }
        Ok(addresses)
    }
}

/// Shows no secret.
impl fmt::Debug for StreamSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSettings")
            .field("address", &self.address)
            .field("has_token", &self.token.is_some())
            .field("has_tls", &self.tls.is_some())
            .field("kept_bytes", &self.kept_bytes)
            .field("bytes_behind", &self.bytes_behind)
            .field("max_subscribers", &self.max_subscribers)
            .finish_non_exhaustive()
    }
}
