//! The TLS key as rustls signs with it. Our own, because ring's key pair is never wiped.

use std::{fmt, sync::Arc};

use ed25519_dalek::{Signer as _, SigningKey};
use rustls::{
    Error, SignatureAlgorithm, SignatureScheme, pki_types::SubjectPublicKeyInfoDer, sign,
};

use crate::identity::TlsIdentity;

pub(super) struct HandshakeKey {
    key: Arc<SigningKey>,
    spki: Vec<u8>,
}

impl HandshakeKey {
    pub(super) fn new(identity: &TlsIdentity) -> Self {
        Self { key: identity.signing_key(), spki: identity.spki() }
    }
}

impl fmt::Debug for HandshakeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakeKey").finish_non_exhaustive()
    }
}

impl sign::SigningKey for HandshakeKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn sign::Signer>> {
        offered
            .contains(&SignatureScheme::ED25519)
            .then(|| Box::new(HandshakeSigner(Arc::clone(&self.key))) as Box<dyn sign::Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(self.spki.as_slice()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

struct HandshakeSigner(Arc<SigningKey>);

impl fmt::Debug for HandshakeSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandshakeSigner")
    }
}

impl sign::Signer for HandshakeSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).to_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}
