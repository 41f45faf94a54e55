//! Step 3, the asked side: evidence for messages that left this chain.
//!
//! Served only to the destination of the messages, only for final blocks, and only what can be
//! shown from this gateway's own records: the header was persisted before it is signed.

use std::collections::{BTreeMap, VecDeque};

use distpos_proto::{
    chain::{ChainId, Family, Height},
    code::{Code, Reply},
    header::SignedHeader,
    light::Evidence,
    message::MessageId,
    proof::merkle::{Tree, TreeProof},
    wire::{self, BATCH_MESSAGES_MAX, EVIDENCE_BYTES_MAX, Proofs},
};
use distpos_spool::{Direction, SpoolError};

use crate::{
    chain::{ChainError, NativeProof, evm::NOT_PROVABLE},
    event::Event,
    gateway::Gateway,
};

/// A message that is asked about: its place in the block and its bytes.
struct Wanted {
    id: MessageId,
    index: u64,
    bytes: Vec<u8>,
}

/// Messages of one block that are proven together, and the others of the answer after them.
type Work = VecDeque<(Height, Vec<Wanted>)>;

/// Evidence of `family` for `ids`, for their destination `asker`.
///
/// One transaction with much in it must not make the answer too long to read for everyone else in
/// it: what does not fit is asked for again, and what never fits is left to the operator.
pub async fn prove(
    gateway: &Gateway,
    asker: ChainId,
    family: Family,
    ids: Vec<MessageId>,
) -> Proofs {
    let mut proofs = Proofs::default();
    let mut work: Work = match wanted(gateway, asker, ids, &mut proofs) {
        Ok(blocks) => blocks.into_iter().flat_map(batches).collect(),
        Err(error) => {
            gateway.emit(Event::Alert { what: format!("spool: {error}") });
            return proofs;
        }
    };
    let mut budget = Budget { left: EVIDENCE_BYTES_MAX, is_spent: false };
    while let Some((height, messages)) = work.pop_front() {
        let outcome = match budget.is_spent {
            true => Err(Fault::Later),
            false => block(gateway, family, height, &messages).await,
        };
        let fault = match outcome.and_then(|evidence| budget.take(evidence)) {
            Ok(evidence) => {
                proofs.blocks.push(evidence);
                continue;
            }
            Err(fault) => fault,
        };
        let reply = match fault {
            Fault::Later | Fault::Never(_) if messages.len() > 1 && !budget.is_spent => {
                split(&mut work, height, messages);
                continue;
            }
            Fault::Later => {
                budget.is_spent = true;
                later()
            }
            Fault::Never(error) => {
                let what = format!("message {} cannot be proven: {error}", messages[0].id);
                gateway.emit(Event::Alert { what });
                let reply = Reply::new(Code::NOT_FINAL, format!("cannot be proven: {error}"));
                reply.retry_after(NEVER_PROVEN_SECONDS)
            }
            Fault::Any(reply) => reply,
        };
        proofs.absent.extend(messages.into_iter().map(|wanted| (wanted.id, reply.clone())));
    }
    proofs
}

/// Pause before what cannot be proven may be asked for again: only other limits would help it.
const NEVER_PROVEN_SECONDS: u32 = 3600;

/// Why there is no evidence.
enum Fault {
    /// It fits into an answer of its own, or for fewer messages.
    Later,
    /// No answer holds it, or nobody could read it; for fewer messages it may.
    Never(String),
    /// For none of them.
    Any(Reply),
}

impl From<Reply> for Fault {
    fn from(reply: Reply) -> Self {
        Self::Any(reply)
    }
}

impl From<ChainError> for Fault {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Garbage { call: NOT_PROVABLE, what } => Self::Never(what),
            error => Self::Any(temporary(error)),
        }
    }
}

/// What an answer's evidence may still take.
struct Budget {
    left: usize,
    /// Something did not fit; to go on would only cut smaller and smaller.
    is_spent: bool,
}

impl Budget {
    fn take(&mut self, evidence: Evidence) -> Result<Evidence, Fault> {
        let bytes =
            wire::evidence_bytes(&evidence).map_err(|error| Fault::Never(error.to_string()))?;
        self.left = self.left.checked_sub(bytes).ok_or(Fault::Later)?;
        Ok(evidence)
    }
}

fn later() -> Reply {
    Reply::new(Code::NOT_FINAL, "past this answer's budget").retry_after(1)
}

/// A block's messages, cut as batches are.
fn batches((height, mut messages): (Height, Vec<Wanted>)) -> Vec<(Height, Vec<Wanted>)> {
    messages.sort_by_key(|wanted| wanted.index);
    messages.dedup_by_key(|wanted| wanted.index);
    let mut cut = Vec::new();
    while !messages.is_empty() {
        let rest = messages.split_off(messages.len().min(BATCH_MESSAGES_MAX));
        cut.push((height, messages));
        messages = rest;
    }
    cut
}

/// Puts both halves back, to be proven next.
fn split(work: &mut Work, height: Height, mut messages: Vec<Wanted>) {
    let rest = messages.split_off(messages.len() / 2);
    work.push_front((height, rest));
    work.push_front((height, messages));
}

/// Looks the messages up, block by block; those that are not to be had are noted in `proofs`.
fn wanted(
    gateway: &Gateway,
    asker: ChainId,
    ids: Vec<MessageId>,
    proofs: &mut Proofs,
) -> Result<BTreeMap<Height, Vec<Wanted>>, SpoolError> {
    let not_here = Reply::new(Code::NOT_FINAL, "not in a final block known here").retry_after(2);
    gateway.spool.read(|tx| {
        let mut batches = BTreeMap::new();
        for id in ids {
            match tx.find(Direction::Outbound, &id)? {
                Some((batch, _)) => batches.entry(batch).or_insert_with(Vec::new).push(id),
                None => proofs.absent.push((id, not_here.clone())),
            }
        }
        let mut blocks: BTreeMap<Height, Vec<Wanted>> = BTreeMap::new();
        // Reads no more than the evidence could hold, whatever the family.
        let mut budget = EVIDENCE_BYTES_MAX;
        for (batch, ids) in batches {
            let held = tx.batch(Direction::Outbound, batch)?;
            if held.is_none_or(|held| held.peer != asker) {
                proofs.absent.extend(ids.into_iter().map(|id| (id, not_here.clone())));
                continue;
            }
            for envelope in tx.messages(Direction::Outbound, batch)? {
                let id = envelope.message.id();
                if !ids.contains(&id) {
                    continue;
                }
                let bytes = envelope.message.bytes();
                let Some(rest) = budget.checked_sub(bytes.len()) else {
                    proofs.absent.push((id, later()));
                    continue;
                };
                budget = rest;
                let index = u64::from(envelope.origin.index);
                let wanted = Wanted { id, index, bytes: bytes.to_vec() };
                blocks.entry(envelope.origin.height).or_default().push(wanted);
            }
        }
        Ok(blocks)
    })
}

/// Evidence for messages of one block.
async fn block(
    gateway: &Gateway,
    family: Family,
    height: Height,
    messages: &[Wanted],
) -> Result<Evidence, Fault> {
    let ids: Vec<MessageId> = messages.iter().map(|wanted| wanted.id).collect();
    let native = |found: Family| {
        let text = format!("this gateway proves by attested or {}", found.word());
        Fault::Any(Reply::new(Code::MALFORMED, text))
    };
    match family {
        Family::Attested => Ok(attested(gateway, height, messages)?),
        Family::Ledger => match gateway.chain.prove(height, &ids).await? {
            NativeProof::Ledger(header, tree) => Ok(Evidence::Ledger { header, tree }),
            NativeProof::Evm(_) => Err(native(Family::Evm)),
        },
        Family::Evm => match gateway.chain.prove(height, &ids).await? {
            NativeProof::Evm(receipts) => {
                Ok(Evidence::Evm { header: signed(gateway, height)?.0, receipts })
            }
            NativeProof::Ledger(..) => Err(native(Family::Ledger)),
        },
    }
}

fn attested(gateway: &Gateway, height: Height, messages: &[Wanted]) -> Result<Evidence, Reply> {
    let (header, leaves) = signed(gateway, height)?;
    let (indices, leaf_bytes): (Vec<u64>, Vec<Vec<u8>>) =
        messages.iter().map(|wanted| (wanted.index, wanted.bytes.clone())).unzip();
    let hashes = Tree::new(leaves).prove(&indices).map_err(temporary)?;
    let tree = TreeProof { indices, leaves: leaf_bytes, hashes };
    Ok(Evidence::Attested { header, tree })
}

/// The block's header, signed now with the chain's current keys, and its leaves' hashes.
fn signed(gateway: &Gateway, height: Height) -> Result<(SignedHeader, Vec<[u8; 32]>), Reply> {
    let kept = gateway.spool.read(|tx| tx.own_header(height)).map_err(temporary::<SpoolError>)?;
    let (header, leaves) =
        kept.ok_or_else(|| Reply::new(Code::NOT_FINAL, format!("no header of block {height}")))?;
    Ok((header.sign(&gateway.identity.keys().secrets), leaves))
}

/// The asker is told little; it will come again.
fn temporary<E: std::fmt::Display>(error: E) -> Reply {
    tracing::warn!(target: "distpos", "no proof: {error}");
    Reply::new(Code::NOT_FINAL, "the proof is not ready").retry_after(5)
}
