//! Terms: each side's operator signs the same bytes; who holds both signatures has an agreement.
//!
//! An agreement opens nothing. The operator opens the account on the own chain, under the terms
//! that are agreed ([`agreed`]).

use std::sync::Arc;

use distpos_proto::{
    chain::ChainId,
    code::{Code, Reply},
    key::SecretKey,
    light::Trusted,
    message::{Asset, TermsHash},
    signed::{Document, Verified},
    terms::{SignedTerms, Terms},
    time::UnixMillis,
};
use distpos_spool::{AgreedTerms, OwnTerms, Sending, SpoolError, TermsRow, TheirTerms, Tx};

use crate::{
    chain::Facts,
    event::{Event, Paper, What},
    gateway::Gateway,
};

/// Most assets for which terms of one peer are kept that nobody here signed: who is trusted with
/// messages is not therefore trusted with the disk.
pub const PROPOSALS_MAX: usize = 64;

/// The terms that both sides signed last; none before. An account is opened under these.
///
/// # Errors
/// [`SpoolError`] if the store cannot be read.
pub fn agreed(tx: &Tx<'_>, chain: ChainId, asset: &Asset) -> Result<Option<TermsHash>, SpoolError> {
    Ok(tx.terms(chain, asset)?.agreed_hash())
}

/// Signs terms for this side and makes them due at the peer. Says whether they are agreed with
/// that; if not, they are once the peer's operator signs the same.
///
/// # Errors
/// [`SpoolError`] if the store cannot be read or written; the reply if the terms are not between
/// this chain and another one.
pub async fn sign(gateway: &Arc<Gateway>, terms: Terms) -> Result<Result<bool, Reply>, SpoolError> {
    let facts = gateway.facts().clone();
    let Some(peer) = terms.other(facts.chain).map(|side| side.chain) else {
        let text = format!("terms are not of chain {}", facts.chain);
        return Ok(Err(Reply::new(Code::POLICY, text)));
    };
    if let Err(reply) = of_this_chain(&terms, &facts) {
        return Ok(Err(reply));
    }
    let (now, shared) = (gateway.now(), Arc::clone(gateway));
    let signing = gateway.spool.transact(move |tx| {
        let mut row = tx.terms(peer, terms.asset())?;
        let same = row.ours.take().filter(|ours| ours.terms == terms);
        let at = same.map_or(now, |ours| ours.at);
        let asset = terms.asset().clone();
        row.ours = Some(OwnTerms { terms, at, sending: Sending::at(now) });
        let is_new = meet(&mut row, &shared.identity.keys().secrets, now);
        tx.put_terms(peer, &asset, &row);
        Ok::<_, SpoolError>((asset, row, is_new))
    });
    let (asset, row, is_new) = signing.await?;
    gateway.papers.notify_one();
    tell_agreed(gateway, peer, &asset, &row, is_new);
    Ok(Ok(is_met(&row)))
}

/// Takes terms that the peer signed; one reply each.
pub(super) async fn take(
    gateway: &Arc<Gateway>,
    trusted: &Trusted,
    came: Vec<SignedTerms>,
) -> Result<Vec<Reply>, SpoolError> {
    let mut replies = Vec::with_capacity(came.len());
    for signed in came {
        replies.push(match judge(gateway, trusted, signed) {
            Ok(verified) => keep(gateway, trusted.chain, verified).await?,
            Err(reply) => reply,
        });
    }
    Ok(replies)
}

/// Whether terms are between the two chains as they are known here, and signed by the peer.
fn judge(
    gateway: &Gateway,
    trusted: &Trusted,
    signed: SignedTerms,
) -> Result<Verified<Terms>, Reply> {
    let terms = &signed.document;
    let Some(theirs) = terms.side(trusted.chain) else {
        let text = format!("terms are not of chain {}", trusted.chain);
        return Err(Reply::new(Code::POLICY, text));
    };
    if theirs.tag != trusted.tag {
        let text = format!("terms name {} with another genesis tag than here", trusted.chain);
        return Err(Reply::new(Code::POLICY, text));
    }
    of_this_chain(terms, gateway.facts())?;
    signed.verify(&trusted.keys).map_err(|error| Reply::new(Code::SIGNATURE, error.to_string()))
}

/// Whether one side of the terms is the own chain, as it is.
fn of_this_chain(terms: &Terms, facts: &Facts) -> Result<(), Reply> {
    match terms.side(facts.chain) {
        Some(side) if side.tag == facts.tag => Ok(()),
        Some(_) => {
            let text = format!("terms name {} with another genesis tag than its own", facts.chain);
            Err(Reply::new(Code::POLICY, text))
        }
        None => Err(Reply::new(Code::POLICY, format!("terms are not of chain {}", facts.chain))),
    }
}

/// What keeping the peer's terms did.
struct Kept {
    row: TermsRow,
    /// They are others than those that came last.
    is_other: bool,
    /// Both sides agree, and did not before.
    is_new: bool,
}

async fn keep(
    gateway: &Arc<Gateway>,
    peer: ChainId,
    came: Verified<Terms>,
) -> Result<Reply, SpoolError> {
    let (now, shared) = (gateway.now(), Arc::clone(gateway));
    let asset = came.document().asset().clone();
    let terms = came.document().hash();
    let keeping = gateway.spool.transact(move |tx| {
        let asset = came.document().asset();
        let mut row = tx.terms(peer, asset)?;
        if row == TermsRow::default() && proposals(tx, peer)? >= PROPOSALS_MAX {
            return Ok::<_, SpoolError>(None);
        }
        let before = row.theirs.as_ref().map(|theirs| theirs.signed.document.hash());
        let is_other = before != Some(terms);
        row.theirs = Some(TheirTerms { signed: came.signed().clone(), at: now });
        let is_new = meet(&mut row, &shared.identity.keys().secrets, now);
        if is_new && let Some(ours) = &mut row.ours {
            // The peer learns at once, not when its next question is due.
            ours.sending = Sending::at(now);
        }
        tx.put_terms(peer, asset, &row);
        Ok(Some(Kept { row, is_other, is_new }))
    });
    let Some(Kept { row, is_other, is_new }) = keeping.await? else {
        let text = format!("terms of {PROPOSALS_MAX} assets wait to be signed here");
        return Ok(Reply::new(Code::NOT_NOW, text).retry_after(AGAIN_SECONDS));
    };
    let signed_here = row.ours.as_ref().map(|ours| ours.terms.hash());
    if is_other {
        let what = What::TermsCame { terms, signed_here };
        gateway.emit(Event::Paper(Paper { chain: peer, asset: asset.clone(), what }));
    }
    tell_agreed(gateway, peer, &asset, &row, is_new);
    Ok(match signed_here {
        Some(ours) if ours == terms => Reply::new(Code::DELIVERED, "terms agreed"),
        Some(ours) => {
            let text = format!("other terms are signed here: {ours}");
            Reply::new(Code::NOT_NOW, text).retry_after(AGAIN_SECONDS)
        }
        None => Reply::new(Code::NOT_NOW, "not signed here yet").retry_after(AGAIN_SECONDS),
    })
}

/// When a peer may ask again whether its terms are signed here: people sign, and when they do the
/// peer is told.
const AGAIN_SECONDS: u32 = 3600;

/// Assets of a peer's proposals that nobody here signed.
fn proposals(tx: &Tx<'_>, peer: ChainId) -> Result<usize, SpoolError> {
    let all = tx.all_terms()?;
    Ok(all.iter().filter(|(chain, _, row)| *chain == peer && row.ours.is_none()).count())
}

/// Notes an agreement if both sides signed the same; says whether that is new.
fn meet(row: &mut TermsRow, keys: &[SecretKey], now: UnixMillis) -> bool {
    if !is_met(row) {
        return false;
    }
    let Some(TheirTerms { signed: theirs, .. }) = &row.theirs else { return false };
    let is_new = row.agreed_hash() != Some(theirs.document.hash());
    let mut signed = theirs.document.clone().sign(keys);
    signed.signatures.extend(theirs.signatures.iter().cloned());
    let at = row.agreed.take().filter(|_| !is_new).map_or(now, |agreed| agreed.at);
    row.agreed = Some(AgreedTerms { signed, at });
    is_new
}

/// Whether both sides signed the same terms last.
fn is_met(row: &TermsRow) -> bool {
    match (&row.ours, &row.theirs) {
        (Some(ours), Some(theirs)) => ours.terms == theirs.signed.document,
        _ => false,
    }
}

fn tell_agreed(gateway: &Gateway, chain: ChainId, asset: &Asset, row: &TermsRow, is_new: bool) {
    if let Some(terms) = row.agreed_hash().filter(|_| is_new) {
        let what = What::TermsAgreed(terms);
        gateway.emit(Event::Paper(Paper { chain, asset: asset.clone(), what }));
    }
}
