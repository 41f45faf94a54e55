//! What the calls take and answer, as JSON.

use serde::{Deserialize, Serialize};

mod account;

pub use account::{
    AccountDetail, AccountLine, AccountState, AccountsView, DoneView, EntryView, LimitAsked,
    LimitsAsked, OpenAsked, RequestView, SendingView, SettingsView, SettleAsked, SideView,
    StatementView, SuspensionView, TermsView,
};

/// The body of a call that needs nothing but a reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reasoned {
    /// Why it is done.
    #[serde(default)]
    pub reason: String,
}

/// Which gateway this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayView {
    /// The program's version.
    pub version: String,
    /// The own chain.
    pub chain: String,
    /// Its genesis tag.
    pub tag: String,
    /// Its family.
    pub family: String,
    /// The gateway's process.
    pub pid: u32,
    /// The chain keys it signs with now.
    #[serde(default)]
    pub keys: Vec<String>,
    /// Chains that are not believed any more.
    pub frozen: Vec<FrozenView>,
}

/// A chain that contradicted itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrozenView {
    /// The chain.
    pub chain: String,
    /// What it was frozen for.
    pub evidence: String,
}

/// A chain of which nothing is kept any more that DNS has told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgottenView {
    /// The chain.
    pub chain: String,
    /// Whether anything was kept.
    pub was_there: bool,
}

/// A chain that is believed again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThawedView {
    /// The chain.
    pub chain: String,
    /// What it was frozen for.
    pub evidence: String,
}
