//! [`StreamService`]: the calls of Arrow Flight.

use crate::{
    Start, Ticket, connection::ConnectionInfo, recording::StreamedRecording, registry::Registry, selection::Selection,
    subscriber::Subscriber, ticket::MAX_TICKET_BYTES,
};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, Result as ActionResult, SchemaResult, Ticket as FlightTicket,
    flight_descriptor::DescriptorType, flight_service_server::FlightService,
};
use arrow_ipc::writer::IpcWriteOptions;
use core::pin::Pin;
use futures_util::stream::{self, Stream};
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};
use tonic::{Request, Response, Status, Streaming};

/// The server's answers. It reads nothing but tickets and names.
pub(crate) struct StreamService {
    pub(crate) registry: Arc<Registry>,
    pub(crate) subscribers: Arc<Semaphore>,
    pub(crate) max_subscribers: usize,
    pub(crate) bytes_behind: usize,
    pub(crate) shutdown: watch::Receiver<bool>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl StreamService {
    fn find(&self, name: &str) -> Result<Arc<StreamedRecording>, Status> {
        self.registry.find(name).ok_or_else(|| {
            let recordings = self.registry.recordings();
            let known: Vec<_> = recordings.iter().map(|recording| recording.name.as_str()).collect();
            let name: String = name.chars().take(100).collect();
            Status::not_found(match known.as_slice() {
                [] => format!("there is no recording `{name}`: the game has not begun to record"),
                known => format!(
                    "there is no recording `{name}`; the recordings are {}",
                    known.join(", ")
                ),
            })
        })
    }

    /// What a descriptor asks for: a path with the name of a recording, or a ticket as its command.
    fn ticket(descriptor: &FlightDescriptor) -> Result<Ticket, Status> {
        match descriptor.r#type() {
            DescriptorType::Cmd => parse(&descriptor.cmd),
            _ => match descriptor.path.as_slice() {
                [name] => Ok(Ticket::new(name.as_str())),
                path => Err(Status::invalid_argument(format!(
                    "the path has {} parts: it is the name of a recording, or the command is a ticket",
                    path.len()
                ))),
            },
        }
    }

    fn info(recording: &StreamedRecording, ticket: &Ticket, selection: &Selection) -> Result<FlightInfo, Status> {
        let info = FlightInfo::new()
            .try_with_schema(selection.schema())
            .map_err(|error| Status::internal(error.to_string()))?;
        Ok(info
            .with_descriptor(FlightDescriptor::new_path(vec![recording.name.clone()]))
            .with_endpoint(FlightEndpoint::new().with_ticket(FlightTicket::new(ticket.to_json())))
            .with_total_records(-1)
            .with_total_bytes(-1)
            .with_ordered(true)
            .with_app_metadata(recording.experience.clone()))
    }

    fn open(&self, ticket: &Ticket) -> Result<(Arc<StreamedRecording>, Selection), Status> {
        let recording = self.find(&ticket.recording)?;
        let selection = Selection::new(ticket, &recording.schema).map_err(Status::invalid_argument)?;
        Ok((recording, selection))
    }

    /// Begins a subscription.
    pub(crate) fn subscribe(&self, request: &Request<FlightTicket>) -> Result<Subscriber, Status> {
        let peer = ConnectionInfo::of(request.extensions()).map(|connection| connection.peer);
        let ticket = parse(&request.get_ref().ticket)?;
        let (recording, selection) = self.open(&ticket)?;
        let permit = self.subscribers.clone().try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!(
                "the stream has {} subscribers, its maximum: end one, or raise `StreamSink::with_max_subscribers`",
                self.max_subscribers
            ))
        })?;
        let (name, from) = (recording.name.clone(), ticket.from);
        let shutdown = self.shutdown.clone();
        let subscriber = Subscriber::new(recording, &ticket, selection, peer, self.bytes_behind, shutdown, permit)
            .map_err(Status::invalid_argument)?;
        let from = match from {
            Start::Now => "now",
            Start::Oldest => "the oldest transition",
            Start::Position(_) => "its position",
        };
        tracing::debug!("{peer:?} receives `{name}` from {from} on, by {}", ticket.unit);
        Ok(subscriber)
    }
}

fn parse(ticket: &[u8]) -> Result<Ticket, Status> {
    Ticket::from_json(ticket).map_err(Status::invalid_argument)
}

fn unsupported<T>(call: &str) -> Result<Response<T>, Status> {
    Err(Status::unimplemented(format!(
        "the stream of a game does not serve `{call}`: list its recordings with `ListFlights`, and subscribe with `DoGet`"
    )))
}

/// The largest request that is read: a ticket, and what Flight adds to it.
pub(crate) const MAX_REQUEST_BYTES: usize = MAX_TICKET_BYTES + 4096;

#[tonic::async_trait]
impl FlightService for StreamService {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoExchangeStream = Answers<FlightData>;
    type DoActionStream = Answers<ActionResult>;
    type ListActionsStream = Answers<ActionType>;

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        let infos = self.registry.recordings().into_iter().map(|recording| {
            let ticket = Ticket::new(recording.name.as_str());
            let selection = Selection::new(&ticket, &recording.schema).map_err(Status::internal)?;
            Self::info(&recording, &ticket, &selection)
        });
        Ok(Response::new(Box::pin(stream::iter(infos.collect::<Vec<_>>()))))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let ticket = Self::ticket(request.get_ref())?;
        let (recording, selection) = self.open(&ticket)?;
        Self::info(&recording, &ticket, &selection).map(Response::new)
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let (_, selection) = self.open(&Self::ticket(request.get_ref())?)?;
        let options = IpcWriteOptions::default();
        let schema = arrow_flight::SchemaAsIpc::new(selection.schema(), &options);
        let schema = schema
            .try_into()
            .map_err(|error: arrow_schema::ArrowError| Status::internal(error.to_string()))?;
        Ok(Response::new(schema))
    }

    /// [`FlightServer`](crate::flight_server::FlightServer) serves it.
    async fn do_get(&self, _: Request<FlightTicket>) -> Result<Response<Self::DoGetStream>, Status> {
        unsupported("DoGet")
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        unsupported("Handshake")
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        unsupported("PollFlightInfo")
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        unsupported("DoPut")
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        unsupported("DoExchange")
    }

    async fn do_action(&self, _: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        unsupported("DoAction")
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        Ok(Response::new(Box::pin(stream::empty())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_is_a_name_or_a_ticket() {
        let name = FlightDescriptor::new_path(vec!["fighter".to_owned()]);
        assert_eq!(StreamService::ticket(&name).unwrap(), Ticket::new("fighter"));
        let command = FlightDescriptor::new_cmd(br#"{"recording": "fighter"}"#.to_vec());
        assert_eq!(StreamService::ticket(&command).unwrap(), Ticket::new("fighter"));
        let nested = FlightDescriptor::new_path(vec!["a".to_owned(), "b".to_owned()]);
        assert!(StreamService::ticket(&nested).is_err());
        assert!(StreamService::ticket(&FlightDescriptor::default()).is_err());
    }
}
