//! A Flight server for tests, which answers as it is told.

use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaAsIpc, SchemaResult, Ticket,
    flight_service_server::{FlightService, FlightServiceServer},
};
use arrow_ipc::writer::IpcWriteOptions;
use arrow_schema::{DataType, Field, Schema};
use futures_util::{Stream, StreamExt, stream::BoxStream};
use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};
use tokio::{net::TcpListener, runtime::Runtime, sync::mpsc};
use tonic::{Request, Response, Status, Streaming, transport::Server};

/// What the server does with a request.
pub type Script = Arc<dyn Fn(usize, &FlightData) -> Vec<Reply> + Send + Sync>;

/// One message, or something else that the server does.
#[derive(Clone)]
pub enum Reply {
    Send(FlightData),
    Wait(Duration),
    /// Ends the stream.
    End,
    /// Ends the stream with an error.
    Fail(&'static str),
}

/// A server on a thread of its own, until it is dropped.
pub struct TestServer {
    pub address: String,
    pub port: u16,
    /// The messages of the game.
    pub received: Receiver<FlightData>,
    runtime: Option<Runtime>,
}

struct Service {
    script: Script,
    accepted: Option<String>,
    token: Option<&'static str>,
    received: Sender<FlightData>,
}

impl TestServer {
    /// `accepted` is the JSON with which it accepts a game; `None` if it refuses it.
    pub fn start(port: u16, accepted: Option<&str>, token: Option<&'static str>, script: Script) -> Self {
        Self::start_with(Server::builder(), port, accepted, token, script)
    }

    /// As [`start`](Self::start), with the settings of `builder`.
    pub fn start_with(
        mut builder: Server,
        port: u16,
        accepted: Option<&str>,
        token: Option<&'static str>,
        script: Script,
    ) -> Self {
        let runtime = Runtime::new().expect("threads can be started");
        let (sender, received) = channel();
        let service = Service {
            script,
            accepted: accepted.map(str::to_owned),
            token,
            received: sender,
        };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let listener = (0..50).find_map(|_| {
            let bound = runtime.block_on(TcpListener::bind(address)).ok();
            if bound.is_none() {
                thread::sleep(Duration::from_millis(100));
            }
            bound
        });
        let listener = listener.expect("the port is free");
        let port = listener.local_addr().expect("the listener has an address").port();
        let incoming = Incoming(listener);
        runtime.spawn(async move {
            let server = builder.add_service(FlightServiceServer::new(service));
            let _ = server.serve_with_incoming(incoming).await;
        });
        Self {
            address: format!("grpc://127.0.0.1:{port}"),
            port,
            received,
            runtime: Some(runtime),
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Incoming(TcpListener);

impl Stream for Incoming {
    type Item = std::io::Result<tokio::net::TcpStream>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0
            .poll_accept(context)
            .map(|accepted| Some(accepted.map(|(stream, _)| stream)))
    }
}

/// The schema message of the answers, with a number of values for each player.
pub fn columns(width: i32) -> FlightData {
    let item = Arc::new(Field::new("item", DataType::Float64, false));
    let schema = Schema::new(vec![Field::new("action", DataType::FixedSizeList(item, width), false)]);
    SchemaAsIpc::new(&schema, &IpcWriteOptions::default()).into()
}

/// An answer with these values.
pub fn actions(players: usize, values: &[f64]) -> FlightData {
    use arrow_ipc::{Buffer, FieldNode, MessageBuilder, MessageHeader, MetadataVersion, RecordBatchBuilder};
    let mut builder = flatbuffers::FlatBufferBuilder::new();
    let body: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let nodes = [
        FieldNode::new(players as i64, 0),
        FieldNode::new(values.len() as i64, 0),
    ];
    let buffers = [Buffer::new(0, 0), Buffer::new(0, 0), Buffer::new(0, body.len() as i64)];
    let (nodes, buffers) = (builder.create_vector(&nodes), builder.create_vector(&buffers));
    let mut batch = RecordBatchBuilder::new(&mut builder);
    batch.add_length(players as i64);
    batch.add_nodes(nodes);
    batch.add_buffers(buffers);
    let batch = batch.finish().as_union_value();
    let mut message = MessageBuilder::new(&mut builder);
    message.add_version(MetadataVersion::V5);
    message.add_header_type(MessageHeader::RecordBatch);
    message.add_bodyLength(body.len() as i64);
    message.add_header(batch);
    let message = message.finish();
    builder.finish(message, None);
    FlightData {
        data_header: builder.finished_data().to_vec().into(),
        data_body: body.into(),
        ..FlightData::default()
    }
}

/// A message with metadata alone.
pub fn metadata(json: &str) -> FlightData {
    FlightData {
        app_metadata: json.to_owned().into(),
        ..FlightData::default()
    }
}

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoActionStream = BoxStream<'static, Result<arrow_flight::Result, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;
    type DoExchangeStream = BoxStream<'static, Result<FlightData, Status>>;

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        let given = request
            .metadata()
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        if let Some(token) = self.token
            && given != Some(&format!("Bearer {token}"))
        {
            return Err(Status::unauthenticated("the token is missing or wrong"));
        }
        let mut requests = request.into_inner();
        let (replies, mut outgoing) = mpsc::channel(16);
        let (script, accepted, received) = (self.script.clone(), self.accepted.clone(), self.received.clone());
        tokio::spawn(async move {
            let mut number = 0;
            while let Some(Ok(data)) = requests.next().await {
                let answers = if data.flight_descriptor.is_some() {
                    match &accepted {
                        Some(json) => vec![Reply::Send(columns(1)), Reply::Send(metadata(json))],
                        None => vec![Reply::Fail("another recording is wanted")],
                    }
                } else {
                    number += 1;
                    script(number, &data)
                };
                let _ = received.send(data);
                for reply in answers {
                    match reply {
                        Reply::Send(data) => {
                            let _ = replies.send(Ok(data)).await;
                        }
                        Reply::Wait(time) => tokio::time::sleep(time).await,
                        Reply::End => return,
                        Reply::Fail(text) => {
                            let _ = replies.send(Err(Status::internal(text))).await;
                            return;
                        }
                    }
                }
            }
        });
        let stream = futures_util::stream::poll_fn(move |context| outgoing.poll_recv(context));
        Ok(Response::new(stream.boxed()))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn do_get(&self, _: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn do_action(&self, _: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        Err(Status::unimplemented(""))
    }
}
