//! Addresses with a chain in them: the one place that knows the "x".
//!
//! ```text
//! address  = chain-id %x78 local            ; a lower-case "x"
//! chain-id = "0" / ( hexdig-nonzero *31hexdig )
//! local    = 1*128( ALPHA / DIGIT / "-._:/+@=" )
//! ```
//! Split at the first `x`: hex has none. Source: paper, *Interchain Level*.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::chain::{ChainId, ChainIdError};

/// The part of an address that only its own chain can read: 1 to 128 characters, never normalised.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Local(Box<str>);

/// An address on a named chain: `e2e4x63ea7F78…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    chain: ChainId,
    local: Local,
}

/// What a user may type: an address, or `0x…` for one on the chain the user is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressInput {
    /// Chain-id 0: this chain.
    Here(Local),
    /// A named chain.
    At(Address),
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    /// No `x` between chain-id and local part.
    #[error("address has no \"x\" between chain-id and local address, expected <chain-id>x<local>")]
    Separator,
    /// The part before the `x`.
    #[error("address: {0}")]
    Chain(#[from] ChainIdError),
    /// The part after the `x`.
    #[error("address: {0}")]
    Local(#[from] LocalError),
    /// Chain-id 0 where an address must say which chain.
    #[error("address has the chain-id 0 (this chain), expected the chain's own id")]
    Here,
}

/// Why a text is no local address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LocalError {
    /// Empty, or too long.
    #[error("local address has {found} characters, expected 1 to {max}", max = Local::TEXT_MAX)]
    Length {
        /// How many characters were found.
        found: usize,
    },
    /// A character that no chain's addresses use.
    #[error(
        "local address has the character {found:?} at position {at}, \
         expected letters, digits or one of -._:/+@="
    )]
    Character {
        /// The character.
        found: char,
        /// Its position, from 0.
        at: usize,
    },
}

impl Local {
    /// Longest local address, in characters (all of them ASCII).
    pub const TEXT_MAX: usize = 128;

    /// The text, exactly as it came.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Local {
    type Err = LocalError;

    fn from_str(text: &str) -> Result<Self, LocalError> {
        if text.is_empty() || text.len() > Self::TEXT_MAX {
            return Err(LocalError::Length { found: text.chars().count() });
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:/+@=".contains(c);
        match text.chars().enumerate().find(|(_, c)| !allowed(*c)) {
            Some((at, found)) => Err(LocalError::Character { found, at }),
            None => Ok(Self(text.into())),
        }
    }
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Address {
    /// An address from its two parts.
    #[must_use]
    pub fn new(chain: ChainId, local: Local) -> Self {
        Self { chain, local }
    }

    /// The chain it is on.
    #[must_use]
    pub fn chain(&self) -> ChainId {
        self.chain
    }

    /// The part that chain reads.
    #[must_use]
    pub fn local(&self) -> &Local {
        &self.local
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.parse()? {
            AddressInput::At(address) => Ok(address),
            AddressInput::Here(_) => Err(AddressError::Here),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.chain, self.local)
    }
}

impl FromStr for AddressInput {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (chain, local) = text.split_once('x').ok_or(AddressError::Separator)?;
        let local = local.parse()?;
        if chain == "0" {
            return Ok(Self::Here(local));
        }
        Ok(Self::At(Address { chain: ChainId::parse_input(chain)?, local }))
    }
}

impl AddressInput {
    /// The full address, for a user on chain `own`. Chain-id 0 ends here: it is never hashed or sent.
    #[must_use]
    pub fn on(self, own: ChainId) -> Address {
        match self {
            Self::Here(local) => Address { chain: own, local },
            Self::At(address) => address,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_example_splits_at_the_first_x() {
        let address: Address = "e2e4x63ea7F78107dF4C6fd8b17e7b05b1b3D41a5B1Ab".parse().unwrap();
        assert_eq!(address.chain().to_string(), "e2e4");
        assert_eq!(address.local().as_str(), "63ea7F78107dF4C6fd8b17e7b05b1b3D41a5B1Ab");
        let cosmos: Address = "b1c2xcosmos1qypqxpq9".parse().unwrap();
        assert_eq!(cosmos.local().as_str(), "cosmos1qypqxpq9");
        let twice: Address = "b1c2xaxb".parse().unwrap();
        assert_eq!(twice.local().as_str(), "axb");
        assert_eq!(twice.to_string(), "b1c2xaxb");
    }

    #[test]
    fn a_typed_address_is_lowered_in_its_chain_only_and_zero_means_here() {
        let typed: AddressInput = "E2E4xAbC".parse().unwrap();
        let own = "b1c2".parse().unwrap();
        assert_eq!(typed.on(own).to_string(), "e2e4xAbC");
        let here: AddressInput = "0xAbC".parse().unwrap();
        assert_eq!(here.on(own).to_string(), "b1c2xAbC");
        assert_eq!("0xAbC".parse::<Address>(), Err(AddressError::Here));
    }

    #[test]
    fn a_malformed_address_is_refused_with_what_was_found() {
        use AddressError as E;
        let parse = |text: &str| text.parse::<Address>().unwrap_err();
        assert_eq!(parse("e2e4"), E::Separator);
        assert_eq!(parse("e2e4Xabc"), E::Separator);
        assert_eq!(parse("x63ea"), E::Chain(ChainIdError::Length { found: 0 }));
        assert_eq!(parse("00x63ea"), E::Chain(ChainIdError::LeadingZero));
        assert_eq!(parse("0e2e4x63ea"), E::Chain(ChainIdError::LeadingZero));
        assert_eq!(parse("e2g4xab"), E::Chain(ChainIdError::Digit { found: 'g', at: 2 }));
        assert_eq!(parse("e2e4x"), E::Local(LocalError::Length { found: 0 }));
        assert_eq!(parse("e2e4xa b"), E::Local(LocalError::Character { found: ' ', at: 1 }));
        assert_eq!(parse("e2e4xä"), E::Local(LocalError::Character { found: 'ä', at: 0 }));
        let long = format!("e2e4x{}", "a".repeat(129));
        assert_eq!(parse(&long), E::Local(LocalError::Length { found: 129 }));
        let many = format!("{}xa", "f".repeat(33));
        assert_eq!(parse(&many), E::Chain(ChainIdError::Length { found: 33 }));
        assert!(format!("{}xa", "f".repeat(32)).parse::<Address>().is_ok());
    }
}
