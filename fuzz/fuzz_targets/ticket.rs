//! Fuzzes the ticket of a stream, all that a server reads of a subscriber.
#![no_main]

#[path = "../ticket.rs"]
mod ticket;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ticket::ticket(bytes));
