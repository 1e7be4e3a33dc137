//! A sink that sends record batches to a trainer in the same process.

use crate::BatchEncoder;
use arrow_array::RecordBatch;
use crossbeam_channel::{Receiver, Sender, TrySendError};
use experience_core::account::RunReport;
use experience_core::{schema::Schema, transition::Episode};
use experience_export::{RecordingInfo, Sink, SinkError};
use std::{borrow::Cow, sync::Arc};

/// Sends whole episodes through a bounded channel, as Arrow record batches with [these columns](crate#columns).
///
/// The sink never blocks: if the channel is full, a batch is refused with [`SinkError::Full`] and counted as dropped, so that a
/// slow trainer delays neither the game nor other sinks. The receiver's loop ends when the recording is closed and the channel
/// is empty.
///
/// ```
/// use experience_arrow::ChannelSink;
///
/// let (sink, batches) = ChannelSink::bounded(64);
/// // … `.sink(sink)`, and on a thread of your own:
/// # drop(sink);
/// for batch in batches {
///     println!("{} transitions", batch.num_rows());
/// }
/// ```
#[derive(Debug)]
pub struct ChannelSink {
    /// Dropped at the close, which ends the receiver's loop.
    sender: Option<Sender<Arc<RecordBatch>>>,
    encoder: Option<BatchEncoder>,
}

impl ChannelSink {
    /// A sink and the receiver of its batches. The channel holds at most `capacity` batches.
    ///
    /// With a capacity of 0 a batch is accepted only while the receiver is waiting for it.
    #[must_use]
    pub fn bounded(capacity: usize) -> (Self, Receiver<Arc<RecordBatch>>) {
        let (sender, receiver) = crossbeam_channel::bounded(capacity);
        let sink = Self {
            sender: Some(sender),
            encoder: None,
        };
        (sink, receiver)
    }
}

impl Sink for ChannelSink {
    fn describe(&self) -> Cow<'_, str> {
        "channel".into()
    }

    fn check(&mut self, schema: &Schema) -> Result<(), SinkError> {
        BatchEncoder::new(Arc::new(schema.clone())).map(|_| ())
    }

    fn open(&mut self, recording: &RecordingInfo) -> Result<(), SinkError> {
        self.encoder = Some(BatchEncoder::new(recording.schema.clone())?);
        Ok(())
    }

    fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
        let (Some(encoder), Some(sender)) = (&self.encoder, &self.sender) else {
            return Err(SinkError::Other(
                "the channel is closed: open the sink before writing to it".to_owned(),
            ));
        };
        if episodes.is_empty() {
            return Ok(());
        }
        // Encoded even if the channel is full, because only sending tells whether the receiver is disconnected.
        let batch = encoder.encode(episodes)?;
        sender.try_send(Arc::new(batch)).map_err(|error| match error {
            TrySendError::Full(_) => SinkError::Full,
            TrySendError::Disconnected(_) => SinkError::Disconnected,
        })
    }

    fn flush(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }

    fn close(&mut self, _: &RunReport) -> Result<(), SinkError> {
        self.sender = None;
        Ok(())
    }
}
