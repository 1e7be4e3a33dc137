//! Who may read, and what hostile clients get.

use crate::{
    game::{Game, NAME, schema},
    subscriber::{Client, await_subscribers, eventually},
};
use arrow_flight::{Criteria, FlightDescriptor};
use experience_core::transition::RunId;
use experience_export::Sink;
use experience_stream::{MAX_TICKET_BYTES, Position, Start, StreamSink, Ticket, Unit};
use std::{io::Write, net::TcpStream};
use tonic::{
    Code, Request,
    transport::{Certificate, ClientTlsConfig, Endpoint},
};

fn refusal(sink: &mut StreamSink) -> String {
    sink.check(&schema()).unwrap_err().to_string()
}

#[test]
fn an_address_that_others_can_reach_needs_a_token() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:7711"] {
        let error = refusal(&mut StreamSink::new(address));
        assert!(
            error.contains("StreamSink::with_token") && error.contains("127.0.0.1"),
            "{error}"
        );
    }
    StreamSink::new("0.0.0.0:0")
        .with_token("secret")
        .check(&schema())
        .unwrap();
    for token in ["", "with space", "with\nline"] {
        assert!(refusal(&mut StreamSink::new("127.0.0.1:0").with_token(token)).contains("openssl rand"));
    }
}

#[test]
fn addresses_that_cannot_be_used_are_errors_with_a_remedy() {
    for address in ["", "7711", "localhost", "127.0.0.1:x", "127.0.0.1:70000"] {
        let error = refusal(&mut StreamSink::new(address));
        assert!(error.contains("127.0.0.1:7711"), "{error}");
    }
    let error = refusal(&mut StreamSink::new("192.0.2.1:7711").with_token("secret"));
    assert!(error.contains("one of its own"), "{error}");
    let mut first = StreamSink::new("127.0.0.1:0");
    first.check(&schema()).unwrap();
    let address = first.monitor().address().unwrap();
    let error = refusal(&mut StreamSink::new(address.to_string()));
    assert!(error.contains("clone one `StreamSink`"), "{error}");
    // The end of the sink frees the port.
    drop(first);
    StreamSink::new(address.to_string()).check(&schema()).unwrap();
}

#[test]
fn nothing_is_read_without_the_token() {
    let sink = StreamSink::new("127.0.0.1:0").with_token("secret");
    let monitor = sink.monitor();
    let game = Game::new(vec![Box::new(sink)]);
    eventually(|| monitor.recordings().len() == 1);
    let mut client = Client::connect(monitor.address().unwrap());
    for header in [
        None,
        Some("Bearer wrong"),
        Some("Bearer secre"),
        Some("secret"),
        Some("Basic secret"),
    ] {
        let mut codes = Vec::new();
        macro_rules! call {
            ($method:ident, $message:expr) => {
                let mut request = Request::new($message);
                if let Some(header) = header {
                    request
                        .metadata_mut()
                        .insert("authorization", header.parse().unwrap());
                }
                codes.push(
                    client
                        .runtime
                        .block_on(client.flight.$method(request))
                        .err()
                        .map(|status| status.code()),
                );
            };
        }
        let descriptor = || FlightDescriptor::new_path(vec![NAME.to_owned()]);
        call!(list_flights, Criteria::default());
        call!(get_flight_info, descriptor());
        call!(get_schema, descriptor());
        call!(do_get, arrow_flight::Ticket::new(Ticket::new(NAME).to_json()));
        call!(list_actions, arrow_flight::Empty {});
        call!(do_action, arrow_flight::Action::default());
        assert_eq!(codes, [Some(Code::Unauthenticated); 6], "{header:?}");
    }
    let mut request = Request::new(Criteria::default());
    request
        .metadata_mut()
        .insert("authorization", "Bearer secret".parse().unwrap());
    let mut flights = client
        .runtime
        .block_on(client.flight.list_flights(request))
        .unwrap()
        .into_inner();
    let flight = client.runtime.block_on(flights.message()).unwrap().unwrap();
    let description: serde_json::Value = serde_json::from_slice(&flight.app_metadata).unwrap();
    assert_eq!(description["recording"], NAME);
    assert_eq!(
        flight.endpoint[0].ticket.as_ref().unwrap().ticket,
        Ticket::new(NAME).to_json()
    );
    assert!(flight.try_decode_schema().unwrap().index_of("next_observation").is_ok());
    game.close();
}

#[test]
fn tls_encrypts_the_stream() {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    let sink = StreamSink::new("127.0.0.1:0")
        .with_tls(certificate.clone(), key)
        .with_token("secret");
    let monitor = sink.monitor();
    let mut game = Game::new(vec![Box::new(sink)]);
    game.play(100);
    game.flush();
    let address = monitor.address().unwrap();
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&certificate))
        .domain_name("localhost");
    let mut client = Client::to(
        Endpoint::from_shared(format!("https://{address}"))
            .unwrap()
            .tls_config(tls)
            .unwrap(),
    );
    let mut request = Request::new(arrow_flight::Ticket::new(
        Ticket {
            from: Start::Oldest,
            ..Ticket::new(NAME)
        }
        .to_json(),
    ));
    request
        .metadata_mut()
        .insert("authorization", "Bearer secret".parse().unwrap());
    let mut stream = client
        .runtime
        .block_on(client.flight.do_get(request))
        .unwrap()
        .into_inner();
    assert!(client.runtime.block_on(stream.message()).unwrap().is_some());
    // Without TLS nothing is served.
    let mut plain = TcpStream::connect(address).unwrap();
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    let error = refusal(&mut StreamSink::new("127.0.0.1:0").with_tls("no certificate", "no key"));
    assert!(error.contains("PEM"), "{error}");
    drop(stream);
    game.close();
}

#[test]
fn hostile_tickets_are_refused() {
    let sink = StreamSink::new("127.0.0.1:0").with_max_subscribers(3);
    let monitor = sink.monitor();
    let mut game = Game::new(vec![Box::new(sink)]);
    game.play(300);
    game.flush();
    let mut client = Client::connect(monitor.address().unwrap());
    let other_unit = Position {
        run: RunId::from_bits(1),
        unit: Unit::Transitions,
        transitions: 0,
        episodes: 0,
    };
    let ahead = Position {
        unit: Unit::Episodes,
        transitions: u64::MAX,
        episodes: u64::MAX,
        ..other_unit
    };
    let tickets = [
        (Vec::new(), Code::InvalidArgument),
        (b"fighter".to_vec(), Code::InvalidArgument),
        (b"{}".to_vec(), Code::InvalidArgument),
        (b"\xff\xfe".to_vec(), Code::InvalidArgument),
        (br#"{"recording": 7}"#.to_vec(), Code::InvalidArgument),
        (
            br#"{"recording": "fighter", "from": "then"}"#.to_vec(),
            Code::InvalidArgument,
        ),
        (
            br#"{"recording": "fighter", "from": {"position": -1}}"#.to_vec(),
            Code::InvalidArgument,
        ),
        (
            br#"{"recording": "fighter", "unit": "rows"}"#.to_vec(),
            Code::InvalidArgument,
        ),
        (
            br#"{"recording": "fighter", "agents": ["a"]}"#.to_vec(),
            Code::InvalidArgument,
        ),
        (
            br#"{"recording": "fighter", "agents": 3}"#.to_vec(),
            Code::InvalidArgument,
        ),
        (
            br#"{"recording": "fighter", "columns": []}"#.to_vec(),
            Code::InvalidArgument,
        ),
        (
            br#"{"recording": "fighter", "columns": ["mana"]}"#.to_vec(),
            Code::InvalidArgument,
        ),
        (
            br#"{"recording": "fighter", "more": 1}"#.to_vec(),
            Code::InvalidArgument,
        ),
        (
            [b"[".repeat(30_000), b"]".repeat(30_000)].concat(),
            Code::InvalidArgument,
        ),
        (
            Ticket {
                from: Start::Position(other_unit),
                ..Ticket::new(NAME)
            }
            .to_json(),
            Code::InvalidArgument,
        ),
        (
            Ticket {
                from: Start::Position(ahead),
                ..Ticket::new(NAME)
            }
            .to_json(),
            Code::InvalidArgument,
        ),
        (Ticket::new("wizard").to_json(), Code::NotFound),
        (Ticket::new("w".repeat(60_000)).to_json(), Code::NotFound),
        (vec![b' '; MAX_TICKET_BYTES + 1], Code::InvalidArgument),
        (vec![b' '; 1 << 20], Code::OutOfRange),
    ];
    for (ticket, code) in tickets {
        let shown = String::from_utf8_lossy(&ticket[..ticket.len().min(80)]).into_owned();
        let status = client.get(ticket).unwrap_err();
        assert_eq!(status.code(), code, "{shown}: {status:?}");
        assert!(status.message().len() < 2000);
    }
    let known = client
        .get(br#"{"recording": "fighter", "columns": ["mana"]}"#.to_vec())
        .unwrap_err();
    assert!(known.message().contains("next_observation"));

    let held: Vec<_> = (0..3)
        .map(|_| Client::connect(monitor.address().unwrap()).subscribe(&Ticket::new(NAME)))
        .collect();
    let status = client.get(Ticket::new(NAME).to_json()).unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    drop(held);
    await_subscribers(&monitor, 0);
    client.get(Ticket::new(NAME).to_json()).unwrap();
    game.close();
}

#[test]
fn bytes_of_no_protocol_end_their_own_connection_alone() {
    let sink = StreamSink::new("127.0.0.1:0");
    let monitor = sink.monitor();
    let mut game = Game::new(vec![Box::new(sink)]);
    let address = monitor.address().unwrap();
    let mut garbage = Vec::new();
    for seed in 0..20_u32 {
        let mut connection = TcpStream::connect(address).unwrap();
        let bytes: Vec<u8> = (0..4096_u32)
            .map(|index| (index.wrapping_mul(seed * 2_654_435 + 1) >> 7) as u8)
            .collect();
        let _ = connection.write_all(&bytes);
        let _ = connection.write_all(b"GET / HTTP/1.1\r\n\r\n");
        garbage.push(connection);
    }
    game.play(200);
    game.flush();
    let ticket = Ticket {
        from: Start::Oldest,
        ..Ticket::new(NAME)
    };
    assert!(Client::connect(address).subscribe(&ticket).next().is_some());
    game.close();
}

#[test]
fn clones_serve_several_recordings_and_one_name_once() {
    let sink = StreamSink::new("127.0.0.1:0");
    let monitor = sink.monitor();
    let first = Game::new(vec![Box::new(sink.clone())]);
    eventually(|| monitor.recordings().len() == 1);
    let mut second = sink.clone();
    let other = experience_core::schema::Schema::new("wizard")
        .with_observation([experience_core::schema::Column::feature("x")])
        .into_shared();
    let mut info = experience_export::RecordingInfo {
        schema: other,
        run: RunId::from_bits(1),
        tick_rate: None,
        started: std::time::SystemTime::now(),
        buffers: None,
    };
    second.open(&info).unwrap();
    assert_eq!(monitor.recordings().len(), 2);
    info.schema = schema();
    let error = sink.clone().open(&info).unwrap_err().to_string();
    assert!(error.contains("another name"), "{error}");
    first.close();
    drop((sink, second));
}
