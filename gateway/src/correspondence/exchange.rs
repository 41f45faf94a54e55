//! One exchange with a peer: everything that is due goes in one call, and each reply moves its own
//! paper.

use std::{collections::BTreeSet, sync::Arc};

use distpos_proto::{
    chain::ChainId,
    code::{Code, Reply},
    message::Asset,
    signed::Document,
    time::UnixMillis,
    wire::{PAPERS_MAX, Papers, PapersTaken, Request, Response},
};
use distpos_spool::{Direction, Sending, SpoolError, Tx};

use super::{late, sent, statement};
use crate::{
    contact::{self, Contacted},
    gateway::Gateway,
    trust::dns::{self, Believed},
};

/// A paper on its way: what it is about, and when it was made. One that was replaced while it was
/// on its way is another paper.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Paper {
    Terms(Asset, UnixMillis),
    Statement(Asset, UnixMillis),
    Request(Asset, UnixMillis),
}

fn is_due(sending: &Sending, now: UnixMillis) -> bool {
    sending.due.is_some_and(|due| due <= now)
}

/// Peers to which something is due.
pub(super) fn peers(tx: &Tx<'_>, now: UnixMillis) -> Result<BTreeSet<ChainId>, SpoolError> {
    let mut peers = BTreeSet::new();
    for (chain, _, row) in tx.all_terms()? {
        peers.extend(row.ours.filter(|ours| is_due(&ours.sending, now)).map(|_| chain));
    }
    for (way, chain, _, row) in tx.statements()? {
        peers.extend((way == Direction::Outbound && is_due(&row.sending, now)).then_some(chain));
    }
    for (way, chain, _, row) in tx.reserve_requests()? {
        peers.extend((way == Direction::Outbound && is_due(&row.sending, now)).then_some(chain));
    }
    Ok(peers)
}

/// What is due to a peer, signed with the keys of now; and how often the first of it was tried.
fn collect(
    tx: &Tx<'_>,
    gateway: &Gateway,
    peer: ChainId,
    now: UnixMillis,
) -> Result<(Papers, Vec<Paper>, u32), SpoolError> {
    let keys = gateway.identity.keys();
    let keys = &keys.secrets;
    let (mut papers, mut names, mut turn) = (Papers::default(), Vec::new(), 0);
    let mut is_taken = |sending: &Sending, name: Paper, names: &mut Vec<Paper>| {
        if !is_due(sending, now) || names.len() >= PAPERS_MAX {
            return false;
        }
        turn = turn.max(sending.attempts);
        names.push(name);
        true
    };
    for (chain, asset, row) in tx.all_terms()? {
        let Some(ours) = row.ours.filter(|_| chain == peer) else { continue };
        if is_taken(&ours.sending, Paper::Terms(asset, ours.at), &mut names) {
            papers.terms.push(ours.terms.sign(keys));
        }
    }
    for (way, chain, asset, row) in tx.statements()? {
        let is_ours = way == Direction::Outbound && chain == peer;
        if is_ours && is_taken(&row.sending, Paper::Statement(asset, row.at), &mut names) {
            papers.statements.push(row.statement.document.sign(keys));
        }
    }
    for (way, chain, asset, row) in tx.reserve_requests()? {
        let is_ours = way == Direction::Outbound && chain == peer;
        if is_ours && is_taken(&row.sending, Paper::Request(asset, row.at), &mut names) {
            papers.requests.push(row.request.document.sign(keys));
        }
    }
    Ok((papers, names, turn))
}

/// Sends a peer what is due to it, and takes the statements that it answers with.
///
/// # Errors
/// [`SpoolError`] if what came of it cannot be noted.
pub(super) async fn exchange(gateway: &Arc<Gateway>, peer: ChainId) -> Result<(), SpoolError> {
    let now = gateway.now();
    let (papers, names, turn) = gateway.spool.read(|tx| collect(tx, gateway, peer, now))?;
    if names.is_empty() {
        return Ok(());
    }
    let has_statements = !papers.statements.is_empty();
    let count = names.len();
    let answered = match contact::reach(gateway, peer).await {
        Ok(route) => contact::call(gateway, &route, turn, &Request::Statements(papers)).await,
        Err(reply) => Err(reply),
    };
    let all = |reply: Reply| (vec![reply; count], Vec::new());
    let (replies, statements) = match answered {
        Ok(Contacted { response: Response::Statements(taken), .. })
            if taken.replies.len() == count =>
        {
            let PapersTaken { replies, statements } = taken;
            (replies, statements)
        }
        Ok(Contacted { response: Response::Refused(reply), .. }) | Err(reply) => all(reply),
        Ok(Contacted { gateway: name, .. }) => {
            all(Reply::new(Code::NO_ANSWER, format!("{name} answered something else")))
        }
    };
    move_on(gateway, peer, names, replies).await?;
    if let Ok(Believed { trusted, .. }) = dns::believed(gateway, peer) {
        // Nobody waits for a reply to these: what came of them is kept.
        statement::take(gateway, &trusted, statements).await?;
    }
    if has_statements { late::ask(gateway, peer).await } else { Ok(()) }
}

/// Notes what came of each paper. What replaced one while it was on its way stays due.
async fn move_on(
    gateway: &Gateway,
    peer: ChainId,
    names: Vec<Paper>,
    replies: Vec<Reply>,
) -> Result<(), SpoolError> {
    let (now, jitter) = (gateway.now(), gateway.random_u64());
    let moving = gateway.spool.transact(move |tx| {
        for (name, reply) in names.into_iter().zip(replies) {
            let way = Direction::Outbound;
            match name {
                Paper::Terms(asset, at) => {
                    let mut row = tx.terms(peer, &asset)?;
                    let Some(ours) = row.ours.as_mut().filter(|ours| ours.at == at) else {
                        continue;
                    };
                    ours.sending = sent(&ours.sending, reply, now, jitter);
                    tx.put_terms(peer, &asset, &row);
                }
                Paper::Statement(asset, at) => {
                    let row = tx.statement(way, peer, &asset)?;
                    let Some(mut row) = row.filter(|row| row.at == at) else { continue };
                    row.sending = sent(&row.sending, reply, now, jitter);
                    tx.put_statement(way, peer, &asset, &row);
                }
                Paper::Request(asset, at) => {
                    let row = tx.reserve_request(way, peer, &asset)?;
                    let Some(mut row) = row.filter(|row| row.at == at) else { continue };
                    row.sending = sent(&row.sending, reply, now, jitter);
                    tx.put_reserve_request(way, peer, &asset, &row);
                }
            }
        }
        Ok::<_, SpoolError>(())
    });
    moving.await
}
