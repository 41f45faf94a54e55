//! Evidence on the wire: `[family, header, inclusion]`. What it is worth, [`crate::light`] says;
//! here only its size and shape are checked.

use super::{
    EVIDENCE_BYTES_MAX, EVM_BLOCK_BYTES_MAX, EVM_NODE_BYTES_MAX, EVM_NODES_MAX, IDS_MAX,
    LEAF_HASHES_MAX, WireError,
    error::within,
    fields::{bytes, family, family_number, list, tuple},
};
use crate::{
    cbor::{CborError, Reader, Writer},
    chain::Family,
    header::SignedHeader,
    light::{
        Evidence,
        evm::{LogPlace, ReceiptProof},
        ledger::SignedLedgerHeader,
    },
    message::Message,
    proof::merkle::TreeProof,
};

/// Writes `[family, header, inclusion]`.
pub(super) fn write(evidence: &Evidence, out: &mut Writer) {
    out.array(3).uint(family_number(evidence.family()));
    match evidence {
        Evidence::Attested { header, tree } => {
            header.write(out);
            write_tree(tree, out);
        }
        Evidence::Ledger { header, tree } => {
            header.write(out);
            write_tree(tree, out);
        }
        Evidence::Evm { header, receipts } => {
            header.write(out);
            write_receipts(receipts, out);
        }
    }
}

/// How many bytes evidence takes in an answer, after reading it back as the asker will: one piece
/// over a limit would make the whole answer unreadable, so it is not to be sent.
///
/// # Errors
/// [`WireError`] names the limit that it passes.
pub fn checked_length(evidence: &Evidence) -> Result<usize, WireError> {
    let mut out = Writer::default();
    write(evidence, &mut out);
    let bytes = out.finish();
    within("evidence bytes", bytes.len(), EVIDENCE_BYTES_MAX)?;
    read(&mut Reader::new(&bytes))?;
    Ok(bytes.len())
}

/// Reads evidence of a known family.
pub(super) fn read(input: &mut Reader<'_>) -> Result<Evidence, WireError> {
    tuple(input, "evidence", 3, "family, header and inclusion")?;
    let number = input.uint("evidence family")?;
    match family(number) {
        Some(Family::Attested) => {
            Ok(Evidence::Attested { header: SignedHeader::read(input)?, tree: read_tree(input)? })
        }
        Some(Family::Ledger) => Ok(Evidence::Ledger {
            header: SignedLedgerHeader::read(input)?,
            tree: read_tree(input)?,
        }),
        Some(Family::Evm) => Ok(Evidence::Evm {
            header: SignedHeader::read(input)?,
            receipts: read_receipts(input)?,
        }),
        None => Err(CborError { field: "evidence family", expected: "0, 1 or 2" }.into()),
    }
}

fn write_tree(tree: &TreeProof, out: &mut Writer) {
    out.array(3).array(tree.indices.len());
    for index in &tree.indices {
        out.uint(*index);
    }
    write_all_bytes(&tree.leaves, out);
    out.array(tree.hashes.len());
    for hash in &tree.hashes {
        out.bytes(hash);
    }
}

/// At most as many leaves as ids can be asked for, and a full path of hashes for each.
fn read_tree(input: &mut Reader<'_>) -> Result<TreeProof, WireError> {
    tuple(input, "tree proof", 3, "indices, leaves and hashes")?;
    // An envelope's index has 32 bits, so a leaf beyond them could belong to no message.
    let indices = list(input, "tree proof indices", IDS_MAX, |input| {
        Ok(u64::from(input.uint32("tree proof index")?))
    })?;
    let leaves = list(input, "tree proof leaves", indices.len(), |input| {
        bytes(input, "tree proof leaf bytes", Message::BYTES_MAX)
    })?;
    if leaves.len() != indices.len() {
        let expected = "one for each index";
        return Err(CborError { field: "tree proof leaves", expected }.into());
    }
    let hashes = list(input, "tree proof hashes", leaves.len() * LEAF_HASHES_MAX, |input| {
        Ok(input.fixed("tree proof hash")?)
    })?;
    Ok(TreeProof { indices, leaves, hashes })
}

fn write_receipts(proof: &ReceiptProof, out: &mut Writer) {
    out.array(3).bytes(&proof.block);
    write_all_bytes(&proof.nodes, out);
    out.array(proof.logs.len());
    for place in &proof.logs {
        out.array(2).uint(place.transaction).uint(u64::from(place.log));
    }
}

fn read_receipts(input: &mut Reader<'_>) -> Result<ReceiptProof, WireError> {
    tuple(input, "receipt proof", 3, "block, nodes and logs")?;
    let block = bytes(input, "block header bytes", EVM_BLOCK_BYTES_MAX)?;
    let nodes = list(input, "receipt proof nodes", EVM_NODES_MAX, |input| {
        bytes(input, "receipt proof node bytes", EVM_NODE_BYTES_MAX)
    })?;
    let logs = list(input, "receipt proof logs", IDS_MAX, |input| {
        tuple(input, "log place", 2, "transaction and log")?;
        let transaction = input.uint("log place transaction")?;
        Ok(LogPlace { transaction, log: input.uint32("log place log")? })
    })?;
    Ok(ReceiptProof { block, nodes, logs })
}

fn write_all_bytes(items: &[Vec<u8>], out: &mut Writer) {
    out.array(items.len());
    for item in items {
        out.bytes(item);
    }
}
