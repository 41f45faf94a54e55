//! Which chain and contract a spool belongs to. Its cursor, its copies of accounts and its queue
//! are of one outbox: read on from there at another one, they would be wrong for good, without a
//! word.

use distpos_proto::chain::{ChainId, GenesisTag};
use distpos_spool::{Spool, SpoolError};
use thiserror::Error;

use crate::chain::Facts;

/// The note in the spool that says which.
const OWN_CHAIN: &str = "own-chain";

/// Why a spool does not belong to the configured chain. The operator's to repair.
#[derive(Debug, Error)]
pub enum OwnChainError {
    /// It was begun for another one.
    #[error(
        "the spool is of {found}, and {configured} is configured: its queue, cursor and accounts \
         are not this one's. Another contract or chain wants a new spool.directory, once the queue \
         of the old one is empty"
    )]
    Other {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        configured: String,
    },
    /// It cannot be read or written.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// Refuses a spool of another chain-id or outbox: before the node is asked, and before anything
/// that the spool holds goes to it.
pub(super) fn check(spool: &Spool, chain: ChainId, outbox: &[u8]) -> Result<(), OwnChainError> {
    let configured = place(chain, outbox);
    match noted(spool)? {
        Some(found) if !found.starts_with(&configured) => {
            Err(OwnChainError::Other { found, configured })
        }
        Some(_) | None => Ok(()),
    }
}

/// Binds a new spool to the own chain, and refuses one that is another's.
pub(super) async fn bind(spool: &Spool, facts: &Facts) -> Result<(), OwnChainError> {
    let configured = whole(facts.chain, &facts.outbox, facts.tag);
    match noted(spool)? {
        Some(found) if found == configured => Ok(()),
        Some(found) => Err(OwnChainError::Other { found, configured }),
        None => {
            let note = spool.transact(move |tx| {
                tx.meta_set(OWN_CHAIN, configured.as_bytes());
                Ok::<_, SpoolError>(())
            });
            Ok(note.await?)
        }
    }
}

fn noted(spool: &Spool) -> Result<Option<String>, SpoolError> {
    let note = spool.read(|tx| tx.meta_get(OWN_CHAIN))?;
    Ok(note.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn place(chain: ChainId, outbox: &[u8]) -> String {
    format!("chain {chain}, outbox 0x{},", data_encoding::HEXLOWER.encode(outbox))
}

fn whole(chain: ChainId, outbox: &[u8], tag: GenesisTag) -> String {
    format!("{} genesis tag {tag}", place(chain, outbox))
}

#[cfg(test)]
mod tests {
    use distpos_proto::chain::Family;

    use super::*;

    fn facts(outbox: u8, tag: &str) -> Facts {
        let (chain, tag) = ("e2e4".parse().unwrap(), tag.parse().unwrap());
        Facts { chain, tag, family: Family::Evm, outbox: vec![outbox; 20] }
    }

    #[tokio::test]
    async fn a_spool_stays_with_the_contract_it_was_begun_for() {
        let spool = Spool::in_memory();
        let (old, new) = (facts(1, "00112233aabbccdd"), facts(2, "00112233aabbccdd"));
        let of = |facts: &Facts| check(&spool, facts.chain, &facts.outbox);
        of(&new).unwrap();
        bind(&spool, &old).await.unwrap();
        of(&old).unwrap();
        bind(&spool, &old).await.unwrap();
        for error in [of(&new).unwrap_err(), bind(&spool, &new).await.unwrap_err()] {
            let told = error.to_string();
            assert!(told.contains("0x0101") && told.contains("0x0202"), "{told}");
            assert!(told.contains("wants a new spool.directory"), "{told}");
        }
        // The same address on another chain: a development node that was started anew.
        let other = facts(1, "ffffffffaabbccdd");
        of(&other).unwrap();
        assert!(bind(&spool, &other).await.is_err());
    }
}
