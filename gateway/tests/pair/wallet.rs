//! A wallet as users have it: it knows its next nonce, keeps what it signed, and sends that again
//! until a block has it. It needs nothing of DistPOS but the outbox's address.

use std::sync::Mutex;

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256, hex, keccak256};
use k256::ecdsa::SigningKey;

/// The first account of the development nodes' mnemonic.
pub(crate) const RICH: Secret =
    Secret(hex!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"));
/// More than any base fee here, in wei.
pub(crate) const FEE_MAX: u128 = 20_000_000_000;
const TIP: u128 = 1_000_000_000;

/// A secp256k1 key.
pub(crate) struct Secret(pub(crate) [u8; 32]);

impl Secret {
    fn key(&self) -> SigningKey {
        SigningKey::from_slice(&self.0).unwrap()
    }

    pub(crate) fn address(&self) -> Address {
        Address::from_public_key(self.key().verifying_key())
    }
}

/// What a transaction does.
#[derive(Debug, Clone)]
pub(crate) struct Action {
    /// None to deploy.
    pub(crate) to: Option<Address>,
    pub(crate) value: U256,
    pub(crate) input: Vec<u8>,
    pub(crate) gas: u64,
}

/// A signed transaction.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    pub(crate) raw: String,
    pub(crate) hash: String,
}

/// One account at one chain.
pub(crate) struct Wallet {
    key: SigningKey,
    chain_id: u64,
    pub(crate) address: Address,
    next: Mutex<u64>,
    /// Hashes of all that was signed, for the audit.
    signed: Mutex<Vec<String>>,
}

impl Wallet {
    /// Of an account that has sent `next` transactions.
    pub(crate) fn of(secret: &Secret, chain_id: u64, next: u64) -> Self {
        let (key, next) = (secret.key(), Mutex::new(next));
        Self { key, chain_id, address: secret.address(), next, signed: Mutex::default() }
    }

    /// Signs with the next nonce.
    pub(crate) fn sign(&self, action: Action) -> Signed {
        self.sign_with_tip(action, TIP)
    }

    /// The same, paying exactly [`FEE_MAX`] a gas, so that it is known what is left.
    pub(crate) fn sign_at_full_price(&self, action: Action) -> Signed {
        self.sign_with_tip(action, FEE_MAX)
    }

    fn sign_with_tip(&self, action: Action, tip: u128) -> Signed {
        let mut next = self.next.lock().unwrap();
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce: *next,
            gas_limit: action.gas,
            max_fee_per_gas: FEE_MAX,
            max_priority_fee_per_gas: tip,
            to: action.to.map_or(TxKind::Create, TxKind::Call),
            value: action.value,
            access_list: Default::default(),
            input: Bytes::from(action.input),
        };
        *next += 1;
        let signed = self.key.sign_prehash_recoverable(transaction.signature_hash().as_slice());
        let raw = transaction.into_signed(Signature::from(signed.unwrap())).encoded_2718();
        let hash = format!("{:#x}", keccak256(&raw));
        self.signed.lock().unwrap().push(hash.clone());
        Signed { raw: format!("0x{}", hex::encode(raw)), hash }
    }

    /// Another program has signed with the next number.
    pub(crate) fn used(&self, hash: String) {
        *self.next.lock().unwrap() += 1;
        self.signed.lock().unwrap().push(hash);
    }

    /// Hashes of all that was signed.
    pub(crate) fn signed(&self) -> Vec<String> {
        self.signed.lock().unwrap().clone()
    }
}
