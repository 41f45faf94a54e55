//! What names a chain and a place in it.

use std::{fmt, num::NonZeroU128, str::FromStr};

use thiserror::Error;

/// A chain-id: up to 32 hex digits without leading zeros, `e2e4`. Never zero.
///
/// Source: paper, *Interchain Level*; the grammar is in `docs/protocol.md`, *Addresses*. The text
/// form is lower case and canonical: one chain-id has one spelling on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(NonZeroU128);

/// Why a text is not a chain-id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChainIdError {
    /// The text is empty or has more than 32 digits.
    #[error("chain-id has {found} characters, expected 1 to 32 hex digits")]
    Length {
        /// How many characters were found.
        found: usize,
    },
    /// A character that is no hex digit (on the wire: no lower-case hex digit).
    #[error("chain-id has the character {found:?} at position {at}, expected a hex digit")]
    Digit {
        /// The character.
        found: char,
        /// Its position, from 0.
        at: usize,
    },
    /// A leading zero, so that one chain would have two names.
    #[error("chain-id starts with a zero, expected no leading zeros")]
    LeadingZero,
}

impl ChainId {
    /// Longest text form, in characters.
    pub const TEXT_MAX: usize = 32;

    /// Reads what a person typed: upper case is accepted and lowered.
    ///
    /// # Errors
    /// [`ChainIdError`] says what was found.
    pub fn parse_input(text: &str) -> Result<Self, ChainIdError> {
        text.to_ascii_lowercase().parse()
    }

    /// The number behind the digits.
    #[must_use]
    pub fn number(self) -> u128 {
        self.0.get()
    }

    /// The chain-id of a number; none for zero, which means *this chain* and never travels.
    #[must_use]
    pub fn from_number(number: u128) -> Option<Self> {
        NonZeroU128::new(number).map(Self)
    }
}

impl FromStr for ChainId {
    type Err = ChainIdError;

    /// Reads the canonical form only: lower case, no leading zeros.
    fn from_str(text: &str) -> Result<Self, ChainIdError> {
        let found = text.chars().count();
        if found == 0 || found > Self::TEXT_MAX {
            return Err(ChainIdError::Length { found });
        }
        if let Some((at, found)) =
            text.chars().enumerate().find(|(_, c)| !matches!(c, '0'..='9' | 'a'..='f'))
        {
            return Err(ChainIdError::Digit { found, at });
        }
        if text.starts_with('0') {
            return Err(ChainIdError::LeadingZero);
        }
        u128::from_str_radix(text, 16)
            .ok()
            .and_then(Self::from_number)
            .ok_or(ChainIdError::Length { found })
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// The first 8 bytes of a chain's genesis hash: keeps messages of a chain that was started anew
/// under the same chain-id apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GenesisTag(pub [u8; 8]);

impl GenesisTag {
    /// What a source chain writes for a destination whose tag it has not registered. Accepted only
    /// on messages without value.
    pub const UNSET: Self = Self([0; 8]);

    /// The tag of a genesis hash.
    #[must_use]
    pub fn of(genesis: &BlockHash) -> Self {
        let mut tag = [0; 8];
        tag.copy_from_slice(&genesis.0[..8]);
        Self(tag)
    }

    /// Whether the source named no tag at all.
    #[must_use]
    pub fn is_unset(self) -> bool {
        self == Self::UNSET
    }
}

impl fmt::Display for GenesisTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl FromStr for GenesisTag {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        hex_array(text).map(Self)
    }
}

/// Why a text is not a fixed number of bytes in hex.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("found {found:?}, expected {expected} lower-case hex digits")]
pub struct HexError {
    /// The text.
    pub found: String,
    /// How many digits were expected.
    pub expected: usize,
}

/// Reads exactly `N` bytes of lower-case hex.
///
/// # Errors
/// [`HexError`] if the text is longer, shorter or holds anything else.
pub fn hex_array<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let wrong = || HexError { found: text.chars().take(80).collect(), expected: N * 2 };
    let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(|_| wrong())?;
    bytes.try_into().map_err(|_| wrong())
}

/// A block's hash, by the rule of its own chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockHash(pub [u8; 32]);

impl fmt::Display for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockHash({self})")
    }
}

/// A block's number, counted from genesis at 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Height(pub u64);

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a chain is verified: each is one module of [`crate::light`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Headers signed by the chain's published keys; serves any chain.
    Attested,
    /// The embedded chain: its own headers, signed by its authorities.
    Ledger,
    /// A receipt proof and the outbox's log under an attested block hash.
    Evm,
}

impl Family {
    /// The word of `proof=` in a policy record and of `family` in the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Attested => "attested",
            Self::Ledger => "ledger",
            Self::Evm => "evm",
        }
    }
}

/// A word that names no family.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("found the proof family {0:?}, expected attested, ledger or evm")]
pub struct FamilyError(pub String);

impl FromStr for Family {
    type Err = FamilyError;

    fn from_str(text: &str) -> Result<Self, FamilyError> {
        [Self::Attested, Self::Ledger, Self::Evm]
            .into_iter()
            .find(|family| family.word() == text)
            .ok_or_else(|| FamilyError(text.chars().take(40).collect()))
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
