//! Step 4: judge evidence as a light client of the source chain.

use std::sync::PoisonError;

use distpos_proto::{
    chain::ChainId,
    code::{Code, Reply},
    light::{self, Evidence, Trusted, Verdict},
    message::{Message, MessageId},
    retry::Cause,
    stage::Proven,
};
use distpos_spool::SpoolError;
use tokio::time::Instant;

use crate::{
    event::Event,
    gateway::Gateway,
    inbound::deliver::{PutOff, Stopped},
    metrics::Judged,
    standing,
    trust::dns,
};

/// What is believed of a chain, unless nothing is or the chain is frozen.
///
/// # Errors
/// [`Stopped`] with `4.7.20` or `4.7.1`: the operator can change both.
pub fn trusted(gateway: &Gateway, source: ChainId) -> Result<Trusted, Stopped> {
    if gateway.spool.read(|tx| tx.frozen(source))?.is_some() {
        return Err(frozen(source).into());
    }
    match dns::believed(gateway, source) {
        Ok(believed) => Ok(believed.trusted),
        Err(reply) => Err(PutOff { cause: Cause::Unreachable, reply }.into()),
    }
}

/// What one gateway's evidence proves. Wrong or early evidence proves nothing; the headers of the
/// rest are noted, in one commit, before anything is done with what they prove.
///
/// # Errors
/// [`Stopped`] if it contradicts authenticated headers (the chain is frozen then), or the spool
/// cannot note the headers.
pub async fn verify(
    gateway: &Gateway,
    trusted: &Trusted,
    from: &str,
    blocks: &[Evidence],
) -> Result<Vec<Proven>, Stopped> {
    let (mut proven, mut headers) = (Vec::new(), Vec::new());
    for evidence in blocks {
        let found = judge(gateway, trusted, from, evidence).await?;
        if !found.is_empty() {
            let (content, previous) = evidence.links();
            headers.push((evidence.height(), content, previous));
        }
        proven.extend(found);
    }
    let (chain, giver, now) = (trusted.chain, from.to_owned(), gateway.now());
    let messages: Vec<Message> = proven.iter().map(|p: &Proven| p.message().clone()).collect();
    let noting = gateway.spool.transact(move |tx| {
        headers.into_iter().try_for_each(|(height, content, previous)| {
            tx.put_known(chain, height, content, previous)
        })?;
        standing::proven(tx, &giver, &messages, now)
    });
    match noting.await {
        Ok(()) => Ok(proven),
        // Two headers of one answer contradict each other.
        Err(SpoolError::Equivocation { height, held, offered }) => {
            let what = format!("headers at {height}: {held:?} and {offered:?} in one answer");
            Err(freeze(gateway, chain, what).await?.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// What evidence for one block proves, given what is known of its chain.
async fn judge(
    gateway: &Gateway,
    trusted: &Trusted,
    from: &str,
    evidence: &Evidence,
) -> Result<Vec<Proven>, Stopped> {
    let (chain, height) = (trusted.chain, evidence.height());
    let (_, previous) = evidence.links();
    let known = gateway.spool.read(|tx| tx.known(chain, height, previous))?;
    let began = Instant::now();
    let verdict = {
        let mut headers = gateway.authenticated.lock().unwrap_or_else(PoisonError::into_inner);
        light::verify_with(&mut headers, trusted, known, evidence, gateway.now_seconds())
    };
    gateway.metrics.judged(trusted.family, judged(&verdict), began.elapsed());
    let reason = match verdict {
        Verdict::Proven(proven) => {
            let ids: Vec<MessageId> = proven.iter().map(|p| p.message().id()).collect();
            let family = trusted.family;
            gateway.metrics.head(chain, evidence.time());
            gateway.emit(Event::Proven { source: chain, height, family, ids });
            return Ok(proven);
        }
        Verdict::Conflict { held, offered } => {
            let what = format!("headers at {height}: held {held:?}, offered {offered:?}");
            return Err(freeze(gateway, chain, what).await?.into());
        }
        Verdict::NotYet(reason) | Verdict::NeedsUpdate(reason) => reason.to_owned(),
        Verdict::Invalid(invalid) => {
            let reason = invalid.to_string();
            let cause = format!("block {height}: {reason}");
            standing::wrong_proof(gateway, chain, from, cause).await?;
            reason
        }
    };
    gateway.emit(Event::ProofInvalid { source: chain, gateway: from.to_owned(), reason });
    Ok(Vec::new())
}

fn judged(verdict: &Verdict) -> Judged {
    match verdict {
        Verdict::Proven(_) => Judged::Proven,
        Verdict::NotYet(_) | Verdict::NeedsUpdate(_) => Judged::NotYet,
        Verdict::Invalid(_) => Judged::Invalid,
        Verdict::Conflict { .. } => Judged::Conflict,
    }
}

/// Freezes a chain: nothing of it is delivered until an operator has looked.
async fn freeze(gateway: &Gateway, chain: ChainId, what: String) -> Result<PutOff, SpoolError> {
    let evidence = what.clone().into_bytes();
    gateway.spool.transact(move |tx| tx.set_frozen(chain, &evidence)).await?;
    gateway.emit(Event::Conflict { chain, what });
    Ok(frozen(chain))
}

fn frozen(chain: ChainId) -> PutOff {
    let reply = Reply::new(Code::NOT_NOW, format!("{chain} is frozen after a conflict"));
    PutOff { cause: Cause::Hint, reply }
}
