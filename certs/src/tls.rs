//! TLS 1.3 with raw public keys on both sides (RFC 7250).
//!
//! A client accepts a server only if DNS pins its key. A server accepts any ed25519 key whose
//! possession the handshake proves: which keys may speak for a chain depends on the chain that a
//! request names, so the pin ([`peer_pin`]) is matched for each request, against what DNS publishes
//! for that chain, before the request's body is read.
//!
//! Sessions are never resumed. A resumed session takes the identity of an earlier connection from a
//! ticket, without a new proof that the peer still holds its key; connections are few and
//! long-lived here, so resumption would save next to nothing. There is no early data either, which
//! could be replayed.

mod signer;
mod verifier;

use std::{io, sync::Arc};

use distpos_proto::key::SpkiPin;
use rustls::{
    CertificateError, ClientConfig, CommonState, Error, OtherError, ServerConfig,
    client::{AlwaysResolvesClientRawPublicKeys, Resumption},
    crypto::{CryptoProvider, ring},
    server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage},
    sign::CertifiedKey,
    version::TLS13,
};
use thiserror::Error as ThisError;

use crate::identity::TlsIdentity;

/// The only application protocol: HTTP/2 (RFC 9113).
pub const ALPN: &[u8] = b"h2";

/// The server does not hold a key that DNS pins for it: the record is old, or somebody else answers.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[error("server key is {found}, expected one of {expected:?}")]
pub struct KeyMismatch {
    /// The pin of the key the server presented.
    pub found: SpkiPin,
    /// The pins that DNS publishes.
    pub expected: Vec<SpkiPin>,
}

/// Configuration of the listening side.
///
/// # Errors
/// An error of rustls, if its provider lacked TLS 1.3; never with the one used here.
pub fn server_config(identity: &TlsIdentity) -> Result<ServerConfig, Error> {
    let provider = provider();
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(verifier::AnyClientKey::new(&provider)))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified(identity))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// Configuration of the connecting side, which accepts only the keys in `pins`. Without pins it
/// accepts none.
///
/// # Errors
/// As [`server_config`].
pub fn client_config(identity: &TlsIdentity, pins: &[SpkiPin]) -> Result<ClientConfig, Error> {
    let provider = provider();
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])?
        // rustls calls every verifier of one's own dangerous; this one stands in for the whole of
        // WebPKI, which knows nothing of raw keys.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier::PinnedServerKey::new(&provider, pins)))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified(
            identity,
        ))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}

/// The pin of the key that the other side has proven to hold; none before the handshake is done.
#[must_use]
pub fn peer_pin(connection: &CommonState) -> Option<SpkiPin> {
    if connection.is_handshaking() {
        return None;
    }
    // With raw keys the one "certificate" is the SPKI.
    match connection.peer_certificates() {
        Some([spki]) => Some(SpkiPin::of(spki)),
        Some(_) | None => None,
    }
}

/// Whether a handshake failed because the server's key is not pinned.
#[must_use]
pub fn key_mismatch(error: &io::Error) -> Option<&KeyMismatch> {
    match tls_error(error)? {
        Error::InvalidCertificate(CertificateError::Other(OtherError(other))) => {
            other.downcast_ref()
        }
        _ => None,
    }
}

/// The TLS error inside an I/O error, if it is one: tokio-rustls reports them so.
#[must_use]
pub fn tls_error(error: &io::Error) -> Option<&Error> {
    let inner = error.get_ref()?;
    inner.downcast_ref().or_else(|| inner.source()?.downcast_ref())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certified(identity: &TlsIdentity) -> Arc<CertifiedKey> {
    let key = Arc::new(signer::HandshakeKey::new(identity));
    Arc::new(CertifiedKey::new(vec![identity.spki().into()], key))
}

#[cfg(test)]
mod tests;
