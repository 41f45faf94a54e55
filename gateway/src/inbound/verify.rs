//! Step 4: judge evidence as a light client of the source chain.

use std::sync::PoisonError;

use distpos_proto::{
    chain::ChainId,
    code::{Code, Reply},
    light::{self, Evidence, Trusted, Verdict},
    message::MessageId,
    retry::Cause,
    stage::Proven,
};

use crate::{
    event::Event,
    gateway::Gateway,
    inbound::deliver::{PutOff, Stopped},
};

/// The anchor of a chain, unless the operator has none or the chain is frozen.
///
/// # Errors
/// [`Stopped`] with `4.7.20` or `4.7.1`: the operator can change both.
pub fn trusted(gateway: &Gateway, source: ChainId) -> Result<Trusted, Stopped> {
    let frozen = gateway.spool.read(|tx| tx.frozen(source))?;
    if frozen.is_some() {
        let reply = Reply::new(Code::NOT_NOW, format!("{source} is frozen after a conflict"));
        return Err(PutOff { cause: Cause::Hint, reply }.into());
    }
    gateway.correspondents.trusted(source).ok_or_else(|| {
        let reply = Reply::new(Code::KEY_NOT_FOUND, format!("no trusted keys of chain {source}"));
        PutOff { cause: Cause::Unreachable, reply }.into()
    })
}

/// What evidence proves, after noting its header; nothing if it is wrong or too early.
///
/// # Errors
/// [`Stopped`] if it contradicts authenticated headers (the chain is frozen then), or the spool
/// cannot note the header.
pub async fn verify(
    gateway: &Gateway,
    trusted: &Trusted,
    from: &str,
    evidence: &Evidence,
) -> Result<Vec<Proven>, Stopped> {
    let (chain, height) = (trusted.chain, evidence.height());
    let (hash, previous) = evidence.links();
    let known = gateway.spool.read(|tx| tx.known(chain, height, previous))?;
    let verdict = {
        let mut headers = gateway.authenticated.lock().unwrap_or_else(PoisonError::into_inner);
        light::verify_with(&mut headers, trusted, known, evidence, gateway.now_seconds())
    };
    match verdict {
        Verdict::Proven(proven) => {
            gateway.spool.transact(move |tx| tx.put_known(chain, height, hash, previous)).await?;
            let ids: Vec<MessageId> = proven.iter().map(|p| p.message().id()).collect();
            let family = trusted.family;
            gateway.emit(Event::Proven { source: chain, height, family, ids });
            Ok(proven)
        }
        Verdict::NotYet(reason) | Verdict::NeedsUpdate(reason) => {
            let reason = reason.to_owned();
            gateway.emit(Event::ProofInvalid { source: chain, gateway: from.to_owned(), reason });
            Ok(Vec::new())
        }
        Verdict::Invalid(invalid) => {
            let reason = invalid.to_string();
            gateway.emit(Event::ProofInvalid { source: chain, gateway: from.to_owned(), reason });
            Ok(Vec::new())
        }
        Verdict::Conflict { held, offered } => {
            let what = format!("headers at {height}: held {held:?}, offered {offered:?}");
            let evidence = what.clone().into_bytes();
            gateway.spool.transact(move |tx| tx.set_frozen(chain, &evidence)).await?;
            gateway.emit(Event::Conflict { chain, what });
            let reply = Reply::new(Code::NOT_NOW, format!("{chain} is frozen after a conflict"));
            Err(PutOff { cause: Cause::Hint, reply }.into())
        }
    }
}
