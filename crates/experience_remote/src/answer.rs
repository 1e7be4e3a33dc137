//! [`Answer`]: what a server sends, read without trust.
//!
//! Nothing is copied before it is checked, and no length of a message is believed: all reads are within the bytes that arrived. The
//! size of a message is limited by the transport.

use crate::{RemoteError, handshake::Accepted};
use arrow_flight::FlightData;
use arrow_ipc::{Message, MessageHeader, Precision, RecordBatch, Type};
use experience_policy::{ActionBatch, HeadKind, PolicyLayout};
use serde::Deserialize;

/// The columns of the answers of a server, from its schema message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AnswerColumns(Vec<AnswerColumn>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AnswerColumn {
    Action,
    LogProb,
    Decided,
}

/// A message of a server.
#[derive(Debug)]
pub(crate) enum Answer<'a> {
    /// The columns of the answers that follow.
    Columns(AnswerColumns),
    /// The server accepts the game.
    Accepted(Accepted),
    /// The server is alive, and has not decided yet.
    Heartbeat,
    /// A decision.
    Actions(Actions<'a>),
    /// All players keep their actions.
    Keep,
    /// The game shall begin anew.
    Reset(Option<u64>),
    /// The game shall exit.
    Exit,
}

/// The actions in a message.
#[derive(Debug)]
pub(crate) struct Actions<'a> {
    players: usize,
    values: &'a [u8],
    log_probs: Option<&'a [u8]>,
    decided: Option<&'a [u8]>,
    version: Option<i64>,
}

/// The metadata of a message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    heartbeat: bool,
    keep: bool,
    exit: bool,
    reset: Option<Reset>,
    accepted: Option<Accepted>,
    policy_version: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Reset {
    #[serde(default)]
    seed: Option<u64>,
}

/// The longest metadata that is read.
const MAX_METADATA: usize = 1 << 20;

impl<'a> Answer<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is none of those that are known, or a part of it is missing.
    pub(crate) fn read(data: &'a FlightData, columns: &AnswerColumns) -> Result<Self, RemoteError> {
        let metadata = read_metadata(&data.app_metadata)?;
        if !data.data_header.is_empty() {
            let message = arrow_ipc::root_as_message(&data.data_header)
                .map_err(|error| refuse(format!("its header is damaged: {error}")))?;
            return match message.header_type() {
                MessageHeader::Schema => Ok(Self::Columns(AnswerColumns::read(message)?)),
                MessageHeader::RecordBatch => {
                    let batch = message.header_as_record_batch();
                    let batch = batch.ok_or_else(|| refuse("it has no record batch".to_owned()))?;
                    let actions = Actions::read(batch, &data.data_body, columns, metadata.policy_version)?;
                    Ok(Self::Actions(actions))
                }
                other => Err(refuse(format!(
                    "it is a message of the kind {}, and a record batch is needed",
                    other.variant_name().unwrap_or("unknown")
                ))),
            };
        }
        Ok(match metadata {
            Metadata {
                accepted: Some(accepted),
                ..
            } => Self::Accepted(accepted),
            Metadata { exit: true, .. } => Self::Exit,
            Metadata { reset: Some(reset), .. } => Self::Reset(reset.seed),
            Metadata { keep: true, .. } => Self::Keep,
            Metadata { heartbeat: true, .. } => Self::Heartbeat,
            _ => return Err(refuse("it has neither a record batch nor known metadata".to_owned())),
        })
    }
}

fn read_metadata(bytes: &[u8]) -> Result<Metadata, RemoteError> {
    if bytes.is_empty() {
        return Ok(Metadata::default());
    }
    if bytes.len() > MAX_METADATA {
        return Err(refuse(format!(
            "its metadata has {} bytes, above {MAX_METADATA}",
            bytes.len()
        )));
    }
    serde_json::from_slice(bytes).map_err(|error| refuse(format!("its metadata is not what is expected: {error}")))
}

impl AnswerColumns {
    fn read(message: Message<'_>) -> Result<Self, RemoteError> {
        let fields = message.header_as_schema().and_then(|schema| schema.fields());
        let mut columns = Vec::new();
        for field in fields.iter().flatten() {
            let name = field.name().unwrap_or("");
            let is_double = |field: arrow_ipc::Field<'_>| {
                field
                    .type_as_floating_point()
                    .is_some_and(|float| float.precision() == Precision::DOUBLE)
            };
            let (column, is_expected, expected) = match name {
                "action" => {
                    let child = field.children().filter(|children| children.len() == 1);
                    let is_list = field.type_type() == Type::FixedSizeList;
                    let is_expected = is_list && child.is_some_and(|children| is_double(children.get(0)));
                    (AnswerColumn::Action, is_expected, "fixed_size_list<double>")
                }
                "behavior_logp" => (AnswerColumn::LogProb, is_double(field), "double"),
                "decided" => (AnswerColumn::Decided, field.type_type() == Type::Bool, "bool"),
                other => return Err(refuse(format!("it has a column `{other}`, which is not known"))),
            };
            if !is_expected || field.dictionary().is_some() {
                return Err(refuse(format!("the column `{name}` is not of the type {expected}")));
            }
            if columns.contains(&column) {
                return Err(refuse(format!("it has the column `{name}` twice")));
            }
            columns.push(column);
        }
        if columns.contains(&AnswerColumn::Action) {
            Ok(Self(columns))
        } else {
            Err(refuse("it has no column `action`".to_owned()))
        }
    }
}

impl<'a> Actions<'a> {
    fn read(
        batch: RecordBatch<'a>,
        body: &'a [u8],
        columns: &AnswerColumns,
        version: Option<i64>,
    ) -> Result<Self, RemoteError> {
        if columns.0.is_empty() {
            return Err(refuse("it comes before the schema of the answers".to_owned()));
        }
        if batch.compression().is_some() {
            return Err(refuse("it is compressed".to_owned()));
        }
        let players = usize::try_from(batch.length()).map_err(|_| refuse("it has a negative length".to_owned()))?;
        let nodes = batch.nodes().ok_or_else(|| refuse("it has no columns".to_owned()))?;
        let buffers = batch.buffers().ok_or_else(|| refuse("it has no buffers".to_owned()))?;
        let (mut nodes, mut buffers) = (nodes.iter(), buffers.iter());
        let mut next = |skipped_buffers: usize, name: &str| -> Result<(usize, &'a [u8]), RemoteError> {
            let short = || refuse(format!("the column `{name}` is not complete"));
            let node = nodes.next().ok_or_else(short)?;
            if node.null_count() != 0 {
                return Err(refuse(format!("the column `{name}` has nulls")));
            }
            let buffer = buffers.nth(skipped_buffers).ok_or_else(short)?;
            let start = usize::try_from(buffer.offset()).map_err(|_| short())?;
            let length = usize::try_from(buffer.length()).map_err(|_| short())?;
            let end = start.checked_add(length).ok_or_else(short)?;
            let length = usize::try_from(node.length()).map_err(|_| short())?;
            Ok((length, body.get(start..end).ok_or_else(short)?))
        };
        let mut read = Self {
            players,
            values: &[],
            log_probs: None,
            decided: None,
            version,
        };
        let of_length = |name: &str, length: usize| {
            if length == players {
                Ok(())
            } else {
                Err(refuse(format!(
                    "the column `{name}` has {length} rows, and the batch has {players}"
                )))
            }
        };
        for column in &columns.0 {
            match column {
                AnswerColumn::Action => {
                    // The list has a validity buffer, and its values have one and their own.
                    let (length, _) = next(0, "action")?;
                    of_length("action", length)?;
                    read.values = next(1, "action")?.1;
                }
                AnswerColumn::LogProb => {
                    let (length, bytes) = next(1, "behavior_logp")?;
                    of_length("behavior_logp", length)?;
                    read.log_probs = Some(bytes);
                }
                AnswerColumn::Decided => {
                    let (length, bytes) = next(1, "decided")?;
                    of_length("decided", length)?;
                    read.decided = Some(bytes);
                }
            }
        }
        Ok(read)
    }

    /// Writes the actions to a batch, which has begun.
    ///
    /// # Errors
    /// When they are not for this number of players, or a value is not one of its head. The batch is not changed then.
    pub(crate) fn write_to(&self, actions: &mut ActionBatch) -> Result<(), RemoteError> {
        let layout = actions.layout().clone();
        let (players, width) = (actions.len(), layout.value_count());
        if self.players != players {
            return Err(refuse(format!(
                "it has {} rows, and {players} players act",
                self.players
            )));
        }
        let expected = players * width;
        // Arrow can pad a buffer.
        let values = doubles(self.values, expected, "action")?;
        let log_probs = self.log_probs.map(|bytes| doubles(bytes, players, "behavior_logp"));
        let log_probs = log_probs.transpose()?;
        let is_decided = |player: usize| match self.decided {
            Some(bytes) => bytes.get(player / 8).is_some_and(|byte| byte >> (player % 8) & 1 == 1),
            None => true,
        };
        if self.decided.is_some_and(|bytes| bytes.len() < players.div_ceil(8)) {
            return Err(refuse("the column `decided` is not complete".to_owned()));
        }
        for player in (0..players).filter(|&player| is_decided(player)) {
            check_player(&layout, player, |index| values.get(player * width + index))?;
            if let Some(log_probs) = &log_probs
                && !log_probs.get(player).is_finite()
            {
                return Err(refuse(format!("`behavior_logp` of player {player} is not a number")));
            }
        }
        for player in 0..players {
            if !is_decided(player) {
                actions.keep_action(player);
                continue;
            }
            for (index, head) in layout.heads().iter().enumerate() {
                for element in 0..head.elements {
                    let value = values.get(player * width + head.first_value() + element);
                    match head.kind {
                        HeadKind::Discrete { .. } => actions.choose(player, index, element, value as usize),
                        HeadKind::Continuous { .. } => actions.set(player, index, element, value),
                    }
                }
            }
            if let Some(log_probs) = &log_probs {
                actions.add_log_prob(player, log_probs.get(player));
            }
        }
        if let Some(version) = self.version {
            actions.set_version(version);
        }
        Ok(())
    }
}

/// Checks the values of a player against its heads.
fn check_player(layout: &PolicyLayout, player: usize, value: impl Fn(usize) -> f64) -> Result<(), RemoteError> {
    for head in layout.heads() {
        for element in 0..head.elements {
            let value = value(head.first_value() + element);
            let is_valid = match head.kind {
                HeadKind::Discrete { n, .. } => value >= 0.0 && value < n as f64 && value.fract() == 0.0,
                HeadKind::Continuous { .. } => value.is_finite(),
            };
            if !is_valid {
                let expected = match head.kind {
                    HeadKind::Discrete { n, .. } => format!("the index of one of {n} alternatives"),
                    HeadKind::Continuous { .. } => "a finite number".to_owned(),
                };
                return Err(refuse(format!(
                    "the action `{}` of player {player} is {value}, and {expected} is needed",
                    head.name
                )));
            }
        }
    }
    Ok(())
}

/// Doubles in bytes of any alignment.
struct Doubles<'a>(&'a [u8]);

impl Doubles<'_> {
    fn get(&self, index: usize) -> f64 {
        let bytes = self.0.get(index * 8..index * 8 + 8);
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(f64::NAN, f64::from_le_bytes)
    }
}

fn doubles<'a>(bytes: &'a [u8], count: usize, name: &str) -> Result<Doubles<'a>, RemoteError> {
    let needed = count * size_of::<f64>();
    let padded = needed.next_multiple_of(64);
    if bytes.len() < needed || bytes.len() > padded {
        return Err(refuse(format!(
            "the column `{name}` has {} bytes, and {needed} are needed: give float64, with one value for each element of the action",
            bytes.len()
        )));
    }
    Ok(Doubles(bytes))
}

fn refuse(reason: String) -> RemoteError {
    RemoteError::Answer(reason)
}
