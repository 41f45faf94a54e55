//! Genesis: the configuration a ledger starts from, and the tag it is known by.

use std::collections::{BTreeMap, BTreeSet};

use distpos_proto::{
    address::Local,
    amount::Amount,
    cbor::Writer,
    chain::{BlockHash, ChainId, GenesisTag, Height},
    header::HeaderHash,
    key::{PublicKey, SIGNATURES_MAX},
    light::ledger::LedgerHeader,
    proof::merkle,
    time::UnixSeconds,
};

use super::{
    LedgerError,
    address::public_key,
    state::{AccountRow, Overlay, Totals},
};

/// What a ledger starts from. Everything in it goes into the genesis hash: the same genesis is the
/// same chain, anything else is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// The chain-id.
    pub chain: ChainId,
    /// The genesis block's time; a new value starts the same configuration as another chain.
    pub time: UnixSeconds,
    /// Accounts that are open from the start, in the coin's smallest unit.
    pub accounts: BTreeMap<Local, Amount>,
    /// The community's own money for what arrives: what its peers' credit is paid from.
    pub float: Amount,
    /// Keys that sign blocks and the gateway's transactions: 1 to 16.
    pub authorities: BTreeSet<PublicKey>,
}

/// Version of the genesis encoding.
const VERSION: u64 = 1;

impl Genesis {
    /// The genesis block's header. Its tag is [`GenesisTag::UNSET`]: the tag is made from its hash.
    #[must_use]
    pub fn header(&self) -> LedgerHeader {
        LedgerHeader {
            chain: self.chain,
            tag: GenesisTag::UNSET,
            height: Height(0),
            previous: HeaderHash::NONE,
            time: self.time,
            transactions_root: merkle::Tree::new(vec![merkle::leaf_hash(&self.bytes())]).root(),
            leaf_count: 0,
            root: merkle::Tree::new(Vec::new()).root(),
        }
    }

    /// The tag by which other chains tell this ledger from another one of the same chain-id.
    #[must_use]
    pub fn tag(&self) -> GenesisTag {
        GenesisTag::of(&BlockHash(self.header().hash().0))
    }

    /// The sum of all money there is and ever will be.
    ///
    /// # Errors
    /// [`LedgerError::Genesis`] if it passes 2^128 − 1.
    pub fn supply(&self) -> Result<u128, LedgerError> {
        let sum = self.accounts.values().try_fold(self.float, |sum, next| sum.checked_add(*next));
        sum.and_then(Amount::to_u128)
            .ok_or_else(|| LedgerError::Genesis("all sums together pass 2^128 − 1".into()))
    }

    /// The one encoding; the leaf under the genesis block's transactions root.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.array(6).uint(VERSION).text(&self.chain.to_string()).uint(self.time.0);
        out.array(self.accounts.len());
        for (local, amount) in &self.accounts {
            out.array(2).text(local.as_str()).bytes(&amount.to_minimal_bytes());
        }
        out.bytes(&self.float.to_minimal_bytes()).array(self.authorities.len());
        for key in &self.authorities {
            out.bytes(key.as_bytes());
        }
        out.finish()
    }

    /// Writes the first state; refuses a genesis that makes none.
    pub(super) fn write(&self, state: &mut Overlay<'_>) -> Result<(), LedgerError> {
        self.supply()?;
        if !(1..=SIGNATURES_MAX).contains(&self.authorities.len()) {
            let found = self.authorities.len();
            let text = format!("{found} authorities, expected 1 to {SIGNATURES_MAX}");
            return Err(LedgerError::Genesis(text));
        }
        let beyond = || LedgerError::Genesis("a sum passes 2^128 − 1".into());
        for (local, amount) in &self.accounts {
            let key = public_key(local)
                .map_err(|reply| LedgerError::Genesis(format!("account {local}: {reply}")))?;
            let balance = amount.to_u128().ok_or_else(beyond)?;
            state.put(&key, &AccountRow { balance, nonce: 0 });
        }
        let vault = self.float.to_u128().ok_or_else(beyond)?;
        state.put(&(), &Totals { escrow: 0, vault, covered: 0 });
        Ok(())
    }
}
