//! A block's header, read as raw RLP fields by their position.

use alloy_primitives::keccak256;
use thiserror::Error;

use crate::{
    chain::{BlockHash, Height},
    proof::rlp::{Item, RlpError},
    time::UnixSeconds,
};

/// What is used of an EVM block's header. Other chains and later forks add fields at its end,
/// which typed headers refuse; the hash covers them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHeader {
    /// Keccak-256 of the RLP.
    pub hash: BlockHash,
    /// Field 8.
    pub number: Height,
    /// Field 11.
    pub time: UnixSeconds,
    /// Field 5.
    pub receipts_root: [u8; 32],
}

/// Why bytes are no block header. The giver's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BlockError {
    /// Longer than any header is.
    #[error("block header has {found} bytes, expected at most {max}", max = BlockHeader::BYTES_MAX)]
    BytesMax {
        /// Its length.
        found: usize,
    },
    /// Not the RLP expected.
    #[error("block header's {field}: {error}")]
    Rlp {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        error: RlpError,
    },
}

impl BlockHeader {
    /// Longest header, in bytes. Chains of authorities keep their validators in `extraData`.
    pub const BYTES_MAX: usize = 64 * 1024;
    /// Fewest fields: those of Frontier.
    pub const FIELDS_MIN: usize = 15;
    /// Most fields: twice those of any chain known.
    pub const FIELDS_MAX: usize = 40;

    /// Reads a header's RLP. Whoever has the block's hash from elsewhere compares it.
    ///
    /// # Errors
    /// [`BlockError`] names the field.
    pub fn read(rlp: &[u8]) -> Result<Self, BlockError> {
        if rlp.len() > Self::BYTES_MAX {
            return Err(BlockError::BytesMax { found: rlp.len() });
        }
        let wrong = |field| move |error| BlockError::Rlp { field, error };
        let list = Item::only(rlp).map_err(wrong("list"))?;
        let fields = list.items(Self::FIELDS_MIN, Self::FIELDS_MAX).map_err(wrong("list"))?;
        Ok(Self {
            hash: BlockHash(keccak256(rlp).0),
            number: Height(fields[8].number().map_err(wrong("number"))?),
            time: UnixSeconds(fields[11].number().map_err(wrong("timestamp"))?),
            receipts_root: fields[5].fixed().map_err(wrong("receiptsRoot"))?,
        })
    }
}
