//! The terms of an account: what two chains agreed to count in, and what backs it on each side.
//!
//! Both sides sign the same bytes. Their hash stands in every message with value, so that a sum is
//! never taken under other terms than it was sent under.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::{
    cbor::{CborError, Reader, Writer},
    chain::{ChainId, GenesisTag, hex_array},
    key::Domain,
    message::{Asset, TermsHash},
    signed::{Document, Signed, not_canonical},
};

/// What an asset is on one of the two chains: what is locked there, and paid out there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backing {
    /// The chain's native coin: `coin`.
    Coin,
    /// A token contract of an EVM chain: `erc20:` and 40 lower-case hex digits.
    Erc20([u8; 20]),
    /// The one coin of the embedded ledger: `ledger`.
    Ledger,
}

/// A text that names no backing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("found the backing {0:?}, expected coin, ledger or erc20:<40 lower-case hex digits>")]
pub struct BackingError(pub String);

impl Backing {
    /// Longest text form, in bytes.
    pub const TEXT_MAX: usize = 46;
}

impl FromStr for Backing {
    type Err = BackingError;

    fn from_str(text: &str) -> Result<Self, BackingError> {
        let wrong = || BackingError(text.chars().take(80).collect());
        match (text, text.strip_prefix("erc20:")) {
            ("coin", _) => Ok(Self::Coin),
            ("ledger", _) => Ok(Self::Ledger),
            (_, Some(token)) => hex_array(token).map(Self::Erc20).map_err(|_| wrong()),
            (_, None) => Err(wrong()),
        }
    }
}

impl fmt::Display for Backing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coin => f.write_str("coin"),
            Self::Ledger => f.write_str("ledger"),
            Self::Erc20(token) => write!(f, "erc20:{}", data_encoding::HEXLOWER.encode(token)),
        }
    }
}

/// One of the two chains of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// The chain.
    pub chain: ChainId,
    /// Its genesis tag: money may not reach a chain that was started anew.
    pub tag: GenesisTag,
    /// What the asset is there.
    pub backing: Backing,
}

/// What both sides of an account agree to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    asset: Asset,
    decimals: u8,
    sides: [Side; 2],
}

/// Terms that both sides, or one of them, signed.
pub type SignedTerms = Signed<Terms>;

/// Why there can be no such terms: a mistake of whoever wrote them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TermsError {
    /// The same chain twice.
    #[error("terms name the same chain twice, expected two chains")]
    OneChain,
    /// A chain without its genesis tag.
    #[error("terms name chain {0} without its genesis tag")]
    NoTag(ChainId),
    /// More digits than an amount has.
    #[error("terms have {found} decimals, expected at most {max}", max = Terms::DECIMALS_MAX)]
    Decimals {
        /// How many were found.
        found: u64,
    },
}

impl Terms {
    /// Most digits behind the point: 10^77 is the largest power of ten below 2^256.
    pub const DECIMALS_MAX: u8 = 77;

    /// Terms between two chains, named in any order.
    ///
    /// # Errors
    /// [`TermsError`] says what is wrong with them.
    pub fn new(asset: Asset, decimals: u8, one: Side, other: Side) -> Result<Self, TermsError> {
        if one.chain == other.chain {
            return Err(TermsError::OneChain);
        }
        if let Some(side) = [&one, &other].into_iter().find(|side| side.tag.is_unset()) {
            return Err(TermsError::NoTag(side.chain));
        }
        if decimals > Self::DECIMALS_MAX {
            return Err(TermsError::Decimals { found: decimals.into() });
        }
        let sides = if one.chain < other.chain { [one, other] } else { [other, one] };
        Ok(Self { asset, decimals, sides })
    }

    /// What is counted.
    #[must_use]
    pub fn asset(&self) -> &Asset {
        &self.asset
    }

    /// Digits behind the point, for people: amounts are in the smallest unit.
    #[must_use]
    pub fn decimals(&self) -> u8 {
        self.decimals
    }

    /// Both sides, ascending by the chains' numbers.
    #[must_use]
    pub fn sides(&self) -> &[Side; 2] {
        &self.sides
    }

    /// The side of a chain; none if it is neither.
    #[must_use]
    pub fn side(&self, chain: ChainId) -> Option<&Side> {
        self.sides.iter().find(|side| side.chain == chain)
    }

    /// The side that is not this chain's; none if it is neither.
    #[must_use]
    pub fn other(&self, chain: ChainId) -> Option<&Side> {
        self.side(chain)?;
        self.sides.iter().find(|side| side.chain != chain)
    }

    /// What messages under these terms carry.
    #[must_use]
    pub fn hash(&self) -> TermsHash {
        TermsHash(Domain::Terms.hash(&self.bytes()))
    }
}

impl Document for Terms {
    const NAME: &'static str = "terms";
    const DOMAIN: Domain = Domain::Terms;
    const BYTES_MAX: usize = 512;

    fn bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.array(4).text(self.asset.as_str()).uint(self.decimals.into());
        for Side { chain, tag, backing } in &self.sides {
            out.array(3).text(&chain.to_string()).bytes(&tag.0).text(&backing.to_string());
        }
        out.finish()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CborError> {
        let mut input = Reader::new(bytes);
        if input.array("terms", 4)? != 4 {
            return Err(CborError { field: "terms", expected: "asset, decimals, two sides" });
        }
        let asset = read_asset(&mut input, "terms asset")?;
        let decimals = CborError { field: "terms decimals", expected: "0 to 77" };
        let decimals = u8::try_from(input.uint("terms decimals")?).map_err(|_| decimals)?;
        let (one, other) = (read_side(&mut input)?, read_side(&mut input)?);
        input.end("terms")?;
        let terms = Self::new(asset, decimals, one, other).map_err(|error| match error {
            TermsError::OneChain => CborError { field: "terms sides", expected: "two chains" },
            TermsError::NoTag(_) => CborError { field: "terms tag", expected: "a tag of a chain" },
            TermsError::Decimals { .. } => {
                CborError { field: "terms decimals", expected: "0 to 77" }
            }
        })?;
        if terms.bytes() == bytes { Ok(terms) } else { Err(not_canonical("terms")) }
    }
}

fn read_side(input: &mut Reader<'_>) -> Result<Side, CborError> {
    if input.array("terms side", 3)? != 3 {
        return Err(CborError { field: "terms side", expected: "chain, tag, backing" });
    }
    let chain = read_chain(input, "terms chain")?;
    let tag = GenesisTag(input.fixed("terms tag")?);
    let wrong = CborError {
        field: "terms backing",
        expected: "coin, ledger or erc20:<40 lower-case hex digits>",
    };
    let backing = input.text("terms backing", Backing::TEXT_MAX)?.parse().map_err(|_| wrong)?;
    Ok(Side { chain, tag, backing })
}

/// A chain-id in its one spelling.
pub(crate) fn read_chain(
    input: &mut Reader<'_>,
    field: &'static str,
) -> Result<ChainId, CborError> {
    let wrong = CborError { field, expected: "a chain-id in lower case" };
    input.text(field, ChainId::TEXT_MAX)?.parse().map_err(|_| wrong)
}

/// An asset's name.
pub(crate) fn read_asset(input: &mut Reader<'_>, field: &'static str) -> Result<Asset, CborError> {
    let wrong = CborError { field, expected: "<issuer chain-id>/<label>" };
    input.text(field, Asset::TEXT_MAX)?.parse().map_err(|_| wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeySet, SecretKey};

    fn side(chain: &str, backing: &str) -> Side {
        Side {
            chain: chain.parse().unwrap(),
            tag: GenesisTag([7; 8]),
            backing: backing.parse().unwrap(),
        }
    }

    fn terms() -> Terms {
        let asset = "e2e4/coin".parse().unwrap();
        Terms::new(asset, 18, side("e2e4", "coin"), side("b1c2", "ledger")).unwrap()
    }

    #[test]
    fn both_sides_write_the_same_bytes_whoever_is_named_first() {
        let asset = || "e2e4/coin".parse().unwrap();
        let (one, other) = (side("e2e4", "coin"), side("b1c2", "ledger"));
        let a = Terms::new(asset(), 18, one.clone(), other.clone()).unwrap();
        let b = Terms::new(asset(), 18, other.clone(), one.clone()).unwrap();
        assert_eq!((a.bytes(), a.hash()), (b.bytes(), b.hash()));
        assert_eq!(a.sides()[0].chain, other.chain, "ascending");
        assert_eq!((a.side(one.chain), a.other(one.chain)), (Some(&one), Some(&other)));
        assert_eq!(a.other("c0".parse().unwrap()), None);
        let more = Terms::new(asset(), 17, one, other).unwrap();
        assert_ne!(more.hash(), a.hash());
    }

    #[test]
    fn terms_that_cannot_be_are_refused() {
        let new = |decimals, one: Side, other: Side| {
            Terms::new("e2e4/coin".parse().unwrap(), decimals, one, other)
        };
        let (a, b) = (side("e2e4", "coin"), side("b1c2", "ledger"));
        assert_eq!(new(1, a.clone(), a.clone()), Err(TermsError::OneChain));
        let unset = Side { tag: GenesisTag::UNSET, ..b.clone() };
        assert_eq!(new(1, a.clone(), unset), Err(TermsError::NoTag(b.chain)));
        let found = TermsError::Decimals { found: 78 };
        assert_eq!(new(78, a.clone(), b.clone()), Err(found));
        assert!(new(77, a, b).is_ok());
    }

    #[test]
    fn a_backing_reads_back_as_itself_and_nothing_else_is_one() {
        let token = format!("erc20:{}", "5f".repeat(20));
        for text in ["coin", "ledger", &token] {
            assert_eq!(text.parse::<Backing>().unwrap().to_string(), text);
            assert!(text.len() <= Backing::TEXT_MAX);
        }
        let upper = token.to_uppercase();
        for wrong in ["", "Coin", "erc20:", "erc20:5f", "erc20:0x00", &upper, "coin ", &token[1..]]
        {
            let found = wrong.parse::<Backing>();
            assert_eq!(found, Err(BackingError(wrong.to_owned())), "{wrong}");
        }
    }

    #[test]
    fn each_side_signs_for_itself_and_for_nothing_else() {
        let (one, other) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
        let set = |key: &SecretKey| KeySet::new([key.public()], 1).unwrap();
        let by_one = terms().sign([&one]);
        assert!(by_one.is_by(&set(&one)) && !by_one.is_by(&set(&other)));
        let error = by_one.clone().verify(&set(&other)).unwrap_err();
        assert_eq!(error.to_string(), "terms is not signed by 1 distinct keys of its chain");
        let by_both = terms().sign([&one, &other]);
        assert!(by_both.is_by(&set(&one)) && by_both.is_by(&set(&other)));
        // A receipt's signature over the same bytes is no agreement.
        let elsewhere = one.sign(Domain::Receipt, &terms().bytes());
        let forged = Signed { document: terms(), signatures: vec![elsewhere] };
        assert!(!forged.is_by(&set(&one)));
        assert_eq!(SignedTerms::from_bytes(&by_both.to_bytes()), Ok(by_both));
    }
}
