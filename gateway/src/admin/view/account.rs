//! Accounts as commands show and change them. Sums are decimal texts in the asset's smallest unit,
//! so that nobody reads them as floats.

use serde::{Deserialize, Serialize};

/// Every account that anything is known of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountsView {
    /// By chain and asset.
    pub accounts: Vec<AccountLine>,
}

/// How an account stands, in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountLine {
    /// The peer.
    pub chain: String,
    /// What it counts in.
    pub asset: String,
    /// How it stands.
    pub state: AccountState,
    /// The hash of the terms it is open under; null while it is not.
    pub terms: Option<String>,
    /// What may arrive beyond what has left and what the peer has deposited.
    pub credit_limit: String,
    /// Most that may arrive within the window; null without one.
    pub window_max: Option<String>,
    /// How long a used-up window takes to be free again, in seconds; null without one.
    pub window_seconds: Option<u64>,
    /// What the peer has deposited here.
    pub reserve: String,
    /// Delivered here.
    pub received: String,
    /// Delivered there.
    pub sent: String,
    /// Proven here and not ended.
    pub pending_in: String,
    /// Left here and not ended.
    pub pending_out: String,
    /// What may arrive before the credit limit stops it.
    pub room: String,
    /// How much of reserve and credit limit is used, in percent.
    pub used_percent: u8,
    /// Messages that wait for room, as far as one look sees.
    pub waiting: usize,
    /// The reserve that was asked of the peer; null if none is.
    pub request_sent: Option<RequestView>,
    /// The reserve that the peer asks for; null if it asks for none.
    pub request_received: Option<RequestView>,
}

/// How an account stands: the first that is true, from above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountState {
    /// A person or a doubt about its books stopped it: value waits.
    Suspended,
    /// Messages wait for room in it.
    Exhausted,
    /// It is used up as far as the operator's `strained_at`.
    Strained,
    /// Value passes.
    Open,
    /// Both sides have signed; the chain has yet to be told.
    Agreed,
    /// The peer has signed terms, this side has not.
    Proposed,
    /// This side has signed terms, the peer has not signed the same.
    Awaiting,
    /// No value passes.
    Closed,
}

impl AccountState {
    /// The word in tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Suspended => "suspended",
            Self::Exhausted => "exhausted",
            Self::Strained => "strained",
            Self::Open => "open",
            Self::Agreed => "agreed",
            Self::Proposed => "proposed",
            Self::Awaiting => "awaiting",
            Self::Closed => "closed",
        }
    }
}

/// A request for reserve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestView {
    /// How much is to be added.
    pub wanted: String,
    /// Until when, in Unix seconds.
    pub by: u64,
    /// Why, in its maker's words.
    pub reason: String,
    /// When it was made or came, in Unix milliseconds.
    pub at_ms: u64,
    /// Of one that was sent: how far it is on its way.
    pub sending: Option<SendingView>,
}

/// How far a paper is on its way to the peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendingView {
    /// When the peer took it, in Unix milliseconds; null if it has not.
    pub taken_ms: Option<u64>,
    /// How often it was sent in vain.
    pub attempts: u32,
    /// What the peer, or the connection to it, said last.
    pub reply: Option<String>,
}

/// Everything about one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDetail {
    /// As in a list.
    #[serde(flatten)]
    pub line: AccountLine,
    /// Money here that is the peer's.
    pub cover: String,
    /// What the peer owes here.
    pub owed: String,
    /// Why it was stopped, by whom and when; null if it was not.
    pub suspension: Option<SuspensionView>,
    /// What this side signed.
    pub own_terms: Option<TermsView>,
    /// What the peer signed.
    pub peer_terms: Option<TermsView>,
    /// The hash of what both signed last.
    pub agreed: Option<String>,
    /// What the configuration says of it.
    pub settings: SettingsView,
    /// The newest statement that went to the peer.
    pub statement_sent: Option<StatementView>,
    /// The newest statement that came from the peer.
    pub statement_received: Option<StatementView>,
    /// How many entries the journal has.
    pub entries: u64,
    /// Its newest entries, the newest last.
    pub journal: Vec<EntryView>,
}

/// Why an account was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspensionView {
    /// Why.
    pub why: String,
    /// By whom.
    pub by: String,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
}

/// Terms that somebody signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermsView {
    /// Their hash.
    pub hash: String,
    /// Digits behind the point, for people.
    pub decimals: u8,
    /// Both chains: what the asset is there.
    pub sides: Vec<SideView>,
    /// When they were signed here or came, in Unix milliseconds.
    pub at_ms: u64,
    /// Of the own ones: how far they are on their way.
    pub sending: Option<SendingView>,
}

/// One chain of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideView {
    /// The chain.
    pub chain: String,
    /// Its genesis tag.
    pub genesis: String,
    /// `coin`, `ledger` or `erc20:…`.
    pub backing: String,
}

/// What the configuration says of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsView {
    /// Most that one message may carry.
    pub message_value_max: Option<String>,
    /// The same on signatures alone.
    pub attested_value_max: Option<String>,
    /// From so many percent on it is strained.
    pub strained_at: u8,
    /// From this sum owed on the operator is told to settle.
    pub settle_threshold: Option<String>,
    /// Where the peer is to pay.
    pub settle_to: Option<String>,
    /// So far a statement may differ.
    pub mismatch_max: String,
}

/// What one side says it delivered, up to a block of its chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementView {
    /// The block of its maker's chain.
    pub height: u64,
    /// Messages with value delivered.
    pub count: u64,
    /// What they carried together.
    pub received: String,
    /// What the other side has deposited at its maker.
    pub reserve: String,
    /// When it was made or came, in Unix milliseconds.
    pub at_ms: u64,
    /// Of one that came: how it compares with the own books.
    pub comparison: Option<String>,
    /// Of one that was sent: how far it is on its way.
    pub sending: Option<SendingView>,
}

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryView {
    /// Its number, from 1.
    pub number: u64,
    /// When it was written, in Unix milliseconds.
    pub at_ms: u64,
    /// What it does: `deposit`, `reserve`, `commit`, …
    pub act: String,
    /// The sum it moves; null if it moves none.
    pub amount: Option<String>,
    /// The message it is about.
    pub message: Option<String>,
    /// The block of the own chain that made it; null for what the gateway decided itself.
    pub height: Option<u64>,
    /// Who did it; empty where the protocol did.
    pub by: String,
    /// Why; empty where the act says it all.
    pub why: String,
}

/// The body of a call that opens an account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OpenAsked {
    /// Why it is done.
    pub reason: String,
    /// The hash of terms that the peer has signed: agree with these.
    pub terms: Option<String>,
    /// What the asset is here.
    pub backing: Option<String>,
    /// What it is there.
    pub peer_backing: Option<String>,
    /// Digits behind the point.
    pub decimals: Option<u8>,
    /// How far the peer is trusted.
    pub limits: LimitsAsked,
}

/// Limits as they are to be; what is not named stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsAsked {
    /// What may arrive beyond what has left and what the peer has deposited.
    pub credit_limit: Option<String>,
    /// Most that may arrive within the window.
    pub window_max: Option<String>,
    /// The window's length; 0: no window.
    pub window_seconds: Option<u64>,
}

/// The body of a call that changes an account's limits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitAsked {
    /// Why it is done.
    pub reason: String,
    /// The limits.
    pub limits: LimitsAsked,
}

/// The body of a call that notes a settlement.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SettleAsked {
    /// Why it is done: it goes onto the chain with the settlement.
    pub reason: String,
    /// What the peer has paid elsewhere: its reserve here grows.
    pub add: Option<String>,
    /// What it was paid elsewhere, or is paid now: its reserve here shrinks.
    pub take: Option<String>,
    /// Who is paid what is taken, on the own chain; without it, it becomes the community's float.
    pub to: Option<String>,
}

/// What a call did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoneView {
    /// The peer.
    pub chain: String,
    /// What the account counts in.
    pub asset: String,
    /// How the account stands with that.
    pub state: AccountState,
    /// The terms it is about.
    pub terms: Option<String>,
    /// What the asset is on the own chain, of an account that is to be opened.
    pub backing: Option<String>,
    /// The limits that were asked of the chain.
    pub limits: Option<LimitsAsked>,
    /// The transaction on the own chain, in hex; null where nothing went there.
    pub transaction: Option<String>,
    /// What else there is to know, and to do.
    pub note: Option<String>,
}
