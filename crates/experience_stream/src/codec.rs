//! Encodes record batches as Flight messages, and decodes them without a copy.

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_buffer::Buffer;
use arrow_flight::{FlightData, SchemaAsIpc};
use arrow_ipc::{
    MetadataVersion,
    convert::try_fb_to_schema,
    reader,
    writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions},
};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use std::{collections::HashMap, sync::Arc};

/// The messages of one batch: its dictionaries, then its columns. They depend on no other batch.
pub(crate) type Messages = Arc<[FlightData]>;

/// Encodes batches of one schema.
pub(crate) struct BatchCodec {
    schema: SchemaRef,
    options: IpcWriteOptions,
    context: IpcWriteContext,
}

impl BatchCodec {
    pub(crate) fn new(schema: SchemaRef) -> Self {
        Self {
            schema,
            options: options(),
            context: IpcWriteContext::default(),
        }
    }

    /// Encodes a batch. Dictionaries are written with each batch, so that a subscriber can begin at any.
    pub(crate) fn encode(&mut self, batch: &RecordBatch) -> Result<Messages, ArrowError> {
        let generator = IpcDataGenerator::default();
        let mut dictionaries = DictionaryTracker::new(false);
        // Numbers the dictionaries as the message of the schema does.
        generator.schema_to_bytes_with_dictionary_tracker(&self.schema, &mut dictionaries, &self.options);
        let (dictionaries, columns) = generator.encode(batch, &mut dictionaries, &self.options, &mut self.context)?;
        Ok(dictionaries
            .into_iter()
            .chain([columns])
            .map(FlightData::from)
            .collect())
    }
}

/// The first message of a stream.
pub(crate) fn schema_message(schema: &Schema) -> FlightData {
    SchemaAsIpc::new(schema, &options()).into()
}

fn options() -> IpcWriteOptions {
    // Eight bytes: batches may be small.
    IpcWriteOptions::try_new(8, false, MetadataVersion::V5).unwrap_or_default()
}

/// Bytes of a batch's messages.
pub(crate) fn message_bytes(messages: &[FlightData]) -> usize {
    messages
        .iter()
        .map(|message| size_of::<FlightData>() + message.data_header.len() + message.data_body.len())
        .sum()
}

/// Decodes batches of one schema. Their columns are views of the messages.
pub(crate) struct BatchDecoder {
    schema: SchemaRef,
    /// The schema with the numbers of its dictionaries, which only its message has.
    numbered: SchemaRef,
}

impl BatchDecoder {
    pub(crate) fn new(schema: SchemaRef) -> Result<Self, ArrowError> {
        let message = schema_message(&schema);
        let header = parse(&message)?;
        let header = header
            .header_as_schema()
            .ok_or_else(|| ArrowError::IpcError("the message has no schema".to_owned()))?;
        Ok(Self {
            numbered: Arc::new(try_fb_to_schema(header)?),
            schema,
        })
    }

    /// Decodes the messages of a batch.
    pub(crate) fn decode(&self, messages: &[FlightData]) -> Result<RecordBatch, ArrowError> {
        let mut dictionaries = HashMap::<i64, ArrayRef>::new();
        for message in messages {
            let header = parse(message)?;
            let body = Buffer::from(message.data_body.clone());
            if let Some(dictionary) = header.header_as_dictionary_batch() {
                reader::read_dictionary(&body, dictionary, &self.numbered, &mut dictionaries, &header.version())?;
            } else if let Some(batch) = header.header_as_record_batch() {
                let numbered = self.numbered.clone();
                let read = reader::read_record_batch(&body, batch, numbered, &dictionaries, None, &header.version())?;
                let options = RecordBatchOptions::new().with_row_count(Some(read.num_rows()));
                return RecordBatch::try_new_with_options(self.schema.clone(), read.columns().to_vec(), &options);
            }
        }
        Err(ArrowError::IpcError("the messages have no batch".to_owned()))
    }
}

fn parse(message: &FlightData) -> Result<arrow_ipc::Message<'_>, ArrowError> {
    arrow_ipc::root_as_message(&message.data_header)
        .map_err(|error| ArrowError::IpcError(format!("invalid message: {error}")))
}
