//! [`Ticket`]: what a subscriber asks for.

use crate::{Position, Unit};
use serde::{Deserialize, Serialize};

/// The maximum length of a ticket in bytes.
pub const MAX_TICKET_BYTES: usize = 64 << 10;

/// What a subscriber asks for, as JSON in the ticket of a `DoGet`.
///
/// ```
/// use experience_stream::{Start, Ticket, Unit};
///
/// let ticket = Ticket::from_json(br#"{"recording": "fighter", "from": "oldest", "unit": "transitions", "agents": [7]}"#)?;
/// assert_eq!(ticket.from, Start::Oldest);
/// assert_eq!(ticket.unit, Unit::Transitions);
/// assert!(Ticket::from_json(br#"{"recording": "fighter", "agent": 7}"#).is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// The name of the recording.
    pub recording: String,
    /// Where to begin.
    #[serde(default)]
    pub from: Start,
    /// Whole episodes, or transitions as they happen.
    #[serde(default)]
    pub unit: Unit,
    /// The agents whose transitions are sent. All, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<Vec<i64>>,
    /// The controllers whose transitions are sent, such as `policy:fighter@3`, or `policy:fighter@*` for all versions of a policy. All,
    /// if absent. Episodes are cut where another controller took over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controllers: Option<Vec<String>>,
    /// The columns that are sent, in the order of the recording's. All, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
}

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// With what is recorded from now on.
    #[default]
    Now,
    /// With the oldest transition that the server still holds.
    Oldest,
    /// After what was received before.
    Position(Position),
}

impl Ticket {
    /// A ticket for whole episodes of `recording` from now on, of all agents and controllers, with all columns.
    pub fn new(recording: impl Into<String>) -> Self {
        Self {
            recording: recording.into(),
            from: Start::Now,
            unit: Unit::Episodes,
            agents: None,
            controllers: None,
            columns: None,
        }
    }

    /// Parses a ticket.
    ///
    /// # Errors
    /// What is wrong with it, and what a ticket looks like.
    pub fn from_json(json: &[u8]) -> Result<Self, String> {
        if json.len() > MAX_TICKET_BYTES {
            return Err(format!(
                "the ticket has {} bytes, more than {MAX_TICKET_BYTES}: name fewer agents, or subscribe without `agents` and filter",
                json.len()
            ));
        }
        let ticket: Self = serde_json::from_slice(json).map_err(|error| {
            // It repeats names of the ticket.
            let error: String = error.to_string().chars().take(400).collect();
            format!(
                "the ticket is not valid: {error}; it is JSON such as {{\"recording\": \"fighter\", \"from\": \"now\", \"unit\": \
                 \"episodes\"}}, with `agents`, `controllers` and `columns` as lists"
            )
        })?;
        match &ticket {
            Self {
                columns: Some(names), ..
            } if names.is_empty() => Err("`columns` is empty: name at least one, or leave it out for all".to_owned()),
            Self {
                from: Start::Position(position),
                unit,
                ..
            } if position.unit != *unit => Err(format!(
                "the position counts {}, and the ticket asks for {unit}: a position continues a stream of its own unit",
                position.unit
            )),
            _ => Ok(ticket),
        }
    }

    /// The ticket as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a ticket holds only strings, numbers and lists")
    }
}
