//! Handshakes in memory: bytes are carried between two rustls connections, no sockets needed.

use rustls::{
    ClientConnection, ConnectionCommon, InvalidMessage, PeerIncompatible, ServerConnection,
    SideData, server::danger::ClientCertVerifier,
};

use super::*;
use crate::spki;

fn identity(seed: u8) -> TlsIdentity {
    TlsIdentity::from_seed(&[seed; 32])
}

struct Pair {
    client: ClientConnection,
    server: ServerConnection,
}

/// The error of whichever side noticed, client first.
fn shake(client: ClientConfig, server: ServerConfig) -> Result<Pair, (&'static str, Error)> {
    let name = "gw1.village.example".try_into().unwrap();
    let mut pair = Pair {
        client: ClientConnection::new(Arc::new(client), name).unwrap(),
        server: ServerConnection::new(Arc::new(server)).unwrap(),
    };
    for _ in 0..10 {
        carry(&mut pair.client, &mut pair.server);
        let server = pair.server.process_new_packets().map(|_| ());
        carry(&mut pair.server, &mut pair.client);
        let client = pair.client.process_new_packets().map(|_| ());
        match (client, server) {
            (_, Err(error)) => return Err(("server", error)),
            (Err(error), Ok(())) => return Err(("client", error)),
            (Ok(()), Ok(())) => {}
        }
    }
    Ok(pair)
}

fn carry<A: SideData, B: SideData>(from: &mut ConnectionCommon<A>, to: &mut ConnectionCommon<B>) {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut bytes = bytes.as_slice();
    while !bytes.is_empty() {
        to.read_tls(&mut bytes).unwrap();
    }
}

fn mismatch(error: Error) -> KeyMismatch {
    let error = io::Error::new(io::ErrorKind::InvalidData, error);
    key_mismatch(&error).expect("a mismatch").clone()
}

#[test]
fn both_sides_learn_the_others_pin() {
    let (a, b) = (identity(1), identity(2));
    let pair =
        shake(client_config(&a, &[b.pin()]).unwrap(), server_config(&b).unwrap()).ok().unwrap();
    assert!(!pair.client.is_handshaking() && !pair.server.is_handshaking());
    assert_eq!(peer_pin(&pair.client), Some(b.pin()));
    assert_eq!(peer_pin(&pair.server), Some(a.pin()));
    assert_eq!(pair.server.alpn_protocol(), Some(ALPN));
    assert_eq!(pair.server.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
}

#[test]
fn before_the_handshake_nobody_has_a_pin() {
    let server = ServerConnection::new(Arc::new(server_config(&identity(1)).unwrap())).unwrap();
    assert_eq!(peer_pin(&server), None);
}

#[test]
fn any_of_two_pins_serves_while_keys_turn_over() {
    let (a, old, new) = (identity(1), identity(2), identity(3));
    let pins = [old.pin(), new.pin()];
    for server in [old, new] {
        let client = client_config(&a, &pins).unwrap();
        assert!(shake(client, server_config(&server).unwrap()).is_ok());
    }
}

#[test]
fn a_server_with_another_key_is_refused_by_its_pin() {
    let (a, b, stranger) = (identity(1), identity(2), identity(3));
    let client = client_config(&a, &[b.pin()]).unwrap();
    let Err(("client", error)) = shake(client, server_config(&stranger).unwrap()) else {
        panic!("expected the client to refuse")
    };
    let expected = KeyMismatch { found: stranger.pin(), expected: vec![b.pin()] };
    assert_eq!(mismatch(error), expected);
    assert!(expected.to_string().contains(&stranger.pin().to_string()));
}

#[test]
fn without_pins_no_server_is_accepted() {
    let client = client_config(&identity(1), &[]).unwrap();
    let Err(("client", error)) = shake(client, server_config(&identity(2)).unwrap()) else {
        panic!("expected the client to refuse")
    };
    assert_eq!(mismatch(error).expected, []);
}

#[test]
fn a_server_that_only_copied_a_public_key_is_refused() {
    let (honest, thief) = (identity(2), identity(3));
    let mut server = server_config(&thief).unwrap();
    let key = Arc::new(signer::HandshakeKey::new(&thief));
    let copied = Arc::new(CertifiedKey::new(vec![honest.spki().into()], key));
    server.cert_resolver = Arc::new(AlwaysResolvesServerRawPublicKeys::new(copied));
    let client = client_config(&identity(1), &[honest.pin()]).unwrap();
    let Err((side, error)) = shake(client, server) else { panic!("expected a refusal") };
    assert_eq!((side, error), ("client", CertificateError::BadSignature.into()));
}

#[test]
fn a_client_that_only_copied_a_public_key_is_refused() {
    let (honest, thief, server) = (identity(1), identity(3), identity(2));
    let mut client = client_config(&thief, &[server.pin()]).unwrap();
    let key = Arc::new(signer::HandshakeKey::new(&thief));
    let copied = Arc::new(CertifiedKey::new(vec![honest.spki().into()], key));
    client.client_auth_cert_resolver = Arc::new(AlwaysResolvesClientRawPublicKeys::new(copied));
    let Err((side, error)) = shake(client, server_config(&server).unwrap()) else {
        panic!("expected a refusal")
    };
    assert_eq!((side, error), ("server", CertificateError::BadSignature.into()));
}

fn anonymous_client(
    server: &TlsIdentity,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let provider = provider();
    let verifier = verifier::PinnedServerKey::new(&provider, &[server.pin()]);
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth()
}

#[test]
fn a_client_without_a_key_is_refused() {
    let server = identity(2);
    let client = anonymous_client(&server, &[&TLS13]);
    let Err((side, error)) = shake(client, server_config(&server).unwrap()) else {
        panic!("expected a refusal")
    };
    let expected = PeerIncompatible::IncorrectCertificateTypeExtension;
    assert_eq!((side, error), ("server", expected.into()));
}

#[test]
fn a_client_that_offers_a_key_type_and_then_sends_no_key_is_refused() {
    #[derive(Debug)]
    struct Empty;
    impl rustls::client::ResolvesClientCert for Empty {
        fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            None
        }
        fn only_raw_public_keys(&self) -> bool {
            true
        }
        fn has_certs(&self) -> bool {
            true
        }
    }
    let server = identity(2);
    let mut client = client_config(&identity(1), &[server.pin()]).unwrap();
    client.client_auth_cert_resolver = Arc::new(Empty);
    let Err((side, error)) = shake(client, server_config(&server).unwrap()) else {
        panic!("expected a refusal")
    };
    assert_eq!((side, error), ("server", Error::NoCertificatesPresented));
}

#[test]
fn tls_1_2_is_refused() {
    let server = identity(2);
    let client = anonymous_client(&server, &[&rustls::version::TLS12]);
    let Err((side, error)) = shake(client, server_config(&server).unwrap()) else {
        panic!("expected a refusal")
    };
    let expected = PeerIncompatible::Tls12NotOfferedOrEnabled;
    assert_eq!((side, error), ("server", expected.into()));
}

#[test]
fn another_application_protocol_is_refused() {
    let server = identity(2);
    let mut client = client_config(&identity(1), &[server.pin()]).unwrap();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    let Err((side, error)) = shake(client, server_config(&server).unwrap()) else {
        panic!("expected a refusal")
    };
    assert_eq!((side, error), ("server", Error::NoApplicationProtocol));
}

#[test]
fn the_verifier_refuses_what_is_no_sound_single_key() {
    let verifier = verifier::AnyClientKey::new(&provider());
    let now = rustls::pki_types::UnixTime::since_unix_epoch(std::time::Duration::ZERO);
    let good = rustls::pki_types::CertificateDer::from(identity(1).spki());
    assert!(verifier.verify_client_cert(&good, &[], now).is_ok());

    let two = verifier.verify_client_cert(&good, std::slice::from_ref(&good), now).unwrap_err();
    assert_eq!(two, CertificateError::BadEncoding.into());

    let weak = spki::encode_bytes(&[0; 32]);
    for bad in [vec![], vec![0x30; 44], good[..43].to_vec(), weak] {
        let error = verifier.verify_client_cert(&bad.into(), &[], now).unwrap_err();
        assert!(
            matches!(&error, Error::InvalidCertificate(CertificateError::Other(OtherError(other)))
                if other.downcast_ref::<spki::SpkiError>().is_some()),
            "{error:?}"
        );
    }
}

#[test]
fn sessions_are_not_resumed() {
    let (a, b) = (identity(1), identity(2));
    let (client, server) = (client_config(&a, &[b.pin()]).unwrap(), server_config(&b).unwrap());
    assert_eq!(server.send_tls13_tickets, 0);
    for _ in 0..2 {
        let pair = shake(client.clone(), server.clone()).ok().unwrap();
        assert_eq!(pair.client.handshake_kind(), Some(rustls::HandshakeKind::Full));
        assert_eq!(pair.server.handshake_kind(), Some(rustls::HandshakeKind::Full));
    }
}

#[test]
fn rubbish_is_refused_without_a_panic() {
    let mut server = ServerConnection::new(Arc::new(server_config(&identity(1)).unwrap())).unwrap();
    server.read_tls(&mut b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".as_slice()).unwrap();
    let error = server.process_new_packets().unwrap_err();
    assert_eq!(error, InvalidMessage::InvalidContentType.into());
}
