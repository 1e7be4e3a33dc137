//! [`RequestEncoder`]: the record batch of a decision.
//!
//! The batch is written straight from the observations into one buffer, in the columns of `columns`, because a message is sent in each tick:
//! Arrow arrays would be made for each column and copied into the message.

use arrow_flight::FlightData;
use arrow_ipc::{Buffer, FieldNode, MessageBuilder, MessageHeader, MetadataVersion, RecordBatchBuilder};
use bytes::{BufMut, Bytes, BytesMut};
use experience_core::transition::Outcome;
use experience_policy::{EpisodeOutcome, ObservationBatch, Progress};
use flatbuffers::FlatBufferBuilder;

/// The buffers of a message begin at multiples of this.
const ALIGNMENT: usize = 8;
const TERMINATED: u8 = 1;
const TRUNCATED: u8 = 2;
const WITHOUT_OBSERVATION: u8 = 4;

/// Encodes decisions, in memory that is used again.
#[derive(Default)]
pub(crate) struct RequestEncoder {
    builder: FlatBufferBuilder<'static>,
    body: BytesMut,
    nodes: Vec<FieldNode>,
    buffers: Vec<Buffer>,
}

impl RequestEncoder {
    /// The message of a decision. `reset` is what the game said about the last reset.
    pub(crate) fn encode(&mut self, observations: &ObservationBatch, reset: Option<bool>) -> FlightData {
        self.nodes.clear();
        self.buffers.clear();
        let layout = observations.layout();
        let outcomes = observations.outcomes();
        let (ends, players) = (outcomes.ends(), observations.len());
        let rows = players + ends.len();
        let agents = observations.agent_ids();
        let none = Progress::default();
        let progress = |player: usize| *observations.progress().get(player).unwrap_or(&none);

        self.column(rows, |body| {
            agents.iter().for_each(|id| body.put_i64_le(*id));
            ends.iter().for_each(|end| body.put_i64_le(end.agent_id));
        });
        let each = |body: &mut BytesMut, put: &dyn Fn(&mut BytesMut, &Progress)| {
            (0..players).for_each(|player| put(body, &progress(player)));
            ends.iter().for_each(|end| put(body, &end.progress));
        };
        self.column(rows, |body| {
            each(body, &|body, progress| body.put_i64_le(progress.episode.unwrap_or(-1)));
        });
        self.column(rows, |body| {
            each(body, &|body, progress| body.put_u32_le(progress.step));
        });
        self.column(rows, |body| {
            each(body, &|body, progress| body.put_u32_le(progress.transitions));
        });
        self.column(rows, |body| {
            each(body, &|body, progress| body.put_u32_le(progress.ticks));
        });
        self.column(rows, |body| {
            each(body, &|body, progress| body.put_f64_le(progress.reward));
        });
        self.column(rows, |body| {
            body.put_bytes(0, players);
            ends.iter().for_each(|end| body.put_u8(code(end)));
        });
        // Text: offsets, then bytes.
        self.nodes.push(FieldNode::new(rows as i64, 0));
        self.buffers.push(Buffer::new(self.body.len() as i64, 0));
        self.buffer(|body| {
            body.put_bytes(0, 4 * (players + 1));
            let mut offset = 0_i32;
            for end in ends {
                offset += end.reason.len() as i32;
                body.put_i32_le(offset);
            }
        });
        self.buffer(|body| ends.iter().for_each(|end| body.put_slice(end.reason.as_bytes())));

        self.list(rows, layout.features().len(), |body| {
            put_floats(body, observations.all_features());
            put_floats(body, outcomes.all_features());
        });
        if layout.mask_width() > 0 {
            self.list(rows, layout.mask_width(), |body| {
                let masks = observations.all_masks().iter().chain(outcomes.all_masks());
                body.extend(masks.map(|&is_allowed| u8::from(is_allowed)));
            });
        }
        let terms = layout.reward_terms().len();
        if terms > 0 {
            self.list(rows, terms, |body| {
                put_floats(body, observations.all_reward_terms());
                let missing = (players - observations.progress().len().min(players)) * terms;
                body.put_bytes(0, 4 * missing);
                put_floats(body, outcomes.all_terms());
            });
        }
        for (index, image) in layout.images().iter().enumerate() {
            self.list(rows, image.width(), |body| {
                body.put_slice(observations.image(index));
                body.put_slice(outcomes.image(index));
            });
        }
        let reset = match reset {
            None => "",
            Some(true) => ",\"reset\":true",
            Some(false) => ",\"reset\":false",
        };
        let metadata = format!(
            "{{\"tick\":{},\"players\":{players},\"missed\":{}{reset}}}",
            observations.tick(),
            outcomes.missed()
        );
        FlightData {
            data_header: self.header(rows),
            app_metadata: metadata.into(),
            data_body: self.body.split().freeze(),
            ..FlightData::default()
        }
    }

    /// A column without nulls.
    fn column(&mut self, rows: usize, put: impl FnOnce(&mut BytesMut)) {
        self.nodes.push(FieldNode::new(rows as i64, 0));
        self.buffers.push(Buffer::new(self.body.len() as i64, 0));
        self.buffer(put);
    }

    /// A column of lists of one length.
    fn list(&mut self, rows: usize, width: usize, put: impl FnOnce(&mut BytesMut)) {
        self.nodes.push(FieldNode::new(rows as i64, 0));
        self.buffers.push(Buffer::new(self.body.len() as i64, 0));
        self.column(rows * width, put);
    }

    fn buffer(&mut self, put: impl FnOnce(&mut BytesMut)) {
        let start = self.body.len();
        put(&mut self.body);
        let length = self.body.len() - start;
        self.buffers.push(Buffer::new(start as i64, length as i64));
        self.body.put_bytes(0, length.next_multiple_of(ALIGNMENT) - length);
    }

    fn header(&mut self, rows: usize) -> Bytes {
        self.builder.reset();
        let nodes = self.builder.create_vector(&self.nodes);
        let buffers = self.builder.create_vector(&self.buffers);
        let mut batch = RecordBatchBuilder::new(&mut self.builder);
        batch.add_length(rows as i64);
        batch.add_nodes(nodes);
        batch.add_buffers(buffers);
        let batch = batch.finish().as_union_value();
        let mut message = MessageBuilder::new(&mut self.builder);
        message.add_version(MetadataVersion::V5);
        message.add_header_type(MessageHeader::RecordBatch);
        message.add_bodyLength(self.body.len() as i64);
        message.add_header(batch);
        let message = message.finish();
        self.builder.finish(message, None);
        Bytes::copy_from_slice(self.builder.finished_data())
    }
}

fn code(end: &EpisodeOutcome) -> u8 {
    let outcome = match end.outcome {
        Outcome::Terminated => TERMINATED,
        Outcome::Truncated => TRUNCATED,
    };
    if end.has_observation {
        outcome
    } else {
        outcome | WITHOUT_OBSERVATION
    }
}

fn put_floats(body: &mut BytesMut, values: &[f32]) {
    if cfg!(target_endian = "little") {
        body.put_slice(bytemuck::cast_slice(values));
    } else {
        values.iter().for_each(|value| body.put_f32_le(*value));
    }
}
