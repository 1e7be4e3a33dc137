//! The fuzz target of the ticket of a stream. It is apart from the others, which need no network.

use experience_stream::Ticket;

/// Parses `bytes` as a ticket. What is accepted is written and parsed again as the same ticket.
pub fn ticket(bytes: &[u8]) {
    match Ticket::from_json(bytes) {
        Ok(ticket) => assert_eq!(Ticket::from_json(&ticket.to_json()).as_ref(), Ok(&ticket)),
        Err(reason) => assert!(reason.len() < 4096, "a refusal does not repeat what it refuses"),
    }
}
