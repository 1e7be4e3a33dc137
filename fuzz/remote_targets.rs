//! The fuzz target of what a policy server sends. Apart from the file formats, because it needs the crates of Arrow Flight.

use arrow_flight::FlightData;
use experience_core::schema::{Column, DType, Schema, Space};
use experience_policy::{ActionBatch, PolicyLayout};
use std::sync::Arc;

/// The players of a decision.
pub const PLAYERS: usize = 3;

fn layout() -> Arc<PolicyLayout> {
    let discrete = Column {
        dtype: DType::U8,
        space: Space::Discrete {
            n: 3,
            labels: Vec::new(),
        },
        ..Column::feature("move")
    };
    let schema = Schema::new("p").with_observation([Column::feature("x")]);
    Arc::new(PolicyLayout::of(
        &schema.with_action([discrete, Column::feature("turn")]),
    ))
}

/// Reads `bytes` as messages of a server: for each the lengths of its header, its metadata and its body as `u16`, and these.
pub fn answer(bytes: &[u8]) {
    let mut rest = bytes;
    let mut messages = Vec::new();
    while let Some((lengths, content)) = rest.split_at_checked(6) {
        let length = |index: usize| usize::from(u16::from_le_bytes([lengths[index], lengths[index + 1]]));
        rest = content;
        let mut take = |length: usize| {
            let (part, others) = rest.split_at(length.min(rest.len()));
            rest = others;
            part.to_vec()
        };
        messages.push(FlightData {
            data_header: take(length(0)).into(),
            app_metadata: take(length(2)).into(),
            data_body: take(length(4)).into(),
            ..FlightData::default()
        });
    }
    experience_remote::read_messages(&messages, &mut ActionBatch::new(layout()), PLAYERS);
}

/// The bytes of messages, as [`answer`] reads them.
pub fn message_bytes(messages: &[FlightData]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        let parts = [&message.data_header, &message.app_metadata, &message.data_body];
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u16).to_le_bytes());
        }
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
    }
    bytes
}
