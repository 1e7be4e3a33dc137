//! A plain Flight server: it sends the same messages again and again.

use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, Result as ActionResult, SchemaResult, Ticket,
    flight_service_server::{FlightService, FlightServiceServer},
};
use futures_util::stream::{self, Stream};
use std::{net::SocketAddr, pin::Pin, sync::Arc};
use tokio::{net::TcpListener, runtime::Runtime};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Server, server::TcpIncoming},
};

/// A server with two threads, as that of the sink, until it is dropped.
pub struct PlainServer {
    pub address: SocketAddr,
    _runtime: Runtime,
}

#[derive(Clone)]
struct Service {
    schema: FlightData,
    messages: Arc<[FlightData]>,
    repeats: u64,
}

impl PlainServer {
    pub fn start(address: SocketAddr, schema: FlightData, messages: Vec<FlightData>, repeats: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("the system has threads");
        let listener = runtime
            .block_on(TcpListener::bind(address))
            .expect("the address is free");
        let address = listener.local_addr().expect("the listener has an address");
        let service = Service {
            schema,
            messages: messages.into(),
            repeats,
        };
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let server = Server::builder().add_service(FlightServiceServer::new(service));
        runtime.spawn(server.serve_with_incoming(incoming));
        Self {
            address,
            _runtime: runtime,
        }
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn unsupported<T>() -> Result<T, Status> {
    Err(Status::unimplemented("the server sends one stream"))
}

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoExchangeStream = Answers<FlightData>;
    type DoActionStream = Answers<ActionResult>;
    type ListActionsStream = Answers<ActionType>;

    async fn do_get(&self, _: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let Self {
            schema,
            messages,
            repeats,
        } = self.clone();
        let total = repeats * messages.len() as u64;
        let repeated = (0..total).map(move |index| messages[index as usize % messages.len()].clone());
        let all = core::iter::once(schema).chain(repeated).map(Ok);
        Ok(Response::new(Box::pin(stream::iter(all))))
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        unsupported()
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        unsupported()
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        unsupported()
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        unsupported()
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        unsupported()
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        unsupported()
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        unsupported()
    }

    async fn do_action(&self, _: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        unsupported()
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        unsupported()
    }
}
