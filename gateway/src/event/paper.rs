//! What happened to papers of accounts ([`crate::correspondence`]).

use std::fmt;

use distpos_proto::{
    amount::Amount,
    chain::{ChainId, Height},
    message::{Asset, TermsHash},
    statement::Comparison,
    time::UnixSeconds,
};

/// A paper of an account that came, was made, or was compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paper {
    /// The peer.
    pub chain: ChainId,
    /// The account's asset.
    pub asset: Asset,
    /// What happened.
    pub what: What,
}

/// What happened to a paper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The peer signed terms that are others than those it signed before.
    TermsCame {
        /// Their hash.
        terms: TermsHash,
        /// What is signed here; none yet.
        signed_here: Option<TermsHash>,
    },
    /// Both sides signed the same terms: an account may be opened under them.
    TermsAgreed(TermsHash),
    /// A statement of the peer was held against the books here, with another result than the last.
    StatementHeld {
        /// The peer's block up to which it counts.
        height: Height,
        /// The result.
        comparison: Comparison,
    },
    /// The account is near its limit: the peer is asked for more reserve.
    Strained {
        /// What is to be added.
        wanted: Amount,
        /// Until when.
        by: UnixSeconds,
        /// Why.
        reason: String,
    },
    /// It is not near its limit any more.
    Relieved,
    /// The peer asks this side for more reserve there.
    ReserveAsked {
        /// What is to be added.
        wanted: Amount,
        /// Until when.
        by: UnixSeconds,
        /// Why, in the peer's words.
        reason: String,
    },
    /// The peer does not need any more what it asked for.
    ReserveWithdrawn,
}

impl Paper {
    /// Whether the operator should look.
    #[must_use]
    pub fn is_alarming(&self) -> bool {
        match &self.what {
            What::Strained { .. } | What::ReserveAsked { .. } => true,
            What::StatementHeld { comparison, .. } => {
                matches!(comparison, Comparison::Differs { .. })
            }
            What::TermsCame { .. }
            | What::TermsAgreed(_)
            | What::Relieved
            | What::ReserveWithdrawn => false,
        }
    }
}

impl fmt::Display for Paper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chain, asset, what } = self;
        let account = format_args!("chain={chain} asset={asset}");
        match what {
            What::TermsCame { terms, signed_here: Some(here) } => {
                write!(f, "terms-came {account} terms={terms} here={here}")
            }
            What::TermsCame { terms, signed_here: None } => {
                write!(f, "terms-came {account} terms={terms} here=unsigned")
            }
            What::TermsAgreed(terms) => write!(f, "terms-agreed {account} terms={terms}"),
            What::StatementHeld { height, comparison } => {
                write!(f, "statement {account} block={height} {}", Compared(*comparison))
            }
            What::Strained { wanted, by, reason } => {
                write!(f, "strained {account} wanted={wanted} by={} {reason:?}", by.0)
            }
            What::ReserveWithdrawn => write!(f, "reserve-withdrawn {account}"),
            What::Relieved => write!(f, "relieved {account}"),
            What::ReserveAsked { wanted, by, reason } => {
                write!(f, "reserve-asked {account} wanted={wanted} by={} {reason:?}", by.0)
            }
        }
    }
}

struct Compared(Comparison);

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.word())?;
        match self.0 {
            Comparison::Matches => Ok(()),
            Comparison::Awaits { count, amount } => {
                write!(f, " messages={count} amount={amount}")
            }
            Comparison::Differs { theirs, ours } => {
                write!(f, " theirs={}/{}", theirs.count, theirs.sum)?;
                write!(f, " ours={}/{}", ours.count, ours.sum)
            }
        }
    }
}
