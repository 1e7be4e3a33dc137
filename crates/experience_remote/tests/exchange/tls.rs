//! Servers with a certificate.

use super::{ACCEPTED, Game, always};
use crate::server::TestServer;
use experience_remote::RemotePolicy;
use std::time::{Duration, Instant};
use tonic::transport::{Identity, Server, ServerTlsConfig};

/// A certificate that signs itself, and its key, in PEM.
fn certificate(host: &str) -> (String, String) {
    let own = rcgen::generate_simple_self_signed([host.to_owned()]).expect("the name is one of a host");
    (own.cert.pem(), own.signing_key.serialize_pem())
}

/// A server with a certificate for `host`, its address, and the certificate.
fn server(host: &str) -> (TestServer, String, String) {
    let (certificate, key) = certificate(host);
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(&certificate, key));
    let builder = Server::builder().tls_config(tls).expect("the certificate is valid");
    let server = TestServer::start_with(builder, 0, Some(ACCEPTED), Some("secret"), always(2.0));
    let address = format!("grpc+tls://127.0.0.1:{}", server.port);
    (server, address, certificate)
}

/// The first failure of a game that trusts `authority`.
#[track_caller]
fn failure(address: &str, authority: &str) -> String {
    let model = RemotePolicy::new(address).token("secret").tls_ca(authority);
    let mut game = Game::new(model.first_wait(Duration::ZERO));
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let error = game.decide(1).expect_err("the certificate is refused").to_string();
        if !error.contains("is being made") {
            return error;
        }
        assert!(Instant::now() < deadline, "{error}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_decision_crosses_a_secure_connection() {
    let (_server, address, certificate) = server("127.0.0.1");
    let model = RemotePolicy::new(address).token("secret").tls_ca(certificate);
    let mut game = Game::new(model);
    assert_eq!(game.decide(1), Ok(vec![2.0]));
}

#[test]
fn certificates_that_do_not_fit_are_refused_with_a_remedy() {
    let (_server, address, _) = server("127.0.0.1");
    let (other, _) = certificate("127.0.0.1");
    let error = failure(&address, &other);
    assert!(error.contains("RemotePolicy::tls_ca"), "{error}");

    let (_server, address, elsewhere) = server("elsewhere.example");
    let error = failure(&address, &elsewhere);
    assert!(error.contains("a host that the certificate names"), "{error}");

    let error = failure(&address, "no certificate");
    assert!(error.contains("PEM"), "{error}");

    let plain = TestServer::start(0, Some(ACCEPTED), Some("secret"), always(2.0));
    let error = failure(&format!("grpc+tls://127.0.0.1:{}", plain.port), &elsewhere);
    assert!(error.contains("answers without TLS"), "{error}");
}
