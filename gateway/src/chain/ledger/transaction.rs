//! The ledger's transactions: what users and gateways sign, in deterministic CBOR.
//!
//! ```text
//! transaction = [body: bstr, [key: bstr .size 32, signature: bstr .size 64]]
//! body        = [chain-id: tstr, genesis tag: bstr .size 8, signer: bstr .size 32,
//!                nonce: uint, action]
//! ```
//! The signature is over the body under [`Domain::LedgerTransaction`]. Chain-id and genesis tag
//! are in it, so no transaction is valid on another ledger, nor on one that was started anew.

use std::fmt;

use data_encoding::HEXLOWER;
use distpos_proto::{
    address::{Address, Local},
    amount::Amount,
    cbor::{CborError, Reader, Writer},
    chain::{ChainId, GenesisTag},
    code::{Code, Reply},
    key::{Domain, KeySignature, PublicKey, SecretKey},
    message::{Asset, Message, OnFail},
    time::UnixSeconds,
};

use super::state::exactly;

pub(super) use action::{AccountOrder, Action, ITEMS_MAX, SettleOrder};

mod action;

/// SHA-256 of a transaction's body: who it is, whoever's copy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub [u8; 32]);

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// What a transaction is bound to: one place on one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The ledger's chain-id.
    pub chain: ChainId,
    /// Its genesis tag.
    pub tag: GenesisTag,
    /// The signer's next number: what [`super::Ledger`] tells of the account, 0 for an account
    /// that is not open yet.
    pub nonce: u64,
}

/// What leaves for another chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendOrder {
    /// The recipient, with its chain.
    pub to: Address,
    /// How much, in the coin's smallest unit; may be nothing.
    pub amount: Amount,
    /// Call data, at most [`Message::DATA_BYTES_MAX`].
    pub data: Vec<u8>,
    /// Gas for the recipient's call, in the destination's unit.
    pub gas: u64,
    /// What happens when that call fails.
    pub on_fail: OnFail,
    /// Not delivered after this time; 0 for 24 hours after the block.
    pub expires: UnixSeconds,
}

/// Opens the signer's account, so that it can be paid. Its nonce is 0.
#[must_use]
pub fn open(place: Place, key: &SecretKey) -> Vec<u8> {
    SignedTransaction::sign(place, Action::Open, key).bytes
}

/// Pays another account of the same ledger.
///
/// # Errors
/// `5.1.3` if `to` is no address of a ledger.
pub fn transfer(
    place: Place,
    to: &Local,
    amount: Amount,
    key: &SecretKey,
) -> Result<Vec<u8>, Reply> {
    let to = super::address::public_key(to)?;
    Ok(SignedTransaction::sign(place, Action::Transfer { to, amount }, key).bytes)
}

/// Sends value, data or both to another chain.
#[must_use]
pub fn send(place: Place, order: SendOrder, key: &SecretKey) -> Vec<u8> {
    SignedTransaction::sign(place, Action::Send(order), key).bytes
}

/// Pays from the signer's balance into the reserve that the peer `chain` has here. It is the
/// peer's from then on: only the operator gives it back.
#[must_use]
pub fn deposit(
    place: Place,
    chain: ChainId,
    asset: Asset,
    amount: Amount,
    key: &SecretKey,
) -> Vec<u8> {
    SignedTransaction::sign(place, Action::Deposit { chain, asset, amount }, key).bytes
}

/// The id of a signed transaction.
///
/// # Errors
/// What is wrong with it: `5.6.0` for its form, `5.7.20` for its signature, `5.1.3` for an address.
pub fn transaction_id(bytes: &[u8]) -> Result<TransactionId, Reply> {
    SignedTransaction::from_bytes(bytes).map(|transaction| transaction.id)
}

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transaction {
    pub(super) place: Place,
    pub(super) signer: PublicKey,
    pub(super) action: Action,
}

/// A transaction whose signature is right; whether the chain takes it is another matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SignedTransaction {
    pub(super) transaction: Transaction,
    pub(super) id: TransactionId,
    pub(super) bytes: Vec<u8>,
}

/// Longest transaction, in bytes: 1,024 void items of a message without data, with room.
pub(super) const BYTES_MAX: usize = 8 * 1024 * 1024;

impl SignedTransaction {
    /// Signs an action.
    pub(super) fn sign(place: Place, action: Action, key: &SecretKey) -> Self {
        let transaction = Transaction { place, signer: key.public(), action };
        let body = transaction.bytes();
        let signature = key.sign(Domain::LedgerTransaction, &body);
        let id = TransactionId(Domain::LedgerTransaction.hash(&body));
        Self { transaction, id, bytes: outer(&body, &signature) }
    }

    /// Reads the one encoding and verifies the signature.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Reply> {
        if bytes.len() > BYTES_MAX {
            let text = format!("transaction has {} bytes, expected {BYTES_MAX}", bytes.len());
            return Err(Reply::new(Code::TOO_BIG, text));
        }
        let (body, signature) = read_outer(bytes).map_err(malformed)?;
        let transaction = Transaction::from_bytes(body)?;
        if outer(body, &signature) != bytes {
            let text = "transaction is not in its one deterministic encoding";
            return Err(Reply::new(Code::MALFORMED, text));
        }
        let by_signer = signature.key == transaction.signer;
        if !by_signer
            || !signature.key.verifies(Domain::LedgerTransaction, body, &signature.signature)
        {
            let text = format!("transaction is not signed by {}", transaction.signer);
            return Err(Reply::new(Code::SIGNATURE, text));
        }
        let id = TransactionId(Domain::LedgerTransaction.hash(body));
        Ok(Self { transaction, id, bytes: bytes.to_vec() })
    }
}

impl Transaction {
    fn bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.array(5).text(&self.place.chain.to_string()).bytes(&self.place.tag.0);
        out.bytes(self.signer.as_bytes()).uint(self.place.nonce);
        self.action.write(&mut out);
        out.finish()
    }

    fn from_bytes(body: &[u8]) -> Result<Self, Reply> {
        let mut input = Reader::new(body);
        let (place, signer) = read_place(&mut input).map_err(malformed)?;
        let action = Action::read(&mut input)?;
        input.end("transaction").map_err(malformed)?;
        let transaction = Self { place, signer, action };
        if transaction.bytes() == body {
            return Ok(transaction);
        }
        let text = "transaction's body is not in its one deterministic encoding";
        Err(Reply::new(Code::MALFORMED, text))
    }
}

fn read_place(input: &mut Reader<'_>) -> Result<(Place, PublicKey), CborError> {
    exactly(input, "transaction", 5)?;
    let chain = super::state::read_chain(input, "transaction chain")?;
    let tag = GenesisTag(input.fixed("transaction tag")?);
    let signer = PublicKey::from_bytes(input.fixed("transaction signer")?)
        .map_err(|_| CborError { field: "transaction signer", expected: "an ed25519 key" })?;
    let nonce = input.uint("transaction nonce")?;
    Ok((Place { chain, tag, nonce }, signer))
}

fn outer(body: &[u8], signature: &KeySignature) -> Vec<u8> {
    let mut out = Writer::default();
    signature.write(out.array(2).bytes(body));
    out.finish()
}

fn read_outer(bytes: &[u8]) -> Result<(&[u8], KeySignature), CborError> {
    let mut input = Reader::new(bytes);
    exactly(&mut input, "transaction", 2)?;
    let body = input.bytes("transaction body", BYTES_MAX)?;
    let signature = KeySignature::read(&mut input)?;
    input.end("transaction")?;
    Ok((body, signature))
}

/// A form that is nobody's transaction.
pub(super) fn malformed(error: CborError) -> Reply {
    Reply::new(Code::MALFORMED, error.to_string())
}

/// Most of a transaction's bytes that may be call data.
const _: () = assert!(BYTES_MAX > Message::BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { chain: "e2e4".parse().unwrap(), tag: GenesisTag([7; 8]), nonce: 3 }
    }

    fn order() -> SendOrder {
        SendOrder {
            to: "b1c2xabc".parse().unwrap(),
            amount: Amount::from(5u64),
            data: b"data".to_vec(),
            gas: 1,
            on_fail: OnFail::Keep,
            expires: UnixSeconds(9),
        }
    }

    #[test]
    fn what_is_built_reads_back_and_names_its_signer() {
        let key = SecretKey::from_seed(&[1; 32]);
        let to = crate::chain::ledger::address::local(&SecretKey::from_seed(&[2; 32]).public());
        let paid = transfer(place(), &to, Amount::from(1u64), &key).unwrap();
        let (peer, gold) = ("b1c2".parse().unwrap(), "b1c2/gold".parse().unwrap());
        let deposited = deposit(place(), peer, gold, Amount::from(7u64), &key);
        for bytes in [open(place(), &key), paid, send(place(), order(), &key), deposited] {
            let read = SignedTransaction::from_bytes(&bytes).unwrap();
            assert_eq!(read.transaction.signer, key.public());
            assert_eq!(read.transaction.place, place());
            assert_eq!(Ok(read.id), transaction_id(&bytes));
            assert_eq!(read.bytes, bytes);
        }
    }

    #[test]
    fn no_bit_of_a_transaction_can_be_flipped() {
        let bytes = send(place(), order(), &SecretKey::from_seed(&[1; 32]));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut wrong = bytes.clone();
                wrong[at] ^= 1 << bit;
                assert!(SignedTransaction::from_bytes(&wrong).is_err(), "byte {at} bit {bit}");
            }
            assert!(SignedTransaction::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn somebody_else_cannot_sign_for_the_signer() {
        let (owner, thief) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
        let body = Transaction { place: place(), signer: owner.public(), action: Action::Open };
        let signature = thief.sign(Domain::LedgerTransaction, &body.bytes());
        let refused = transaction_id(&outer(&body.bytes(), &signature)).unwrap_err();
        assert_eq!(refused.code, Code::SIGNATURE);
        let signature = KeySignature { key: owner.public(), ..signature };
        let refused = transaction_id(&outer(&body.bytes(), &signature)).unwrap_err();
        assert_eq!(refused.code, Code::SIGNATURE);
        // Right key, another purpose.
        let signature = owner.sign(Domain::Receipt, &body.bytes());
        let refused = transaction_id(&outer(&body.bytes(), &signature)).unwrap_err();
        assert_eq!(refused.code, Code::SIGNATURE);
    }

    #[test]
    fn a_second_spelling_of_a_body_is_refused() {
        let key = SecretKey::from_seed(&[1; 32]);
        let body = Transaction { place: place(), signer: key.public(), action: Action::Open };
        let mut long = body.bytes();
        assert_eq!(long.pop(), Some(0), "the action's kind, in one byte");
        long.extend([0x18, 0]);
        let signature = key.sign(Domain::LedgerTransaction, &long);
        let refused = transaction_id(&outer(&long, &signature)).unwrap_err();
        assert_eq!(refused.code, Code::MALFORMED);
    }
}
