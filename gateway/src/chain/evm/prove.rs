//! Receipts of one block under its hash, recomputed before they are promised.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex},
};

use alloy_consensus::{Eip658Value, Receipt as ConsensusReceipt, ReceiptWithBloom};
use alloy_primitives::{Bloom, keccak256};
use alloy_rlp::Encodable;
use alloy_trie::{
    HashBuilder, Nibbles,
    proof::{ProofNodes, ProofRetainer},
    root::adjust_index_for_rlp,
};
use distpos_proto::{
    chain::Height,
    light::evm::{LogPlace, Receipt as ProvenReceipt, ReceiptProof},
    message::MessageId,
    wire::EVM_NODE_BYTES_MAX,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use super::{
    Evm,
    abi::Event,
    answer::{Block, Fixed, Receipt, hex},
    block, number,
    rpc::{RpcError, garbage},
};
use crate::chain::ChainError;

/// Blocks kept: proofs are asked for soon after a block is final, batch by batch.
const BLOCKS_KEPT: usize = 8;
/// The call that [`ChainError::Garbage`] names when a message cannot be proven, however often it
/// is asked for; others of its block can.
pub const NOT_PROVABLE: &str = "prove";
pub(super) const RECEIPTS: &str = "eth_getBlockReceipts";
/// Receipts asked for at once where each needs a question: more only fills the node's queue.
const RECEIPTS_AT_ONCE: usize = 8;

/// A block whose receipts lead to its hash.
struct Sealed {
    hash: [u8; 32],
    header: Vec<u8>,
    places: BTreeMap<MessageId, LogPlace>,
    /// Nodes on the way to every receipt with a message.
    nodes: ProofNodes,
}

/// The last blocks that were proven.
#[derive(Default)]
pub(super) struct BlockCache(Mutex<VecDeque<Arc<Sealed>>>);

impl BlockCache {
    fn find(&self, hash: [u8; 32]) -> Option<Arc<Sealed>> {
        let blocks = self.0.lock().expect("nothing panics while it is held");
        blocks.iter().find(|sealed| sealed.hash == hash).cloned()
    }

    fn keep(&self, sealed: Arc<Sealed>) {
        let mut blocks = self.0.lock().expect("nothing panics while it is held");
        blocks.push_front(sealed);
        blocks.truncate(BLOCKS_KEPT);
    }
}

impl Evm {
    pub(super) async fn prove_receipts(
        &self,
        height: Height,
        ids: &[MessageId],
    ) -> Result<ReceiptProof, ChainError> {
        let found = block(&self.rpc, height).await?;
        let sealed = match self.blocks.find(found.hash.0) {
            Some(sealed) => sealed,
            None => {
                let receipts = self.receipts(&found).await?;
                let sealed = Arc::new(self.seal(&found, &receipts)?);
                self.blocks.keep(Arc::clone(&sealed));
                sealed
            }
        };
        sealed.proof(height, ids)
    }

    /// The block's receipts; one by one from nodes that do not give them at once.
    pub(super) async fn receipts(&self, found: &Block) -> Result<Vec<Receipt>, ChainError> {
        let height = number(Height(found.number.0));
        let receipts = match self.rpc.found::<Vec<Receipt>>(RECEIPTS, json!([height])).await {
            Ok(receipts) => receipts,
            Err(error) if gives_no_blocks(&error) => self.receipts_one_by_one(found).await?,
            Err(error) => return Err(error.into()),
        };
        let hashes = receipts.iter().map(|receipt| receipt.transaction_hash.0);
        if !hashes.eq(found.transactions.iter().map(|hash| hash.0))
            || receipts.iter().any(|receipt| receipt.block_hash.0 != found.hash.0)
        {
            return Err(garbage(RECEIPTS, "receipts of another block"));
        }
        Ok(receipts)
    }

    async fn receipts_one_by_one(&self, found: &Block) -> Result<Vec<Receipt>, ChainError> {
        let ask = async |hash: &Fixed<32>| {
            let receipt: Receipt =
                self.rpc.found("eth_getTransactionReceipt", json!([hex(&hash.0)])).await?;
            Ok::<_, RpcError>(receipt)
        };
        let receipts = stream::iter(&found.transactions).map(ask).buffered(RECEIPTS_AT_ONCE);
        Ok(receipts.try_collect().await?)
    }

    fn seal(&self, found: &Block, receipts: &[Receipt]) -> Result<Sealed, ChainError> {
        let header = found.header_rlp();
        let hash = keccak256(&header).0;
        if hash != found.hash.0 {
            let what = "the header's fields do not have the block's hash: unknown fields?";
            return Err(garbage("eth_getBlockByNumber", what));
        }
        let encoded: Vec<_> = receipts.iter().map(encode).collect();
        let mut places = BTreeMap::new();
        for ((transaction, receipt), encoded) in (0u64..).zip(receipts).zip(&encoded) {
            for (log, entry) in (0u32..).zip(&receipt.logs) {
                let ours = entry.address.0 == self.config.contract.0;
                let sent = entry.topics.first().is_some_and(|t| t.0 == Event::Sent.topic().0);
                if !ours || !sent {
                    continue;
                }
                match self.readable(encoded, log) {
                    Ok(id) => _ = places.insert(id, LogPlace { transaction, log }),
                    // Whoever asks for it with others would believe none of them.
                    Err(what) => tracing::error!(number = found.number.0, what, "not provable"),
                }
            }
        }
        let targets = places.values().map(|place| key(place.transaction)).collect();
        let (root, nodes) = trie(&encoded, targets);
        if root != found.receipts_root.0 {
            let what = "receipts do not have the header's receiptsRoot: an unknown type?";
            return Err(garbage(RECEIPTS, what));
        }
        Ok(Sealed { hash, header, places, nodes })
    }

    /// The message of a log, if those who judge evidence can read it out of this receipt: anybody
    /// can send from a transaction whose other logs make its receipt larger than they take.
    fn readable(&self, encoded: &[u8], log: u32) -> Result<MessageId, String> {
        let most = EVM_NODE_BYTES_MAX - LEAF_BYTES_MAX;
        if encoded.len() > most {
            return Err(format!("receipt has {} bytes, expected at most {most}", encoded.len()));
        }
        let receipt = ProvenReceipt::read(encoded).map_err(|error| error.to_string())?;
        let message =
            receipt.message(log, &self.facts.outbox).map_err(|error| error.to_string())?;
        Ok(message.id())
    }
}

/// Whether receipts may still be had one by one: the node has no such call, the answer is too long
/// for it or for us, or what stands before it (a proxy) does not wait for it.
fn gives_no_blocks(error: &RpcError) -> bool {
    match error {
        RpcError::Node(..) | RpcError::TooLong(_) => true,
        RpcError::Chain(ChainError::Garbage { .. } | ChainError::HistoryMissing { .. }) => true,
        RpcError::Chain(_) | RpcError::Reverted(_) => false,
    }
}

/// What a node of the trie has beside its receipt: path and lengths.
const LEAF_BYTES_MAX: usize = 64;

impl Sealed {
    fn proof(&self, height: Height, ids: &[MessageId]) -> Result<ReceiptProof, ChainError> {
        let mut logs = BTreeSet::new();
        for id in ids {
            let place = self.places.get(id);
            let absent = || garbage(NOT_PROVABLE, format!("message {id} is not in block {height}"));
            logs.insert(*place.ok_or_else(absent)?);
        }
        let transactions: BTreeSet<_> = logs.iter().map(|place| place.transaction).collect();
        let mut nodes = BTreeMap::new();
        for transaction in transactions {
            nodes.extend(self.nodes.matching_nodes_sorted(&key(transaction)));
        }
        Ok(ReceiptProof {
            block: self.header.clone(),
            nodes: nodes.into_values().map(|node| node.to_vec()).collect(),
            logs: logs.into_iter().collect(),
        })
    }
}

/// A receipt as its block's trie holds it (EIP-2718): its type, unless it is the first, and its RLP.
fn encode(receipt: &Receipt) -> Vec<u8> {
    let kind = receipt.kind;
    let mut out = Vec::new();
    // A type past 127 is no transaction's; the root tells.
    if let (1.., Ok(kind)) = (kind, u8::try_from(kind)) {
        out.push(kind);
    }
    let status = receipt.status.is_some_and(|status| status.0 == 1);
    ReceiptWithBloom {
        receipt: ConsensusReceipt {
            status: Eip658Value::Eip658(status),
            cumulative_gas_used: receipt.cumulative_gas_used.0,
            logs: receipt.logs.iter().map(super::answer::LogEntry::log).collect(),
        },
        logs_bloom: Bloom::from(receipt.logs_bloom.0),
    }
    .encode(&mut out);
    out
}

/// The path of a receipt: the RLP of its index.
fn key(transaction: u64) -> Nibbles {
    Nibbles::unpack(alloy_rlp::encode(transaction))
}

/// The root over all receipts, and the nodes on the way to `targets`.
fn trie(receipts: &[Vec<u8>], targets: Vec<Nibbles>) -> ([u8; 32], ProofNodes) {
    let mut builder = HashBuilder::default().with_proof_retainer(ProofRetainer::new(targets));
    for i in 0..receipts.len() {
        // Leaves go in by ascending path, which is not the order of the indices.
        let index = adjust_index_for_rlp(i, receipts.len());
        builder.add_leaf(key(index as u64), &receipts[index]);
    }
    let root = builder.root().0;
    (root, builder.take_proof_nodes())
}
