//! What gateways say to each other: requests, replies, and every limit.
//!
//! Bodies are CBOR maps with integer keys in ascending order (CDDL in `docs/protocol.md`). Unknown
//! keys in requests and replies are ignored, so that versions can grow; messages inside are strict.
//! Every count and length is checked against its limit here before anything is allocated for it.

use crate::{
    chain::{BlockHash, ChainId, Family, GenesisTag, Height},
    code::Reply,
    envelope::Envelope,
    header::SignedHeader,
    light::Evidence,
    message::{Message, MessageId},
    receipt::{SignedReceipt, Status},
    statement::{SignedReserveRequest, SignedStatement},
    terms::SignedTerms,
    time::UnixSeconds,
};

mod batch;
mod error;
mod evidence;
mod fields;
mod papers;
mod request;
mod response;

pub use self::{
    batch::{IncomingBatch, batches, requests},
    error::WireError,
    evidence::checked_length as evidence_bytes,
    request::RequestKind,
};

/// The major version in every path, `/distpos/1/…`.
pub const VERSION: u64 = 1;
/// Name of the HTTP header field with the chain a request speaks for.
pub const SOURCE_FIELD: &str = "distpos-source";
/// Name of the HTTP header field with the chain a request is meant for.
pub const DESTINATION_FIELD: &str = "distpos-destination";
/// The media type of every body.
pub const MEDIA_TYPE: &str = "application/cbor";

/// Most messages in one batch: the unit that is stored, sent, proven and verified together.
pub const BATCH_MESSAGES_MAX: usize = 128;
/// Most encoded bytes of the messages in one batch.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Most messages in one request.
pub const REQUEST_MESSAGES_MAX: usize = 1024;
/// Most bytes of a request's or reply's body.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most bytes of all evidence in one answer: the rest of the body has room for a reply for each of
/// the ids that there is none for.
pub const EVIDENCE_BYTES_MAX: usize = BODY_BYTES_MAX - 512 * 1024;
/// Most headers in one answer to `/headers`.
pub const HEADERS_MAX: usize = 1024;
/// Most ids in a request for proofs or statuses.
pub const IDS_MAX: usize = REQUEST_MESSAGES_MAX;
/// Most receipts in one request; one of the longest, with 16 signatures, fits the body 1,900 times.
pub const RECEIPTS_MAX: usize = REQUEST_MESSAGES_MAX;
/// Most hashes in a multiproof for each of its leaves: an index is below 2^32, no path is longer.
pub const LEAF_HASHES_MAX: usize = 32;
/// Longest raw header of an EVM block, in bytes: 600 on public networks, about 9,000 where the
/// extra data holds a hundred validators and their seals.
pub const EVM_BLOCK_BYTES_MAX: usize = 64 * 1024;
/// Most nodes of the receipt trie in one proof: 1,024 receipts of one block and the branches above.
pub const EVM_NODES_MAX: usize = 4096;
/// Longest node, in bytes: the last one of a path holds a whole receipt. The 16.7 million gas that one
/// transaction may use (EIP-7825) pay for 2 MiB of logs, so a message among them is always provable.
pub const EVM_NODE_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Most signed terms, statements and requests in one call, together; with 16 signatures each they
/// take a seventh of the body.
pub const PAPERS_MAX: usize = 256;
/// Most versions or families in a greeting; both are small numbers of small numbers.
pub const HELLO_LIST_MAX: usize = 16;

/// Consecutive messages of one source block for one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The source block.
    pub height: Height,
    /// The messages with their index in the block, ascending; 1 to [`BATCH_MESSAGES_MAX`].
    pub envelopes: Vec<Envelope>,
}

/// A call. Which chain speaks and which is meant stand beside it, in the HTTP header fields.
///
/// What is sent holds [`Batch`]es; what came in ([`Request::from_parts`]) holds
/// [`IncomingBatch`]es, in which one malformed message does not spoil the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request<B = Batch> {
    /// `GET /distpos/1/hello`.
    Hello,
    /// `POST /distpos/1/messages`.
    Messages(Vec<B>),
    /// `POST /distpos/1/proofs`: evidence of the wanted family for these ids.
    Proofs {
        /// Which evidence the asker can judge.
        family: Family,
        /// The messages.
        ids: Vec<MessageId>,
    },
    /// `POST /distpos/1/headers`: attested headers of these heights, both included.
    Headers {
        /// First height.
        from: Height,
        /// Last height.
        to: Height,
    },
    /// `POST /distpos/1/receipts`.
    Receipts(Vec<SignedReceipt>),
    /// `POST /distpos/1/status`.
    Status(Vec<MessageId>),
    /// `POST /distpos/1/simulations`: what would become of this message. It was never sent.
    Simulations(Message),
    /// `POST /distpos/1/statements`: papers of accounts between the two chains.
    Statements(Papers),
}

/// The answer to a call, of the same kind; or a refusal of the whole call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// To [`Request::Hello`].
    Hello(Hello),
    /// To [`Request::Messages`]: one reply each, in the order of the messages.
    Messages(Vec<Reply>),
    /// To [`Request::Proofs`].
    Proofs(Proofs),
    /// To [`Request::Headers`]: ascending; may be fewer than asked for.
    Headers(Vec<SignedHeader>),
    /// To [`Request::Receipts`]: one reply each, in the order of the receipts.
    Receipts(Vec<Reply>),
    /// To [`Request::Status`]: one each, in the order of the ids.
    Status(Vec<StatusAnswer>),
    /// To [`Request::Simulations`].
    Simulations(Simulated),
    /// To [`Request::Statements`].
    Statements(PapersTaken),
    /// The call as a whole was not done.
    Refused(Reply),
}

/// Who a gateway says it is and what it can do (EHLO).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Its chain.
    pub chain: ChainId,
    /// That chain's genesis tag.
    pub tag: GenesisTag,
    /// Major versions spoken.
    pub versions: Vec<u64>,
    /// Evidence it can give.
    pub families: Vec<Family>,
    /// Most messages it takes in one request.
    pub request_messages_max: u64,
    /// Most bytes it takes in one body.
    pub body_bytes_max: u64,
    /// Its chain's final head.
    pub head: Head,
}

/// The newest final block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub block: BlockHash,
    /// Its time.
    pub time: UnixSeconds,
}

/// Evidence for some of the ids asked for, and why there is none for the others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proofs {
    /// One for each block, or several where its messages are many or long.
    pub blocks: Vec<Evidence>,
    /// For every other id: `4.7.5` for what is not final or not known here.
    pub absent: Vec<(MessageId, Reply)>,
}

/// What would become of a message now. It binds nobody: by the time a message comes, the chain has
/// moved on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulated {
    /// `2.0.0`: it would be delivered; anything else is the check that fails.
    pub reply: Reply,
    /// What the recipient's call would use, in the destination's unit, with a margin; 0 where the
    /// recipient is never called. None where the chain cannot tell, or the call reverts.
    pub gas: Option<u64>,
}

/// What one side of an account has to say to the other; 1 to [`PAPERS_MAX`] together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Papers {
    /// Terms that this side signed.
    pub terms: Vec<SignedTerms>,
    /// This side's statements. They ask for the other's statements of the same accounts.
    pub statements: Vec<SignedStatement>,
    /// Requests to raise the reserve that the other side keeps here.
    pub requests: Vec<SignedReserveRequest>,
}

/// What became of papers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PapersTaken {
    /// One reply each, first to the terms, then to the statements, then to the requests.
    pub replies: Vec<Reply>,
    /// The answering side's own statements of the accounts whose statements came; it may leave them
    /// out.
    pub statements: Vec<SignedStatement>,
}

/// How a message stands: its receipt if it has ended, else a signed status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusAnswer {
    /// It has ended.
    Ended(SignedReceipt),
    /// It has not, or is not known.
    Open(Status),
}
