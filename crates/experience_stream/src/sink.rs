//! [`StreamSink`]: the sink that serves a recording.

use crate::{
    StreamMonitor,
    recording::{RecordingWriter, StreamedRecording},
    server::StreamServer,
    settings::{StreamSettings, TlsIdentity},
};
use core::time::Duration;
use experience_arrow::BatchEncoder;
use experience_core::{
    account::{DISCARDED_TAG, RunReport, TagChange},
    schema::Schema,
    transition::Episode,
};
use experience_export::{PartBatch, RecordingInfo, Sink, SinkError};
use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// Serves recordings to trainers in other processes while the game runs, over Arrow Flight. The [crate](crate) has an overview.
///
/// ```no_run
/// use experience_stream::StreamSink;
///
/// let stream = StreamSink::new("127.0.0.1:7711");
/// // `.sink(stream.clone())` in one recording, and `.sink(stream)` in another: clones share one server.
/// ```
///
/// The sink never waits for subscribers while the game records. Each recording keeps its newest batches, up to
/// [`with_kept_bytes`](Self::with_kept_bytes); a subscriber that is slower than that loses the oldest ones, alone, and is told how many
/// transitions and episodes that were.
///
/// # Security
/// A stream at a loopback address needs no token: all users of the machine can read it. At any other address the set-up fails without
/// a [`with_token`](Self::with_token). The token is sent in the clear unless [`with_tls`](Self::with_tls) encrypts it.
///
/// # Errors
/// The recording's set-up fails if the address cannot be used, if it needs a token, or if the certificate is invalid.
pub struct StreamSink {
    settings: StreamSettings,
    shared: Arc<SharedServer>,
    monitor: StreamMonitor,
    /// `None` before the recording is opened, and after it is closed.
    writer: Option<RecordingWriter>,
}

/// The server that the clones of a sink share.
#[derive(Default)]
struct SharedServer(Mutex<Option<StreamServer>>);

impl StreamSink {
    /// A sink that serves at `address`, a host and a port, such as `127.0.0.1:7711`. Port 0 is any free port;
    /// [`StreamMonitor::address`] is the one that was chosen.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            settings: StreamSettings::new(address.into()),
            shared: Arc::default(),
            monitor: StreamMonitor {
                registry: Arc::default(),
                address: Arc::default(),
            },
            writer: None,
        }
    }

    /// Requires subscribers to send this token, as `authorization: Bearer <token>`. It is visible ASCII.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.settings.token = Some(token.into());
        self
    }

    /// Encrypts the stream with this certificate, with its chain, and its private key, both in PEM.
    #[must_use]
    pub fn with_tls(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.settings.tls = Some(TlsIdentity {
            certificate: certificate.into(),
            key: key.into(),
        });
        self
    }

    /// Bytes of encoded batches that each recording keeps for its subscribers, for each of the two units: 64 MiB by default. So much
    /// can a subscriber be behind. The newest batch is always kept.
    #[must_use]
    pub fn with_kept_bytes(mut self, bytes: usize) -> Self {
        self.settings.kept_bytes = bytes;
        self
    }

    /// Bytes that a subscriber may be behind the newest batch: by default all that are kept. One that is further behind skips what is
    /// older, for trainers that want fresh experience more than all of it. It also limits how much is sent from the oldest
    /// transition on.
    #[must_use]
    pub fn with_bytes_behind(mut self, bytes: usize) -> Self {
        self.settings.bytes_behind = bytes;
        self
    }

    /// Most subscribers at once, of all recordings together: 32 by default.
    #[must_use]
    pub fn with_max_subscribers(mut self, subscribers: usize) -> Self {
        self.settings.max_subscribers = subscribers;
        self
    }

    /// Number of threads that send: 2 by default. They are apart from those of the game.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.settings.threads = threads;
        self
    }

    /// How long the close of a recording waits for its subscribers to receive the rest: 3 seconds by default.
    #[must_use]
    pub fn with_linger(mut self, linger: Duration) -> Self {
        self.settings.linger = linger;
        self
    }

    /// Shows the recordings that are served, their subscribers, and what each has missed. It does not keep the server running.
    #[must_use]
    pub fn monitor(&self) -> StreamMonitor {
        self.monitor.clone()
    }

    /// Starts the server, unless a clone has done so.
    fn start(&self) -> Result<(), SinkError> {
        let mut server = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        if server.is_none() {
            let started = StreamServer::start(&self.settings, self.monitor.registry.clone())?;
            let _ = self.monitor.address.set(started.address);
            *server = Some(started);
        }
        Ok(())
    }

    fn writer(&mut self) -> Result<&mut RecordingWriter, SinkError> {
        self.writer
            .as_mut()
            .ok_or_else(|| SinkError::Other("the stream is closed: open the sink before writing to it".to_owned()))
    }
}

/// A clone serves another recording at the same address.
impl Clone for StreamSink {
    fn clone(&self) -> Self {
        Self {
            settings: self.settings.clone(),
            shared: self.shared.clone(),
            monitor: self.monitor.clone(),
            writer: None,
        }
    }
}

impl Sink for StreamSink {
    fn describe(&self) -> Cow<'_, str> {
        format!("stream {}", self.settings.address).into()
    }

    fn check(&mut self, schema: &Schema) -> Result<(), SinkError> {
        BatchEncoder::new(Arc::new(schema.clone()))?;
        self.start()
    }

    fn open(&mut self, info: &RecordingInfo) -> Result<(), SinkError> {
        let encoder = BatchEncoder::new(info.schema.clone())?;
        self.start()?;
        let recording = Arc::new(StreamedRecording::new(info, &encoder, &self.settings)?);
        if !self.monitor.registry.add(recording.clone()) {
            return Err(SinkError::Other(format!(
                "the stream at `{}` already serves a recording `{}`; give each recording another name",
                self.settings.address,
                info.schema.name()
            )));
        }
        self.writer = Some(RecordingWriter::new(recording, encoder));
        Ok(())
    }

    fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
        self.writer()?.write(episodes)
    }

    fn takes_parts(&self) -> bool {
        true
    }

    fn write_parts(&mut self, batch: &PartBatch) -> Result<(), SinkError> {
        self.writer()?.write_parts(batch);
        Ok(())
    }

    fn write_tags(&mut self, changes: &[TagChange]) -> Result<(), SinkError> {
        let discarded: Vec<_> = changes
            .iter()
            .filter_map(|change| match change {
                TagChange::Added(added) if added.tag == DISCARDED_TAG => Some(added.episode_id),
                _ => None,
            })
            .collect();
        if discarded.is_empty() {
            return Ok(());
        }
        self.writer()?.withdraw(&discarded)
    }

    fn flush(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }

    fn close(&mut self, _: &RunReport) -> Result<(), SinkError> {
        let Some(writer) = self.writer.take() else {
            return Ok(());
        };
        let recording = writer.recording();
        recording.close();
        // Each subscription ends when it has sent everything.
        let begun = Instant::now();
        while recording.subscriber_count() > 0 && begun.elapsed() < self.settings.linger {
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl Drop for StreamSink {
    fn drop(&mut self) {
        // A recording that was not closed, because its sink was retired.
        if let Some(writer) = &self.writer {
            writer.recording().close();
        }
    }
}

impl core::fmt::Debug for StreamSink {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("StreamSink")
            .field("settings", &self.settings)
            .field("monitor", &self.monitor)
            .finish_non_exhaustive()
    }
}
