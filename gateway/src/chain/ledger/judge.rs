//! What the ledger itself checks of a message from elsewhere, whatever the gateway checked before.
//!
//! The order of checks: guard, destination, expiry, genesis, value, recipient, vault. The guard
//! comes first: an ended message has ended, whatever else is wrong with it.

use distpos_proto::{
    address::Local,
    chain::{ChainId, GenesisTag},
    code::{Code, Reply},
    message::{Asset, Message, Value},
    policy::Book,
    time::UnixSeconds,
};

use super::{
    LedgerError, address,
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
    if let Some(reply) = value(rows, message, peer.as_ref())? {
        return Ok(Simulation::Refused(reply));
    }
    if let Some(reply) = recipient(rows, message)? {
        return Ok(Simulation::Refused(reply));
    }
    match vault(rows, message)? {
        Some(reply) => Ok(Simulation::Deferred(reply)),
        None => Ok(Simulation::Passes),
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

fn value(
    rows: &dyn Rows,
    message: &Message,
    peer: Option<&Peer>,
) -> Result<Option<Reply>, LedgerError> {
    let Some(Value { asset, amount, terms }) = &message.fields().value else { return Ok(None) };
    if terms.is_some() {
        return Ok(Some(Reply::new(Code::NO_ACCOUNT, "no account under these terms")));
    }
    let Some(peer) = peer else {
        let text = "no value is accepted from this chain";
        return Ok(Some(Reply::new(Code::VALUE_MAX, text)));
    };
    if *asset != peer.asset {
        let text = format!("asset is {asset}, expected {}", peer.asset);
        return Ok(Some(Reply::new(Code::NO_ACCOUNT, text)));
    }
    let book = book(rows, message.fields().source, asset)?;
    if amount.to_u128().is_some() && book.has_room(*amount, peer.value_max) {
        return Ok(None);
    }
    let text = format!("amount {amount} passes value_max {} of this pair", peer.value_max);
    Ok(Some(Reply::new(Code::VALUE_MAX, text)))
}

/// The book of a pair; empty before its first entry.
pub(super) fn book(rows: &dyn Rows, peer: ChainId, asset: &Asset) -> Result<Book, LedgerError> {
    Ok(load(rows, &(peer, asset.clone()))?.unwrap_or_default())
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

/// Open escrow belongs to its senders: deliveries are paid from the vault alone.
fn vault(rows: &dyn Rows, message: &Message) -> Result<Option<Reply>, LedgerError> {
    let vault = totals(rows)?.vault;
    let short = message.amount() > vault.into();
    let text = || format!("vault holds {vault}, less than {}", message.amount());
    Ok(short.then(|| Reply::new(Code::SUSPENDED, text())))
}

/// The two pots; every ledger has them from genesis.
pub(super) fn totals(rows: &dyn Rows) -> Result<Totals, LedgerError> {
    let missing = || LedgerError::Corrupt { row: "totals row", what: "missing".into() };
    load(rows, &())?.ok_or_else(missing)
}
