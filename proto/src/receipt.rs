//! How a message ended, signed by the destination chain's keys (`docs/protocol.md`, *Ends*).
//!
//! A receipt is a pure function of the destination's final block, so that two gateways of one chain
//! give the same one. A status says how things stand and binds nobody.

use thiserror::Error;

use crate::{
    cbor::{CborError, Reader, Writer},
    chain::{ChainId, Height},
    code::{Code, Reply},
    key::{Domain, KeySet, KeySignature, SecretKey},
    message::MessageId,
};

/// What became of the recipient's call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// There was nothing to call.
    None,
    /// It went through.
    Ok,
    /// It failed, and the payment was kept (`on_fail = keep`).
    Failed,
}

/// One of the two ends of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The id is in the destination's guard and the delivering transaction is final there.
    Delivered {
        /// Block of the delivering transaction.
        height: Height,
        /// Its hash by the chain's rule, 1 to 64 bytes.
        transaction: Vec<u8>,
        /// What became of the recipient's call.
        call: Call,
    },
    /// The id is void in the destination's guard: it was proven, and will never be delivered.
    Refused {
        /// Class 5; says which check failed.
        code: Code,
        /// For the sender, at most [`Reply::TEXT_MAX`] bytes.
        text: String,
    },
}

/// An end, of one message, between two chains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The message.
    pub id: MessageId,
    /// The chain it came from, to which the receipt goes.
    pub source: ChainId,
    /// The chain it went to, which signs.
    pub destination: ChainId,
    /// How it ended.
    pub outcome: Outcome,
}

/// Longest transaction hash, in bytes.
const TRANSACTION_BYTES_MAX: usize = 64;

impl Receipt {
    /// Longest encoding, in bytes.
    pub const BYTES_MAX: usize = 512;

    /// The one encoding.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.array(4).bytes(&self.id.0);
        out.text(&self.source.to_string()).text(&self.destination.to_string());
        match &self.outcome {
            Outcome::Delivered { height, transaction, call } => {
                out.array(4).uint(0).uint(height.0).bytes(transaction).uint(match call {
                    Call::None => 0,
                    Call::Ok => 1,
                    Call::Failed => 2,
                });
            }
            Outcome::Refused { code, text } => {
                out.array(3).uint(1).text(&code.to_string()).text(text);
            }
        }
        out.finish()
    }

    /// Reads the one encoding.
    ///
    /// # Errors
    /// [`CborError`] names the field, or `receipt` where the encoding is not the canonical one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CborError> {
        let mut input = Reader::new(bytes);
        if input.array("receipt", 4)? != 4 {
            return Err(CborError {
                field: "receipt",
                expected: "id, source, destination, outcome",
            });
        }
        let id = MessageId(input.fixed("receipt id")?);
        let mut chain = |field| {
            let expected = "a chain-id in lower case";
            let text = input.text(field, ChainId::TEXT_MAX)?;
            text.parse().map_err(|_| CborError { field, expected })
        };
        let (source, destination) = (chain("receipt source")?, chain("receipt destination")?);
        let outcome = read_outcome(&mut input)?;
        input.end("receipt")?;
        let receipt = Self { id, source, destination, outcome };
        if receipt.bytes() == bytes {
            return Ok(receipt);
        }
        Err(CborError { field: "receipt", expected: "its one deterministic encoding" })
    }

    /// Signs it with the chain's current keys.
    #[must_use]
    pub fn sign<'k>(self, keys: impl IntoIterator<Item = &'k SecretKey>) -> SignedReceipt {
        let bytes = self.bytes();
        let signatures = keys.into_iter().map(|key| key.sign(Domain::Receipt, &bytes)).collect();
        SignedReceipt { receipt: self, signatures }
    }
}

fn read_outcome(input: &mut Reader<'_>) -> Result<Outcome, CborError> {
    let length = input.array("receipt outcome", 4)?;
    let kind = input.uint("receipt outcome")?;
    match (kind, length) {
        (0, 4) => {
            let height = Height(input.uint("receipt height")?);
            let field = "receipt transaction";
            let transaction = input.bytes(field, TRANSACTION_BYTES_MAX)?.to_vec();
            if transaction.is_empty() {
                return Err(CborError { field, expected: "1 to 64 bytes" });
            }
            let call = match input.uint("receipt call")? {
                0 => Call::None,
                1 => Call::Ok,
                2 => Call::Failed,
                _ => return Err(CborError { field: "receipt call", expected: "0, 1 or 2" }),
            };
            Ok(Outcome::Delivered { height, transaction, call })
        }
        (1, 3) => {
            let wrong = CborError { field: "receipt code", expected: "a code of class 5" };
            let code: Code = input.text("receipt code", 11)?.parse().map_err(|_| wrong.clone())?;
            if !code.may_void() {
                return Err(wrong);
            }
            let text = input.text("receipt text", Reply::TEXT_MAX)?.to_owned();
            Ok(Outcome::Refused { code, text })
        }
        _ => Err(CborError { field: "receipt outcome", expected: "delivered or refused" }),
    }
}

/// A receipt and who signed it; nothing is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedReceipt {
    /// The receipt.
    pub receipt: Receipt,
    /// Its signatures, in any order.
    pub signatures: Vec<KeySignature>,
}

/// A receipt that was not signed by enough of the destination's keys.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("receipt for {id} is not signed by {threshold} distinct keys of chain {chain}")]
pub struct ReceiptError {
    /// The message.
    pub id: MessageId,
    /// The chain whose keys were expected.
    pub chain: ChainId,
    /// How many of them.
    pub threshold: usize,
}

impl SignedReceipt {
    /// Checks the signatures against the keys that are valid for the destination now. The one way
    /// to a [`VerifiedReceipt`].
    ///
    /// # Errors
    /// [`ReceiptError`] if fewer than the threshold of distinct keys signed it.
    pub fn verify(self, keys: &KeySet) -> Result<VerifiedReceipt, ReceiptError> {
        if keys.endorses(Domain::Receipt, &self.receipt.bytes(), &self.signatures) {
            return Ok(VerifiedReceipt(self.receipt));
        }
        Err(ReceiptError {
            id: self.receipt.id,
            chain: self.receipt.destination,
            threshold: keys.threshold(),
        })
    }

    /// Writes `[receipt bytes, signatures]`.
    pub fn write(&self, out: &mut Writer) {
        out.array(2).bytes(&self.receipt.bytes());
        KeySignature::write_all(&self.signatures, out);
    }

    /// Reads `[receipt bytes, signatures]`.
    ///
    /// # Errors
    /// [`CborError`] names the field.
    pub fn read(input: &mut Reader<'_>) -> Result<Self, CborError> {
        if input.array("signed receipt", 2)? != 2 {
            return Err(CborError { field: "signed receipt", expected: "receipt and signatures" });
        }
        let receipt = Receipt::from_bytes(input.bytes("receipt", Receipt::BYTES_MAX)?)?;
        Ok(Self { receipt, signatures: KeySignature::read_all(input)? })
    }
}

/// A receipt that enough of the destination's keys signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedReceipt(Receipt);

impl VerifiedReceipt {
    /// The receipt.
    #[must_use]
    pub fn receipt(&self) -> &Receipt {
        &self.0
    }

    /// What the source's outbox must do now.
    #[must_use]
    pub fn ending(&self) -> Ending {
        let kind = match self.0.outcome {
            Outcome::Delivered { .. } => EndingKind::Close,
            Outcome::Refused { .. } => EndingKind::Refund,
        };
        Ending { id: self.0.id, kind }
    }
}

/// What the outbox is told of a message's end. Made from a [`VerifiedReceipt`], for a message that
/// no gateway ever sent, for one that its operator gives up, or from what the gateway's own spool
/// recorded of one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    id: MessageId,
    kind: EndingKind,
}

/// Close or refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndingKind {
    /// Delivered: the sum stays, a refund is impossible from now on.
    Close,
    /// Refused: the recorded sender gets the recorded sum back, once.
    Refund,
}

impl Ending {
    /// The refund of a message whose destination does not exist for good (unknown chain or null
    /// record), with which this chain has never had an entry, and to which no gateway of this chain
    /// ever sent it. The caller has checked all three.
    #[must_use]
    pub fn unroutable(id: MessageId) -> Self {
        Self { id, kind: EndingKind::Refund }
    }

    /// The refund of a message that its operator gives up: past its expiry, no receipt of it ever
    /// came, and its destination was silent at every attempt for the grace that the operator
    /// stated. It may have been delivered there all the same: the account is wrong then. The caller
    /// has checked all of it.
    #[must_use]
    pub fn without_receipt(id: MessageId) -> Self {
        Self { id, kind: EndingKind::Refund }
    }

    /// An end that this gateway's own spool holds: only what verified receipts say is written
    /// there, and refunds by the two rules above.
    #[must_use]
    pub fn recorded(id: MessageId, kind: EndingKind) -> Self {
        Self { id, kind }
    }

    /// The message.
    #[must_use]
    pub fn id(&self) -> MessageId {
        self.id
    }

    /// What to do.
    #[must_use]
    pub fn kind(&self) -> EndingKind {
        self.kind
    }
}

/// How a message stands at its destination, signed but binding nobody: never a cause for a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It is here and has not ended.
    Pending,
    /// It is not here.
    Unknown,
}

/// A standing, of one message, between two chains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The message.
    pub id: MessageId,
    /// The chain that signs.
    pub destination: ChainId,
    /// How it stands.
    pub standing: Standing,
    /// The signature, by one of the chain's keys.
    pub signature: KeySignature,
}

impl Status {
    /// Signs a standing.
    #[must_use]
    pub fn sign(id: MessageId, destination: ChainId, standing: Standing, key: &SecretKey) -> Self {
        let signature = key.sign(Domain::Status, &Self::body(id, destination, standing));
        Self { id, destination, standing, signature }
    }

    /// Whether one of `keys` signed it.
    #[must_use]
    pub fn is_by(&self, keys: &KeySet) -> bool {
        let body = Self::body(self.id, self.destination, self.standing);
        keys.keys().any(|key| *key == self.signature.key)
            && self.signature.key.verifies(Domain::Status, &body, &self.signature.signature)
    }

    fn body(id: MessageId, destination: ChainId, standing: Standing) -> Vec<u8> {
        let mut out = Writer::default();
        out.array(3).bytes(&id.0).text(&destination.to_string()).uint(match standing {
            Standing::Pending => 0,
            Standing::Unknown => 1,
        });
        out.finish()
    }
}
