//! Serves recorded experience to trainers in other processes while the game runs, over Arrow Flight.
//!
//! [`StreamSink`] is a [`Sink`](experience_export::Sink) of a recording. Any number of subscribers read from it, each from now, from
//! the oldest transition that is held, or after what it has received before: in Python with `bevy_experience.stream`, or with any
//! client of Arrow Flight.
//!
//! | item | what it is |
//! |---|---|
//! | [`StreamSink`] | the sink: address, token, TLS, limits |
//! | [`StreamMonitor`] | the recordings that are served, their subscribers, and what each has missed |
//! | [`Ticket`], [`Start`], [`Unit`] | what a subscriber asks for |
//! | [`Position`], [`Counts`], [`BatchMetadata`] | what a subscriber is told with each batch |
//!
//! # Protocol
//! `ListFlights`, `GetFlightInfo` and `GetSchema` name the recordings. A descriptor is the path `[<recording>]`, or a [`Ticket`] as its
//! command. The `app_metadata` of a flight, and the schema's metadata under [`EXPERIENCE_KEY`], are the content of a dataset's
//! `experience.json`.
//!
//! `DoGet` takes a [`Ticket`] as JSON, and sends [the columns of a dataset](experience_arrow#columns), selected on the server. The
//! `app_metadata` of each batch is a [`BatchMetadata`] as JSON. Messages without a batch carry it alone: where no row of a batch is
//! selected, and at the end.
//!
//! # Units
//! [`Unit::Episodes`] are the rows that a dataset has, in whole episodes, when they have ended. [`Unit::Transitions`] are the same
//! rows as they happen. A transition is sent when the next one is captured, or the episode has ended, because an end between two
//! ticks sets its flags. Episodes that are discarded later are named in [`BatchMetadata::withdrawn`].
//!
//! # Limits
//! A request is at most [`MAX_TICKET_BYTES`] and a little more, and the subscribers and connections are limited. The server holds
//! [`with_kept_bytes`](StreamSink::with_kept_bytes) for each unit of each recording, and for each subscriber one batch and what its connection
//! buffers.

mod codec;
mod connection;
mod flight_server;
mod log;
mod monitor;
mod position;
mod recording;
mod registry;
mod selection;
mod server;
mod service;
mod settings;
mod sink;
mod subscriber;
mod ticket;
mod token;

pub(crate) use settings::StreamSettings;
pub use {
    monitor::{LogStatus, StreamMonitor, StreamStatus, SubscriberStatus},
    position::{BatchMetadata, Counts, Position, Unit},
    recording::EXPERIENCE_KEY,
    sink::StreamSink,
    ticket::{MAX_TICKET_BYTES, Start, Ticket},
};
