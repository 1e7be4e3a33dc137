//! Encodes record batches as messages of a Flight stream. The bodies of the messages are the buffers of the columns, which are not copied
//! before they are sent.

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_flight::{FlightData, SchemaAsIpc};
use arrow_ipc::{
    MetadataVersion,
    writer::{IpcWriteOptions, StreamEncoder},
};
use arrow_schema::{ArrowError, Schema};
use bytes::Bytes;
use std::sync::Arc;

/// The messages of one batch: its dictionaries, then its columns. They depend on no other batch.
pub(crate) type Messages = Arc<[StreamMessage]>;

/// A message of a Flight stream: a `FlightData` whose body is in pieces.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamMessage {
    /// The message of Arrow's format without its body.
    pub(crate) header: Bytes,
    pub(crate) metadata: Bytes,
    pub(crate) body: Arc<[Buffer]>,
    pub(crate) body_len: usize,
}

impl StreamMessage {
    /// The first message of a stream.
    pub(crate) fn schema(schema: &Schema) -> Self {
        let data: FlightData = SchemaAsIpc::new(schema, &options()).into();
        Self {
            header: data.data_header,
            ..Self::default()
        }
    }

    /// Its header and its body.
    pub(crate) fn len(&self) -> usize {
        self.header.len() + self.body_len
    }
}

/// Encodes batches of one schema.
pub(crate) struct BatchCodec {
    /// Without metadata: it only numbers the dictionaries, as the message of the whole schema does.
    schema: Schema,
}

impl BatchCodec {
    pub(crate) fn new(schema: &Schema) -> Self {
        Self {
            schema: Schema::new(schema.fields().clone()),
        }
    }

    /// Encodes a batch. Dictionaries are written with each batch, so that a subscriber can begin at any.
    pub(crate) fn encode(&self, batch: &RecordBatch) -> Result<Messages, ArrowError> {
        let buffers = StreamEncoder::try_new_with_options(&self.schema, options())?.encode(batch)?;
        let mut pieces = Pieces::new(buffers);
        // Each stream has one of its own, with the metadata.
        pieces.message()?;
        let mut messages = Vec::new();
        while !pieces.is_empty() {
            messages.push(pieces.message()?);
        }
        Ok(messages.into())
    }
}

fn options() -> IpcWriteOptions {
    // Eight bytes: batches may be small.
    IpcWriteOptions::try_new(8, false, MetadataVersion::V5).unwrap_or_default()
}

/// Bytes of a batch's messages.
pub(crate) fn message_bytes(messages: &[StreamMessage]) -> usize {
    messages
        .iter()
        .map(|message| size_of::<StreamMessage>() + message.len())
        .sum()
}

/// The pieces of messages in Arrow's format of streams, which follow each other.
struct Pieces {
    /// Those that were not taken, the first one last.
    rest: Vec<Buffer>,
}

impl Pieces {
    fn new(mut buffers: Vec<Buffer>) -> Self {
        buffers.reverse();
        Self { rest: buffers }
    }

    fn is_empty(&self) -> bool {
        self.rest.iter().all(Buffer::is_empty)
    }

    /// Takes the next message: a mark and the length of the header, each of 4 bytes, the header, and the body.
    fn message(&mut self) -> Result<StreamMessage, ArrowError> {
        let prefix = joined(&self.take(8)?);
        let length = prefix.last_chunk().map_or(0, |length| i32::from_le_bytes(*length));
        let header = joined(&self.take(usize::try_from(length).map_err(|_| incomplete())?)?);
        let message = arrow_ipc::root_as_message(&header)
            .map_err(|error| ArrowError::IpcError(format!("invalid message: {error}")))?;
        let body_len = usize::try_from(message.bodyLength()).map_err(|_| incomplete())?;
        Ok(StreamMessage {
            body: self.take(body_len)?.into(),
            body_len,
            header: header.into(),
            metadata: Bytes::new(),
        })
    }

    /// Takes pieces of this length together.
    fn take(&mut self, mut length: usize) -> Result<Vec<Buffer>, ArrowError> {
        let mut taken = Vec::new();
        while length > 0 {
            let piece = self.rest.pop().ok_or_else(incomplete)?;
            if piece.len() > length {
                self.rest.push(piece.slice(length));
                taken.push(piece.slice_with_length(0, length));
                break;
            }
            length -= piece.len();
            taken.push(piece);
        }
        Ok(taken)
    }
}

fn joined(pieces: &[Buffer]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(pieces.iter().map(Buffer::len).sum());
    for piece in pieces {
        bytes.extend_from_slice(piece);
    }
    bytes
}

fn incomplete() -> ArrowError {
    ArrowError::IpcError("the messages of a batch are not complete".to_owned())
}
