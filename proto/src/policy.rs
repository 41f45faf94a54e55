//! What is let in: named checks in a fixed order, over a proven message.
//!
//! Nothing here asks anybody: what the checks go by is handed in as a [`Case`], and what others had
//! to be asked for (hooks, the local chain) comes with it as [`Failing`].

use crate::{
    account::{Account, Bucket, Shortage, Window},
    amount::Amount,
    chain::{ChainId, Family, GenesisTag},
    code::{Code, Reply},
    message::{Message, Value},
    policy::rules::Rules,
    stage::{Admitted, Proven, Refused},
    time::UnixSeconds,
    trust::TrustLevel,
};

pub mod rules;

#[cfg(test)]
mod tests;

/// The receiving chain, as messages name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own {
    /// Its id.
    pub chain: ChainId,
    /// Its genesis tag.
    pub tag: GenesisTag,
}

/// What the operator says of one account, beside the limits that the chain keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountSettings {
    /// Most that one message may carry; none: as much as the account has room for.
    pub message_value_max: Option<Amount>,
    /// Most that one message may carry on the word of the source chain's gateways alone; none: as
    /// much as any.
    pub attested_value_max: Option<Amount>,
}

/// What one source chain may use of this chain's gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GasBudget {
    /// How much over how long.
    pub window: Window,
    /// What is used of it.
    pub bucket: Bucket,
    /// What a delivery costs beside the recipient's call.
    pub delivery: u64,
}

impl GasBudget {
    /// What a message uses of it: the delivery, and what its call may use.
    #[must_use]
    pub fn cost(&self, message: &Message) -> Amount {
        Amount::from(message.fields().gas.saturating_add(self.delivery))
    }
}

/// The checks, in the order in which they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// It is for this chain.
    Destination,
    /// It has not expired.
    Expiry,
    /// It is for this genesis of the chain.
    Genesis,
    /// Its account is open, and under the terms it names.
    Account,
    /// Its chain's keys are believed at the level that value needs.
    Trust,
    /// It carries no more than one message may.
    MessageValue,
    /// The account has room for it, and nothing that was sent before it waits for room.
    Credit,
    /// The account's window has room for it.
    Window,
    /// Its chain has gas left here.
    Gas,
    /// Its chain's standing is high enough.
    Standing,
    /// The operator's rules.
    Rules,
    /// The operator's hook `accept`.
    AcceptHook,
    /// The operator's hook `before_deliver`.
    DeliverHook,
    /// What the local chain would do with it.
    Simulation,
}

impl Check {
    /// The word in logs, metrics and answers.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Destination => "destination",
            Self::Expiry => "expiry",
            Self::Genesis => "genesis",
            Self::Account => "account",
            Self::Trust => "trust",
            Self::MessageValue => "message_value_max",
            Self::Credit => "credit",
            Self::Window => "window",
            Self::Gas => "gas",
            Self::Standing => "standing",
            Self::Rules => "rules",
            Self::AcceptHook => "accept",
            Self::DeliverHook => "before_deliver",
            Self::Simulation => "simulation",
        }
    }

    /// Whether a message that fails it waits in its account's row, in the order in which it was
    /// sent, until room is made.
    #[must_use]
    pub fn waits_in_order(self) -> bool {
        matches!(self, Self::Credit | Self::Window)
    }
}

/// A check that a message failed, and what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// Which.
    pub check: Check,
    /// Why. Class 5 voids the message, class 4 makes it wait.
    pub reply: Reply,
}

/// What the checks go by.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    /// The receiving chain.
    pub own: Own,
    /// Its time.
    pub now: UnixSeconds,
    /// The family of the evidence that proved the message.
    pub family: Family,
    /// How the source chain's keys came to be believed.
    pub trust: TrustLevel,
    /// The account the message names; none if there is none, or it carries no value.
    pub account: Option<&'a Account>,
    /// Whether it was admitted before: its sum is set aside, and its delivery may be on its way.
    pub is_admitted: bool,
    /// Whether the account is suspended. Why is between its operator and the journal.
    pub is_suspended: bool,
    /// The number of the first message that waits for room in the account, this one left out.
    pub ahead: Option<u64>,
    /// What the operator says of the account.
    pub settings: &'a AccountSettings,
    /// What the source chain may use of this chain's gas; none where that costs nothing.
    pub gas: Option<GasBudget>,
    /// What the source chain's standing says.
    pub standing: Option<Reply>,
    /// The operator's rules.
    pub rules: &'a Rules,
    /// What others said who had to be asked: hooks, and the local chain.
    pub found: &'a [Failing],
}

/// What policy says of a proven message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Deliver it. What it carries has to be reserved in the same commit.
    Admitted(Admitted),
    /// Void it, then send a refusal.
    Refused(Refused),
    /// Not now, and why.
    Waits(Failing),
}

/// Puts a proven message through every check ([`failing`]). Each has its own reply.
pub fn admit(proven: Proven, case: &Case<'_>) -> Decision {
    match failing(proven.message(), case) {
        None => Decision::Admitted(Admitted::by_policy(proven)),
        Some(Failing { check, reply }) => match proven.refuse(reply.clone()) {
            Ok(refused) => Decision::Refused(refused),
            // A code that may not void only makes it wait.
            Err(_) => Decision::Waits(Failing { check, reply }),
        },
    }
}

/// The first check that a message fails, in the order of [`Check`]; none if it passes them all.
///
/// A judgement and no more: whoever only asks what would become of a message gets nothing that could
/// be delivered or voided. That takes a [`Proven`].
#[must_use]
pub fn failing(message: &Message, case: &Case<'_>) -> Option<Failing> {
    let fail = |check| move |reply| Failing { check, reply };
    destination(message, case.own)
        .map(fail(Check::Destination))
        .or_else(|| expiry(message, case.now).map(fail(Check::Expiry)))
        .or_else(|| genesis(message, case.own).map(fail(Check::Genesis)))
        .or_else(|| value_checks(message, case))
        .or_else(|| gas(message, case).map(fail(Check::Gas)))
        .or_else(|| case.standing.clone().map(fail(Check::Standing)))
        .or_else(|| case.rules.failing(message).map(fail(Check::Rules)))
        .or_else(|| case.found.iter().min_by_key(|found| found.check).cloned())
}

/// The checks that concern money; a message without value passes them.
fn value_checks(message: &Message, case: &Case<'_>) -> Option<Failing> {
    let value = message.fields().value.as_ref()?;
    let fail = |check| move |reply| Failing { check, reply };
    let account = match account(value, case) {
        Ok(account) => account,
        Err(reply) => return Some(Failing { check: Check::Account, reply }),
    };
    trust(case)
        .map(fail(Check::Trust))
        .or_else(|| message_value(value, case).map(fail(Check::MessageValue)))
        // What has its place keeps it: whoever comes late, or a limit that is lowered, moves nobody.
        .or_else(|| if case.is_admitted { None } else { room(message, value, account, case) })
}

fn destination(message: &Message, own: Own) -> Option<Reply> {
    let found = message.fields().destination;
    (found != own.chain)
        .then(|| Reply::new(Code::POLICY, format!("destination is {found}, this is {}", own.chain)))
}

fn expiry(message: &Message, now: UnixSeconds) -> Option<Reply> {
    let expires = message.fields().expires;
    (now > expires)
        .then(|| Reply::new(Code::EXPIRED, format!("expired at {} (Unix seconds)", expires.0)))
}

fn genesis(message: &Message, own: Own) -> Option<Reply> {
    let tag = message.fields().destination_tag;
    let passes = tag == own.tag || (tag.is_unset() && message.fields().value.is_none());
    (!passes).then(|| {
        let text = format!("destination_tag is {tag}, this chain's genesis tag is {}", own.tag);
        Reply::new(Code::POLICY, text)
    })
}

/// The account that a value names, if it is open under the terms that it names.
fn account<'a>(value: &Value, case: &Case<'a>) -> Result<&'a Account, Reply> {
    let no_account = |text| Err(Reply::new(Code::NO_ACCOUNT, text));
    let open = case.account.and_then(|account| Some((account, account.terms?)));
    let Some((account, terms)) = open else {
        return no_account(format!("no account in {} with this chain", value.asset));
    };
    match value.terms {
        Some(found) if found == terms => Ok(account),
        Some(found) => no_account(format!("terms are {found}, the account's are {terms}")),
        None => no_account(format!("no terms are named, the account's are {terms}")),
    }
}

/// Value needs more than an answer that nobody signed.
fn trust(case: &Case<'_>) -> Option<Reply> {
    let text = "the source chain's keys are not known at the level that value needs";
    (case.trust < TrustLevel::Dnssec).then(|| Reply::new(Code::NOT_NOW, text))
}

fn message_value(value: &Value, case: &Case<'_>) -> Option<Reply> {
    let AccountSettings { message_value_max, attested_value_max } = case.settings;
    let amount = value.amount;
    if let Some(max) = message_value_max.filter(|max| amount > *max) {
        let text = format!("amount {amount} is more than message_value_max {max}");
        return Some(Reply::new(Code::VALUE_MAX, text));
    }
    // An EVM header is believed because the chain's gateways say so; a ledger's because its
    // authorities made it.
    let is_attested = match case.family {
        Family::Attested | Family::Evm => true,
        Family::Ledger => false,
    };
    let max = attested_value_max.filter(|max| is_attested && amount > *max)?;
    let text = format!("amount {amount} is more than attested_value_max {max}");
    Some(Reply::new(Code::VALUE_MAX, text))
}

/// Whether the account takes it now. At a limit a message waits, and those after it wait behind it.
fn room(message: &Message, value: &Value, account: &Account, case: &Case<'_>) -> Option<Failing> {
    let credit = |text| {
        let reply = Reply::new(Code::SUSPENDED, text);
        Some(Failing { check: Check::Credit, reply })
    };
    if let Err(Shortage::Never { max }) = account.fits(value.amount, case.now) {
        let text = format!("amount {} is more than window_max {max}", value.amount);
        let reply = Reply::new(Code::VALUE_MAX, text);
        return Some(Failing { check: Check::Window, reply });
    }
    if case.is_suspended {
        return credit("the account is suspended by its operator, or for a doubt".into());
    }
    if let Some(first) = case.ahead.filter(|first| *first < message.fields().sequence) {
        return credit(format!("waits behind message {first} for room in the account"));
    }
    match account.fits(value.amount, case.now) {
        Ok(()) => None,
        Err(Shortage::Credit { room }) => {
            let missing = value.amount.saturating_sub(room);
            credit(format!(
                "amount {} is {missing} more than the account has room for: a deposit or traffic \
                 the other way frees it",
                value.amount
            ))
        }
        Err(short @ Shortage::Window { wait_seconds, .. }) => {
            let seconds = u32::try_from(wait_seconds).unwrap_or(u32::MAX);
            let reply = Reply::new(Code::SUSPENDED, short.to_string()).retry_after(seconds);
            Some(Failing { check: Check::Window, reply })
        }
        Err(Shortage::Never { .. }) => None,
    }
}

/// Whether its chain has gas left. A message that could never have enough is refused.
fn gas(message: &Message, case: &Case<'_>) -> Option<Reply> {
    let budget = case.gas?;
    let cost = budget.cost(message);
    match budget.bucket.fits(budget.window, Amount::ZERO, cost, case.now) {
        Ok(()) | Err(Shortage::Credit { .. }) => None,
        Err(Shortage::Never { max }) => {
            let text = format!("gas {cost} is more than this chain gives its source, {max}");
            Some(Reply::new(Code::TOO_BIG, text))
        }
        Err(Shortage::Window { room, wait_seconds }) => {
            let seconds = u32::try_from(wait_seconds).unwrap_or(u32::MAX);
            let text = format!("gas {cost} is more than the {room} that its chain has left now");
            Some(Reply::new(Code::GAS_BUDGET, text).retry_after(seconds))
        }
    }
}
