//! Who a DistPOS peer is: identity keys on disk, and TLS 1.3 with raw public keys (RFC 7250).
//!
//! A gateway has two keys, so that losing one does not lose the other:
//! - the TLS key proves who is at the other end of a connection. DNS pins it (`spki=`, the SHA-256
//!   of its SPKI, [`SpkiPin`](distpos_proto::key::SpkiPin)), and it signs nothing but handshakes;
//! - the chain key signs headers and receipts. DNS publishes it in the key record.
//!
//! [`secret`] is the file format of one secret key, [`identity`] a gateway's pair of them, and
//! [`tls`] the configurations of both ends of a connection. There are no certificates, so there is
//! nothing that expires, no name to match and no X.509 to parse: what DNS lists is the authority.

pub mod identity;
pub mod secret;
pub mod spki;
pub mod tls;

pub use identity::{Identity, PublicIdentity, TlsIdentity, keygen};
pub use secret::{SecretError, SecretKind, read_secret, write_secret};
