//! Step 3, second half: ask the source chain's gateways for the Merkle proof.
//!
//! The chain is looked up anew; that a gateway sent messages does not make it the one to ask. A
//! gateway that gives wrong evidence is passed over and the next one asked; one that has nothing
//! proves nothing: absence at one gateway only means *not yet*.

use std::collections::BTreeMap;

use distpos_proto::{
    chain::ChainId,
    code::{Code, Reply},
    message::MessageId,
    retry::Cause,
    stage::Proven,
    wire::{Proofs, Request, Response},
};

use crate::{
    contact,
    event::Event,
    gateway::Gateway,
    inbound::{
        deliver::{Claim, PutOff, Stopped},
        verify,
    },
    standing,
};

/// Up to so many seconds a source's `retry_after` means "a block or two".
const BLOCK_SECONDS: u32 = 5;

/// Proven messages out of a claim, by id; ids that could not be proven yet are missing.
///
/// # Errors
/// [`Stopped`] if nothing could be proven at all: no route, no answer, not final.
pub async fn fetch(
    gateway: &Gateway,
    source: ChainId,
    claim: &Claim,
) -> Result<BTreeMap<MessageId, Proven>, Stopped> {
    let route = contact::route(gateway, source)
        .await
        .map_err(|reply| PutOff { cause: Cause::Unreachable, reply: temporary(&reply) })?;
    // Only now: the look-up may have ended a key.
    let trusted = &verify::trusted(gateway, source)?;
    let mut missing: Vec<MessageId> = claim.ids().to_vec();
    let mut proven = BTreeMap::new();
    let mut last = PutOff::not_ready("no gateway of the source chain has the proof yet");
    // Once a gateway has said "not yet", another one's silence does not make the wait longer.
    let mut told = false;
    for listed in route.to_try() {
        let name = contact::name(listed);
        let messages = missing.len();
        gateway.emit(Event::ProofAsked { source, gateway: name.clone(), messages });
        let request = Request::Proofs { family: trusted.family, ids: missing.clone() };
        let proofs = match contact::one(gateway, source, listed, &request).await {
            Ok(Response::Proofs(proofs)) => proofs,
            Ok(Response::Refused(_)) | Ok(_) | Err(_) if told => continue,
            Ok(Response::Refused(reply)) => {
                last = PutOff { cause: Cause::Unreachable, reply: temporary(&reply) };
                continue;
            }
            Ok(_) => {
                let reply = Reply::new(Code::NO_ANSWER, format!("{name} answered something else"));
                last = PutOff { cause: Cause::Unreachable, reply };
                continue;
            }
            Err(reply) => {
                last = PutOff { cause: Cause::Unreachable, reply };
                continue;
            }
        };
        let Proofs { blocks, absent } = proofs;
        for message in verify::verify(gateway, trusted, &name, &blocks).await? {
            proven.insert(message.message().id(), message);
        }
        missing.retain(|id| !proven.contains_key(id));
        if missing.is_empty() {
            break;
        }
        if let Some((_, reply)) = absent.into_iter().next() {
            // A block's time, unless the source knows better.
            let cause = match reply.retry_after {
                Some(seconds) if seconds > BLOCK_SECONDS => {
                    Cause::Temporary { retry_after: Some(seconds) }
                }
                Some(_) | None => Cause::NotReady { block_time: None },
            };
            last = PutOff { cause, reply: temporary(&reply) };
            told = true;
        }
    }
    if last.reply.code == Code::NO_ANSWER {
        standing::if_all_silent(gateway, &route, &last.reply).await;
    }
    // What was not asked for is of no interest, though it is proven.
    proven.retain(|id, _| claim.ids().contains(id));
    if proven.is_empty() { Err(last.into()) } else { Ok(proven) }
}

/// Whatever a gateway of the source says here, it only makes us wait.
fn temporary(reply: &Reply) -> Reply {
    let code = if reply.code.is_temporary() { reply.code } else { Code::NOT_FINAL };
    Reply::new(code, reply.text())
}
