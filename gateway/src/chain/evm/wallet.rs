//! A secp256k1 key and what it signs.

use std::fmt;

use alloy_consensus::{SignableTransaction, Signed};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Signature};
use distpos_proto::address::Local;
use k256::ecdsa::SigningKey;
use zeroize::Zeroizing;

/// The key of an EVM account; wiped from memory when dropped.
#[derive(Clone)]
pub struct EvmKey(SigningKey);

impl EvmKey {
    /// The key of 32 bytes; none for zero and for what the curve's order does not allow.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        SigningKey::from_slice(bytes).ok().map(Self)
    }

    /// A new key, from the operating system's random source.
    ///
    /// # Errors
    /// The system's, if it gives no random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut seed = Zeroizing::new([0; 32]);
        loop {
            getrandom::fill(seed.as_mut_slice())?;
            // All but about one in 2^128 of these are keys of the curve.
            if let Some(key) = Self::from_bytes(&seed) {
                return Ok(key);
            }
        }
    }

    /// The secret itself, to be written into a key file.
    pub(super) fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }

    /// The secret as key files hold it: `0x` and 64 hex digits.
    #[must_use]
    pub fn to_hex(&self) -> Zeroizing<String> {
        let digits = Zeroizing::new(data_encoding::HEXLOWER.encode(self.secret().as_slice()));
        Zeroizing::new(format!("0x{}", *digits))
    }

    /// Its account.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::from_public_key(self.0.verifying_key())
    }

    /// Its account as messages name senders: 40 lower-case hex digits.
    #[must_use]
    pub fn local(&self) -> Local {
        let text = data_encoding::HEXLOWER.encode(self.address().as_slice());
        text.parse().expect("40 hex digits are a local address")
    }

    /// The signed transaction as nodes take it.
    pub(super) fn sign<T>(&self, transaction: T) -> Vec<u8>
    where
        T: SignableTransaction<Signature>,
        Signed<T>: Encodable2718,
    {
        let hash = transaction.signature_hash();
        let signed = self.0.sign_prehash_recoverable(hash.as_slice());
        let signature = Signature::from(signed.expect("a hash of 32 bytes can always be signed"));
        transaction.into_signed(signature).encoded_2718()
    }
}

impl fmt::Debug for EvmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EvmKey(of {})", self.address())
    }
}

/// Why a local address names no account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// Not 40 hex digits.
    #[error("account is not 40 hex digits")]
    Form,
    /// Mixed case that is no checksum of EIP-55.
    #[error("account's mixed case is not its EIP-55 checksum: mistyped")]
    Checksum,
}

/// The account a local address names. Where upper and lower case are mixed, they must be the
/// checksum of EIP-55.
///
/// # Errors
/// [`AccountError`] says which of the two is wrong.
pub fn account_of(local: &Local) -> Result<Address, AccountError> {
    let text = local.as_str();
    let digits = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes());
    let bytes: [u8; 20] =
        digits.ok().and_then(|bytes| bytes.try_into().ok()).ok_or(AccountError::Form)?;
    let address = Address::from(bytes);
    let mixed = text.bytes().any(|b| b.is_ascii_uppercase())
        && text.bytes().any(|b| b.is_ascii_lowercase());
    if mixed && address.to_checksum(None)[2..] != *text {
        return Err(AccountError::Checksum);
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(text: &str) -> Result<Address, AccountError> {
        account_of(&text.parse().unwrap())
    }

    #[test]
    fn the_checksums_of_eip_55_are_told_from_mistyped_ones() {
        for good in [
            "52908400098527886E0F7030069857D2E4169EE7",
            "de709f2102306220921060314715629080e2fb77",
            "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "fB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        ] {
            assert!(account(good).is_ok(), "{good}");
        }
        let mistyped = account("5aAeb6053f3E94C9b9A09f33669435E7Ef1BeAed");
        assert_eq!(mistyped, Err(AccountError::Checksum));
        assert_eq!(account("5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe"), Err(AccountError::Form));
        assert_eq!(account("alice"), Err(AccountError::Form));
        assert_eq!(
            account("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeA"),
            Err(AccountError::Form),
            "the prefix is no part of a local address"
        );
    }

    #[test]
    fn a_key_has_the_account_that_wallets_show_for_it() {
        // The first account of every development node's well-known mnemonic.
        let bytes = data_encoding::HEXLOWER
            .decode(b"ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
            .unwrap();
        let key = EvmKey::from_bytes(&bytes.try_into().unwrap()).unwrap();
        assert_eq!(key.local().as_str(), "f39fd6e51aad88f6f4ce6ab8827279cfffb92266");
        assert!(EvmKey::from_bytes(&[0; 32]).is_none());
        assert!(EvmKey::from_bytes(&[255; 32]).is_none());
    }
}
