//! The pure core of DistPOS: no I/O, no clock, no randomness, no async runtime.
//!
//! Every parser of foreign bytes and every trust decision of the relay lives here. Time, random
//! numbers and bytes come in as arguments, decisions go out as values, so all of it can be tested
//! without a network and simulated deterministically.
//!
//! The path of a message through the types, in the order of the paper's steps:
//!
//! 1. an [`address::Address`] names the destination, `e2e4x63ea…`;
//! 2. the source chain yields a [`message::Message`]; the gateway puts it into an
//!    [`envelope::Envelope`] and sends a [`wire::Batch`];
//! 3. the receiver holds a [`stage::Claimed`] and asks for [`light::Evidence`];
//! 4. [`light::verify`] turns it into a [`stage::Proven`]: the only way to get one. Whose signatures
//!    count, [`trust`] says, from the operator's word and from DNS;
//! 5. [`policy::admit`] turns that into a [`stage::Admitted`], or into a [`stage::Refused`];
//! 6. only these can be submitted to the local chain, and a [`receipt::Receipt`] travels back.

pub mod account;
pub mod address;
pub mod amount;
pub mod cbor;
pub mod chain;
pub mod code;
pub mod destination;
pub mod envelope;
pub mod header;
pub mod key;
pub mod light;
pub mod message;
pub mod notice;
pub mod policy;
pub mod proof;
pub mod receipt;
pub mod record;
pub mod retry;
pub mod signed;
pub mod stage;
pub mod standing;
pub mod statement;
pub mod terms;
pub mod time;
pub mod trust;
pub mod wire;
