//! What one side of an account says of it: its books up to a block, and that it wants more reserve.
//!
//! A statement is cumulative up to a height of its maker's chain, never per calendar day: a
//! `delivered` receipt carries that height, so the other side can sum exactly the same messages in
//! its own books, whenever it reads the statement.

use crate::{
    account::Account,
    amount::Amount,
    cbor::{CborError, Reader, Writer},
    chain::{ChainId, Height},
    key::Domain,
    message::{Asset, TermsHash},
    signed::{Document, Signed, not_canonical},
    terms::{read_asset, read_chain},
    time::UnixSeconds,
};

/// "In my final blocks up to `height` I delivered from `peer`, in `asset`, `count` messages of
/// together `received`; you keep `reserve` here."
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The chain that says so, and signs.
    pub maker: ChainId,
    /// The other side of the account.
    pub peer: ChainId,
    /// What is counted.
    pub asset: Asset,
    /// The account's terms now; none once it is closed. The sums are those of all its time.
    pub terms: Option<TermsHash>,
    /// The maker's final block up to which is counted, it included.
    pub height: Height,
    /// Messages with value delivered from the peer.
    pub count: u64,
    /// What they carried together.
    pub received: Amount,
    /// What the peer has deposited at the maker.
    pub reserve: Amount,
    /// When it was made, by the maker's clock: for people.
    pub time: UnixSeconds,
}

/// A statement and its maker's signatures.
pub type SignedStatement = Signed<Statement>;

impl Document for Statement {
    const NAME: &'static str = "statement";
    const DOMAIN: Domain = Domain::Statement;
    const BYTES_MAX: usize = 512;

    fn bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.array(9).text(&self.maker.to_string()).text(&self.peer.to_string());
        out.text(self.asset.as_str());
        out.bytes(self.terms.as_ref().map_or(&[], |terms| terms.0.as_slice()));
        out.uint(self.height.0).uint(self.count);
        out.bytes(&self.received.to_minimal_bytes()).bytes(&self.reserve.to_minimal_bytes());
        out.uint(self.time.0);
        out.finish()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CborError> {
        let mut input = Reader::new(bytes);
        if input.array("statement", 9)? != 9 {
            return Err(CborError { field: "statement", expected: "its 9 fields" });
        }
        let maker = read_chain(&mut input, "statement maker")?;
        let peer = read_chain(&mut input, "statement peer")?;
        if maker == peer {
            return Err(CborError { field: "statement peer", expected: "another chain" });
        }
        let asset = read_asset(&mut input, "statement asset")?;
        let terms = match input.bytes("statement terms", 32)? {
            [] => None,
            bytes => Some(read_terms(bytes, "statement terms")?),
        };
        let height = Height(input.uint("statement height")?);
        let count = input.uint("statement count")?;
        let received = read_amount(&mut input, "statement received")?;
        let reserve = read_amount(&mut input, "statement reserve")?;
        let time = UnixSeconds(input.uint("statement time")?);
        input.end("statement")?;
        let statement = Self { maker, peer, asset, terms, height, count, received, reserve, time };
        if statement.bytes() == bytes { Ok(statement) } else { Err(not_canonical("statement")) }
    }
}

/// "Add `wanted` to what you keep here, by then, or value messages may have to wait."
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReserveRequest {
    /// The chain that asks, and signs.
    pub maker: ChainId,
    /// The other side of the account.
    pub peer: ChainId,
    /// What is counted.
    pub asset: Asset,
    /// The account's terms.
    pub terms: TermsHash,
    /// What is to be added; zero withdraws what was asked for before.
    pub wanted: Amount,
    /// Until when.
    pub by: UnixSeconds,
    /// When it was made: a later one replaces it.
    pub time: UnixSeconds,
    /// Why, for people; at most [`ReserveRequest::REASON_BYTES_MAX`].
    pub reason: String,
}

/// A request for reserve and its maker's signatures.
pub type SignedReserveRequest = Signed<ReserveRequest>;

impl ReserveRequest {
    /// Longest reason, in bytes.
    pub const REASON_BYTES_MAX: usize = 200;

    /// Whether it withdraws what was asked for before.
    #[must_use]
    pub fn is_withdrawal(&self) -> bool {
        self.wanted.is_zero()
    }
}

impl Document for ReserveRequest {
    const NAME: &'static str = "reserve request";
    const DOMAIN: Domain = Domain::ReserveRequest;
    const BYTES_MAX: usize = 512;

    fn bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.array(8).text(&self.maker.to_string()).text(&self.peer.to_string());
        out.text(self.asset.as_str()).bytes(&self.terms.0);
        out.bytes(&self.wanted.to_minimal_bytes()).uint(self.by.0).uint(self.time.0);
        out.text(&self.reason);
        out.finish()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CborError> {
        let mut input = Reader::new(bytes);
        if input.array("reserve request", 8)? != 8 {
            return Err(CborError { field: "reserve request", expected: "its 8 fields" });
        }
        let maker = read_chain(&mut input, "reserve request maker")?;
        let peer = read_chain(&mut input, "reserve request peer")?;
        if maker == peer {
            return Err(CborError { field: "reserve request peer", expected: "another chain" });
        }
        let asset = read_asset(&mut input, "reserve request asset")?;
        let terms = input.bytes("reserve request terms", 32)?;
        let terms = read_terms(terms, "reserve request terms")?;
        let wanted = read_amount(&mut input, "reserve request wanted")?;
        let by = UnixSeconds(input.uint("reserve request by")?);
        let time = UnixSeconds(input.uint("reserve request time")?);
        let reason = input.text("reserve request reason", Self::REASON_BYTES_MAX)?.to_owned();
        input.end("reserve request")?;
        let request = Self { maker, peer, asset, terms, wanted, by, time, reason };
        if request.bytes() == bytes { Ok(request) } else { Err(not_canonical("reserve request")) }
    }
}

/// Messages that this side sent to the statement's maker and closed on receipts of heights up to
/// the statement's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Closed {
    /// How many.
    pub count: u64,
    /// What they carried together.
    pub sum: Amount,
}

/// Messages that this side sent to the statement's maker and whose place before or after its height
/// is not known here: their receipts are on the way, or were another gateway's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Open {
    /// How many.
    pub count: u64,
    /// What they carry together.
    pub sum: Amount,
}

/// What comes of holding a statement against the own books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Comparison {
    /// Both books say the same.
    Matches,
    /// Receipts are on the way that may explain the rest.
    Awaits {
        /// How many messages more the peer says it delivered.
        count: u64,
        /// What they carried together.
        amount: Amount,
    },
    /// No receipt on the way can explain it: somebody has to look.
    Differs {
        /// What the statement says was delivered.
        theirs: Closed,
        /// What is closed here.
        ours: Closed,
    },
}

impl Comparison {
    /// The word in logs, commands and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Matches => "matches",
            Self::Awaits { .. } => "awaits",
            Self::Differs { .. } => "differs",
        }
    }
}

/// Holds a statement against what this side knows of the same messages.
pub fn compare(statement: &Statement, ours: Closed, open: Open) -> Comparison {
    let theirs = Closed { count: statement.count, sum: statement.received };
    if theirs == ours {
        return Comparison::Matches;
    }
    let lacking = || {
        let lacking = Open {
            count: theirs.count.checked_sub(ours.count)?,
            sum: theirs.sum.checked_sub(ours.sum)?,
        };
        let left = Open {
            count: open.count.checked_sub(lacking.count)?,
            sum: open.sum.checked_sub(lacking.sum)?,
        };
        (is_possible(lacking) && is_possible(left)).then_some(lacking)
    };
    match lacking() {
        Some(Open { count, sum: amount }) => Comparison::Awaits { count, amount },
        None => Comparison::Differs { theirs, ours },
    }
}

/// Whether so many messages can carry so much: each carries at least one unit.
fn is_possible(open: Open) -> bool {
    match open.count {
        0 => open.sum.is_zero(),
        count => open.sum >= Amount::from(count),
    }
}

/// What a peer is asked to add to its reserve: so much that what is owed and what `waiting` messages
/// carry uses half of limit and reserve.
#[must_use]
pub fn reserve_wanted(account: &Account, waiting: Amount) -> Amount {
    let wanted = account.owed().saturating_add(waiting);
    let bound = account.limits.credit_limit.saturating_add(account.figures.reserve);
    wanted.saturating_add(wanted).saturating_sub(bound)
}

fn read_terms(bytes: &[u8], field: &'static str) -> Result<TermsHash, CborError> {
    let wrong = CborError { field, expected: "the 32 bytes of a hash" };
    bytes.try_into().map(TermsHash).map_err(|_| wrong)
}

fn read_amount(input: &mut Reader<'_>, field: &'static str) -> Result<Amount, CborError> {
    let wrong = CborError { field, expected: "the shortest big-endian form" };
    Amount::from_minimal_bytes(input.bytes(field, 32)?).map_err(|_| wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(count: u64, received: u64) -> Statement {
        Statement {
            maker: "b1c2".parse().unwrap(),
            peer: "e2e4".parse().unwrap(),
            asset: "e2e4/coin".parse().unwrap(),
            terms: Some(TermsHash([7; 32])),
            height: Height(900),
            count,
            received: Amount::from(received),
            reserve: Amount::ZERO,
            time: UnixSeconds(1_795_651_200),
        }
    }

    fn held(theirs: (u64, u64), ours: (u64, u64), open: (u64, u64)) -> Comparison {
        let ours = Closed { count: ours.0, sum: Amount::from(ours.1) };
        let open = Open { count: open.0, sum: Amount::from(open.1) };
        compare(&statement(theirs.0, theirs.1), ours, open)
    }

    #[test]
    fn the_same_books_match_whatever_is_on_the_way() {
        assert_eq!(held((0, 0), (0, 0), (0, 0)), Comparison::Matches);
        assert_eq!(held((3, 90), (3, 90), (0, 0)), Comparison::Matches);
        assert_eq!(held((3, 90), (3, 90), (5, 500)), Comparison::Matches);
    }

    #[test]
    fn receipts_on_the_way_explain_what_is_lacking() {
        let awaits = |count, amount: u64| Comparison::Awaits { count, amount: amount.into() };
        assert_eq!(held((3, 90), (2, 60), (1, 30)), awaits(1, 30));
        assert_eq!(held((3, 90), (0, 0), (5, 500)), awaits(3, 90));
        assert_eq!(held((3, 90), (2, 60), (2, 31)), awaits(1, 30), "the other carries 1");
    }

    #[test]
    fn what_no_receipt_can_explain_differs() {
        for (theirs, ours, open, why) in [
            ((3, 90), (2, 60), (0, 0), "nothing is on the way"),
            ((3, 90), (2, 60), (1, 29), "what is on the way carries less"),
            ((3, 90), (2, 60), (1, 31), "the only message on the way carries more"),
            ((4, 90), (2, 60), (1, 30), "fewer messages are on the way"),
            ((3, 90), (2, 60), (2, 30), "the other one would carry nothing"),
            ((3, 90), (4, 90), (9, 90), "more messages are closed here"),
            ((3, 90), (3, 91), (9, 90), "more is closed here"),
            ((2, 90), (3, 80), (9, 90), "fewer messages and more money"),
            ((3, 90), (3, 80), (9, 90), "money without a message"),
            ((4, 90), (3, 90), (9, 90), "a message without money"),
        ] {
            let found = held(theirs, ours, open);
            assert!(matches!(found, Comparison::Differs { .. }), "{why}: {found:?}");
        }
        let theirs = Closed { count: 3, sum: Amount::from(90_u64) };
        let ours = Closed { count: 4, sum: Amount::from(90_u64) };
        assert_eq!(held((3, 90), (4, 90), (0, 0)), Comparison::Differs { theirs, ours });
    }

    #[test]
    fn the_longest_statement_and_request_keep_their_limits() {
        let long: ChainId = "f".repeat(32).parse().unwrap();
        let asset: Asset = format!("{long}/{}", "a".repeat(32)).parse().unwrap();
        let (most, peer) = (Amount::MAX, "e".repeat(32).parse().unwrap());
        let terms = TermsHash([9; 32]);
        let statement = Statement {
            maker: long,
            peer,
            asset: asset.clone(),
            terms: Some(terms),
            height: Height(u64::MAX),
            count: u64::MAX,
            received: most,
            reserve: most,
            time: UnixSeconds(u64::MAX),
        };
        assert!(statement.bytes().len() <= Statement::BYTES_MAX);
        assert_eq!(Statement::from_bytes(&statement.bytes()), Ok(statement));
        let request = ReserveRequest {
            maker: long,
            peer,
            asset,
            terms,
            wanted: most,
            by: UnixSeconds(u64::MAX),
            time: UnixSeconds(u64::MAX),
            reason: "r".repeat(ReserveRequest::REASON_BYTES_MAX),
        };
        assert!(request.bytes().len() <= ReserveRequest::BYTES_MAX);
        assert_eq!(ReserveRequest::from_bytes(&request.bytes()), Ok(request));
    }
}
