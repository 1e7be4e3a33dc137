//! The fuzz target of tickets on mutations of its corpus.

#[path = "../../../fuzz/ticket.rs"]
mod ticket;

#[test]
fn mutated_tickets_are_accepted_or_refused() {
    let seed = include_bytes!("../../../fuzz/corpus/ticket/seed");
    assert!(experience_stream::Ticket::from_json(seed).is_ok());
    ticket::ticket(seed);
    for length in 0..seed.len() {
        ticket::ticket(&seed[..length]);
        for byte in [0, b'"', b'{', b'[', b'9', b'-', b'e', 0xff] {
            let mut mutated = seed.to_vec();
            mutated[length] = byte;
            ticket::ticket(&mutated);
            mutated.insert(length, byte);
            ticket::ticket(&mutated);
        }
    }
    let long = format!(
        r#"{{"recording": "{}", "{}": 1}}"#,
        "w".repeat(30_000),
        "k".repeat(30_000)
    );
    ticket::ticket(long.as_bytes());
}
