//! Opening an account: terms are signed here, agreed when the peer signs the same, and then told to
//! the chain.

use distpos_proto::{
    chain::{ChainId, Family},
    code::{Code, Reply},
    light::Trusted,
    message::TermsHash,
    terms::{Backing, Side, Terms},
    trust::TrustLevel,
};
use distpos_spool::TermsRow;
use hyper::StatusCode;

use super::{
    Name,
    change::{caught_up, limits, limits_view, tell_chain},
    read::unopened_state,
};
use crate::{
    admin::{
        AccountState, DoneView, LimitsAsked, OpenAsked, Refusal,
        calls::{Call, parsed},
    },
    contact,
    correspondence::terms as papers,
    gateway::Gateway,
    trust::dns::{self, Believed},
};

/// Signs terms, and opens the account on the chain once both sides have signed. It may be repeated:
/// what is done already is not done again.
pub(in crate::admin) async fn open(call: &mut Call<'_>, name: &Name) -> Result<DoneView, Refusal> {
    let (asked, _) = call.read(|body: &OpenAsked| &body.reason)?;
    let gateway = &call.admin.gateway;
    // A chain of which nobody has sent anything yet may be believed from DNS as soon as it is asked.
    if dns::believed(gateway, name.chain).is_err() && name.chain != gateway.facts().chain {
        let _why = contact::route(gateway, name.chain).await;
    }
    let trusted = believed(gateway, name.chain)?;
    let _turn = call.admin.turn.lock().await;
    caught_up(gateway).await?;
    let row = gateway.spool.read(|tx| tx.account(name.chain, &name.asset))?.unwrap_or_default();
    let limits = limits(row.account.limits, &asked.limits)?;
    let known = gateway.spool.read(|tx| tx.terms(name.chain, &name.asset))?;
    let terms = terms(gateway, &trusted, name, &asked, &known)?;
    let (hash, own) = (terms.hash(), terms.side(gateway.facts().chain).map(|side| side.backing));
    let done = |state, note: &str| DoneView {
        chain: name.chain.to_string(),
        asset: name.asset.to_string(),
        state,
        terms: Some(hash.to_string()),
        backing: own.map(|backing| backing.to_string()),
        limits: None,
        transaction: None,
        note: (!note.is_empty()).then(|| note.to_owned()),
    };
    // Others may have been signed since, by mistake: then these are signed again.
    let is_signed = known.ours.as_ref().is_none_or(|ours| ours.terms.hash() == hash);
    if row.account.terms == Some(hash) && is_signed && asked.limits == LimitsAsked::default() {
        return Ok(done(AccountState::Open, "it is open under these terms already"));
    }
    let signed = papers::sign(gateway, terms).await?;
    let is_agreed =
        signed.map_err(|reply| Refusal::by_reply(StatusCode::UNPROCESSABLE_ENTITY, &reply))?;
    if !is_agreed {
        let known = gateway.spool.read(|tx| tx.terms(name.chain, &name.asset))?;
        return Ok(done(unopened_state(&known), &other(&known, name)));
    }
    match gateway.facts().family {
        // The contract's owner opens it; the command that asked knows how.
        Family::Evm => Ok(DoneView {
            limits: Some(asked.limits),
            ..done(AccountState::Agreed, "both sides have signed")
        }),
        Family::Ledger | Family::Attested => {
            let transaction = tell_chain(gateway, name, Some(hash), limits).await?;
            Ok(DoneView {
                limits: Some(limits_view(limits)),
                transaction: Some(transaction),
                ..done(AccountState::Open, "")
            })
        }
    }
}

/// What the other operator has to do, or what differs.
fn other(known: &TermsRow, name: &Name) -> String {
    match &known.theirs {
        None => format!(
            "the operator of {} has to run `account open` for it, too; then repeat this",
            name.chain
        ),
        Some(theirs) => {
            let terms = &theirs.signed.document;
            let sides = terms.sides();
            let [one, two] =
                sides.each_ref().map(|side| format!("{} {}", side.chain, side.backing));
            let (hash, decimals) = (terms.hash(), terms.decimals());
            format!(
                "{} has signed other terms, {hash}: {one}, {two}, {decimals} decimals. To agree \
                 with them: `account open … --terms {hash}`",
                name.chain
            )
        }
    }
}

/// The peer's anchor, if it is believed far enough for an account.
fn believed(gateway: &Gateway, chain: ChainId) -> Result<Trusted, Refusal> {
    let refused = |text: String| Refusal::new(StatusCode::CONFLICT, Code::POLICY, text);
    if chain == gateway.facts().chain {
        return Err(refused(format!("{chain} is this gateway's own chain")));
    }
    let Believed { trusted, level } = dns::believed(gateway, chain).map_err(|reply| {
        refused(format!("{}: `trust pin {chain}`, or peer.{chain}.keys", reply.text()))
    })?;
    match level {
        TrustLevel::Dnssec | TrustLevel::Static => Ok(trusted),
        TrustLevel::Pinned => Err(refused(format!(
            "the keys of {chain} come from unsigned DNS, an account needs more: `trust pin {chain}`"
        ))),
    }
}

/// The terms to sign: the peer's if their hash was named, those signed here before if nothing new
/// was, else what was asked for and what is usual.
fn terms(
    gateway: &Gateway,
    trusted: &Trusted,
    name: &Name,
    asked: &OpenAsked,
    known: &TermsRow,
) -> Result<Terms, Refusal> {
    if let Some(hash) = &asked.terms {
        let hash: TermsHash = parsed("terms", hash)?;
        let theirs = known.theirs.as_ref().map(|theirs| &theirs.signed.document);
        return theirs.filter(|terms| terms.hash() == hash).cloned().ok_or_else(|| {
            let text = format!("{} has not signed the terms {hash}", name.chain);
            Refusal::new(StatusCode::NOT_FOUND, Code::NO_ACCOUNT, text)
        });
    }
    let nothing_new =
        asked.backing.is_none() && asked.peer_backing.is_none() && asked.decimals.is_none();
    if let Some(ours) = known.ours.as_ref().filter(|_| nothing_new) {
        return Ok(ours.terms.clone());
    }
    let facts = gateway.facts();
    let own = backing("backing", asked.backing.as_deref(), facts.family)?;
    let peer = backing("peer_backing", asked.peer_backing.as_deref(), trusted.family)?;
    let decimals = match asked.decimals {
        Some(decimals) => decimals,
        None => usual_decimals(name, (facts.chain, own), (trusted.chain, peer))?,
    };
    let own = Side { chain: facts.chain, tag: facts.tag, backing: own };
    let peer = Side { chain: trusted.chain, tag: trusted.tag, backing: peer };
    Terms::new(name.asset.clone(), decimals, own, peer).map_err(Refusal::malformed)
}

/// What an asset is on a chain: what was said, or what the family has one of.
fn backing(field: &str, text: Option<&str>, family: Family) -> Result<Backing, Refusal> {
    if let Some(text) = text {
        let backing: Backing = parsed(field, text)?;
        let fits = match family {
            Family::Ledger => backing == Backing::Ledger,
            Family::Evm => backing != Backing::Ledger,
            Family::Attested => true,
        };
        return fits.then_some(backing).ok_or_else(|| {
            Refusal::malformed(format_args!("{field} is {backing}, on a chain of family {family}"))
        });
    }
    match family {
        Family::Ledger => Ok(Backing::Ledger),
        Family::Evm => Ok(Backing::Coin),
        Family::Attested => Err(Refusal::malformed(format_args!(
            "{field} is missing: coin, ledger or erc20:<40 hex digits> (the chain is verified by \
             signatures, so its family is not known)"
        ))),
    }
}

/// The decimals of the asset where it comes from: both operators get the same without asking.
fn usual_decimals(
    name: &Name,
    own: (ChainId, Backing),
    peer: (ChainId, Backing),
) -> Result<u8, Refusal> {
    let issuer = name.asset.as_str().split('/').next().unwrap_or_default();
    let at_issuer = [own, peer].into_iter().find(|(chain, _)| chain.to_string() == issuer);
    match at_issuer {
        Some((_, Backing::Coin)) => Ok(18),
        Some((_, Backing::Ledger)) => Ok(0),
        Some((_, Backing::Erc20(_))) | None => Err(Refusal::malformed(format_args!(
            "decimals is missing: how many digits of {} stand behind the point",
            name.asset
        ))),
    }
}

impl Refusal {
    /// In the words of a reply.
    pub(in crate::admin) fn by_reply(status: StatusCode, reply: &Reply) -> Self {
        Self::new(status, reply.code, reply.text())
    }
}
