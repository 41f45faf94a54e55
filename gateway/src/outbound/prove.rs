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
    wire::{BODY_BYTES_MAX, Proofs},
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

/// Most bytes of messages in one answer; the rest is asked for again.
const ANSWER_BYTES_MAX: usize = BODY_BYTES_MAX - 1024 * 1024;

/// Evidence of `family` for `ids`, for their destination `asker`.
pub async fn prove(
    gateway: &Gateway,
    asker: ChainId,
    family: Family,
    ids: Vec<MessageId>,
) -> Proofs {
    let mut proofs = Proofs::default();
    let blocks = match wanted(gateway, asker, ids, &mut proofs) {
        Ok(blocks) => blocks,
        Err(error) => {
            gateway.emit(Event::Alert { what: format!("spool: {error}") });
            return proofs;
        }
    };
    let mut budget = ANSWER_BYTES_MAX;
    for (height, messages) in blocks {
        // Nearly always one group. What cannot be proven or sent together is tried one by one, so
        // that nobody's message, however large its receipt, keeps others of its block back.
        let mut groups = VecDeque::from([messages]);
        while let Some(mut messages) = groups.pop_front() {
            let ids: Vec<MessageId> = messages.iter().map(|wanted| wanted.id).collect();
            let reply = match block(gateway, family, height, &mut messages).await {
                Ok(evidence) => match budget.checked_sub(bytes(&evidence)) {
                    Some(rest) => {
                        budget = rest;
                        proofs.blocks.push(evidence);
                        continue;
                    }
                    None => Fault::Together(later()),
                },
                Err(fault) => fault,
            };
            match reply {
                Fault::Together(_) if messages.len() > 1 => {
                    groups.extend(messages.into_iter().map(|wanted| vec![wanted]));
                }
                Fault::Together(reply) | Fault::Any(reply) => {
                    proofs.absent.extend(ids.into_iter().map(|id| (id, reply.clone())));
                }
            }
        }
    }
    proofs
}

/// Why there is no evidence.
enum Fault {
    /// Not for these messages together; perhaps for some of them.
    Together(Reply),
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
        let together = matches!(error, ChainError::Garbage { call: NOT_PROVABLE, .. });
        let reply = temporary(error);
        if together { Self::Together(reply) } else { Self::Any(reply) }
    }
}

fn later() -> Reply {
    Reply::new(Code::NOT_FINAL, "past this answer's budget").retry_after(1)
}

/// About how long evidence is on the wire: its parts of no fixed length.
fn bytes(evidence: &Evidence) -> usize {
    let sum = |parts: &[Vec<u8>]| parts.iter().map(|part| part.len() + 8).sum::<usize>();
    let tree =
        |tree: &TreeProof| sum(&tree.leaves) + 9 * tree.indices.len() + 34 * tree.hashes.len();
    match evidence {
        Evidence::Attested { tree: proof, .. } | Evidence::Ledger { tree: proof, .. } => {
            tree(proof)
        }
        Evidence::Evm { receipts, .. } => {
            receipts.block.len() + sum(&receipts.nodes) + 16 * receipts.logs.len()
        }
    }
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
        let mut budget = ANSWER_BYTES_MAX;
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
    messages: &mut Vec<Wanted>,
) -> Result<Evidence, Fault> {
    messages.sort_by_key(|wanted| wanted.index);
    messages.dedup_by_key(|wanted| wanted.index);
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
    Ok((header.sign(&gateway.identity.keys), leaves))
}

/// The asker is told little; it will come again.
fn temporary<E: std::fmt::Display>(error: E) -> Reply {
    tracing::warn!(target: "distpos", "no proof: {error}");
    Reply::new(Code::NOT_FINAL, "the proof is not ready").retry_after(5)
}
