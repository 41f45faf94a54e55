//! What the ledger itself checks of a message from elsewhere, whatever the gateway checked before.
//!
//! The order of checks: guard, destination, expiry, genesis, value, recipient, float. The guard
//! comes first: an ended message has ended, whatever else is wrong with it. Value and float may say
//! that a message has to wait; what will never pass is refused all the same, and does not wait for
//! credit first.

use distpos_proto::{
    account::{Account, Shortage, Step},
    address::Local,
    chain::{ChainId, GenesisTag},
    code::{Code, Reply},
    message::{Message, Value},
    time::UnixSeconds,
};

use super::{
    LedgerError, address,
    credit::{self, StepError, Vault, stepped},
    state::{AccountRow, Guard, Peer, Totals, load},
    store::Rows,
};
use crate::chain::Simulation;

/// The chain on which a message is judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own {
    pub(super) chain: ChainId,
    pub(super) tag: GenesisTag,
}

/// What would become of `message` in a block of time `time`.
pub(super) fn judge(
    rows: &dyn Rows,
    own: Own,
    message: &Message,
    time: UnixSeconds,
) -> Result<Simulation, LedgerError> {
    if load::<Guard>(rows, &message.id())?.is_some() {
        return Ok(Simulation::Ended);
    }
    let peer = load::<Peer>(rows, &message.fields().source)?;
    let refused = destination(message, own)
        .or_else(|| expiry(message, time))
        .or_else(|| genesis(message, own, peer.as_ref()));
    if let Some(reply) = refused {
        return Ok(Simulation::Refused(reply));
    }
    let account = account_of(rows, message)?;
    let replies = [
        value(message, account.as_ref(), time),
        recipient(rows, message)?,
        float(rows, message, account.as_ref(), time)?,
    ];
    Ok(verdict(replies.into_iter().flatten().collect()))
}

/// The first lasting refusal, else the first that passes.
fn verdict(replies: Vec<Reply>) -> Simulation {
    let lasting = replies.iter().position(|reply| !reply.code.is_temporary());
    match (lasting, replies.into_iter().nth(lasting.unwrap_or(0))) {
        (_, None) => Simulation::Passes,
        (Some(_), Some(reply)) => Simulation::Refused(reply),
        (None, Some(reply)) => Simulation::Deferred(reply),
    }
}

fn destination(message: &Message, own: Own) -> Option<Reply> {
    let found = message.fields().destination;
    let text = || format!("destination is {found}, this is {}", own.chain);
    (found != own.chain).then(|| Reply::new(Code::POLICY, text()))
}

fn expiry(message: &Message, time: UnixSeconds) -> Option<Reply> {
    let expires = message.fields().expires;
    let text = || format!("expired at {}, the block's time is {}", expires.0, time.0);
    (time > expires).then(|| Reply::new(Code::EXPIRED, text()))
}

/// Both chains must be the ones that were meant: value never moves on an unset tag.
fn genesis(message: &Message, own: Own, peer: Option<&Peer>) -> Option<Reply> {
    let fields = message.fields();
    let tag = fields.destination_tag;
    if tag != own.tag && !(tag.is_unset() && fields.value.is_none()) {
        let text = format!("destination_tag is {tag}, this chain's genesis tag is {}", own.tag);
        return Some(Reply::new(Code::POLICY, text));
    }
    let registered = peer.map(|peer| peer.tag).filter(|tag| !tag.is_unset())?;
    let text = || format!("source_tag is {}, registered is {registered}", fields.source_tag);
    (fields.source_tag != registered).then(|| Reply::new(Code::POLICY, text()))
}

/// The account that a message's value is counted in; none without value.
fn account_of(rows: &dyn Rows, message: &Message) -> Result<Option<Account>, LedgerError> {
    let Some(value) = &message.fields().value else { return Ok(None) };
    credit::account(rows, message.fields().source, &value.asset)
}

/// Value arrives under the terms that both sides signed, and as far as the account allows.
fn value(message: &Message, account: Option<&Account>, time: UnixSeconds) -> Option<Reply> {
    let Value { asset, amount, terms } = message.fields().value.as_ref()?;
    let Some((account, agreed)) = account.and_then(|account| Some((account, account.terms?)))
    else {
        let text = format!("no account with the source chain in {asset}");
        return Some(Reply::new(Code::NO_ACCOUNT, text));
    };
    if *terms != Some(agreed) {
        return Some(Reply::new(Code::NO_ACCOUNT, "other terms than the account's"));
    }
    if amount.to_u128().is_none() {
        return Some(Reply::new(Code::VALUE_MAX, "amount is more than is counted here"));
    }
    let shortage = account.fits(*amount, time).err()?;
    let text = shortage.to_string();
    Some(match shortage {
        Shortage::Never { .. } => Reply::new(Code::VALUE_MAX, text),
        Shortage::Credit { .. } => Reply::new(Code::SUSPENDED, text),
        Shortage::Window { wait_seconds, .. } => {
            let wait = u32::try_from(wait_seconds).unwrap_or(u32::MAX);
            Reply::new(Code::SUSPENDED, text).retry_after(wait)
        }
    })
}

fn recipient(rows: &dyn Rows, message: &Message) -> Result<Option<Reply>, LedgerError> {
    let key = match address::public_key(&message.fields().recipient) {
        Ok(key) => key,
        Err(reply) => return Ok(Some(reply)),
    };
    Ok(match load::<AccountRow>(rows, &key)? {
        Some(_) => None,
        None => Some(not_open(&message.fields().recipient)),
    })
}

/// The recipient's account does not exist.
pub(super) fn not_open(local: &Local) -> Reply {
    Reply::new(Code::UNKNOWN_RECIPIENT, format!("account {local} is not open"))
}

/// Open escrow belongs to its senders, and what other peers have here to them: deliveries are paid
/// from the account's own cover and the float.
fn float(
    rows: &dyn Rows,
    message: &Message,
    account: Option<&Account>,
    time: UnixSeconds,
) -> Result<Option<Reply>, LedgerError> {
    let (amount, account) = (message.amount(), account.filter(|account| account.terms.is_some()));
    let (Some(account), Some(paid)) = (account, amount.to_u128()) else { return Ok(None) };
    let step = Step::Commit { amount, reserved: false };
    match stepped(account, &totals(rows)?, &step, Vault::Out(paid), time) {
        Ok(_) => Ok(None),
        Err(short @ StepError::Short { .. }) => {
            Ok(Some(Reply::new(Code::SUSPENDED, short.to_string())))
        }
        Err(other) => Err(other.damage()),
    }
}

/// The two pots; every ledger has them from genesis.
pub(super) fn totals(rows: &dyn Rows) -> Result<Totals, LedgerError> {
    let missing = || LedgerError::Corrupt { row: "totals row", what: "missing".into() };
    load(rows, &())?.ok_or_else(missing)
}
