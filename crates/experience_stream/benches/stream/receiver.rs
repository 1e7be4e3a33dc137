//! A subscriber that does nothing with what it receives.

use arrow_flight::{FlightData, Ticket as FlightTicket, flight_service_client::FlightServiceClient};
use experience_stream::{BatchMetadata, Ticket};
use std::net::SocketAddr;
use tonic::transport::Endpoint;

/// When a subscriber ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Until {
    End,
    FirstBatch,
}

/// What a subscriber has received.
pub struct Received {
    pub rows: u64,
    pub bytes: u64,
    /// The message of the schema.
    pub schema: FlightData,
    /// The messages of the first batch.
    pub batch: Vec<FlightData>,
    pub batch_rows: u64,
}

/// Subscribes to whole episodes, and receives.
pub fn receive(address: SocketAddr, until: Until) -> Received {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system has threads");
    runtime.block_on(async {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("the address is valid");
        let channel = endpoint.connect().await.expect("the server has started");
        let mut client = FlightServiceClient::new(channel);
        let ticket = FlightTicket::new(Ticket::new("fighter").to_json());
        let mut stream = client.do_get(ticket).await.expect("the ticket is valid").into_inner();
        let schema = stream.message().await.expect("the connection holds");
        let mut received = Received {
            rows: 0,
            bytes: 0,
            schema: schema.expect("a stream begins with its schema"),
            batch: Vec::new(),
            batch_rows: 0,
        };
        while let Some(message) = stream.message().await.expect("the connection holds") {
            received.bytes += (message.data_body.len() + message.data_header.len()) as u64;
            if received.batch_rows == 0 && !message.data_header.is_empty() {
                received.batch.push(message.clone());
            }
            if message.app_metadata.is_empty() {
                continue;
            }
            let metadata: BatchMetadata = serde_json::from_slice(&message.app_metadata).expect("the metadata is JSON");
            received.rows = metadata.position.transitions - metadata.missed.transitions;
            if received.batch_rows == 0 && !received.batch.is_empty() {
                received.batch_rows = received.rows;
                if until == Until::FirstBatch {
                    break;
                }
            }
        }
        received
    })
}
