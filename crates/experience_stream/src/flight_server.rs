//! [`FlightServer`]: the calls of Flight, of which `DoGet` writes its messages from their pieces.

use crate::{
    codec::StreamMessage,
    service::{MAX_REQUEST_BYTES, StreamService},
};
use arrow_flight::{FlightData, Ticket as FlightTicket, flight_service_server::FlightServiceServer};
use bytes::BufMut;
use core::{
    convert::Infallible,
    task::{Context, Poll},
};
use futures_util::stream::Stream;
use std::{pin::Pin, sync::Arc};
use tonic::{
    Request, Response, Status,
    codec::{BufferSettings, Codec, EncodeBuf, Encoder},
    codegen::{Body, BoxFuture, Service, StdError, http},
    server::{Grpc, NamedService, ServerStreamingService},
};
use tonic_prost::{ProstCodec, ProstDecoder};

const DO_GET: &str = "/arrow.flight.protocol.FlightService/DoGet";

/// A Flight server.
#[derive(Clone)]
pub(crate) struct FlightServer {
    service: Arc<StreamService>,
    calls: FlightServiceServer<StreamService>,
}

impl FlightServer {
    pub(crate) fn new(service: StreamService) -> Self {
        let service = Arc::new(service);
        let calls = FlightServiceServer::from_arc(service.clone()).max_decoding_message_size(MAX_REQUEST_BYTES);
        Self { service, calls }
    }
}

impl NamedService for FlightServer {
    const NAME: &'static str = <FlightServiceServer<StreamService> as NamedService>::NAME;
}

impl<B> Service<http::Request<B>> for FlightServer
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        if request.uri().path() != DO_GET {
            return self.calls.call(request);
        }
        let call = DoGet(self.service.clone());
        Box::pin(async move {
            let mut grpc = Grpc::new(StreamCodec).max_decoding_message_size(MAX_REQUEST_BYTES);
            Ok(grpc.server_streaming(call, request).await)
        })
    }
}

struct DoGet(Arc<StreamService>);

type MessageStream = Pin<Box<dyn Stream<Item = Result<StreamMessage, Status>> + Send>>;

impl ServerStreamingService<FlightTicket> for DoGet {
    type Response = StreamMessage;
    type ResponseStream = MessageStream;
    type Future = BoxFuture<Response<MessageStream>, Status>;

    fn call(&mut self, request: Request<FlightTicket>) -> Self::Future {
        let subscribed = self.0.subscribe(&request);
        let messages = subscribed.map(|subscriber| Response::new(Box::pin(subscriber.into_stream()) as MessageStream));
        Box::pin(core::future::ready(messages))
    }
}

/// Reads tickets, and writes messages.
struct StreamCodec;

impl Codec for StreamCodec {
    type Encode = StreamMessage;
    type Decode = FlightTicket;
    type Encoder = Self;
    type Decoder = ProstDecoder<FlightTicket>;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<FlightData, FlightTicket>::raw_decoder(BufferSettings::default())
    }
}

impl Encoder for StreamCodec {
    type Item = StreamMessage;
    type Error = Status;

    fn encode(&mut self, message: StreamMessage, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let fields = [
            (HEADER, message.header.len()),
            (METADATA, message.metadata.len()),
            (BODY, message.body_len),
        ];
        buffer.reserve(fields.iter().map(|(_, length)| length + LONGEST_KEY).sum());
        if !message.header.is_empty() {
            put_key(buffer, HEADER, message.header.len());
            buffer.put_slice(&message.header);
        }
        if !message.metadata.is_empty() {
            put_key(buffer, METADATA, message.metadata.len());
            buffer.put_slice(&message.metadata);
        }
        if message.body_len > 0 {
            put_key(buffer, BODY, message.body_len);
            for piece in message.body.iter() {
                buffer.put_slice(piece);
            }
        }
        Ok(())
    }
}

// The fields of `FlightData`.
const HEADER: u64 = 2;
const METADATA: u64 = 3;
const BODY: u64 = 1000;

/// Two numbers of at most ten bytes.
const LONGEST_KEY: usize = 20;

/// The number of a field of bytes, and its length, as Protocol Buffers write them.
fn put_key(buffer: &mut impl BufMut, field: u64, length: usize) {
    const BYTES: u64 = 2;
    put_varint(buffer, field << 3 | BYTES);
    put_varint(buffer, length as u64);
}

fn put_varint(buffer: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        buffer.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    buffer.put_u8(value as u8);
}
