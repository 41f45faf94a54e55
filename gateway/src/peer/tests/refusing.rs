//! What the answering side refuses, how, and that it goes on afterwards.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use distpos_proto::{
    code::{Code, Reply},
    wire::{BODY_BYTES_MAX, DESTINATION_FIELD, MEDIA_TYPE, SOURCE_FIELD},
};
use http::StatusCode;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::{io::AsyncReadExt, net::TcpStream};
use tokio_rustls::TlsConnector;

use super::support::*;
use crate::peer::{PeerError, client::ClientLimits, server::ServerLimits};

#[tokio::test]
async fn an_unlisted_key_is_refused_before_the_body_is_sent() {
    let reply = Reply::new(Code::POLICY, "key is not listed for e2e4");
    let refuse = Some(reply.clone());
    let server = listen(Echo { refuse, ..Echo::default() }, ServerLimits::default()).await;
    let mut raw = raw(server.address, &plain()).await;
    // The body never comes, so a reply can only have been given without it.
    let request = request().header("content-length", BODY_BYTES_MAX).body(stalled(b"")).unwrap();
    assert_eq!(raw.refusal(request).await, (403, reply));
    assert_eq!(server.answers_begun(), 0);
    assert_eq!(server.service.callers.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_the_connection_goes_on() {
    let limits = ServerLimits { body_bytes_max: 3000, ..ServerLimits::default() };
    let server = listen(Echo::default(), limits).await;
    let mut raw = raw(server.address, &plain()).await;
    let too_big = Reply::new(Code::TOO_BIG, "body is longer than 3000 bytes");

    let declared = request().body(full(vec![7; 3001])).unwrap();
    assert_eq!(raw.refusal(declared).await, (413, too_big.clone()));
    assert!(server.service.callers.lock().unwrap().is_empty(), "not worth a look into DNS");

    let counted = request().body(undeclared(4)).unwrap();
    assert_eq!(raw.refusal(counted).await, (413, too_big));
    assert_eq!(server.answers_begun(), 0);

    let fits = request().body(undeclared(3)).unwrap();
    assert_eq!(raw.send(fits).await.unwrap(), (StatusCode::OK, vec![7; 3000].into()));
}

#[tokio::test]
async fn a_call_without_exactly_its_two_chains_is_malformed() {
    let server = listen(Echo::default(), ServerLimits::default()).await;
    let mut raw = raw(server.address, &plain()).await;
    let good = [(SOURCE_FIELD, "e2e4"), (DESTINATION_FIELD, "b1c2")];
    let bad: [&[(&str, &str)]; 9] = [
        &[],
        &good[..1],
        &good[1..],
        &[good[0], good[0], good[1]],
        &[good[0], good[1], (DESTINATION_FIELD, "b1c3")],
        &[(SOURCE_FIELD, "E2E4"), good[1]],
        &[(SOURCE_FIELD, "0"), good[1]],
        &[good[0], (DESTINATION_FIELD, "")],
        &[good[0], (DESTINATION_FIELD, "b1c2, e2e4")],
    ];
    for fields in bad {
        let mut request =
            http::Request::post("https://x/distpos/1/messages").header("content-type", MEDIA_TYPE);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (status, reply) = raw.refusal(request.body(stalled(b"")).unwrap()).await;
        assert_eq!((status, reply.code), (400, Code::MALFORMED), "{fields:?}");
        assert!(reply.text().contains("distpos-"), "{fields:?}: {reply}");
    }
    let not_text = http::HeaderValue::from_bytes(b"e2\xff4").unwrap();
    let request = http::Request::post("https://x/distpos/1/messages")
        .header(SOURCE_FIELD, not_text)
        .header(DESTINATION_FIELD, "b1c2")
        .body(full(""));
    assert_eq!(raw.refusal(request.unwrap()).await.0, 400);
    assert!(server.service.callers.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_call_that_does_not_exist_is_refused_by_its_path_and_method() {
    let server = listen(Echo::default(), ServerLimits::default()).await;
    let mut raw = raw(server.address, &plain()).await;
    for (method, path, status) in [
        ("POST", "/distpos/1/nonsense", 404),
        ("POST", "/distpos/2/messages", 404),
        ("POST", "/", 404),
        ("POST", "/distpos/1/messages/", 404),
        ("GET", "/distpos/1/messages", 405),
        ("POST", "/distpos/1/hello", 405),
        ("DELETE", "/distpos/1/messages", 405),
    ] {
        let uri = format!("https://x{path}");
        let request = request().method(method).uri(uri).body(full("")).unwrap();
        let (found, reply) = raw.refusal(request).await;
        assert_eq!((found, reply.code), (status, Code::MALFORMED), "{method} {path}");
    }
    let hello = || request().method("GET").uri("https://x/distpos/1/hello");
    assert_eq!(raw.refusal(hello().body(full("x")).unwrap()).await.0, 413);
    assert_eq!(raw.send(hello().body(full("")).unwrap()).await.unwrap().0, StatusCode::OK);

    let html = http::Request::post("https://x/distpos/1/messages")
        .header("content-type", "text/html")
        .header(SOURCE_FIELD, "e2e4")
        .header(DESTINATION_FIELD, "b1c2")
        .body(full("x"));
    assert_eq!(raw.refusal(html.unwrap()).await.0, 400);
}

#[tokio::test]
async fn header_fields_without_measure_are_refused() {
    let server = listen(Echo::default(), ServerLimits::default()).await;
    let mut raw = raw(server.address, &plain()).await;
    let request = request().header("x-much", "x".repeat(20_000)).body(full("")).unwrap();
    // hyper refuses it before any of our code runs.
    let response = soon(raw.sender.send_request(request)).await.unwrap();
    assert_eq!(response.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert!(server.service.callers.lock().unwrap().is_empty());
}

#[tokio::test]
async fn bodies_share_a_bounded_memory_and_give_it_back() {
    for limits in [
        ServerLimits { total_bytes_max: 2000, ..ServerLimits::default() },
        ServerLimits { connection_bytes_max: 2000, ..ServerLimits::default() },
    ] {
        let server = listen(Echo::default(), limits).await;
        let mut raw = raw(server.address, &plain()).await;
        let (status, reply) = raw.refusal(request().body(undeclared(3)).unwrap()).await;
        assert_eq!((status, reply.code), (503, Code::RATE_LIMIT));
        assert_eq!(reply.retry_after, Some(1));
        for _ in 0..3 {
            let fits = request().body(undeclared(2)).unwrap();
            assert_eq!(raw.send(fits).await.unwrap().0, StatusCode::OK);
        }
    }
}

#[tokio::test]
async fn a_panic_in_one_call_does_not_end_the_others() {
    let server = listen(Echo { panic_at: Some(0), ..Echo::default() }, ServerLimits::default());
    let server = server.await;
    let client = client(ClientLimits::default());
    let error = post(&client, &server.target(), "x").await.unwrap_err();
    assert!(matches!(error, PeerError::Http { .. }), "{error}");
    assert!(post(&client, &server.target(), "x").await.is_ok());
    assert_eq!(client.kept(), 1);
}

#[tokio::test]
async fn one_address_does_not_get_more_connections_than_its_share() {
    let limits = ServerLimits { connections_per_address_max: 1, ..ServerLimits::default() };
    let server = listen(Echo::default(), limits).await;
    let mut first = raw(server.address, &plain()).await;
    let mut second = TcpStream::connect(server.address).await.unwrap();
    let ended = soon(second.read(&mut [0; 1])).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "closed without a word");
    assert!(first.send(request().body(full("x")).unwrap()).await.is_ok());
}

#[tokio::test]
async fn a_client_without_a_key_is_refused_and_the_log_says_why() {
    let (log, _guard) = capture_log();
    let server = listen(Echo::default(), ServerLimits::default()).await;
    let error = foreign_handshake(&server, &rustls::version::TLS13).await;
    assert!(matches!(error, rustls::Error::AlertReceived(_)), "{error:?}");
    let log = log.read_until("handshake refused").await;
    assert!(log.contains("peer=127.0.0.1:") && log.contains("CertificateType"), "{log}");
}

#[tokio::test]
async fn a_client_of_tls_1_2_is_refused_and_the_log_says_why() {
    let (log, _guard) = capture_log();
    let server = listen(Echo::default(), ServerLimits::default()).await;
    let error = foreign_handshake(&server, &rustls::version::TLS12).await;
    let expected = rustls::Error::AlertReceived(rustls::AlertDescription::ProtocolVersion);
    assert_eq!(error, expected);
    let log = log.read_until("handshake refused").await;
    assert!(log.contains("Tls12NotOffered"), "{log}");
}

#[tokio::test]
async fn the_log_says_why_a_call_was_refused() {
    let (log, _guard) = capture_log();
    let refuse = Some(Reply::new(Code::POLICY, "key is not listed for e2e4"));
    let server = listen(Echo { refuse, ..Echo::default() }, ServerLimits::default()).await;
    let mut raw = raw(server.address, &plain()).await;
    raw.refusal(request().body(full("x")).unwrap()).await;
    let log = log.read_until("call refused").await;
    assert!(log.contains("5.7.1 key is not listed"), "{log}");
    assert!(log.contains(&identity(CLIENT_SEED).pin().to_string()), "{log}");
}

/// What a common TLS client, without a raw key, is told.
async fn foreign_handshake(
    server: &Listening,
    version: &'static SupportedProtocolVersion,
) -> rustls::Error {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = "gw1.village.example".try_into().unwrap();
    let shaken = soon(TlsConnector::from(Arc::new(config)).connect(name, stream)).await;
    let error = shaken.map(|_| ()).unwrap_err();
    distpos_certs::tls::tls_error(&error).expect("an error of TLS").clone()
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    async fn read_until(&self, text: &str) -> String {
        soon(async {
            loop {
                let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
                if log.contains(text) {
                    return log;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The log of this thread, which is the only one of a test's runtime.
fn capture_log() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::INFO)
        .with_writer(move || writer.clone())
        .finish();
    (log, tracing::subscriber::set_default(subscriber))
}
