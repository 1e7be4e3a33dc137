//! A client of Arrow Flight that decodes every message itself.

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_flight::{FlightData, Ticket as FlightTicket, flight_service_client::FlightServiceClient};
use arrow_ipc::{convert::try_fb_to_schema, reader};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use experience_stream::{BatchMetadata, Counts, Position, StreamMonitor, Ticket};
use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};
use tokio::runtime::{Builder, Runtime};
use tonic::{
    Request, Status, Streaming,
    transport::{Channel, Endpoint},
};

pub struct Client {
    pub runtime: Runtime,
    pub flight: FlightServiceClient<Channel>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self::to(Endpoint::from_shared(format!("http://{address}")).unwrap())
    }

    /// A client whose connection holds few bytes, so that its server waits for it.
    pub fn slow(address: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        Self::to(
            endpoint
                .initial_stream_window_size(16 << 10)
                .initial_connection_window_size(16 << 10),
        )
    }

    pub fn to(endpoint: Endpoint) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let endpoint = endpoint.connect_timeout(Duration::from_secs(10));
        let channel = runtime.block_on(endpoint.connect()).unwrap();
        let flight = FlightServiceClient::new(channel).max_decoding_message_size(256 << 20);
        Self { runtime, flight }
    }

    pub fn get(&mut self, ticket: impl Into<Vec<u8>>) -> Result<Streaming<FlightData>, Status> {
        let request = Request::new(FlightTicket::new(ticket.into()));
        self.runtime
            .block_on(self.flight.do_get(request))
            .map(tonic::Response::into_inner)
    }

    pub fn subscribe(mut self, ticket: &Ticket) -> Subscription {
        let stream = self.get(ticket.to_json()).unwrap();
        let mut subscription = Subscription {
            client: self,
            stream,
            schema: None,
            missed: Counts::default(),
            withdrawn: Vec::new(),
            position: None,
            is_closed: false,
            is_restarted: false,
        };
        // The first message is the schema: the subscription has begun.
        subscription.message();
        subscription
    }
}

pub struct Subscription {
    client: Client,
    stream: Streaming<FlightData>,
    pub schema: Option<SchemaRef>,
    pub missed: Counts,
    pub withdrawn: Vec<i64>,
    pub position: Option<Position>,
    pub is_closed: bool,
    pub is_restarted: bool,
}

impl Subscription {
    fn message(&mut self) -> Option<FlightData> {
        let message = async { tokio::time::timeout(Duration::from_secs(20), self.stream.message()).await };
        let message = self
            .client
            .runtime
            .block_on(message)
            .expect("a message is sent in time")
            .unwrap()?;
        if self.schema.is_none() {
            let header = arrow_ipc::root_as_message(&message.data_header).unwrap();
            let schema = try_fb_to_schema(header.header_as_schema().unwrap()).unwrap();
            self.schema = Some(Arc::new(schema));
        }
        Some(message)
    }

    /// The next batch with rows. `None` at the end of the stream.
    pub fn next(&mut self) -> Option<RecordBatch> {
        let mut rows = Vec::new();
        while rows.is_empty() && self.receive(&mut rows) {}
        rows.pop()
    }

    /// Receives the next message, and adds its rows to `batches` if it has some. Returns whether there was one: not at the end of
    /// the stream.
    pub fn receive(&mut self, batches: &mut Vec<RecordBatch>) -> bool {
        let mut dictionaries = HashMap::new();
        let schema = self.schema.clone().unwrap();
        loop {
            let Some(message) = self.message() else {
                return false;
            };
            if !message.data_header.is_empty() {
                let header = arrow_ipc::root_as_message(&message.data_header).unwrap();
                let body = Buffer::from(message.data_body.clone());
                if let Some(dictionary) = header.header_as_dictionary_batch() {
                    reader::read_dictionary(&body, dictionary, &schema, &mut dictionaries, &header.version()).unwrap();
                    continue;
                }
                let batch = header.header_as_record_batch().unwrap();
                let batch =
                    reader::read_record_batch(&body, batch, schema.clone(), &dictionaries, None, &header.version());
                batches.push(batch.unwrap());
            }
            self.take_metadata(&message.app_metadata);
            return true;
        }
    }

    /// Receives one message, which has no rows.
    pub fn next_message(&mut self) {
        let message = self.message().expect("the stream goes on");
        assert!(message.data_header.is_empty());
        self.take_metadata(&message.app_metadata);
    }

    fn take_metadata(&mut self, json: &[u8]) {
        let metadata: BatchMetadata = serde_json::from_slice(json).unwrap();
        self.missed.transitions += metadata.missed.transitions;
        self.missed.episodes += metadata.missed.episodes;
        self.withdrawn.extend(metadata.withdrawn);
        self.position = Some(metadata.position);
        self.is_closed |= metadata.closed;
        self.is_restarted |= metadata.restarted;
    }

    /// All rows until the end of the stream.
    pub fn rest(&mut self) -> RecordBatch {
        let batches: Vec<_> = std::iter::from_fn(|| self.next()).collect();
        concat_batches(&self.schema.clone().unwrap(), &batches).unwrap()
    }

    /// The next rows, at least `rows` of them.
    pub fn rows(&mut self, rows: usize) -> RecordBatch {
        let mut batches = Vec::new();
        while batches.iter().map(RecordBatch::num_rows).sum::<usize>() < rows {
            batches.push(self.next().expect("the stream goes on"));
        }
        concat_batches(&self.schema.clone().unwrap(), &batches).unwrap()
    }
}

/// Waits until a condition holds.
#[track_caller]
pub fn eventually(condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("the condition holds in time");
}

/// Waits until the server has seen the end of all subscriptions but `left`.
pub fn await_subscribers(monitor: &StreamMonitor, left: usize) {
    eventually(|| monitor.recordings()[0].subscribers.len() == left);
}
